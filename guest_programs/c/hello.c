/* The smallest guest: says hello, and what it was started with. */

#include "vkernel.h"

int
main(int argc, char **argv, char **envp)
{
	printf("hello from a guest in C\n");
	for (int i = 1; i < argc; i++)
		printf("argument %d: %s\n", i, argv[i]);
	for (; *envp != NULL; envp++)
		printf("environment: %s\n", *envp);
	return (argc - 1);
}
