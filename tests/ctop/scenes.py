"""Scenes made by hand, as plain data: what a screen shows is then known to the last character."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cgroup_model.engines import Identity, Kind
from cgroup_model.machine import Machine
from cgroup_model.rates import DeviceRates, Interface, InterfaceRates, Moment, Rates
from cgroup_model.snapshot import (
    UNLIMITED,
    Core,
    Cpu,
    Host,
    Io,
    IoDevice,
    Load,
    Memory,
    MemoryBounds,
    MemoryEvents,
    MemoryStat,
    Need,
    Pids,
    Pressure,
    PressureLine,
    PressureResource,
    ShownCpus,
    Snapshot,
    Tasks,
    Throttling,
)
from ctop.scene import Brief, Entry, Scene

MIB = 1 << 20
NOON = 1_767_268_800.0  # 2026-01-01 12:00:00 UTC


def psi(value: float) -> PressureResource:
    """Return a resource whose averages are all ``value`` percent."""
    line = PressureLine(value, value, value, 0)
    return PressureResource(some=line, full=line)


def machine() -> Machine:
    """Return a machine of four CPUs and 16 GiB."""
    return Machine(
        cpus=4,
        cpu_ticks=(1000, 4000),
        memory_total=16384 * MIB,
        memory_available=12288 * MIB,
        swap_total=2048 * MIB,
        swap_free=2048 * MIB,
        load=Load(1.5, 0.75, 0.25),
        tasks_running=2,
        tasks=345,
        pressure=Pressure(psi(1.5), psi(0.0), psi(12.25)),
    )


def identity(path: str, engine: str = "", name: str | None = None, **more: Any) -> Identity:  # noqa: ANN401 - whatever the record takes
    """Return who a cgroup is; a container when an engine is given."""
    if not engine:
        return Identity("", path, None, path.rpartition("/")[2] or path)
    ident = path.rpartition("/")[2][:64]
    given: dict[str, Any] = {"kind": Kind.CONTAINER, **more}
    return Identity(engine, ident, name, ident[:12], **given)


def entry(
    path: str,
    who: Identity | None = None,
    *,
    cores: float | None = 0.5,
    memory: int = 200,
    **more: Any,  # noqa: ANN401 - as `snapshot`
) -> Entry:
    """Return a cgroup with everything known; ``memory`` in MiB, ``limit``, ``origin`` and others as in `snapshot`."""
    given = snapshot(path, memory, **more)
    interfaces = (Interface("eth0", 10 * MIB, 900, 0, 0, 5 * MIB, 800, 0, 0),)
    return Entry(
        path,
        inode=len(path),
        identity=who or identity(path),
        brief=Brief(cores, memory * MIB, 7),
        moment=Moment(len(path), given, interfaces),
        rates=None if cores is None else rates(cores),
        cpus=4,
        memory_total=16384 * MIB,
    )


def rates(cores: float) -> Rates:
    """Return rates with that CPU usage."""
    return Rates(
        1.0,
        cpu_cores=cores,
        user_cores=cores * 0.75,
        system_cores=cores * 0.25,
        throttled_ratio=0.125,
        throttled_cores=0.1,
        read_bytes=1.5 * MIB,
        write_bytes=300 * 1024.0,
        read_ios=120.0,
        write_ios=3.5,
        rx_bytes=2048.0,
        tx_bytes=512.0,
        oom_kills=0,
        devices=(DeviceRates(8, 0, 1.5 * MIB, 300 * 1024.0, 120.0, 3.5),),
        interfaces=(InterfaceRates("eth0", 2048.0, 512.0, 16.0, 4.0, 0.0),),
    )


def snapshot(  # noqa: PLR0913 - one for each thing that tests vary
    path: str,
    memory: int,
    *,
    limit: int | None = None,
    origin: str | None = None,
    quota: float | None = None,
    frozen: bool = False,
    oom: int = 0,
    age: float | None = 3723.0,
) -> Snapshot:
    """Return a look with every part; ``limit`` in MiB, None: unlimited."""
    maximum = UNLIMITED if limit is None else limit * MIB
    stat = MemoryStat(
        anon=memory * MIB // 2,
        file=memory * MIB // 4,
        inactive_file=memory * MIB // 8,
        active_file=memory * MIB // 8,
        file_dirty=4096,
        slab=memory * MIB // 16,
        kernel_stack=65536,
        sock=0,
        shmem=0,
    )
    return Snapshot(
        path=path,
        host=Host(online_cpus=(0, 1, 2, 3)),
        taken_at=100.0,
        age_seconds=age,
        memory=Memory(
            current=memory * MIB,
            max=maximum if origin in {None, path} else UNLIMITED,
            swap_current=0,
            stat=stat,
            peak=2 * memory * MIB,
            events=MemoryEvents(oom_kill=oom, oom=oom, max=12, high=0),
        ),
        memory_bounds=MemoryBounds(
            max=maximum, max_origin=None if limit is None else origin or path, swap_max=UNLIMITED
        ),
        cpu=Cpu(9_000_000, 6_000_000, 3_000_000, quota_usec=UNLIMITED, throttling=Throttling(10, 1, 5000), weight=100),
        cpus=ShownCpus((0, 1, 2, 3), (0, 1, 2, 3), UNLIMITED if quota is None else quota, path if quota else None),
        io=Io((IoDevice(8, 0, 30 * MIB, 20 * MIB, 900, 400),)),
        pids=Pids(current=7, max=UNLIMITED, effective_max=100, effective_max_origin="/"),
        pressure=Pressure(psi(0.5), psi(0.0), psi(2.25)),
        core=Core(populated=True, frozen=frozen, nr_descendants=0, nr_dying_descendants=0),
        tasks=Tasks(running=1, total=7, processes=3),
        load=Load(0.42, 0.3, 0.1),
    )


DOCKER_ID = "3f4c" * 16
PODMAN_ID = "a7b8" * 16


def containers() -> list[Entry]:
    """Return what most machines have: two containers, a service, a slice, an idle cgroup."""
    web = f"/docker/{DOCKER_ID}"
    database = f"/machine.slice/libpod-{PODMAN_ID}.scope"
    return [
        entry("/", cores=1.25, memory=4000),
        entry(
            web,
            identity(web, "docker", "web", image="nginx:1.27", labels={"com.docker.compose.project": "shop"}),
            cores=0.75,
            limit=256,
            quota=1.5,
        ),
        entry(
            database,
            identity(database, "podman", "database", image="docker.io/library/postgres:17"),
            cores=0.05,
            memory=900,
            limit=910,
            origin="/machine.slice",
            oom=2,
        ),
        entry("/machine.slice", identity("/machine.slice", "systemd", "machine.slice", kind=Kind.UNIT), memory=900),
        entry(
            "/system.slice/ssh.service",
            identity("/system.slice/ssh.service", "systemd", "ssh.service", kind=Kind.UNIT),
            cores=0.0,
            memory=12,
        ),
        entry("/idle", cores=None, memory=0),
    ]


def scene(entries: Iterable[Entry] | None = None, **more: Any) -> Scene:  # noqa: ANN401 - whatever the record takes
    """Return a scene at noon of the given entries (default: `containers`)."""
    found: Mapping[str, Entry] = {one.path: one for one in (containers() if entries is None else entries)}
    given: dict[str, Any] = {"cpu_ratio": 0.25, "hostname": "host", **more}
    return Scene(NOON, machine(), "v2", found, **given)


class Still:
    """Scenes that never change, and that remember what was asked for."""

    def __init__(self, shown: Scene) -> None:
        self.scene = shown
        self.surveys: list[tuple[frozenset[str], Need]] = []
        self.looks: list[tuple[list[str], Need]] = []
        self.closed = False

    is_over = False

    def survey(self, parts: frozenset[str], needs: Need) -> Scene:
        """Return the scene."""
        self.surveys.append((parts, needs))
        return self.scene

    def look(self, scene: Scene, paths: list[str], needs: Need, *, network: bool = False) -> Scene:  # noqa: ARG002
        """Return the scene as it is: everything is known."""
        self.looks.append((paths, needs))
        return scene

    def close(self) -> None:
        """Remember it."""
        self.closed = True
