"""How a keeper gets the connections: those that the service manager has kept, or newly mounted ones."""

from __future__ import annotations

import logging
import os

from procfs_fuse import mountpoint as mountpoints
from procfs_fuse.control_socket import listen
from procfs_fuse.instances import Claim, Instance
from procfs_fuse.keeper import service_manager
from procfs_fuse.keeper.holdings import Holdings
from procfs_fuse.keeper.journal import Journal
from procfs_fuse.keeper.service_manager import ServiceManager
from procfs_fuse.keeper.supervision import connect, make_journal
from procfs_fuse.settings import Settings
from procfs_fuse.transport import mounting

log = logging.getLogger(__name__)


def take_up(settings: Settings, claim: Claim, manager: ServiceManager) -> Holdings:
    """Get them, and the socket on which workers are asked; raises OSError."""
    listener = listen(Instance(settings.directory, settings.mountpoint, 0, 0.0).service).detach()
    kept = service_manager.inherited()
    if set(kept) == {"open", "cached", "journal"} and _fits(kept["journal"], settings):
        log.info("taking over the mounts that the service manager has kept")
        claim.move_behind(max(kept.values()))
        return Holdings(kept["open"], kept["cached"], kept["journal"], claim.descriptor, listener)
    for fd in kept.values():
        os.close(fd)
    containers = os.path.join(settings.directory, "containers")
    os.makedirs(containers, mode=0o700, exist_ok=True)
    for path in (settings.mountpoint, containers):
        mountpoints.detach(path)
    source = mounting.source_of(settings.mountpoint)
    opened, negotiated = connect("open", settings.mountpoint, source)
    try:
        cached, negotiated_cached = connect("cached", containers, source)
    except OSError:
        mountpoints.detach(settings.mountpoint)
        os.close(opened)
        raise
    journal = make_journal(
        {"open": negotiated, "cached": negotiated_cached}, {"mountpoint": settings.mountpoint}
    )  # fmt: skip
    manager.store({"open": opened, "cached": cached, "journal": journal})
    claim.move_behind(max(opened, cached, journal))
    return Holdings(opened, cached, journal, claim.descriptor, listener)


def _fits(journal: int, settings: Settings) -> bool:
    """Whether these are our mounts, in a form that we understand."""
    try:
        view = Journal(journal)
        charter = view.charter()
        view.close()
    except (OSError, ValueError) as error:
        log.warning("what the service manager kept is of no use: %s", error)
        return False
    return charter.get("mountpoint") == settings.mountpoint
