# The guest with systemd, once its root is writable: systemd mounts what a machine has, makes the cgroup world that the
# kernel's command line says, starts the services that are enabled, and at last run.sh, as a service, too.

# Nobody logs in; the job's folder may be below /tmp, where newer versions mount something.
cd /etc/systemd/system || exit
"$BUSYBOX" cat > cgscope-guest.service << END
[Unit]
Description=What this guest is for
After=multi-user.target

[Service]
Type=exec
Environment=CGSCOPE_JOB=$CGSCOPE_JOB BUSYBOX=$BUSYBOX
ExecStart=/bin/sh $CGSCOPE_JOB/run.sh
END
"$BUSYBOX" mkdir -p multi-user.target.wants
"$BUSYBOX" ln -s ../cgscope-guest.service multi-user.target.wants/
"$BUSYBOX" ln -s /dev/null getty.target
"$BUSYBOX" ln -s /dev/null tmp.mount
exec "$BUSYBOX" env -i /lib/systemd/systemd
