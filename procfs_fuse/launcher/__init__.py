"""A small container launcher: the parts that `procfs_fuse.integrations.run` puts together."""
