# The guest without systemd, once its root is writable: mounts what a machine has and makes the cgroup world, in which
# run.sh runs the command.

export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
CGROUP=/sys/fs/cgroup

bb() { "$BUSYBOX" "$@"; }

mount_system() {
    bb mount -t proc proc /proc
    bb mount -t sysfs sysfs /sys
    bb mount -t fusectl fusectl /sys/fs/fuse/connections
    bb mount -t devtmpfs dev /dev
    bb mkdir -p /dev/pts /dev/shm /dev/mqueue
    bb mount -t devpts -o mode=620,ptmxmode=666 devpts /dev/pts
    bb mount -t tmpfs -o mode=1777 shm /dev/shm
    bb mount -t mqueue mqueue /dev/mqueue
    bb mount -t tmpfs -o mode=755 run /run
    bb ln -sf /proc/self/fd /dev/fd
    bb ln -sf /proc/self/fd/0 /dev/stdin
    bb ln -sf /proc/self/fd/1 /dev/stdout
    bb ln -sf /proc/self/fd/2 /dev/stderr
    bb chmod 666 /dev/fuse
    bb hostname cgscope-guest
    bb ip link set lo up
}

# As systemd does it, minus its slices: one hierarchy, every controller handed on by the root.
mount_v2() {
    bb mkdir -p "$1"
    bb mount -t cgroup2 -o nsdelegate,memory_recursiveprot cgroup2 "$1"
    for controller in $(bb cat "$1/cgroup.controllers"); do
        echo "+$controller" > "$1/cgroup.subtree_control"
    done
}

# One hierarchy per controller that this kernel has, and systemd's without any.
mount_v1() {
    bb mount -t tmpfs -o mode=755 cgroup $CGROUP
    while read -r name _ _ enabled; do
        [ "$enabled" = 1 ] || continue # also skips the heading
        bb mkdir $CGROUP/"$name"
        bb mount -t cgroup -o "$name" cgroup $CGROUP/"$name" 2> /dev/null || bb rmdir $CGROUP/"$name" # v2 only
    done < /proc/cgroups
    echo 1 > $CGROUP/cpuset/cgroup.clone_children
    bb mkdir $CGROUP/systemd
    bb mount -t cgroup -o none,name=systemd cgroup $CGROUP/systemd
}

make_world() {
    case $WORLD in
    v2) mount_v2 $CGROUP ;;
    v1) mount_v1 ;;
    hybrid)
        mount_v1
        mount_v2 $CGROUP/unified
        ;;
    esac
}

add_swap() {
    [ -n "$SWAP_BYTES" ] || return
    echo "$SWAP_BYTES" > /sys/block/zram0/disksize
    bb mkswap /dev/zram0 > /dev/null
    bb swapon /dev/zram0
}

mount_system
make_world
add_swap
exec /bin/sh "$CGSCOPE_JOB/run.sh"
