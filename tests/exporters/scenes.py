"""Whole machines as folders: what an exporter reads of them is then known to the last digit.

Each function makes ``proc``, ``sys``, ``root`` (the machine's file system) and cgroup hierarchies below a folder.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from exporters.setup import Settings

HOST = Path(__file__).resolve().parents[1] / "fixtures" / "hosts" / "two-cpus"
NOON = 1_767_268_800.0  # 2026-01-01 12:00:00 UTC

WEB = "a1" * 32
POD_UID = "1dbe5e0c_6d1c_4c5e_9a57_0c8f8e7f9d11"
SHOP = "b2" * 32

IDLE = "avg10=0.00 avg60=0.00 avg300=0.00"

V2_WEB = {
    "cgroup.procs": "",
    "cgroup.threads": "",
    "cgroup.events": "populated 1\nfrozen 0\n",
    "cgroup.stat": "nr_descendants 0\nnr_dying_descendants 3\n",
    "cgroup.type": "domain\n",
    "memory.current": "104857600\n",
    "memory.max": "268435456\n",
    "memory.high": "max\n",
    "memory.low": "0\n",
    "memory.min": "0\n",
    "memory.peak": "134217728\n",
    "memory.swap.current": "4096\n",
    "memory.swap.max": "max\n",
    "memory.oom.group": "0\n",
    "memory.stat": (
        "anon 62914560\nfile 33554432\nkernel 4194304\nkernel_stack 65536\npagetables 131072\nsock 8192\nshmem 0\n"
        "file_mapped 1048576\nfile_dirty 12288\nfile_writeback 0\ninactive_anon 1000\nactive_anon 62913560\n"
        "inactive_file 20971520\nactive_file 12582912\nunevictable 0\nslab_reclaimable 2097152\n"
        "slab_unreclaimable 1048576\nslab 3145728\nworkingset_refault_anon 1\nworkingset_refault_file 2\n"
        "pgscan 30\npgsteal 20\npgfault 12345\npgmajfault 67\n"
    ),
    "memory.events": "low 0\nhigh 0\nmax 5\noom 2\noom_kill 1\noom_group_kill 0\n",
    "memory.events.local": "low 0\nhigh 0\nmax 5\noom 2\noom_kill 1\noom_group_kill 0\n",
    "cpu.stat": (
        "usage_usec 12500000\nuser_usec 10000000\nsystem_usec 2500000\nnr_periods 100\nnr_throttled 25\n"
        "throttled_usec 1500000\nnr_bursts 0\nburst_usec 0\n"
    ),
    "cpu.stat.local": "throttled_usec 1500000\n",
    "cpu.max": "150000 100000\n",
    "cpu.weight": "100\n",
    "cpuset.cpus": "\n",
    "cpuset.cpus.effective": "0-1\n",
    "cpuset.mems.effective": "0\n",
    "io.stat": "254:0 rbytes=1048576 wbytes=2097152 rios=10 wios=20 dbytes=0 dios=0\n7:9 rbytes=1 wbytes=2\n",
    "io.max": "254:0 rbps=1000000 wbps=max riops=max wiops=max\n",
    "io.weight": "default 100\n",
    "pids.current": "7\n",
    "pids.max": "100\n",
    "pids.peak": "9\n",
    "pids.events": "max 0\n",
    "cpu.pressure": f"some avg10=1.50 avg60=0.50 avg300=0.10 total=123456\nfull {IDLE} total=1\n",
    "memory.pressure": f"some {IDLE} total=0\nfull {IDLE} total=0\n",
    "io.pressure": f"some {IDLE} total=2500000\nfull {IDLE} total=9\n",
}
V2_UNLIMITED = V2_WEB | {"memory.max": "max\n", "cpu.max": "max 100000\n", "pids.max": "max\n", "io.max": ""}
V2_ROOT = {
    "cgroup.controllers": "cpuset cpu io memory pids\n",
    "cgroup.procs": "",
    "cgroup.stat": "nr_descendants 9\nnr_dying_descendants 4\n",
    "memory.stat": "anon 100000000\nfile 200000000\ninactive_file 150000000\npgfault 99\npgmajfault 9\n",
    "cpu.stat": "usage_usec 99000000\nuser_usec 60000000\nsystem_usec 39000000\n",
    "io.stat": "254:0 rbytes=5 wbytes=6 rios=7 wios=8 dbytes=0 dios=0\n",
    "cpuset.cpus.effective": "0-1\n",
}


def settings(folder: Path, **more: object) -> Settings:
    """Point an exporter at a machine; without the families that tell of this very process."""
    more = {"collectors": {"exporter": False}, "kmsg": None, **more}
    roots = {"proc_root": str(folder / "proc"), "sys_root": str(folder / "sys"), "fs_root": str(folder / "root")}
    return Settings(**roots, **more)  # type: ignore[arg-type]


def v2_docker(folder: Path) -> None:
    """Make a v2 machine with Docker's container "web": 256 MiB, 1.5 CPUs, 100 tasks."""
    cgroup = _machine(folder)
    _mount(folder, cgroup / "v2")
    _files(cgroup / "v2", V2_ROOT)
    _files(cgroup / f"v2/system.slice/docker-{WEB}.scope", V2_WEB)
    _docker(folder, WEB, "web", "nginx:1")


def v2_kubernetes(folder: Path) -> None:
    """Make a v2 machine with a pod of one container without limits of its own, below the pod's."""
    cgroup = _machine(folder)
    _mount(folder, cgroup / "v2")
    _files(cgroup / "v2", V2_ROOT)
    pod = cgroup / f"v2/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{POD_UID}.slice"
    _files(pod, V2_WEB)
    _files(pod / f"cri-containerd-{SHOP}.scope", V2_UNLIMITED)
    logs = folder / "root/var/log"
    (logs / "containers").mkdir(parents=True)
    (logs / "containers" / f"shop-0_prod_web-{SHOP}.log").touch()
    (logs / "pods" / f"prod_shop-0_{POD_UID.replace('_', '-')}").mkdir(parents=True)


def v1_docker(folder: Path) -> None:
    """Make a v1 machine with Docker's container "web", unlimited; blkio and PSI are not there."""
    cgroup = _machine(folder)
    _mount(folder, *(cgroup / name for name in ("memory", "cpu,cpuacct", "pids")))
    for name in ("memory", "cpu,cpuacct", "pids"):
        _files(cgroup / name, {"cgroup.procs": ""})
    stat = {"total_rss": 62914560, "total_cache": 33554432, "total_inactive_file": 20971520, "total_swap": 0}
    _files(
        cgroup / f"memory/docker/{WEB}",
        {
            "cgroup.procs": "",
            "tasks": "",
            "memory.usage_in_bytes": "104857600\n",
            "memory.limit_in_bytes": "9223372036854771712\n",
            "memory.max_usage_in_bytes": "134217728\n",
            "memory.failcnt": "5\n",
            "memory.kmem.usage_in_bytes": "4194304\n",
            "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n",
            "memory.stat": "".join(f"{key} {value}\n" for key, value in stat.items()),
        },
    )
    _files(
        cgroup / f"cpu,cpuacct/docker/{WEB}",
        {
            "cgroup.procs": "",
            "tasks": "",
            "cpuacct.usage": "12500000000\n",
            "cpuacct.stat": "user 1000\nsystem 250\n",
            "cpuacct.usage_all": "cpu user system\n0 5000000000 1250000000\n1 5000000000 1250000000\n",
            "cpu.shares": "1024\n",
            "cpu.cfs_quota_us": "-1\n",
            "cpu.cfs_period_us": "100000\n",
            "cpu.stat": "nr_periods 0\nnr_throttled 0\nthrottled_time 0\n",
        },
    )
    _files(
        cgroup / f"pids/docker/{WEB}",
        {"cgroup.procs": "", "tasks": "", "pids.current": "7\n", "pids.max": "max\n", "pids.events": "max 0\n"},
    )
    _docker(folder, WEB, "web", "nginx:1")


SCENES: Mapping[str, Callable[[Path], None]] = {
    "v2-docker": v2_docker,
    "v2-kubernetes": v2_kubernetes,
    "v1-docker": v1_docker,
}


# ------------------------------------------------------------------------------------------------ pieces


def _machine(folder: Path) -> Path:
    """Make the machine itself; returns the folder for hierarchies."""
    proc = folder / "proc"
    (proc / "self" / "ns").mkdir(parents=True)
    for name in ("meminfo", "stat", "cpuinfo", "swaps", "diskstats"):
        shutil.copyfile(HOST / name, proc / name)
    _files(
        proc,
        {
            "self/cgroup": "0::/\n1:memory:/\n2:cpu,cpuacct:/\n3:pids:/\n",
            "loadavg": "0.20 0.18 0.12 1/80 11206\n",
            "vmstat": "nr_free_pages 1\noom_kill 4\n",
            "sys/kernel/pid_max": "32768\n",
            "sys/kernel/threads-max": "10000\n",
            "sys/fs/file-nr": "2000\t16\t100000\n",
            "sys/net/netfilter/nf_conntrack_count": "12\n",
            "sys/net/netfilter/nf_conntrack_max": "65536\n",
            "pressure/cpu": "some avg10=0.00 avg60=0.00 avg300=0.00 total=42\n",
        },
    )
    _files(folder / "sys", {"devices/system/cpu/online": "0-1\n"})
    (folder / "root").mkdir()
    return folder / "cgroup"


def _mount(folder: Path, *places: Path) -> None:
    """Write mountinfo: a place called v2 is cgroup2, others are v1 hierarchies of the controllers they are called."""
    lines = []
    for number, place in enumerate(places, 30):
        place.mkdir(parents=True)
        v2 = place.name == "v2"
        kind, options = ("cgroup2", "rw") if v2 else ("cgroup", f"rw,{place.name}")
        lines.append(f"{number} 25 0:{number} / {place} rw - {kind} {kind} {options}\n")
    _files(folder / "proc", {"self/mountinfo": "".join(lines)})


def _files(folder: Path, contents: Mapping[str, str]) -> None:
    for name, text in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _docker(folder: Path, container_id: str, name: str, image: str) -> None:
    text = f'{{"Name": "/{name}", "Config": {{"Image": "{image}", "Labels": {{"owner": "team-a"}}}}}}'
    _files(folder / f"root/var/lib/docker/containers/{container_id}", {"config.v2.json": text})
