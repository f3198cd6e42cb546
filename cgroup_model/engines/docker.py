"""Docker: `/docker/<id>` (cgroupfs driver) or `docker-<id>.scope` (systemd driver); below any `--cgroup-parent`.

Names: `<data-root>/containers/<id>/config.v2.json`, written by dockerd (moby, container/container.go), mode 0600:
`{"Name": "/web", "Config": {"Image": "nginx:1", "Labels": {"com.docker.compose.project": "shop"}},
"RestartCount": 2, "Created": "2026-11-21T06:05:48.905462429Z", "State": {"ExitCode": 0, "OOMKilled": false,
"FinishedAt": …}}`. `RestartCount` is how often its restart policy has started it again. Of a container that runs, the
state says when it last ended, but no more why: the start resets exit code and OOM mark (container/state.go).
`State.Health.Status` (starting, healthy, unhealthy) is written whenever a health check has run (daemon/health.go), but
by Docker 26 and newer only with something else that changes (moby pull request 47044): old, it says nothing.
"""

from __future__ import annotations

from typing import Final

from cgroup_model.engines._details import NO_CHECK, Details, count, epoch, member, string_labels, text
from cgroup_model.engines._files import Files, Unreadable, User, parse_json
from cgroup_model.engines._patterns import HEX_ID, Match, Pattern, Rank

_DATA_ROOT: Final = "/var/lib/docker"

_CHECK_SECONDS: Final = 30.0
"""Between two health checks, and for one, where nothing else was asked for."""

_WRITING_SECONDS: Final = 10.0
"""To start a check and to write what it said, on a machine that has a lot to do."""

PATTERNS = (
    Pattern("docker", rf"docker-{HEX_ID}\.scope"),
    Pattern("docker", HEX_ID, parent="docker"),
    # What an unfit systemd driver leaves as a plain name: "slice:prefix:id".
    Pattern("docker", rf"[^/]*\.slice:docker:{HEX_ID}", rank=Rank.GENERAL),
    # --cgroup-parent /anything, swarm, ECS (/ecs/<task>/<id>), containerd.service/cpuset/<id>: the id is all there is.
    Pattern("docker", HEX_ID, rank=Rank.GENERAL, guess=True),
)


def look_up(files: Files, match: Match, user: User | None) -> Details | None:
    """Read a container's name, image and labels. Raises `Unreadable`."""
    containers = f"{_data_root(files, user)}/containers"
    if not files.may_hold(containers, match.id):
        return None
    config = files.json(f"{containers}/{match.id}/config.v2.json", user)
    if config is None:
        return None
    labels = string_labels(member(config, "Config", "Labels"))
    name = text(member(config, "Name"))
    return Details(
        # dockershim and cri-dockerd keep what Kubernetes says in labels; Docker's own name is made of it.
        name=labels.get("io.kubernetes.container.name") or (name.removeprefix("/") if name else None),
        image=text(member(config, "Config", "Image")),
        pod=labels.get("io.kubernetes.pod.name"),
        namespace=labels.get("io.kubernetes.pod.namespace"),
        labels=labels,
        engine="docker",
        restarts=count(member(config, "RestartCount")),
        created_epoch=epoch(member(config, "Created")),
        ended_epoch=epoch(member(config, "State", "FinishedAt")),
        health=text(member(config, "State", "Health", "Status")) or NO_CHECK,
        health_until_epoch=_health_until(config),
    )


def _health_until(config: object) -> float | None:
    """Say until when the last health check, or the start before the first, is the last word."""
    log = member(config, "State", "Health", "Log")
    ended = epoch(member(log[-1], "End")) if isinstance(log, list) and log else None
    times = [time for time in (ended, epoch(member(config, "State", "StartedAt"))) if time is not None]
    if not times:
        return None
    waits = (count(member(config, "Config", "Healthcheck", name)) for name in ("Interval", "Timeout"))
    return max(times) + sum(wait / 1e9 if wait else _CHECK_SECONDS for wait in waits) + _WRITING_SECONDS


def log_file(files: Files, container: str) -> str:
    """Say where the machine's dockerd writes the log of a container, which it does with the driver json-file."""
    try:
        root = _data_root(files, None)
    except Unreadable:
        root = _DATA_ROOT
    return files.inside(f"{root}/containers/{container}/{container}-json.log")


def _data_root(files: Files, user: User | None) -> str:
    """Find where dockerd keeps its state: daemon.json's `data-root` (`graph` before Docker 17.05), or the default."""
    home = user.home if user else ""
    settings = f"{home}/.config/docker/daemon.json" if user else "/etc/docker/daemon.json"
    default = f"{home}/.local/share/docker" if user else _DATA_ROOT
    config = files.shared(settings, parse_json, user)
    return text(member(config, "data-root")) or text(member(config, "graph")) or default
