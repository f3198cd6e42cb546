/* What a read of a virtual file cannot do without: a reader that wakes a server and is woken by it, TRIPS times per
 * read, and the server reading FILE... once per read; no FUSE, no text, no numbers. COUNT times, PACE microseconds
 * apart. Prints nanoseconds: minimum, median, 99th percentile, and the server's CPU time per read. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
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

static void serve(int from, int to, int trips, char **files, int number)
{
	static char buffer[1 << 16];
	int *fds = calloc(number + 1, sizeof(*fds));
	char byte;

	for (int i = 0; i < number; i++)
		fds[i] = open(files[i], O_RDONLY | O_CLOEXEC);
	for (long request = 0; read(from, &byte, 1) == 1; request++) {
		if (request % trips == 0)
			for (int i = 0; i < number; i++)
				if (pread(fds[i], buffer, sizeof(buffer), 0) < 0)
					_exit(1);
		if (write(to, &byte, 1) != 1)
			_exit(1);
	}
	_exit(0);
}

int main(int argc, char **argv)
{
	if (argc < 4) {
		fprintf(stderr, "usage: floor TRIPS COUNT PACE [FILE...]\n");
		return 2;
	}
	int trips = atoi(argv[1]), there[2], back[2], status;
	long count = atol(argv[2]), pace = atol(argv[3]);
	long *took = calloc(count, sizeof(*took));
	struct rusage used;
	char byte = 0;

	if (!took || count < 1 || trips < 1 || pipe(there) || pipe(back))
		return 2;
	if (fork() == 0) {
		close(there[1]);
		close(back[0]);
		serve(there[0], back[1], trips, argv + 4, argc - 4);
	}
	close(there[0]);
	close(back[1]);
	for (long i = 0; i < count; i++) {
		if (pace)
			usleep(pace);
		long before = now();

		for (int trip = 0; trip < trips; trip++)
			if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1)
				return 1;
		took[i] = now() - before;
	}
	close(there[1]);
	if (wait(&status) < 0 || status || getrusage(RUSAGE_CHILDREN, &used))
		return 1;
	long cpu = (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000000L +
		   (used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1000L;
	qsort(took, count, sizeof(*took), ascending);
	printf("%ld %ld %ld %ld\n", took[0], took[count / 2], took[count * 99 / 100], cpu / count);
	return 0;
}
