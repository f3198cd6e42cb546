"""Podman: a hook in the folder that it looks into by itself (oci-hooks(5), version 1.0.0)."""

from __future__ import annotations

import json
from typing import Any, Final

from procfs_fuse.integrations import runtime_wrapper
from procfs_fuse.integrations.install.edits import Edit, Installation, whole_file

PATH: Final = "/usr/share/containers/oci/hooks.d/50-procfs-fuse.json"
AFTERWARDS: Final = "nothing: every new container has the files, unless it has the annotation cgscope.attach=off"


def edits(installation: Installation) -> list[Edit]:
    """The hook."""
    return [whole_file(PATH, lambda: json.dumps(document(installation), indent=2) + "\n")]


def document(installation: Installation) -> dict[str, Any]:
    """The hook for every container."""
    hook = runtime_wrapper.hook_of(installation.words, installation.options)
    return {"version": "1.0.0", "hook": hook, "when": {"always": True}, "stages": ["createContainer"]}
