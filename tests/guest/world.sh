# The guest, once its root is writable: mounts what a machine has, makes the cgroup world, runs the command and
# reports how it ended. Its consoles are pipes to the runner: tty1 the command's output, tty2 its errors, tty3 our
# reports (`up SECONDS`, `exit CODE`).

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

report() {
    echo "$@" > /dev/tty3
}

# The command writes into pipes and not to the consoles themselves: no program should think that it has a terminal.
run_command() {
    bb stty -F /dev/tty1 raw
    bb stty -F /dev/tty2 raw
    bb mkfifo /run/output /run/errors
    bb cat /run/output > /dev/tty1 &
    output=$!
    bb cat /run/errors > /dev/tty2 &
    errors=$!
    # In the foreground, because the shell starts background jobs with SIGINT ignored; in a subshell, because otherwise
    # the redirections are the shell's own for that time, which has things to say too ("Killed").
    (exec "$BUSYBOX" setsid /bin/sh "$CGSCOPE_JOB/command.sh" < /dev/null > /run/output 2> /run/errors)
    code=$?
    wait_for_readers $output $errors
    report exit $code
}

# Daemons that the command left behind may hold the pipes: what they write within a second still counts.
wait_for_readers() {
    tries=0
    while [ $tries -lt 20 ] && kill -0 "$@" 2> /dev/null; do
        bb usleep 50000
        tries=$((tries + 1))
    done
}

mount_system
make_world
add_swap
report up
run_command
bb sync
bb poweroff -f
