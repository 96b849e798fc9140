/* Floating point, with SSE, across system calls. */

#include "vkernel.h"

#define COUNT 1000

static double
square_root(double x)
{
	double root = x;

	for (int i = 0; i < 30; i++)
		root = (root + x / root) / 2;
	return (root);
}

int
main(void)
{
	static float a[COUNT], b[COUNT];
	double pi = 0, sum = 0;
	float product = 0;

	for (int i = 0; i < COUNT; i++) {
		a[i] = i;
		b[i] = COUNT - i;
	}
	for (int i = 0; i < COUNT; i++)
		a[i] = a[i] * b[i] + 0.5f;
	for (int i = 0; i < COUNT; i++)
		product += a[i];
	for (int i = 1; i <= COUNT; i++) {
		pi += (i & 1 ? 4.0 : -4.0) / (2 * i - 1);
		sum += 1.0 / i;
		sys_getpid();
	}
	printf("a thousand products: %ld\n", (long)product);
	printf("pi is about %ld / 1000000\n", (long)(pi * 1e6));
	printf("1 + 1/2 + ... + 1/1000 is about %ld / 1000000\n", (long)(sum * 1e6));
	printf("the square root of 2 is about %ld / 1000000\n", (long)(square_root(2) * 1e6));
	printf("1 / 0 is %s\n", 1 / (sum - sum) > 1e300 ? "infinite" : "wrong");
	return (0);
}
