"""``python -m exporters`` is ``cgroup-exporter``."""

import sys

from exporters.cli import main

sys.exit(main())
