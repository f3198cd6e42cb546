"""Answers to programs that ask the kernel itself: sysinfo(2) and sched_getaffinity(2), as the virtual files have it.

A seccomp filter stops these calls and tells a process outside of the container (seccomp_unotify(2)). Of its parts,

* `filter` and `profile` make the filter: for our own launcher, and for OCI runtimes;
* `holder` keeps the descriptors on which the kernel tells (listeners), and never does anything with a container's data;
* `worker`, a child of it, answers; when it dies the next one goes on where its journal ends;
* `handover` and `reception` bring a listener from the process that made it to the holder.
"""
