"""From a cgroup to the name people know it by: the path's pattern first, then the engines' files.

Who may make a directory in a cgroup tree can give it any container's id. So the machine's files are asked only about
cgroups that the machine's engines made: not about those inside of a container, and about those in a user's own slice
only that user's files.
"""

from __future__ import annotations

import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import field
from typing import Final

from cgroup_model.engines._details import NO_CHECK, SANDBOX, Details, no_labels, text
from cgroup_model.engines._files import Files, Unreadable, User, login
from cgroup_model.engines._patterns import Kind, Match, is_machine_made, short_id
from cgroup_model.engines._registry import ENGINES, Engine, container_path, match
from cgroup_model.record import dataclass

MOST_IDENTITIES: Final = 16_384
FIRST_RETRY_SECONDS: Final = 2.0
LAST_RETRY_SECONDS: Final = 64.0

_OWNER: Final = re.compile(r"/user(?:-([0-9]{1,10})\.slice|@([0-9]{1,10})\.service)(?=/|\Z)")


@dataclass(frozen=True, slots=True)
class Identity:
    """What a cgroup is to people. None is unknown, and ``problem`` says which file would have told."""

    engine: str  # "" when no container system is known to have made the cgroup
    id: str
    name: str | None
    short_id: str
    pod: str | None = None
    namespace: str | None = None
    image: str | None = None
    labels: Mapping[str, str] = field(default_factory=no_labels)
    kind: Kind | None = None  # None together with engine ""
    problem: str | None = None
    restarts: int | None = None  # by the engine, before this life of the cgroup; None: its files do not say
    created_epoch: float | None = None  # when the engine made the container; seconds of the epoch
    ended_epoch: float | None = None  # when the life before this one ended; None: this is the first, or nothing tells

    @property
    def helper(self) -> bool:
        """True for cgroups that belong to an engine but hold no container."""
        return self.kind is Kind.HELPER

    @property
    def title(self) -> str:
        """The name, or the short id where no name is known."""
        return self.name or self.short_id


@dataclass(slots=True)
class _Answer:
    identity: Identity
    retry_at: float | None  # None: final
    wait_seconds: float = FIRST_RETRY_SECONDS


class Resolver:
    """Names of cgroups, each found once per (path, inode). Safe to share between threads."""

    def __init__(
        self,
        fs_root: str = "/",
        clock: Callable[[], float] = time.monotonic,
        *,
        own_path: str = "/",
        engines: tuple[Engine, ...] = ENGINES,
        most: int = MOST_IDENTITIES,
    ) -> None:
        """Read nothing yet. ``most`` answers are remembered.

        ``fs_root`` stands for ``/`` in the names of engine files; ``clock`` gives seconds and never goes back.
        ``own_path`` is our own cgroup. It matters inside of a container that sees the machine's paths (v1 without a
        cgroup namespace), where the files at hand are that container's and so are the containers below it.
        """
        self._files = Files(fs_root, clock)
        self._clock = clock
        self._own_path = own_path
        self._engines = engines
        self._most = most
        self._answers: OrderedDict[tuple[str, int], _Answer] = OrderedDict()
        self._lock = threading.Lock()

    def identify(self, path: str, inode: int) -> Identity:
        """Name a cgroup; another ``inode`` is another cgroup.

        What the files do not know (yet: they appear shortly after the cgroup) is asked again after 2 seconds, then
        after 4 and so on up to 64.
        """
        with self._lock:
            return self._answer((path, inode))

    def keep_only(self, alive: Collection[tuple[str, int]]) -> None:
        """Forget all cgroups but these (path, inode)."""
        with self._lock:
            for key in self._answers.keys() - alive:
                del self._answers[key]

    def health(self, path: str, inode: int) -> str | None:
        """Ask Docker's file anew what the health check says, or `NO_CHECK`; None where no file tells, or an old one."""
        with self._lock:
            found = match(path) if self._answer((path, inode)).engine == "docker" else None
            if found is None or found.helper or not self._is_machines_own(path):
                return None
            told = self._details(found, self._owner(path))[0]
        is_old = told.health_until_epoch is None or told.health_until_epoch < time.time()
        return None if is_old and told.health != NO_CHECK else told.health

    def by_path(self, path: str) -> Identity:
        """Say what the path alone tells, without asking a file: the engine and the id, for most."""
        found = match(path)
        if found is None:
            return Identity("", path, None, path.rpartition("/")[2] or path)
        return _identity(found, Details(), None)

    def _answer(self, key: tuple[str, int]) -> Identity:
        known = self._answers.get(key)
        if known is not None and (known.retry_at is None or self._clock() < known.retry_at):
            self._answers.move_to_end(key)
            return known.identity
        wait = min(2 * known.wait_seconds, LAST_RETRY_SECONDS) if known else FIRST_RETRY_SECONDS
        identity, final = self._resolve(key[0])
        if known is not None and known.identity == identity:
            identity = known.identity  # what others made of it is still good
        self._answers[key] = _Answer(identity, None if final else self._clock() + wait, wait)
        self._answers.move_to_end(key)
        if len(self._answers) > self._most:
            self._answers.popitem(last=False)
        return identity

    def _resolve(self, path: str) -> tuple[Identity, bool]:
        """Name a cgroup, and tell whether asking again is pointless."""
        has_files = self._is_machines_own(path)
        found = match(path) or (self._claimed(path) if has_files else None)
        if found is None:
            return Identity("", path, None, path.rpartition("/")[2] or path), not has_files
        if found.helper or not has_files:
            return _identity(found, Details(), None), True
        details, problem = self._details(found, self._owner(path))
        identity = _identity(found, details, problem)
        return identity, identity.name is not None

    def _is_machines_own(self, path: str) -> bool:
        """Tell whether the files at hand can be about a cgroup: not when it is inside of somebody's container."""
        outer = container_path(path.rpartition("/")[0])
        return outer is None or f"{self._own_path}/".startswith(f"{outer}/")

    def _owner(self, path: str) -> User | None:
        """Find the user whose slice a cgroup is in; None for the machine's own (and root's)."""
        found = _OWNER.search(path)
        uid = int(found[1] or found[2]) if found else 0
        if uid == 0:
            return None
        return self._login(uid) or User(uid, str(uid), "/nonexistent")

    def _login(self, uid: int) -> User | None:
        try:
            return login(self._files, uid)
        except Unreadable:
            return None

    def _claimed(self, path: str) -> Match | None:
        for engine in self._engines:
            try:
                found = engine.claim(self._files, path) if engine.claim else None
            except Unreadable:
                continue  # whether that file concerns this cgroup cannot be known
            if found is not None:
                return found
        return None

    def _details(self, found: Match, user: User | None) -> tuple[Details, str | None]:
        """Ask files until name and image are known; also the first file that could not be read, while there is no name.

        The engine that the path names goes first. A random id means the same whichever engine's files know it.
        """
        details = Details()
        problem: str | None = None
        for engine in self._in_order(found):
            try:
                more = engine.look_up(self._files, found, user) if engine.look_up else None
            except Unreadable as error:
                problem = problem or text(str(error))
                continue
            details = details.completed_by(more) if more else details
            if details.name and details.image:
                break
        return details, problem if details.name is None else None

    def _in_order(self, found: Match) -> Iterator[Engine]:
        own = [engine for engine in self._engines if found.engine in engine.speaks_of]
        yield from own
        if found.kind is Kind.CONTAINER and is_machine_made(found.id):
            yield from (engine for engine in self._engines if engine.look_up and found.engine not in engine.speaks_of)


def _identity(found: Match, details: Details, problem: str | None) -> Identity:
    # An id that somebody chose is a name.
    name = details.name if is_machine_made(found.id) or found.kind is Kind.POD else details.name or text(found.id)
    return Identity(
        engine=(found.guess and details.engine) or found.engine,
        id=found.id,
        name=name,
        short_id=short_id(found.id),
        pod=details.pod,
        namespace=details.namespace,
        image=details.image,
        labels=details.labels,
        kind=Kind.HELPER if name == SANDBOX and details.pod else found.kind,  # it only holds a pod's namespaces
        problem=problem,
        restarts=details.restarts,
        created_epoch=details.created_epoch,
        ended_epoch=details.ended_epoch,
    )
