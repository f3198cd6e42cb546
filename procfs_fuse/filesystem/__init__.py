"""The tree of files: nodes, attributes, and which view answers. Knows no transport, no memory and no CPU.

Two file systems share one set of containers:

* `OpenFileSystem`: ``proc/…`` and ``sys/…`` answer for the caller's container, ``containers/<key>/…`` for that one.
  Like procfs, every read at offset 0 renders afresh, and reads at other offsets continue in the bytes of the last
  rendering; like sysfs, sizes are whole pages (`sizes`).
* `CachedFileSystem`: ``<key>/…``. Files of fixed length are served from the kernel's page cache for one TTL, the others
  are symbolic links to the open file system.

A node id is ``slot << 32 | index``: the container's slot (`identity`, 0 for the caller's tree) and the path's index
(`layout`). Both mean the same for ever, so nothing is remembered per lookup and FORGET can be ignored. What was
announced to the kernel and must outlive the process is put into `kept`.
"""

from procfs_fuse.filesystem.cached import CachedFileSystem
from procfs_fuse.filesystem.containers import Containers
from procfs_fuse.filesystem.kept import Forgetful, Kept
from procfs_fuse.filesystem.opened import CONTAINERS_NODE, OpenFileSystem

__all__ = ["CONTAINERS_NODE", "CachedFileSystem", "Containers", "Forgetful", "Kept", "OpenFileSystem"]
