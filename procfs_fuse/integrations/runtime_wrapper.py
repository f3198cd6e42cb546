"""An OCI runtime in front of the real one: it adds our hook to the configuration of each new container.

For engines that have no hooks of their own (Docker, containerd). The command line is passed through as it came; only
``create`` and ``run`` are looked at, for their bundle.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import procfs_fuse
from cgscope.errors import Failure
from procfs_fuse.integrations import oci
from procfs_fuse.seccomp.abi import abis
from procfs_fuse.seccomp.profile import merged, profile

HOOK_ENVIRONMENT: Final = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""A hook without an environment of its own gets that of the image, and with it what its LD_PRELOAD says."""

_TAKE_A_VALUE: Final = frozenset(
    {"--root", "--log", "--log-format", "--criu", "--rootless", "--cgroup-manager", "--systemd-cgroup-manager"}
)
"""Options of runc and crun in front of the command whose value is a word of its own."""
_STARTING: Final = frozenset({"create", "run"})
_STAGE: Final = "createContainer"


@dataclass(frozen=True, slots=True)
class Call:
    """What an engine asks a runtime for."""

    command: str | None
    bundle: str | None  # of a container that is to be made


def understand(words: Sequence[str]) -> Call:
    """Find the command, and of `create` and `run` the bundle, in a runtime's arguments."""
    position = _command_position(words)
    if position is None:
        return Call(None, None)
    command = words[position]
    return Call(command, _bundle(words[position + 1 :]) if command in _STARTING else None)


def add_hook(bundle: str, hook: Mapping[str, Any]) -> bool:
    """Add the hook to a bundle's configuration; False when it opts out, or has it. Raises Failure, OSError."""
    config = oci.config_of(bundle)
    annotations = config.get("annotations")
    if isinstance(annotations, Mapping) and oci.opts_out({str(key): str(value) for key, value in annotations.items()}):
        return False
    hooks = config.get("hooks") or {}
    stage = hooks.get(_STAGE) or []
    if not isinstance(hooks, dict) or not isinstance(stage, list):
        raise Failure(f"{bundle}/config.json has hooks that are none")
    if hook in stage:
        return False
    _replace(os.path.join(bundle, "config.json"), {**config, "hooks": {**hooks, _STAGE: [*stage, hook]}})
    return True


def add_listener(bundle: str, calls: Collection[str], socket_path: str, metadata: str) -> None:
    """Have the agent behind a socket answer these calls. Raises Failure, OSError, `profile.NotAProfile`."""
    config = oci.config_of(bundle)
    linux = config.get("linux") or {}
    if not isinstance(linux, dict):
        raise Failure(f"{bundle}/config.json has a linux section that is none")
    base = linux.get("seccomp")
    seccomp = profile(calls, abis(), socket_path, metadata)
    if base:
        seccomp = merged(base, calls, socket_path, metadata)
    _replace(os.path.join(bundle, "config.json"), {**config, "linux": {**linux, "seccomp": seccomp}})


def hook(options: Sequence[str], environment: str = HOOK_ENVIRONMENT) -> dict[str, Any]:
    """The entry for ``createContainer`` that calls this very installation with these options."""
    return hook_of(this_program(), options, environment)


def hook_of(program: Sequence[str], options: Sequence[str], environment: str = HOOK_ENVIRONMENT) -> dict[str, Any]:
    """The entry that calls ``program``, the words that start procfs-fuse somewhere."""
    extra = [f"PYTHONPATH={path}"] if (path := _checkout()) else []
    return {
        "path": program[0],
        "args": ["procfs-fuse", *program[1:], "oci-hook", *options],
        "env": [environment, "LC_ALL=C.UTF-8", *extra],
    }


def this_program() -> list[str]:
    """The words that run this package, wherever it is installed."""
    return [sys.executable, "-P", "-m", "procfs_fuse"]


def _checkout() -> str | None:
    """The folder to be searched for this package where it is not installed."""
    home = os.path.dirname(next(iter(procfs_fuse.__path__)))
    return None if os.path.basename(home) in {"site-packages", "dist-packages"} else home


def _command_position(words: Sequence[str]) -> int | None:
    position = 0
    while position < len(words):
        word = words[position]
        if not word.startswith("-"):
            return position
        position += 2 if word in _TAKE_A_VALUE else 1
    return None


def _bundle(words: Sequence[str]) -> str:
    for position, word in enumerate(words):
        if word in {"-b", "--bundle", "-bundle"} and position + 1 < len(words):
            return words[position + 1]
        for prefix in ("--bundle=", "-bundle=", "-b="):
            if word.startswith(prefix):
                return word[len(prefix) :]
    return "."


def _replace(path: str, document: Mapping[str, Any]) -> None:
    """Write a file anew in one step, with the owner and mode that it had."""
    status = os.stat(path)
    descriptor, temporary = tempfile.mkstemp(dir=os.path.dirname(path) or ".", prefix=".config.json.")
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            json.dump(document, file)
            os.fchown(file.fileno(), status.st_uid, status.st_gid)
            os.fchmod(file.fileno(), status.st_mode & 0o7777)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
