"""Who it is, its labels, and what of the virtual proc is mounted inside."""

from __future__ import annotations

from ctop.format import clean, fit
from ctop.renderables.lines import Line
from ctop.renderables.pages.facts import LABEL, Detail, heading, note


def labels_page(detail: Detail, width: int, _height: int) -> list[Line]:
    """Only what is known has a line."""
    entry = detail.entry
    identity = entry.identity
    rows = [
        ("name", identity.name),
        ("engine", identity.engine),
        ("id", identity.id if identity.engine else None),
        ("image", identity.image),
        ("namespace", identity.namespace),
        ("pod", identity.pod),
        ("cgroup", entry.path),
        ("inode", str(entry.inode)),
        ("problem", identity.problem),
    ]
    lines = [heading("Identity", width)]
    lines += [[(fit(f"{name:<{LABEL}} {clean(value)}", width), "")] for name, value in rows if value]
    lines.append(heading(f"Labels ({len(identity.labels)})", width))
    lines += [[(fit(f"{clean(key)} = {clean(value)}", width), "")] for key, value in sorted(identity.labels.items())]
    lines.append(heading("Virtual proc", width))
    lines += [[(fit(clean(place), width), "")] for place in detail.virtual_files]
    if not detail.virtual_files:
        lines.append(note("none of its files is mounted inside, or it is not ours to look", width))
    return lines
