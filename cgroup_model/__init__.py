"""Read, parse and model control groups: the trunk that every cgscope tool shares.

Data flows one way: control files -> `source` -> `dialects` -> `collect` -> `snapshot`.
Nothing in this package knows about FUSE, Prometheus or terminals.
"""
