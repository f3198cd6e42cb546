"""containerd's CRI plugin: a runtime handler whose containers start from a specification with our hook.

A pod asks for it with ``runtimeClassName`` (RuntimeClass with ``handler: procfs-fuse``). The specification is
containerd's own default, as ``ctr oci spec`` prints it, and the hook.
"""

from __future__ import annotations

import json
import subprocess
import tomllib
from collections.abc import Mapping
from typing import Any, Final

from cgscope.errors import Failure
from procfs_fuse.integrations import runtime_wrapper
from procfs_fuse.integrations.install.edits import Edit, Installation, block, whole_file, without_block

CONFIG: Final = "/etc/containerd/config.toml"
SPECIFICATION: Final = "/etc/containerd/procfs-fuse-spec.json"
AFTERWARDS: Final = "systemctl restart containerd; then pods with a RuntimeClass of the handler procfs-fuse"

_PLUGINS: Final = {2: "io.containerd.grpc.v1.cri", 3: "io.containerd.cri.v1.runtime"}
"""Version of the configuration -> where runtimes are in it."""
_USUAL: Final = "runc"
_RUNTIME: Final = "io.containerd.runc.v2"
_SECONDS: Final = 30


def edits(installation: Installation) -> list[Edit]:
    """The specification, and the handler in the configuration. To take them back asks neither file nor containerd."""

    def specification() -> str:
        return json.dumps(_specification(installation), indent=2) + "\n"

    def handlers() -> str:
        return _handlers(_configuration(f"{installation.root}{CONFIG}"))

    return [whole_file(SPECIFICATION, specification), block(CONFIG, handlers, begin="version = 2\n", check=_check)]


def _configuration(path: str) -> dict[str, Any]:
    """What others configured. Raises Failure."""
    try:
        with open(path, encoding="utf-8") as file:
            found = tomllib.loads(without_block(file.read()))
    except FileNotFoundError:
        return {"version": 2}
    except tomllib.TOMLDecodeError as error:
        raise Failure(f"{path} is no TOML: {error}", "mend it first; nothing was changed") from error
    version = found.get("version", 1)
    if version not in _PLUGINS:
        raise Failure(f"{path} is of version {version}", "convert it: containerd config migrate")
    return found


def _handlers(configuration: Mapping[str, Any]) -> str:
    """Our handler and, where none is configured, the one that containerd has by itself only as long as that is so."""
    plugin = _PLUGINS[configuration["version"]]
    settings = configuration.get("plugins", {}).get(plugin, {}).get("containerd", {})
    usual = f'[plugins."{plugin}".containerd.runtimes.{_USUAL}]\n  runtime_type = "{_RUNTIME}"\n'
    ours = (
        f'[plugins."{plugin}".containerd.runtimes.procfs-fuse]\n  runtime_type = "{_RUNTIME}"\n'
        f'  base_runtime_spec = "{SPECIFICATION}"\n'
    )
    needed = settings.get("default_runtime_name", _USUAL) == _USUAL and _USUAL not in settings.get("runtimes", {})
    return f"{usual if needed else ''}{ours}"


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
