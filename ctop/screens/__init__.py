"""Screens: they hold what textual needs and ask `ctop.session` and `ctop.renderables` for everything else."""
