/* Signal handlers: what they are told, what they may change, and that they leave no trace. */

#include "vkernel.h"

#define PLACE ((char *)0x7000000000)

/* What it does to registers must not be seen outside. */
static void
report(int sig, siginfo_t *info, ucontext_t *context, void *address)
{
	(void)info, (void)address;
	__asm__ volatile("xorps %%xmm9, %%xmm9" : : : "xmm9");
	printf("signal %d, rax was %lu\n", sig, context->uc_mcontext.mc_frame.tf_rax);
}

/* Where a page is missing there is one afterwards, and the instruction is tried again. */
static void
repair(int sig, siginfo_t *info, ucontext_t *context, void *address)
{
	struct trapframe *frame = &context->uc_mcontext.mc_frame;

	printf("signal %d, code %d: trap %lu, error %lu, address 0x%lx\n", sig, info->si_code,
	    frame->tf_trapno, frame->tf_err, frame->tf_addr);
	printf("the address is the same everywhere: %d\n",
	    info->si_addr == address && (u_long)address == frame->tf_addr);
	must(sys_mmap(PLACE, PAGE_SIZE, PROT_READ | PROT_WRITE,
	    MAP_ANON | MAP_PRIVATE | MAP_FIXED, -1, 0, 0), "mmap");
}

/* An instruction that can never work is stepped over: ud2 has two bytes. */
static void
step_over(int sig, siginfo_t *info, ucontext_t *context, void *address)
{
	(void)info, (void)address;
	context->uc_mcontext.mc_frame.tf_rip += 2;
	context->uc_mcontext.mc_frame.tf_rax = sig;
}

static void
catch(int sig, void (*handler)(int, siginfo_t *, ucontext_t *, void *))
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = SA_SIGINFO};

	must(sys_sigaction(sig, &action, NULL), "sigaction");
}

/* Calls nobody, so a compiler may keep it all below the stack pointer. */
static __attribute__((noinline)) u_long
disturbed(int sig)
{
	volatile u_long words[12];
	u_long sum = 0;

	for (u_long i = 0; i < 12; i++)
		words[i] = i * i;
	sys_kill(sys_getpid(), sig);
	for (u_long i = 0; i < 12; i++)
		sum += words[i];
	return (sum);
}

/* Of those that a system call keeps, one that the handler's arguments are in, and one of SSE. */
static int
registers_survive(int sig)
{
	double x = 3.125;
	long rax = SYS_kill, pid = sys_getpid(), rdi = pid;

	__asm__ volatile(
	    "movaps %[x], %%xmm9\n\t"
	    "syscall\n\t"
	    "movaps %%xmm9, %[x]"
	    : "+a"(rax), "+D"(rdi), [x] "+x"(x)
	    : "S"((long)sig)
	    : "rcx", "rdx", "r8", "r9", "r10", "r11", "xmm9", "cc", "memory");
	return (rax == 0 && rdi == pid && x == 3.125);
}

int
main(void)
{
	long rax;

	catch(SIGUSR1, report);
	printf("a function's locals: %lu\n", disturbed(SIGUSR1));
	printf("the registers are as they were: %d\n", registers_survive(SIGUSR1));

	catch(SIGSEGV, repair);
	*PLACE = 'x';
	printf("written: %c\n", *PLACE);

	catch(SIGILL, step_over);
	__asm__ volatile("ud2" : "=a"(rax));
	printf("signal %ld was stepped over\n", rax);
	return (0);
}
