/* accumulate: y = a + b in a's memory; da = dy, db = dy. The reverse sweep uses it to sum contributions to one
 * gradient, on a temporary that nothing else reads; and, where nobody will ask for a gradient of it,
 * accumulate_product: y = a + b c in a's memory, of the same bits as a sum with a product. */
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

REEL_KERNEL(accumulate_product_f32, float, 3, a + b * c)
REEL_KERNEL(accumulate_product_f64, double, 3, a + b * c)

REEL_FLOAT_KERNELS(accumulate_product)

const reel_op reel_op_accumulate_product = {
    .size = sizeof(reel_op), .name = "accumulate_product", .inputs = 3, .outputs = 1, .writes = accumulate_writes,
    .flags = REEL_OUTPUT_UNREAD | REEL_OP_IN_SWEEP, .kernels = &accumulate_product_kernels,
    .formula = "y = a + b c in a's memory",
};

reel_tensor reel_accumulate(reel_tensor a, reel_tensor b)
{
    return reel_apply_one(REEL_HERE, &reel_op_accumulate, REEL_TENSORS(a, b), NULL);
}

reel_tensor reel_accumulate_apart(REEL_PLACE, const reel_tensor *input, size_t inputs)
{
    reel_tensor added = inputs == 2 ? input[1] : reel_mul_at(file, line, input[1], input[2]);
    return reel_add_at(file, line, input[0], added);
}
