"""From an identity to label values, and from label values to text: worked out once per container, not once per sample.

Label values are strangers' strings: names of cgroups may hold quotes, newlines and bytes that are no UTF-8.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from cgroup_model.engines import Identity, Kind

Naming = Literal["cadvisor", "thin"]

_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


@dataclass(frozen=True, slots=True)
class Names:
    """The labels that all series of one container have.

    ``text`` is their beginning, ``{id="/a",name="b"``, ready to be continued or closed. ``others`` is what else is
    known of it.
    """

    labels: Mapping[str, str]
    others: Mapping[str, str]
    text: str


NO_NAMES: Final = Names({}, {}, "")
"""Of the machine and of the exporter itself."""


def names_of(path: str, identity: Identity, naming: Naming) -> Names:
    """Choose the labels of a container; what is not known of it is left out."""
    details = {name: clean(value) for name, value in _details(identity).items() if value} if path != "/" else {}
    labels = {"id": clean(path)}
    if naming == "cadvisor":
        labels |= details
    elif "name" in details:
        labels["name"] = details["name"]
    kind = {"kind": identity.kind.value, "container_id": clean(identity.id)} if identity.kind is not None else {}
    others = {name: text for name, text in (details | kind).items() if name not in labels}
    return Names(labels, others, "{" + pairs(labels.items()))


def pairs(labels: Iterable[tuple[str, str]]) -> str:
    """Write labels without braces; those with an empty value mean the same as if they were absent, and are."""
    return ",".join(f'{name}="{escape(value)}"' for name, value in labels if value)


def escape(value: str) -> str:
    """Write a label's value as both formats want it."""
    return clean(value).translate(_ESCAPES)


def clean(value: str) -> str:
    r"""Make valid Unicode of a string: bytes of a file name that are no UTF-8 are shown as ``\xff``."""
    if value.isascii():
        return value
    try:
        return os.fsencode(value).decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # a surrogate that stands for no byte
        return value.encode("utf-8", "backslashreplace").decode()


def _details(identity: Identity) -> dict[str, str | None]:
    """Name a container as cAdvisor and the kubelet do.

    A pod's own cgroup has no ``name``: sums by name would count its containers twice.
    """
    in_pod = identity.pod is not None or identity.engine == "kubernetes"
    is_pod = identity.kind is Kind.POD
    return {
        "name": None if is_pod else identity.title,
        "image": identity.image,
        "container": identity.name if in_pod and not is_pod else None,
        "pod": identity.pod,
        "namespace": identity.namespace,
        "engine": identity.engine,
    }
