/* accumulate: y = a + b in a's memory; da = dy, db = dy. The reverse sweep uses it to sum contributions to one
 * gradient, on a temporary that nothing else reads. */
#include "autograd/arithmetic.h"
#include "autograd/tape.h"
#include "ops/op.h"

static bool accumulate_writes(const void *attributes, int input)
{
    (void)attributes;
    return input == 0;
}

static void accumulate_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    (void)call;
    for (int i = 0; i < 2; i++)
        if (wanted[i])
            dx[i] = dy[0];
}

REEL_KERNEL(accumulate_f32, float, 2, a + b)
REEL_KERNEL(accumulate_f64, double, 2, a + b)

REEL_FLOAT_KERNELS(accumulate)

const reel_op reel_op_accumulate = {
    .size = sizeof(reel_op), .name = "accumulate", .inputs = 2, .outputs = 1, .writes = accumulate_writes,
    .flags = REEL_OUTPUT_UNREAD | REEL_INPUTS_UNREAD | REEL_OP_IN_SWEEP,
    .kernels = &accumulate_kernels, .vjp = accumulate_vjp,
    .formula = "y = a + b in a's memory; da = dy, db = dy",
};

reel_tensor reel_accumulate(reel_tensor a, reel_tensor b)
{
    return reel_apply_one(REEL_HERE, &reel_op_accumulate, REEL_TENSORS(a, b), NULL);
}
