/* Reads the files whose names stand on standard input, one a line, COUNT times, PACE microseconds apart: what whoever
 * collects from them cannot do without. As many as may be open stay open, the others are opened each time, and those
 * that cannot be read are left out. Prints nanoseconds per round, medians: CPU time, duration. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static char buffer[1 << 16];

static int ascending(const void *a, const void *b)
{
	long x = *(const long *)a, y = *(const long *)b;

	return (x > y) - (x < y);
}

static long now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * 1000000000L + t.tv_nsec;
}

static void read_anew(const char *name)
{
	int fd = open(name, O_RDONLY | O_CLOEXEC);

	if (fd >= 0) {
		if (pread(fd, buffer, sizeof(buffer), 0) < 0)
			perror(name);
		close(fd);
	}
}

int main(int argc, char **argv)
{
	long count = argc == 3 ? atol(argv[1]) : 0, pace = argc == 3 ? atol(argv[2]) : 0, number = 0, room = 0;
	long *cpu = calloc(count + 1, sizeof(*cpu)), *took = calloc(count + 1, sizeof(*took));
	char **names = NULL, line[4096];
	struct rlimit files;
	int *fds;

	if (count < 1 || !cpu || !took || getrlimit(RLIMIT_NOFILE, &files))
		return 2;
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = 0;
		if (number == room && !(names = realloc(names, (room = 2 * room + 64) * sizeof(*names))))
			return 2;
		if (!(names[number++] = strdup(line)))
			return 2;
	}
	fds = calloc(number + 1, sizeof(*fds));
	for (long i = 0; i < number; i++)
		fds[i] = (rlim_t)i + 16 < files.rlim_cur ? open(names[i], O_RDONLY | O_CLOEXEC) : -1;
	for (long round = -1; round < count; round++) { /* the first is not counted */
		long before, began;

		if (pace)
			usleep(pace);
		before = now(CLOCK_PROCESS_CPUTIME_ID);
		began = now(CLOCK_MONOTONIC);
		for (long i = 0; i < number; i++)
			if (fds[i] < 0)
				read_anew(names[i]);
			else if (pread(fds[i], buffer, sizeof(buffer), 0) < 0)
				close(fds[i]), fds[i] = -1;
		if (round >= 0) {
			cpu[round] = now(CLOCK_PROCESS_CPUTIME_ID) - before;
			took[round] = now(CLOCK_MONOTONIC) - began;
		}
	}
	qsort(cpu, count, sizeof(*cpu), ascending);
	qsort(took, count, sizeof(*took), ascending);
	printf("%ld %ld\n", cpu[count / 2], took[count / 2]);
	return 0;
}
