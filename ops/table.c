/* The op table: one row an op, sorted by name. Tests, the gradient lab and the list of ops in the docs walk it. */
#include <reel.h>

#define TABLE_OPS(X)                                                                                 \
    X(abs)                                                                                           \
    X(adam)                                                                                          \
    X(adamw)                                                                                         \
    X(add)                                                                                           \
    X(affine)                                                                                        \
    X(argmax)                                                                                        \
    X(argmin)                                                                                        \
    X(avg_pool2d)                                                                                    \
    X(avg_pool2d_gradient)                                                                           \
    X(binary_cross_entropy)                                                                          \
    X(broadcast)                                                                                     \
    X(cast)                                                                                          \
    X(center)                                                                                        \
    X(clip)                                                                                          \
    X(clip_gate)                                                                                     \
    X(concatenate)                                                                                   \
    X(contiguous)                                                                                    \
    X(conv2d)                                                                                        \
    X(conv2d_input_gradient)                                                                         \
    X(conv2d_weight_gradient)                                                                        \
    X(cos)                                                                                           \
    X(cumsum)                                                                                        \
    X(div)                                                                                           \
    X(dropout)                                                                                       \
    X(equal)                                                                                         \
    X(erf)                                                                                           \
    X(exp)                                                                                           \
    X(expm1)                                                                                         \
    X(gather)                                                                                        \
    X(gelu)                                                                                          \
    X(global_norm)                                                                                   \
    X(greater)                                                                                       \
    X(greater_equal)                                                                                 \
    X(greater_gate)                                                                                  \
    X(huber)                                                                                         \
    X(layer_norm)                                                                                    \
    X(leaky_relu)                                                                                    \
    X(less)                                                                                          \
    X(less_equal)                                                                                    \
    X(log)                                                                                           \
    X(log1p)                                                                                         \
    X(log_softmax)                                                                                   \
    X(logsumexp)                                                                                     \
    X(matmul)                                                                                        \
    X(max)                                                                                           \
    X(max_pool2d)                                                                                    \
    X(max_share)                                                                                     \
    X(maximum)                                                                                       \
    X(mean)                                                                                          \
    X(min)                                                                                           \
    X(min_share)                                                                                     \
    X(minimum)                                                                                       \
    X(mul)                                                                                           \
    X(neg)                                                                                           \
    X(not_equal)                                                                                     \
    X(one_hot)                                                                                       \
    X(pad)                                                                                           \
    X(permute)                                                                                       \
    X(pow)                                                                                           \
    X(prod)                                                                                          \
    X(random_draw)                                                                                   \
    X(raw_softmax_cross_entropy_with_logits)                                                         \
    X(raw_sparse_softmax_cross_entropy_with_logits)                                                  \
    X(relu)                                                                                          \
    X(relu_gate)                                                                                     \
    X(reshape)                                                                                       \
    X(rmsprop)                                                                                       \
    X(rsqrt)                                                                                         \
    X(scatter_add)                                                                                   \
    X(sgd)                                                                                           \
    X(sigmoid)                                                                                       \
    X(sign)                                                                                          \
    X(sin)                                                                                           \
    X(slice)                                                                                         \
    X(softmax)                                                                                       \
    X(softmax_cross_entropy_directional)                                                             \
    X(softmax_cross_entropy_gradient)                                                                \
    X(softmax_cross_entropy_label_gradient)                                                          \
    X(softmax_cross_entropy_mixed)                                                                   \
    X(softmax_cross_entropy_second)                                                                  \
    X(softmax_cross_entropy_with_logits)                                                             \
    X(softplus)                                                                                      \
    X(sparse_softmax_cross_entropy_count)                                                            \
    X(sparse_softmax_cross_entropy_with_logits)                                                      \
    X(sqrt)                                                                                          \
    X(squared_error)                                                                                 \
    X(stack)                                                                                         \
    X(stop_gradient)                                                                                 \
    X(sub)                                                                                           \
    X(sum)                                                                                           \
    X(tanh)                                                                                          \
    X(unslice)                                                                                       \
    X(var)                                                                                           \
    X(where)

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
