"""containerd's CRI plugin: a runtime handler whose containers start from a specification with our hook.

A pod asks for it with ``runtimeClassName`` (RuntimeClass with ``handler: procfs-fuse``). The specification is
containerd's own default, as ``ctr oci spec`` prints it, and the hook.
"""

from __future__ import annotations

import json
import subprocess
import tomllib
from typing import Any, Final

from cgscope.errors import Failure
from procfs_fuse.integrations import runtime_wrapper
from procfs_fuse.integrations.install.edits import Edit, Installation, block, whole_file

CONFIG: Final = "/etc/containerd/config.toml"
SPECIFICATION: Final = "/etc/containerd/procfs-fuse-spec.json"
AFTERWARDS: Final = "systemctl restart containerd; then pods with a RuntimeClass of the handler procfs-fuse"

_PLUGINS: Final = {2: "io.containerd.grpc.v1.cri", 3: "io.containerd.cri.v1.runtime"}
"""Version of the configuration -> where runtimes are in it."""
_SECONDS: Final = 30


def edits(installation: Installation) -> list[Edit]:
    """The specification, and the handler in the configuration. Raises Failure."""
    text = json.dumps(_specification(installation), indent=2) + "\n"
    version = _version(f"{installation.root}{CONFIG}")
    name = f'plugins."{_PLUGINS[version]}".containerd.runtimes.procfs-fuse'
    handler = f'[{name}]\n  runtime_type = "io.containerd.runc.v2"\n  base_runtime_spec = "{SPECIFICATION}"\n'
    return [whole_file(SPECIFICATION, text), block(CONFIG, handler, begin="version = 2\n", check=_check)]


def _version(path: str) -> int:
    try:
        with open(path, "rb") as file:
            version = tomllib.load(file).get("version", 1)
    except FileNotFoundError:
        return 2
    except tomllib.TOMLDecodeError as error:
        raise Failure(f"{path} is no TOML: {error}", "mend it first; nothing was changed") from error
    if version not in _PLUGINS:
        raise Failure(f"{path} is of version {version}", "convert it: containerd config migrate")
    return int(version)


def _check(text: str) -> None:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        advice = "is there a runtime of this name already? nothing was changed"
        raise Failure(f"{CONFIG} would be no TOML: {error}", advice) from error


def _specification(installation: Installation) -> dict[str, Any]:
    try:
        done = subprocess.run(["ctr", "oci", "spec"], capture_output=True, check=True, timeout=_SECONDS)
        found: dict[str, Any] = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise Failure(f"containerd's default specification is unknown: {error}", "is ctr in PATH?") from error
    hook = runtime_wrapper.hook_of(installation.words, installation.options)
    return {**found, "hooks": {**found.get("hooks", {}), "createContainer": [hook]}}
