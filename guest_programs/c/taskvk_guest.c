/* The guests of taskvk.  None of them knows that it shares the CPUs. */

#include "taskvk.h"

volatile u_long counted;

static _Noreturn void
finish(long result)
{
	for (;;)
		vk_syscall(CALL_EXIT, result, 0, 0, 0, 0, 0);
}

void
spin(u_long unused)
{
	(void)unused;
	for (;;)
		;
}

void
count_for_ever(u_long step)
{
	for (;;)
		counted += step;
}

void
count_primes(u_long limit)
{
	u_long primes = 0;

	for (u_long n = 2; n < limit; n++) {
		u_long divisor = 2;

		while (divisor * divisor <= n && n % divisor != 0)
			divisor++;
		primes += divisor * divisor > n;
	}
	finish(primes);
}

/* The sum of 1/n to some power: all of it in SSE registers. */
void
sum_series(u_long power)
{
	double sum = 0;

	for (int n = 1; n <= 600000; n++) {
		double term = 1;

		for (u_long i = 0; i < power; i++)
			term /= n;
		sum += term;
	}
	finish(sum * 1e9);
}

void
trespass(u_long address)
{
	finish(*(volatile int *)address);
}
