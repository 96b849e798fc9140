/* The guest of tinyvk: an ordinary program, but for the system calls. */

#include "tinyvk.h"

/* Three pages: one to write, one to read, one to leave alone. */
static _Alignas(PAGE_SIZE) volatile int pages[3][PAGE_SIZE / sizeof(int)] = {{1}, {2}, {3}};

static long
write(const char *text, u_long size)
{
	return (vk_syscall(CALL_WRITE, (long)text, size, 0, 0, 0, 0));
}

#define SAY(text) write(text, sizeof(text) - 1)

_Noreturn void
guest_main(void)
{
	volatile int local = 1;		/* the stack is what is touched first */

	SAY("hello, I have a stack now\n");
	pages[0][1] = local;
	if (pages[0][0] == 1 && pages[1][0] == 2)
		SAY("and my variables have the right values\n");
	if (write((char *)0x5000, 1) == -ERRNO_EFAULT)
		SAY("I must not pass off the memory of others as mine\n");
	for (volatile int *nowhere = (int *)0xdead0000UL;;)
		*nowhere = local;
}
