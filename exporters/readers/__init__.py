"""What takes more than control files: processes, network namespaces, the machine. Injected into families."""
