/* What taskvk and its guests have agreed upon. */

#ifndef TASKVK_H
#define TASKVK_H

#include "vkernel.h"

#define CALL_EXIT 1		/* result */

/* The programs.  Each gets one argument. */
void spin(u_long), count_for_ever(u_long), count_primes(u_long), sum_series(u_long), trespass(u_long);

#endif /* TASKVK_H */
