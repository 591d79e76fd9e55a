/* What the reverse sweep needs of an op: the sum of two contributions, made in the first one's memory. The op
 * stands in ops/accumulate.c. */
#ifndef REEL_AUTOGRAD_ACCUMULATE_H
#define REEL_AUTOGRAD_ACCUMULATE_H

#include <reel.h>

extern const reel_op reel_op_accumulate;

/* a + b, in a's memory. Inside a sweep, on a temporary that nothing else reads. */
reel_tensor reel_accumulate(reel_tensor a, reel_tensor b);

#endif
