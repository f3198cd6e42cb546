"""``cgscope doctor``: what this machine has, what is missing, and what to do about it.

One module of `checks` per subject; each has ``TITLE`` and ``check(machine) -> Iterator[Finding]``.
"""
