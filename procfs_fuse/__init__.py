"""The virtual ``/proc``: files that show a container its own limits instead of the machine's."""
