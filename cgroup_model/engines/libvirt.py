r"""libvirt: virtual machines (QEMU) and LXC containers, OpenStack Nova's among them.

    /machine.slice/machine-qemu\x2d3\x2dinstance\x2d0000002a.scope      with systemd: driver, number, name
    /machine/qemu-3-instance-0000002a.libvirt-qemu                      without
    /libvirt/qemu/instance-0000002a                                     before libvirt 1.0.5

Threads of a machine are in `emulator`, `vcpu<n>` and `iothread<n>` below it (or below its `libvirt`, with systemd).

Names: the domain's XML, `/run/libvirt/<driver>/<name>.xml` while it runs (libvirt, docs/cgroups.rst). Nova writes
what its users call an instance into the `metadata`: `<nova:name>web</nova:name>`, `<nova:project uuid="…">shop</…>`
(nova, virt/libvirt/config.py).
"""

from __future__ import annotations

import re
from typing import Final

from cgroup_model.engines._details import Details, string_labels, text
from cgroup_model.engines._files import Files, User
from cgroup_model.engines._patterns import OCI_ID, Kind, Match, Pattern
from cgroup_model.engines.systemd import unescape

_DRIVERS: Final = r"(?:qemu|lxc|ch)"

PATTERNS = (
    Pattern("libvirt", rf"machine-(?P<id>{_DRIVERS}\\x2d[0-9]+\\x2d.+)\.scope"),
    Pattern("libvirt", rf"(?P<id>{_DRIVERS}-[0-9]+-.+)\.libvirt-{_DRIVERS}"),
    Pattern("libvirt", OCI_ID, parent="qemu"),
    Pattern(
        "libvirt",
        r"(?P<id>emulator|vcpu[0-9]+|iothread[0-9]+)",
        parent=rf"libvirt|.+\.libvirt-{_DRIVERS}|machine-{_DRIVERS}\\x2d.+\.scope",
        kind=Kind.HELPER,
    ),
)

_NAME: Final = re.compile(rf"({_DRIVERS})-[0-9]+-(.+)", re.DOTALL)
_UUID: Final = re.compile(r"<uuid>([0-9a-f-]{36})</uuid>")
_NOVA_NAME: Final = re.compile(r"<nova:name>([^<]*)</nova:name>")
_NOVA_PROJECT: Final = re.compile(r"<nova:project[^>]*>([^<]*)</nova:project>")
_NOVA_FLAVOR: Final = re.compile(r'<nova:flavor\s+name="([^"]*)"')


def look_up(files: Files, match: Match, user: User | None) -> Details | None:
    """Find the domain's name, and Nova's for it. Raises `Unreadable`."""
    if match.engine != "libvirt" or user is not None:
        return None
    found = _NAME.fullmatch(unescape(match.id))
    if found is None:
        return Details(name=text(match.id))
    driver, name = found.groups()
    document = files.shared(f"/run/libvirt/{driver}/{name}.xml", _decoded) or ""
    labels = {
        "domain": name,
        "driver": driver,
        "uuid": _first(_UUID, document),
        "flavor": _first(_NOVA_FLAVOR, document),
    }
    return Details(
        name=text(_first(_NOVA_NAME, document)) or text(name),
        namespace=text(_first(_NOVA_PROJECT, document)),
        labels=string_labels({key: value for key, value in labels.items() if value}),
    )


def _decoded(data: bytes, _path: str) -> str:
    return data.decode(errors="replace")


def _first(expression: re.Pattern[str], document: str) -> str | None:
    # A few fields of a document that a parser could be made to expand without end.
    found = expression.search(document)
    if found is None:
        return None
    import html  # noqa: PLC0415 - two thousand names of characters, for virtual machines only

    return html.unescape(found[1])
