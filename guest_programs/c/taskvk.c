/*
 * A preemptive virtual kernel: more tasks than CPUs, and some never give up the
 * CPU of their own accord.
 *
 * A CPU is a thread of ours (an LWP of the host) that enters the vmspace of one
 * task after the other.  The timer is a signal: it interrupts a guest wherever
 * it is, vmspace_ctl returns with trap number 0, and the CPU takes the next
 * task.  A signal hits only one LWP, which therefore passes it on.
 *
 * The FP and SSE registers are not in a task's frame.  Most tasks do without,
 * so they are locked (PGEX_FPFAULT) unless they hold the values of the task that
 * runs; when it touches them (T_DNA), its values are loaded.
 */

#include "taskvk.h"

#define CPUS 2
#define TICK_USEC 10000		/* the host keeps time no finer */
#define TASK_SIZE (8 * PAGE_SIZE)	/* its program and its stack */
#define STACK_SIZE (4 * PAGE_SIZE)
#define TASKS (sizeof(tasks) / sizeof(tasks[0]))

enum state { READY, RUNNING, EXITED, KILLED };

struct cpu {
	int tid;
	struct task *fp_task;		/* whose values the FP registers hold */
	char stack[STACK_SIZE] __attribute__((aligned(16)));
};

struct task {
	const char *name;
	void (*program)(u_long);
	u_long argument;
	int endless;
	enum state state;
	struct trapframe frame;
	long result;			/* with which it exited */
	u_long interruptions, fp_loads;
	struct cpu *fp_cpu;		/* whose FP registers had its values last */
	struct {
		uint16_t control;
		uint16_t filler[11];
		uint32_t mxcsr;
		uint32_t rest[121];
	} fp __attribute__((aligned(16)));	/* as FXSAVE stores them */
};

extern char guest_start[], guest_end[];		/* link.ld */
extern u_long counted;

static struct task tasks[] = {
	{.name = "spinner", .program = spin, .endless = 1},
	{.name = "counter", .program = count_for_ever, .argument = 1, .endless = 1},
	{.name = "primes", .program = count_primes, .argument = 50000},
	{.name = "more primes", .program = count_primes, .argument = 60000},
	{.name = "series", .program = sum_series, .argument = 1},
	{.name = "more series", .program = sum_series, .argument = 2},
	{.name = "trespasser", .program = trespass, .argument = 0xdead0000},
};
static char *ram;				/* TASK_SIZE for each of them */
static struct cpu cpus[CPUS];
static int cpus_left = CPUS;
static struct vextframe tls;			/* the tasks have no FS and GS bases */

/* Whoever has the lock may change these and the states of the tasks. */
static int lock;			/* 0 free, 1 taken, 2 taken and waited for */
static u_long last, unfinished;

static void
acquire(void)
{
	int free = 0;

	if (__atomic_compare_exchange_n(&lock, &free, 1, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
		return;
	while (__atomic_exchange_n(&lock, 2, __ATOMIC_ACQUIRE) != 0)
		sys_umtx_sleep(&lock, 2, 0);	/* or not, if it is no longer 2 */
}

static void
release(void)
{
	if (__atomic_exchange_n(&lock, 0, __ATOMIC_RELEASE) == 2)
		sys_umtx_wakeup(&lock, 1);
}

/*
 * The handlers do next to nothing: that a guest comes back is the effect of the
 * signal itself.  The arguments are those of every handler with SA_SIGINFO.
 */
static void
tick(int sig, siginfo_t *info, ucontext_t *context, void *address)
{
	int self = sys_lwp_gettid();

	(void)sig, (void)info, (void)context, (void)address;
	for (int i = 0; i < CPUS; i++)
		if (cpus[i].tid != self)
			sys_lwp_kill(-1, cpus[i].tid, SIGUSR1);
}

static void
interrupt(int sig, siginfo_t *info, ucontext_t *context, void *address)
{
	(void)sig, (void)info, (void)context, (void)address;
}

static void
catch(int sig, void (*handler)(int, siginfo_t *, ucontext_t *, void *))
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = SA_SIGINFO};

	must(sys_sigaction(sig, &action, NULL), "sigaction");
}

/*
 * Give back `task`, unless it is NULL, and take the next in turn, or NULL if
 * only endless ones are left.  Until then there is one: of the endless ones
 * there are as many as CPUs.
 */
static struct task *
next_task(struct task *task, enum state state)
{
	struct task *next = NULL;

	acquire();
	if (task != NULL) {
		task->state = state;
		if (state != READY)
			unfinished--;
	}
	while (unfinished > 0 && next == NULL) {
		last = (last + 1) % TASKS;
		if (tasks[last].state == READY) {
			next = &tasks[last];
			next->state = RUNNING;
		}
	}
	release();
	return (next);
}

/* Run `task` until its time is over or it ends; return what becomes of it. */
static enum state
run(struct cpu *cpu, struct task *task)
{
	struct trapframe *frame = &task->frame;

	for (;;) {
		int loaded = cpu->fp_task == task && task->fp_cpu == cpu;

		frame->tf_xflags = loaded ? 0 : PGEX_FPFAULT;
		must(sys_vmspace_ctl(task, VMSPACE_CTL_RUN, frame, &tls), "vmspace_ctl");
		switch (frame->tf_trapno) {
		case 0:
			task->interruptions++;
			return (READY);
		case T_DNA:
			__asm__ volatile("fxrstor64 %0" : : "m"(task->fp));
			cpu->fp_task = task;
			task->fp_cpu = cpu;
			task->fp_loads++;
			break;
		case T_FAST_SYSCALL:
			if (frame->tf_rax == CALL_EXIT) {
				task->result = frame->tf_rdi;
				return (EXITED);
			}
			/* FALLTHROUGH */
		default:
			return (KILLED);
		}
	}
}

static void
cpu_main(struct cpu *cpu)
{
	struct task *task = NULL;
	enum state state = READY;

	while ((task = next_task(task, state)) != NULL) {
		state = run(cpu, task);
		/* It may go on at another CPU.  If it comes back to this one, nothing is to be loaded. */
		if (cpu->fp_task == task && task->fp_cpu == cpu)
			__asm__ volatile("fxsave64 %0" : "=m"(task->fp));
	}
	__atomic_sub_fetch(&cpus_left, 1, __ATOMIC_RELEASE);
	sys_umtx_wakeup(&cpus_left, 0);
}

static void
second_cpu(void *cpu)
{
	cpu_main(cpu);
	sys_extexit(EXTEXIT_LWP, 0, NULL);
}

/* Its memory is a piece of the file, with a copy of the programs and a stack. */
static void
create(struct task *task, long file)
{
	u_long offset = (task - tasks) * TASK_SIZE;

	memcpy(ram + offset, guest_start, guest_end - guest_start);
	must(sys_vmspace_create(task, 0, NULL), "vmspace_create");
	must(sys_vmspace_mmap(task, guest_start, TASK_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC,
	    MAP_SHARED | MAP_FIXED, file, offset), "vmspace_mmap");
	task->frame.tf_rip = (u_long)task->program;
	task->frame.tf_rsp = (u_long)guest_start + TASK_SIZE - 8;	/* as if called */
	task->frame.tf_rdi = task->argument;
	task->fp.control = 0x37f;	/* no exceptions */
	task->fp.mxcsr = 0x1f80;
	if (!task->endless)
		unfinished++;
}

static void
report(struct task *task)
{
	printf("%-12s ", task->name);
	if (task->state == EXITED)
		printf("exited with %ld", task->result);
	else if (task->state == KILLED)
		printf("killed by trap %lu at address 0x%lx", task->frame.tf_trapno,
		    task->frame.tf_addr);
	else
		printf("would go on for ever");
	printf("; interrupted %lu times, FP loaded %lu times\n", task->interruptions,
	    task->fp_loads);
}

int
main(void)
{
	struct itimerval often = {{0, TICK_USEC}, {0, TICK_USEC}}, never = {{0, 0}, {0, 0}};
	long file = must(sys_open("taskvk.img", O_RDWR | O_CREAT | O_TRUNC, 0600), "open");
	int left;

	must(sys_ftruncate(file, 0, TASKS * TASK_SIZE), "ftruncate");
	ram = (char *)must(sys_mmap(NULL, TASKS * TASK_SIZE, PROT_READ | PROT_WRITE,
	    MAP_SHARED, file, 0, 0), "mmap");
	for (u_long i = 0; i < TASKS; i++)
		create(&tasks[i], file);

	catch(SIGALRM, tick);
	catch(SIGUSR1, interrupt);
	cpus[0].tid = sys_lwp_gettid();
	for (int i = 1; i < CPUS; i++) {
		struct lwp_params params = {
			.func = second_cpu, .arg = &cpus[i], .tid1 = &cpus[i].tid,
			.stack = cpus[i].stack + STACK_SIZE,
		};
		must(sys_lwp_create(&params), "lwp_create");
	}
	must(sys_setitimer(ITIMER_REAL, &often, NULL), "setitimer");
	cpu_main(&cpus[0]);
	while ((left = __atomic_load_n(&cpus_left, __ATOMIC_ACQUIRE)) != 0)
		sys_umtx_sleep(&cpus_left, left, 0);	/* a tick ends it, too */
	must(sys_setitimer(ITIMER_REAL, &never, NULL), "setitimer");

	for (u_long i = 0; i < TASKS; i++) {
		report(&tasks[i]);
		must(sys_vmspace_destroy(&tasks[i]), "vmspace_destroy");
	}
	if (*(u_long *)(ram + TASK_SIZE + ((char *)&counted - guest_start)) > 0)
		printf("the counter has counted\n");
	return (0);
}
