"""A small root file system for containers: busybox, the machine's own `free` and `cat`, and their libraries."""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from scripts.debian_tools import Tool
from tests.integration.reach import let_others_in

_REAL: Final = ("free", "cat")  # in the place of busybox's, to be called by path: busybox's shell prefers its own
_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}  # of uname -> of images
FOLDERS: Final = ("bin", "dev", "etc", "proc", "root", "run", "sbin", "sys", "tmp", "usr/bin", "usr/sbin", "var")


def build(folder: Path, tool: Callable[[str], Tool]) -> Path:
    """Make the file system below ``folder``; anybody may read it, as root of a user namespace has to."""
    for name in FOLDERS:
        (folder / name).mkdir(parents=True, exist_ok=True)
    let_others_in(folder)
    busybox = tool("busybox")
    _copy(busybox, folder, "bin/busybox")
    listed = subprocess.run([busybox.path, "--list"], env=dict(busybox.env), capture_output=True, text=True, check=True)
    for name in listed.stdout.split():
        if name not in {"busybox", *_REAL}:
            (folder / "bin" / name).symlink_to("busybox")
    for name in _REAL:
        _copy(tool(name), folder, f"bin/{name}")
    (folder / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (folder / "etc/group").write_text("root:x:0:\n")
    return folder


def archive(root: Path, path: Path) -> Path:
    """Pack a file system, for engines that import such."""
    subprocess.run(["tar", "-C", str(root), "--numeric-owner", "-cf", str(path), "."], check=True)
    return path


def image(root: Path, path: Path, name: str) -> Path:
    """Pack a file system as an image that `ctr images import` takes, in the form of `docker save`."""
    layer = archive(root, path.with_suffix(".layer"))
    digest = hashlib.sha256(layer.read_bytes()).hexdigest()
    configuration = {
        "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": {"Env": ["PATH=/bin:/sbin"], "Cmd": ["/bin/sleep", "3600"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    with tarfile.open(path, "w") as packed:
        packed.add(layer, "layer.tar")
        for member, document in (("config.json", configuration), ("manifest.json", manifest)):
            data = json.dumps(document).encode()
            entry = tarfile.TarInfo(member)
            entry.size = len(data)
            packed.addfile(entry, io.BytesIO(data))
    return path


def _copy(program: Tool, root: Path, place: str) -> None:
    shutil.copy(program.path, root / place)
    (root / place).chmod(0o755)
    listed = subprocess.run(["ldd", program.path], env=dict(program.env), capture_output=True, text=True, check=False)
    for library in re.findall(r"(?:=> )?(/\S+) \(0x", listed.stdout):
        # The loader is looked for where the program says, the others in the loader's own folders.
        is_loader = os.path.basename(library).startswith("ld-")
        copy = root / (library.lstrip("/") if is_loader else f"lib/{os.path.basename(library)}")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, copy)
