/* Asks the kernel what programs without /proc ask it, in the words of the C library or in its own.
 *
 *   asker agree           compare sysinfo(2) with /proc, to the page; prints "agree" or what differs
 *   asker agree32         the same as a 32-bit caller (x86: int 0x80)
 *   asker mask LENGTH     sched_getaffinity(2) as Go's runtime calls it: prints what it returned, and how many CPUs
 *   asker again           set the mask that was got, and get it again: prints "same" or what differs
 *   asker bad             pass a bad address: prints the error's name
 *   asker mapped FILE     pass a page that is mapped from a file: prints what is left of the call
 *   asker load TOTAL      call until SIGTERM; prints calls, failed ones, and those with another total
 *   asker time COUNT      median nanoseconds of sysinfo(2) and of a call that no filter stops, getppid(2)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

static char why[256]; /* the last comparison failed */

struct facts {
	unsigned long long uptime, loads[3], total, free, shared, buffers, swap, swap_free, procs;
};

static const char *error_name(void)
{
	return errno == EFAULT ? "EFAULT" : errno == EINVAL ? "EINVAL" : errno == ENOSYS ? "ENOSYS" : strerror(errno);
}

static int ask(struct facts *f)
{
	struct sysinfo s;

	memset(&s, 0xa5, sizeof(s));
	if (sysinfo(&s))
		return -1;
	*f = (struct facts){ s.uptime, { s.loads[0], s.loads[1], s.loads[2] }, s.totalram, s.freeram, s.sharedram,
			     s.bufferram, s.totalswap, s.freeswap, s.procs };
	f->total *= s.mem_unit;
	f->free *= s.mem_unit;
	f->shared *= s.mem_unit;
	f->buffers *= s.mem_unit;
	f->swap *= s.mem_unit;
	f->swap_free *= s.mem_unit;
	return s.totalhigh || s.freehigh ? -1 : 0;
}

static int ask32(struct facts *f)
{
#if defined(__x86_64__)
	static unsigned *s;
	long result;

	if (!s)
		s = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	memset(s, 0xa5, 4096);
	__asm__ volatile("int $0x80" : "=a"(result) : "a"(116), "b"(s) : "memory");
	if ((int)result || s[16] != 0xa5a5a5a5)
		return -1;
	*f = (struct facts){ s[0], { s[1], s[2], s[3] }, s[4], s[5], s[6], s[7], s[8], s[9], s[10] & 0xffff };
	unsigned unit = s[13];
	f->total *= unit;
	f->free *= unit;
	f->shared *= unit;
	f->buffers *= unit;
	f->swap *= unit;
	f->swap_free *= unit;
	return 0;
#else
	(void)f;
	errno = ENOSYS;
	return -1;
#endif
}

static const char *text(const char *path)
{
	static char both[2][65536];
	static int turn;
	char *buffer = both[turn ^= 1];
	int fd = open(path, O_RDONLY);
	ssize_t got, length = 0;

	while (fd >= 0 && (got = read(fd, buffer + length, sizeof(both[0]) - 1 - length)) > 0)
		length += got;
	close(fd);
	buffer[length] = 0;
	return buffer;
}

static unsigned long long line(const char *meminfo, const char *name)
{
	const char *found = strstr(meminfo, name);

	return found ? strtoull(found + strlen(name), NULL, 10) << 10 : 0;
}

static int differs(const char *what, unsigned long long shown, unsigned long long told)
{
	if (shown != told)
		snprintf(why, sizeof(why), "%s: /proc %llu, sysinfo %llu", what, shown, told);
	return shown != told;
}

/* 1: differs; 0: agrees; -1: /proc changed meanwhile */
static int compare(int (*asks)(struct facts *))
{
	struct facts f;
	char memory[65536], load[256];
	double up, load_shown[3];

	strcpy(memory, text("/proc/meminfo"));
	strcpy(load, text("/proc/loadavg"));
	up = atof(text("/proc/uptime"));
	if (asks(&f)) {
		snprintf(why, sizeof(why), "failed: %s", error_name());
		return 1;
	}
	if (f.uptime < (unsigned long long)up || f.uptime > (unsigned long long)atof(text("/proc/uptime")) + 1) {
		snprintf(why, sizeof(why), "uptime: /proc %.2f, sysinfo %llu", up, f.uptime);
		return 1;
	}
	if (strcmp(memory, text("/proc/meminfo")) || strcmp(load, text("/proc/loadavg")))
		return -1;
	sscanf(load, "%lf %lf %lf", load_shown, load_shown + 1, load_shown + 2);
	for (int i = 0; i < 3; i++)
		if (differs("load", (int)(load_shown[i] * 100 + .5), f.loads[i] * 100 >> 16))
			return 1;
	return differs("total", line(memory, "MemTotal:"), f.total) || differs("free", line(memory, "MemFree:"), f.free) ||
	       differs("shared", line(memory, "Shmem:"), f.shared) ||
	       differs("buffers", line(memory, "Buffers:"), f.buffers) ||
	       differs("swap", line(memory, "SwapTotal:"), f.swap) ||
	       differs("free swap", line(memory, "SwapFree:"), f.swap_free) ||
	       differs("threads", strtoull(strchr(load, '/') + 1, NULL, 10), f.procs);
}

static int agree(int (*asks)(struct facts *))
{
	int result = -1;

	/* Memory that programs before gave back is accounted for a while later, in the middle of a comparison. */
	for (int i = 0; i < 200 && result; i++) {
		result = compare(asks);
		usleep(20000);
	}
	puts(result ? why : "agree");
	return result != 0;
}

static int mask(size_t length)
{
	unsigned char bits[65536] = { 0 };
	long got = syscall(SYS_sched_getaffinity, 0, length, bits), cpus = 0;

	for (long i = 0; i < got * 8; i++)
		cpus += bits[i / 8] >> i % 8 & 1;
	printf("%ld %s %ld\n", got, got < 0 ? error_name() : "ok", cpus);
	return 0;
}

static int again(void)
{
	cpu_set_t before, after;

	CPU_ZERO(&before);
	CPU_ZERO(&after);
	if (sched_getaffinity(0, sizeof(before), &before) || sched_setaffinity(0, sizeof(before), &before) ||
	    sched_getaffinity(0, sizeof(after), &after))
		perror("affinity");
	puts(CPU_EQUAL(&before, &after) ? "same" : "another");
	return 0;
}

static int mapped(const char *path)
{
	int fd = open(path, O_RDONLY);
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);

	if (page == MAP_FAILED) {
		perror(path);
		return 1;
	}
	printf("%ld ", syscall(SYS_sysinfo, page));
	printf("%lu\n", ((struct sysinfo *)page)->totalram);
	return 0;
}

static volatile sig_atomic_t ended;

static void end(int number)
{
	ended = number;
}

static int load(unsigned long long total)
{
	unsigned long calls = 0, failed = 0, wrong = 0;
	struct facts f;

	signal(SIGTERM, end);
	for (; !ended; calls++) {
		if (ask(&f))
			failed++;
		else if (f.total != total || f.free > total || f.uptime > 100000)
			wrong++;
	}
	printf("calls %lu failed %lu wrong %lu\n", calls, failed, wrong);
	return 0;
}

static long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000L + t.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
	long x = *(const long *)a, y = *(const long *)b;

	return (x > y) - (x < y);
}

static long median(long count, int stopped)
{
	long *took = calloc(count, sizeof(*took));
	struct sysinfo s;

	for (long i = 0; i < count; i++) {
		long before = now();

		if (stopped)
			sysinfo(&s);
		else
			syscall(SYS_getppid);
		took[i] = now() - before;
	}
	qsort(took, count, sizeof(*took), ascending);
	return took[count / 2];
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "", *with = argc > 2 ? argv[2] : "0";
	struct facts f;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!strcmp(what, "agree"))
		return agree(ask);
	if (!strcmp(what, "agree32"))
		return agree(ask32);
	if (!strcmp(what, "mask"))
		return mask(strtoul(with, NULL, 10));
	if (!strcmp(what, "again"))
		return again();
	if (!strcmp(what, "mapped"))
		return mapped(with);
	if (!strcmp(what, "load"))
		return load(strtoull(with, NULL, 10));
	if (!strcmp(what, "bad"))
		return printf("%s\n", syscall(SYS_sysinfo, (void *)8) ? error_name() : "none") < 0;
	if (!strcmp(what, "time"))
		return printf("%ld %ld\n", median(atol(with), 1), median(atol(with), 0)) < 0;
	return ask(&f) ? 1 : printf("%llu\n", f.total) < 0;
}
