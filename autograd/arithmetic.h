/* What the reverse sweep needs of the ops: plain sums and products, which it knows the VJPs of (sweep_plain.c); and
 * sums in the first operand's memory, which stand in ops/accumulate.c. */
#ifndef REEL_AUTOGRAD_ARITHMETIC_H
#define REEL_AUTOGRAD_ARITHMETIC_H

#include <reel.h>

extern const reel_op reel_op_add, reel_op_mul, reel_op_accumulate, reel_op_accumulate_product;

/* a + b, in a's memory. Inside a sweep, on a temporary that nothing else reads. */
reel_tensor reel_accumulate(reel_tensor a, reel_tensor b);

/* What the one or the other of them computes, in memory of its own. */
reel_tensor reel_accumulate_apart(REEL_PLACE, const reel_tensor *input, size_t inputs);

#endif
