"""The numbers and layouts of the FUSE protocol, compared with the kernel's own header."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from struct import Struct

import pytest

from procfs_fuse.transport import wire
from scripts.debian_tools import Tool

TIMES = ["atime", "mtime", "ctime"]
ATTR = ["ino", "size", "blocks", *TIMES, *(f"{time}nsec" for time in TIMES), "mode", "nlink", "uid", "gid", "rdev"]
ATTR_FIELDS = [f"attr.{name}" for name in (*ATTR, "blksize", "flags")]

# C struct, our structs laid end to end, the fields that ours name, in order
LAYOUTS: list[tuple[str, tuple[Struct, ...], list[str]]] = [
    ("fuse_in_header", (wire.IN_HEADER,), ["len", "opcode", "unique", "nodeid", "pid"]),
    ("fuse_out_header", (wire.OUT_HEADER,), ["len", "error", "unique"]),
    (
        "fuse_entry_out",
        (wire.ENTRY_OUT,),
        ["nodeid", "generation", "entry_valid", "attr_valid", "entry_valid_nsec", "attr_valid_nsec", *ATTR_FIELDS],
    ),
    ("fuse_attr_out", (wire.ATTR_OUT,), ["attr_valid", "attr_valid_nsec", *ATTR_FIELDS]),
    ("fuse_open_in", (wire.OPEN_IN,), ["flags"]),
    ("fuse_open_out", (wire.OPEN_OUT,), ["fh", "open_flags"]),
    ("fuse_read_in", (wire.READ_IN,), ["fh", "offset", "size", "read_flags"]),
    ("fuse_getattr_in", (wire.GETATTR_IN,), ["getattr_flags", "fh"]),
    ("fuse_release_in", (wire.RELEASE_IN,), ["fh"]),
    ("fuse_write_in", (wire.WRITE_IN,), ["fh", "offset", "size"]),
    ("fuse_write_out", (wire.WRITE_OUT,), ["size"]),
    ("fuse_poll_in", (wire.POLL_IN,), ["fh", "kh", "flags"]),
    ("fuse_notify_poll_wakeup_out", (wire.NOTIFY_POLL_OUT,), ["kh"]),
    ("fuse_dirent", (wire.DIRENT,), ["ino", "off", "namelen", "type"]),
    (
        "fuse_statfs_out",
        (wire.STATFS_OUT,),
        [f"st.{name}" for name in ("blocks", "bfree", "bavail", "files", "ffree", "bsize", "namelen", "frsize")],
    ),
    ("fuse_poll_out", (wire.POLL_OUT,), ["revents"]),
    (
        "fuse_init_in",
        (wire.INIT_IN, wire.INIT_IN_FLAGS2),
        ["major", "minor", "max_readahead", "flags", "flags2"],
    ),
    (
        "fuse_init_out",
        (wire.INIT_OUT,),
        ["major", "minor", "max_readahead", "flags", "max_background", "congestion_threshold", "max_write",
         "time_gran", "max_pages", "map_alignment", "flags2"],
    ),
    ("fuse_notify_inval_inode_out", (wire.INVAL_INODE_OUT,), ["ino", "off", "len"]),
    ("fuse_notify_inval_entry_out", (wire.INVAL_ENTRY_OUT,), ["parent", "namelen"]),
]  # fmt: skip

SIZES = {
    "fuse_in_header": 40,
    "fuse_out_header": 16,
    "fuse_entry_out": 128,
    "fuse_attr_out": 104,
    "fuse_open_in": 8,
    "fuse_open_out": 16,
    "fuse_read_in": 40,
    "fuse_getattr_in": 16,
    "fuse_release_in": 24,
    "fuse_write_in": 40,
    "fuse_write_out": 8,
    "fuse_poll_in": 24,
    "fuse_notify_poll_wakeup_out": 8,
    "fuse_dirent": 24,
    "fuse_statfs_out": 80,
    "fuse_poll_out": 8,
    "fuse_init_in": 64,
    "fuse_init_out": 64,
    "fuse_notify_inval_inode_out": 24,
    "fuse_notify_inval_entry_out": 16,
}

CONSTANTS = {
    **{f"FUSE_{opcode.name}": int(opcode) for opcode in wire.Opcode},
    **{f"FUSE_{flag.name}": int(flag) for flag in wire.InitFlag},
    **{f"FOPEN_{flag.name}": int(flag) for flag in wire.OpenFlag},
    **{f"FUSE_NOTIFY_{code.name}": int(code) for code in wire.Notify},
    "FUSE_KERNEL_VERSION": wire.MAJOR,
    "FUSE_MIN_READ_BUFFER": wire.MIN_READ_BUFFER,
}
SINCE_7_40 = {"FUSE_NOTIFY_RESEND", "FUSE_HAS_RESEND"}


@pytest.fixture(scope="module")
def header(tool: Callable[[str], Tool], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Compile a program against linux/fuse.h; return its lines as name -> value."""
    compiler = tool("gcc")
    directory = tmp_path_factory.mktemp("wire")
    source = directory / "wire.c"
    source.write_text(c_program())
    subprocess.run([compiler.path, "-o", directory / "wire", source], env=compiler.env, check=True)
    output = subprocess.run([directory / "wire"], check=True, capture_output=True, text=True).stdout
    return dict(line.split(" ", 1) for line in output.splitlines())


def c_program() -> str:
    """Print each struct's bytes with one field set to 1, for every field, and every constant."""
    lines = [
        "#include <stdio.h>\n#include <string.h>\n#include <linux/fuse.h>",
        "static void dump(const char *name, const void *at, unsigned long size) {",
        '  printf("%s ", name);',
        '  for (unsigned long i = 0; i < size; i++) printf("%02x", ((const unsigned char *)at)[i]);',
        '  printf("\\n"); }',
        "int main(void) {",
    ]
    for struct, _, fields in LAYOUTS:
        lines += [
            f'{{ struct {struct} s; memset(&s, 0, sizeof s); s.{field} = 1; dump("{struct}.{field}", &s, sizeof s); }}'
            for field in fields
        ]
    for name in CONSTANTS:
        guard = 40 if name in SINCE_7_40 else 0
        lines.append(f'#if FUSE_KERNEL_MINOR_VERSION >= {guard}\nprintf("{name} %llu\\n", (unsigned long long){name});')
        lines.append("#endif")
    return "\n".join([*lines, "return 0; }"])


@pytest.mark.parametrize(("struct", "ours", "fields"), LAYOUTS, ids=[layout[0] for layout in LAYOUTS])
def test_layouts(header: dict[str, str], struct: str, ours: tuple[Struct, ...], fields: list[str]) -> None:
    """Every field that we name lies where the C compiler puts it, and the sizes agree."""
    for position, field in enumerate(fields):
        values = [int(index == position) for index in range(len(fields))]
        packed = b""
        for part in ours:
            count = len(part.unpack(bytes(part.size)))
            packed += part.pack(*values[:count])
            del values[:count]
        assert packed.hex() == header[f"{struct}.{field}"]


@pytest.mark.parametrize(("struct", "ours", "fields"), LAYOUTS, ids=[layout[0] for layout in LAYOUTS])
def test_sizes(struct: str, ours: tuple[Struct, ...], fields: list[str]) -> None:
    """Sizes are those of the protocol, also where no compiler is at hand, and every value has a field's name."""
    assert sum(part.size for part in ours) == SIZES[struct]
    assert sum(len(part.unpack(bytes(part.size))) for part in ours) == len(fields)


def test_constants(header: dict[str, str]) -> None:
    """Opcodes, flags and notification codes have the header's values."""
    known = {name: value for name, value in CONSTANTS.items() if name in header}
    assert {name: int(header[name]) for name in known} == known
    assert set(CONSTANTS) - set(known) <= SINCE_7_40
