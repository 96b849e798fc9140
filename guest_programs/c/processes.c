/* Processes: a child has a copy of everything, and the parent hears how it ended. */

#include "vkernel.h"

int
main(void)
{
	volatile int value = 41;
	int ends[2], status;
	char heard[8] = "";
	long child;

	must(sys_pipe(ends), "pipe");
	child = must(sys_fork(), "fork");
	if (child == 0) {
		value++;
		printf("the child: 41 + 1 is %d\n", value);
		must(sys_write(ends[1], "hello", 5), "write");
		exit(3);
	}
	must(sys_read(ends[0], heard, 5), "read");
	printf("the child says %s\n", heard);
	printf("it is the child that has ended: %d\n",
	    sys_wait4(-1, &status, 0, NULL) == child);
	printf("status %x: it exited with %d\n", status, status >> 8);
	printf("the parent: still %d\n", value);

	child = must(sys_fork(), "fork");
	if (child == 0)
		for (;;)
			sys_sched_yield();
	must(sys_kill(child, SIGKILL), "kill");
	must(sys_wait4(child, &status, 0, NULL), "wait4");
	printf("status %x: it was killed\n", status);
	printf("nobody is left: %ld\n", sys_wait4(-1, &status, 0, NULL));
	return (0);
}
