"""Our own launcher (`procfs-fuse run`): `/cgscope/<id>` in every hierarchy. The id is the name; there are no files."""

from __future__ import annotations

from cgroup_model.engines._patterns import OCI_ID, Pattern

PATTERNS = (Pattern("cgscope", OCI_ID, parent="cgscope"),)
