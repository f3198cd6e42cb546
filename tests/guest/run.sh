# Runs the command in the world that was made, reports how it ended, and ends the guest. Its consoles are pipes to the
# runner: tty1 the command's output, tty2 its errors, tty3 our reports (`up`, `exit CODE`).

bb() { "$BUSYBOX" "$@"; }

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

report up
run_command
if [ -d /run/systemd/system ]; then
    systemctl poweroff
else
    bb sync
    bb poweroff -f
fi
