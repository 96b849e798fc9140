/*
 * A virtual kernel as small as one can be and still be useful: it runs one
 * guest, tinyvk_guest.c, and gives it each page when it first touches it.
 *
 * The guest's memory is a file.  We see the file byte for byte; the guest's
 * vmspace shows it through a page table, which is in the file too:
 *
 *	file	 [page 0: root of the page table] [page 1] [page 2] ...
 *	ram	 the same, in our memory
 *	vmspace	 at address A what the page table says of A
 *
 * The host walks the page table by itself.  We hear of a page only when there
 * is no entry for it.
 */

#include "tinyvk.h"

#define PAGES 32
#define STACK_TOP 0x40000000UL
#define STACK_SIZE (4 * PAGE_SIZE)
#define OFFSET(va) ((va) & (PAGE_SIZE - 1))

extern char guest_start[], guest_end[];		/* link.ld */
_Noreturn void guest_main(void);

static char *ram;
static u_long pages_used;
static vpte_t root;
static struct trapframe frame;			/* the guest's registers */
static struct vextframe tls;			/* and its FS and GS bases */

/* A page of the file that nobody has yet.  A new file is full of zeros. */
static u_long
new_page(void)
{
	if (pages_used == PAGES) {
		printf("[vk] out of memory\n");
		exit(1);
	}
	return (pages_used++ * PAGE_SIZE);
}

/* The page table's entry for `va`; tables that it takes to have one are made. */
static vpte_t *
entry_of(u_long va)
{
	vpte_t *entry = &root;

	for (int shift = 39; shift >= PAGE_SHIFT; shift -= 9) {
		if (!(*entry & VPTE_V))
			*entry = new_page() | PTE_W;
		entry = (vpte_t *)(ram + (*entry & VPTE_FRAME)) + (va >> shift & 511);
	}
	return (entry);
}

/*
 * Where in ram the guest's byte at `va` is, or NULL if it has no memory there.
 * Its program was linked for the guest's addresses and is at the same ones in
 * our own memory, so its pages are copied from there.
 */
static char *
page_in(u_long va)
{
	int program = va >= (u_long)guest_start && va < (u_long)guest_end;
	u_long page = va - OFFSET(va);
	vpte_t *entry;

	if (!program && (va < STACK_TOP - STACK_SIZE || va >= STACK_TOP))
		return (NULL);
	entry = entry_of(va);
	if (!(*entry & VPTE_V)) {
		*entry = new_page() | PTE_W;
		if (program)
			memcpy(ram + (*entry & VPTE_FRAME), (void *)page, PAGE_SIZE);
		printf("[vk] 0x%lx is now page %lu: %s\n", page,
		    (*entry & VPTE_FRAME) / PAGE_SIZE,
		    program ? "of the program" : "zeros, for the stack");
	}
	return (ram + (*entry & VPTE_FRAME) + OFFSET(va));
}

/* CALL_WRITE: what the guest shows us need not be there. */
static long
guest_write(u_long va, u_long size)
{
	for (u_long i = 0; i < size; i++) {
		char *byte = page_in(va + i);

		if (byte == NULL)
			return (-ERRNO_EFAULT);
		sys_write(1, byte, 1);
	}
	return (size);
}

/* Number in rax, arguments in rdi and so on: as the guest and we have agreed. */
static void
system_call(void)
{
	long result = -ERRNO_EINVAL;

	if (frame.tf_rax == CALL_WRITE)
		result = guest_write(frame.tf_rdi, frame.tf_rsi);
	frame.tf_rax = result < 0 ? -result : result;
	frame.tf_rflags &= ~(u_long)PSL_C;
	if (result < 0)
		frame.tf_rflags |= PSL_C;
}

static const char *
access_name(void)
{
	return (frame.tf_err & PGEX_W ? "writes to" :
	    frame.tf_err & PGEX_I ? "jumps to" : "reads");
}

/* Run the guest until it does what cannot be helped. */
static void
run(void)
{
	for (;;) {
		must(sys_vmspace_ctl(&frame, VMSPACE_CTL_RUN, &frame, &tls), "vmspace_ctl");
		switch (frame.tf_trapno) {
		case T_FAST_SYSCALL:
			system_call();
			break;
		case T_PAGEFLT:
			printf("[vk] the guest %s 0x%lx\n", access_name(),
			    frame.tf_addr - OFFSET(frame.tf_addr));
			if (page_in(frame.tf_addr) == NULL) {
				printf("[vk] nothing is there: killed\n");
				return;
			}
			break;
		default:
			printf("[vk] trap %lu: killed\n", frame.tf_trapno);
			return;
		}
	}
}

int
main(void)
{
	long file = must(sys_open("tinyvk.img", O_RDWR | O_CREAT | O_TRUNC, 0600), "open");

	must(sys_ftruncate(file, 0, PAGES * PAGE_SIZE), "ftruncate");
	ram = (char *)must(sys_mmap(NULL, PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE,
	    MAP_SHARED, file, 0, 0), "mmap");

	/* Any word names a vmspace; the guest's frame is at hand. */
	root = new_page() | PTE_W;
	must(sys_vmspace_create(&frame, 0, NULL), "vmspace_create");
	must(sys_vmspace_mmap(&frame, NULL, USER_MAX, PROT_READ | PROT_WRITE | PROT_EXEC,
	    MAP_SHARED | MAP_FIXED | MAP_VPAGETABLE, file, 0), "vmspace_mmap");
	must(sys_vmspace_mcontrol(&frame, NULL, USER_MAX, MADV_SETMAP, root), "vmspace_mcontrol");

	frame.tf_rip = (u_long)guest_main;
	frame.tf_rsp = STACK_TOP - 8;		/* as if it had been called */
	run();

	/* The host has marked what the guest has used. */
	for (u_long va = (u_long)guest_start; va < (u_long)guest_end; va += PAGE_SIZE) {
		vpte_t entry = *entry_of(va);

		printf("[vk] 0x%lx: %s\n", va, !(entry & VPTE_V) ? "never needed" :
		    entry & VPTE_M ? "modified" : entry & VPTE_A ? "accessed" : "unused");
	}
	must(sys_vmspace_destroy(&frame), "vmspace_destroy");
	return (0);
}
