"""The terminal view: htop for containers. Reads through `cgroup_model`, asks no daemon."""
