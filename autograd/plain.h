/* Plain calls (see plain.c): recorded, and run again. Their nodes have a kernel. */
#ifndef REEL_AUTOGRAD_PLAIN_H
#define REEL_AUTOGRAD_PLAIN_H

#include "autograd/elementwise.h"

/* record.c: the general way to apply an op, for calls that are not plain. */
bool reel_apply_any(REEL_PLACE, const reel_op *op, reel_tensors inputs, const void *attributes,
                    reel_tensor *outputs, int output_count);

/* Inside a sweep: a b, NULL after an error; */
reel_node *reel_record_product(reel_tape *tape, reel_node *a, reel_node *b);

/* ... and a + b, alike, in a's memory, which is private (see arithmetic.h). NULL where that is not plain, or memory is
 * short. */
reel_node *reel_record_sum(reel_tape *tape, reel_node *a, reel_node *b);
reel_node *reel_record_sum_with_product(reel_tape *tape, reel_node *a, reel_node *b, reel_node *c);  /* a + b c */

/* Runs a plain call whose operands' addresses are known, ... */
static inline void reel_run_fixed(reel_tape *tape, reel_node *node)
{
    if (node->flags & REEL_NODE_SUM)
        node->base->written = ++tape->clock;
    node->kernel(node->count, node->operand, node->data, node->attributes);
    node->executed = tape->clock;
}

/* ... one with operands in wrapped memory, which may have moved, ... */
void reel_run_moving(reel_tape *tape, reel_node *node);

/* ... and either. */
static inline void reel_run_plain(reel_tape *tape, reel_node *node)
{
    if (node->flags & REEL_NODE_FIXED)
        reel_run_fixed(tape, node);
    else
        reel_run_moving(tape, node);
}

#endif
