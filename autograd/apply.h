/* Applying an op of one output; those of several go through reel_apply_at() itself. */
#ifndef REEL_AUTOGRAD_APPLY_H
#define REEL_AUTOGRAD_APPLY_H

#include <reel.h>

static inline reel_tensor reel_apply_one(REEL_PLACE, const reel_op *op, reel_tensors inputs,
                                         const void *attributes)
{
    reel_tensor output;
    reel_apply_at(file, line, op, inputs, attributes, &output, 1);
    return output;
}

/* plain.c: the same for an op of Reel's own with one input or two that has no attributes and writes nothing. */
reel_tensor reel_apply_unary(REEL_PLACE, reel_tensor x, const reel_op *op);
reel_tensor reel_apply_binary(REEL_PLACE, reel_tensor a, reel_tensor b, const reel_op *op);

#endif
