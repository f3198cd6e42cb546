"""Whether this version of the program can serve here: it renders every file, in a process of its own, unmounted.

    python -m procfs_fuse.keeper.self_test STATE_DIR KEEPER

It must also know the journal of the keeper whose place it is to take (its process id).

Exits with 0 when it can, else with 1 and the reason on standard error.
"""

from __future__ import annotations

import os
import sys
import tempfile
from typing import Final

from cgroup_model.source import CgroupGone
from procfs_fuse.keeper import journal
from procfs_fuse.keeper.journal import Journal
from procfs_fuse.service import Service
from procfs_fuse.views import VIEWS

_MOST_CONTAINERS: Final = 20


def main(directory: str, keeper: str) -> int:
    """Test, and say what is wrong."""
    try:
        journal.check_that_of(int(keeper))
        _test(directory)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
        os.write(2, f"{type(error).__name__}: {error}\n".encode(errors="backslashreplace"))
        return 1
    return 0


def _test(directory: str) -> None:
    """Raise whatever goes wrong."""
    fd = journal.create()
    view = Journal(fd)
    view.set_charter({})
    view.charter()
    with tempfile.TemporaryDirectory(prefix="procfs-fuse-") as state:
        service = Service(mountpoint=directory, state_dir=state)
        for one in VIEWS.values():
            if not one.SECRET:
                _render(service, one.PATH)
        service.close()
    view.close()


def _render(service: Service, path: str) -> None:
    view = VIEWS[path]
    try:
        view.render(service.collector.machine(view.NEEDS))
        for cgroup in list(service.tree.containers().values())[:_MOST_CONTAINERS]:
            view.render(service.collector.snapshot(cgroup, view.NEEDS))
    except CgroupGone:
        return
    except Exception as error:
        raise RuntimeError(f"{path}: {type(error).__name__}: {error}") from error


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
