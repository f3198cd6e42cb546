"""``python -m cgscope``."""

import sys

from cgscope.cli import main

sys.exit(main())
