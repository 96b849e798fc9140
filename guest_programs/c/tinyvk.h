/* What tinyvk and its guest have agreed upon. */

#ifndef TINYVK_H
#define TINYVK_H

#include "vkernel.h"

#define CALL_WRITE 1		/* address, size: size, or it is refused */

#endif /* TINYVK_H */
