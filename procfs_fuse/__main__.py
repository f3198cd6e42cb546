"""``python -m procfs_fuse`` is the command ``procfs-fuse``."""

from __future__ import annotations

import sys

from procfs_fuse.cli import main

if __name__ == "__main__":
    sys.exit(main())
