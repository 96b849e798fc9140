/*
 * What a guest in C starts from: system calls, memory and printing, without
 * any C library.
 *
 * Constants, structures and a function sys_NAME for each system call come from
 * vkernel_abi.h, which `vkemu header` makes.  A call returns its result, or
 * -ERRNO_x if it is refused.
 */

#ifndef VKERNEL_H
#define VKERNEL_H

#include <stddef.h>
#include <stdint.h>

typedef unsigned int u_int;
typedef unsigned long u_long;
typedef int64_t off_t;
typedef uint16_t mode_t;
typedef uint64_t vpte_t;

/*
 * The FP and SSE registers are one set for a virtual kernel and its guests:
 * vmspace_ctl may return with any values in them.  A compiler that uses them
 * must know.
 */
#ifdef __SSE__
#define VK_SSE_CLOBBERS , "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", \
    "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13",   \
    "xmm14", "xmm15"
#else
#define VK_SSE_CLOBBERS
#endif

/*
 * A refused call sets the carry flag, and rax is the error number.  The
 * SYSCALL instruction takes rcx and r11 for itself; rdx can be a second
 * result, and r8 to r10 are lost in later versions of the system.
 */
static inline long
vk_syscall(long number, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;

	__asm__ volatile(
	    "syscall\n\t"
	    "jnc 1f\n\t"
	    "neg %0\n"
	    "1:"
	    : "+a"(number), "+d"(c), "+r"(r10), "+r"(r8), "+r"(r9)
	    : "D"(a), "S"(b)
	    : "rcx", "r11", "cc", "memory" VK_SSE_CLOBBERS);
	return (number);
}

/*
 * The seventh argument is on the stack, above what would be the return address
 * of a C library's function.  The 128 bytes below the stack pointer are the
 * compiler's, who does not see the pushes: step over them.
 */
static inline long
vk_syscall7(long number, long a, long b, long c, long d, long e, long f, long g)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;

	__asm__ volatile(
	    "lea -128(%%rsp), %%rsp\n\t"
	    "push %[g]\n\t"
	    "push %[g]\n\t"
	    "syscall\n\t"
	    "lea 144(%%rsp), %%rsp\n\t"
	    "jnc 1f\n\t"
	    "neg %0\n"
	    "1:"
	    : "+a"(number), "+d"(c), "+r"(r10), "+r"(r8), "+r"(r9)
	    : "D"(a), "S"(b), [g] "r"(g)
	    : "rcx", "r11", "cc", "memory" VK_SSE_CLOBBERS);
	return (number);
}

#include "vkernel_abi.h"

typedef struct siginfo siginfo_t;
typedef struct mcontext mcontext_t;	/* mc_frame: what the handler has interrupted */
typedef struct ucontext ucontext_t;
typedef struct sigaltstack stack_t;

/* The call whose second result matters: one end of the pipe is in rax, one in rdx. */
static inline long
sys_pipe(int ends[2])
{
	long result = SYS_pipe, other;

	__asm__ volatile(
	    "syscall\n\t"
	    "jnc 1f\n\t"
	    "neg %0\n"
	    "1:"
	    : "+a"(result), "=d"(other)
	    :
	    : "rcx", "r8", "r9", "r10", "r11", "cc", "memory" VK_SSE_CLOBBERS);
	ends[0] = result;
	ends[1] = other;
	return (result < 0 ? result : 0);
}

/* What a page-table entry says that lets a guest read, or read and write. */
#ifdef VPTE_RW
#define PTE_R VPTE_V		/* since 2013 what is valid can be read */
#define PTE_W (VPTE_V | VPTE_RW)
#else
#define PTE_R (VPTE_V | VPTE_R)
#define PTE_W (VPTE_V | VPTE_R | VPTE_W)
#endif

/* runtime.c */
_Noreturn void exit(int status);
void *memcpy(void *to, const void *from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *to, int byte, size_t size);
int memcmp(const void *a, const void *b, size_t size);
size_t strlen(const char *string);
void printf(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Complain and end the program unless `result` is that of a call that succeeded. */
long must(long result, const char *what);

#endif /* VKERNEL_H */
