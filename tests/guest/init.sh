#!/bin/sh
# The guest's first program. The kernel has mounted the host's root file system (hostfs) at /, read-only, and passes
# CGSCOPE_JOB: a folder with the files that machine.py wrote (settings, writable, readable, scripts, command.sh).
#
# Puts a memory-backed layer over the host's files, or over those of the folder SYSTEM, so that whatever is written
# vanishes with the guest, and goes on in there with world.sh or systemd.sh.

. "$CGSCOPE_JOB/settings"
export CGSCOPE_JOB BUSYBOX WORLD SWAP_BYTES

fail() {
    echo "fail $1" > /dev/tty3
    "$BUSYBOX" poweroff -f
}

"$BUSYBOX" mount -t tmpfs -o size=90% layer /mnt || fail "no tmpfs at /mnt"
"$BUSYBOX" mkdir /mnt/upper /mnt/work /mnt/root
"$BUSYBOX" mount -t overlay -o "lowerdir=${SYSTEM:-/},upperdir=/mnt/upper,workdir=/mnt/work" overlay /mnt/root ||
    fail "no overlay over the host's files"
cd /mnt/root || fail "no new root"
if [ -n "$SYSTEM" ]; then
    while IFS= read -r directory; do
        "$BUSYBOX" mkdir -p ".$directory"
        "$BUSYBOX" mount --bind "$directory" ".$directory" || fail "cannot show $directory"
    done < "$CGSCOPE_JOB/readable"
fi
while IFS= read -r directory; do
    "$BUSYBOX" mkdir -p ".$directory"
    "$BUSYBOX" mount -t hostfs -o "$directory" hostfs ".$directory" || fail "cannot share $directory"
done < "$CGSCOPE_JOB/writable"
"$BUSYBOX" mkdir .host
"$BUSYBOX" pivot_root . .host || fail "cannot change the root"
"$BUSYBOX" umount -l /.host
"$BUSYBOX" rmdir /.host
if [ -n "$SYSTEM" ]; then
    exec /bin/sh "$CGSCOPE_JOB/systemd.sh"
fi
exec /bin/sh "$CGSCOPE_JOB/world.sh"
