/* The op table: one row an op, sorted by name. Tests, the gradient lab and the list of ops in the docs walk it. */
#include <reel.h>

#define TABLE_OPS(X)                                                                                 \
    X(add)                                                                                           \
    X(affine)                                                                                        \
    X(broadcast)                                                                                     \
    X(cast)                                                                                          \
    X(contiguous)                                                                                    \
    X(div)                                                                                           \
    X(exp)                                                                                           \
    X(greater_gate)                                                                                  \
    X(log)                                                                                           \
    X(log_softmax)                                                                                   \
    X(logsumexp)                                                                                     \
    X(matmul)                                                                                        \
    X(max)                                                                                           \
    X(max_share)                                                                                     \
    X(maximum)                                                                                       \
    X(mean)                                                                                          \
    X(minimum)                                                                                       \
    X(mul)                                                                                           \
    X(neg)                                                                                           \
    X(permute)                                                                                       \
    X(relu)                                                                                          \
    X(relu_gate)                                                                                     \
    X(reshape)                                                                                       \
    X(sgd)                                                                                           \
    X(slice)                                                                                         \
    X(softmax)                                                                                       \
    X(stop_gradient)                                                                                 \
    X(sub)                                                                                           \
    X(sum)                                                                                           \
    X(tanh)                                                                                          \
    X(unslice)

#define TABLE_DECLARE(name) extern const reel_op reel_op_##name;
#define TABLE_ROW(name)     &reel_op_##name,

TABLE_OPS(TABLE_DECLARE)

static const reel_op *const table_rows[] = {TABLE_OPS(TABLE_ROW)};

size_t reel_op_count(void)
{
    return sizeof table_rows / sizeof *table_rows;
}

const reel_op *reel_op_in_table(size_t index)
{
    return index < reel_op_count() ? table_rows[index] : NULL;
}
