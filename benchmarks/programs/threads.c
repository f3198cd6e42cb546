/* Has NUMBER threads that sleep; says "ready" and waits for the end of standard input. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void *sleeper(void *nothing)
{
	for (;;)
		pause();
	return nothing;
}

int main(int argc, char **argv)
{
	long number = argc == 2 ? atol(argv[1]) : 0;
	pthread_attr_t small;
	pthread_t thread;
	char byte;

	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 16384);
	for (long i = 1; i < number; i++)
		if (pthread_create(&thread, &small, sleeper, NULL)) {
			perror("pthread_create");
			return 1;
		}
	puts("ready");
	fflush(stdout);
	while (read(0, &byte, 1) > 0)
		;
	return 0;
}
