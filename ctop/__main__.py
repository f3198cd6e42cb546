"""``python -m ctop``."""

import sys

from ctop.cli import main

if __name__ == "__main__":
    sys.exit(main())
