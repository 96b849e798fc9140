/* Memory: a small allocator above the program, and mappings with all their arguments. */

#include "vkernel.h"

#define ROUND_PAGE(x) (((x) + PAGE_SIZE - 1) & ~(u_long)(PAGE_SIZE - 1))

extern char end[];		/* link.ld: of the program */

static u_long heap, heap_end;

/* Never freed; the kernel is asked for whole pages. */
static void *
allocate(size_t size)
{
	u_long at;

	if (heap == 0)
		heap = heap_end = ROUND_PAGE((u_long)end);
	at = (heap + 15) & ~15UL;
	if (at + size > heap_end) {
		heap_end = ROUND_PAGE(at + size);
		must(sys_break((void *)heap_end), "break");
	}
	heap = at + size;
	return ((void *)at);
}

struct node {
	struct node *next;
	u_long value;
	char filler[1000];
};

static void
fill_heap(void)
{
	struct node *list = NULL;
	u_long sum = 0;

	for (u_long i = 1; i <= 100; i++) {
		struct node *node = allocate(sizeof(*node));

		*node = (struct node){.next = list, .value = i};
		list = node;
	}
	for (; list != NULL; list = list->next)
		sum += list->value;
	printf("100 nodes on the heap, sum %lu, %lu pages\n", sum,
	    (heap_end - ROUND_PAGE((u_long)end)) / PAGE_SIZE);
}

/* pos is the seventh argument of mmap: without it page 0 would show. */
static void
map_file(void)
{
	long fd = must(sys_open("pages", O_RDWR | O_CREAT | O_TRUNC, 0600), "open");
	char *first, *second;

	must(sys_ftruncate(fd, 0, 2 * PAGE_SIZE), "ftruncate");
	must(sys_extpwrite(fd, "one", 4, 0, 0), "extpwrite");
	must(sys_extpwrite(fd, "two", 4, 0, PAGE_SIZE), "extpwrite");
	first = (char *)must(sys_mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE,
	    MAP_SHARED, fd, 0, 0), "mmap");
	second = (char *)must(sys_mmap(NULL, PAGE_SIZE, PROT_READ,
	    MAP_PRIVATE, fd, 0, PAGE_SIZE), "mmap");
	printf("page 0 says %s, page 1 says %s\n", first, second);
	memcpy(first, "new", 4);
	must(sys_extpread(fd, first + 100, 4, 0, 0), "extpread");
	printf("written through the mapping, read from the file: %s\n", first + 100);
	printf("read into a page that cannot be written: %ld\n",
	    sys_read(fd, second, 1));
	must(sys_munmap(first, PAGE_SIZE), "munmap");
	printf("unmapped twice: %ld\n", sys_munmap(first, PAGE_SIZE));
	must(sys_close(fd), "close");
}

int
main(void)
{
	char text[] = "memmove overlaps";
	u_long *zeros = (u_long *)must(sys_mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE,
	    MAP_ANON | MAP_PRIVATE, -1, 0, 0), "mmap");

	printf("anonymous memory begins with %lu\n", zeros[1000]);
	memset(zeros, 0xff, 16);
	printf("and can be set: %lx, %ld\n", zeros[0], (long)zeros[1]);
	memmove(text + 3, text, 8);
	printf("%s, %d\n", text, memcmp(text, "memmem", 6));
	fill_heap();
	map_file();
	return (0);
}
