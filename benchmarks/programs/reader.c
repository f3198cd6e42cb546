/* Reads a file COUNT times, from open to end of file to close, PACE microseconds apart, and prints the latencies
 * in nanoseconds: minimum, median, 99th percentile. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int ascending(const void *a, const void *b)
{
	long x = *(const long *)a, y = *(const long *)b;

	return (x > y) - (x < y);
}

static long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000L + t.tv_nsec;
}

static int read_once(const char *path)
{
	static char buffer[1 << 20];
	ssize_t got;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -1;
	while ((got = read(fd, buffer, sizeof(buffer))) > 0)
		;
	close(fd);
	return got < 0 ? -1 : 0;
}

int main(int argc, char **argv)
{
	if (argc != 4) {
		fprintf(stderr, "usage: reader FILE COUNT PACE\n");
		return 2;
	}
	long count = atol(argv[2]), pace = atol(argv[3]);
	long *took = calloc(count, sizeof(*took));

	for (long i = 0; took && i < count; i++) {
		if (pace)
			usleep(pace);
		long before = now();

		if (read_once(argv[1])) {
			fprintf(stderr, "%s: %s\n", argv[1], strerror(errno));
			return 1;
		}
		took[i] = now() - before;
	}
	if (!took || count < 1)
		return 2;
	qsort(took, count, sizeof(*took), ascending);
	printf("%ld %ld %ld\n", took[0], took[count / 2], took[count * 99 / 100]);
	return 0;
}
