/* What a mount and an attach cannot do without, in nanoseconds:
 *   mounts FOLDER                    opens /dev/fuse and mounts it there; nobody serves, and it is unmounted at once
 *   mounts PID SOURCE FILE ...       copies the mounts of SOURCEs and moves them over FILEs in that process's mount
 *                                    namespace; they go with the namespace */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000L + t.tv_nsec;
}

static int mount_fuse(const char *folder)
{
	char options[128];
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", fd);
	return fd < 0 ? -1 : mount("floor", folder, "fuse.floor", MS_NOSUID | MS_NODEV, options);
}

static int bind_files(const char *pid, char **files, int number)
{
	int trees[number], space;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%s/ns/mnt", pid);
	space = open(path, O_RDONLY | O_CLOEXEC);
	for (int i = 0; i < number; i++)
		trees[i] = syscall(SYS_open_tree, AT_FDCWD, files[2 * i], 1 /* OPEN_TREE_CLONE */ | O_CLOEXEC);
	if (space < 0 || setns(space, CLONE_NEWNS))
		return -1;
	for (int i = 0; i < number; i++)
		if (syscall(SYS_move_mount, trees[i], "", AT_FDCWD, files[2 * i + 1], 4 /* MOVE_MOUNT_F_EMPTY_PATH */))
			return -1;
	return 0;
}

int main(int argc, char **argv)
{
	long began = now();

	if (argc != 2 && (argc < 4 || argc % 2))
		return 2;
	if (argc == 2 ? mount_fuse(argv[1]) : bind_files(argv[1], argv + 2, (argc - 2) / 2)) {
		perror("mounts");
		return 1;
	}
	printf("%ld\n", now() - began);
	if (argc == 2)
		umount2(argv[1], MNT_DETACH);
	return 0;
}
