"""Surviving the death of the process that serves: a keeper holds what must not be lost, workers serve.

========================  =================================================================================
`records`                 bytes by key in shared memory, whole whenever the writer dies
`journal`                 the request under way of each worker, and what was announced to the kernel
`lives`                   slots and counters of containers, in a file: they outlive the keeper, too
`supervision`             the keeper: mounts, holds, replaces, ends
`crew`                    who serves and who stands by
`nursery`                 a process with everything imported that forks workers
`worker`                  a process that serves
`watchdog`                which worker hangs
`service_manager`         what systemd is told, and keeps for us
========================  =================================================================================
"""
