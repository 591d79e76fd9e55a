/* global_norm: y = sqrt(sum of x_i x_i) over all elements of all inputs, a scalar.
 * VJP:         dx = x dy / y
 *
 * Squares are added up in f64, where those of the smaller dtypes neither overflow nor vanish. */
#include "ops/op.h"
#include "core/dtype.h"
#include "core/shape.h"

#include <math.h>

enum { GLOBAL_NORM_BLOCK = 512, GLOBAL_NORM_LANES = 4 };

static bool global_norm_shape(reel_call *call, reel_output *out)
{
    out->dtype = REEL_F32;
    out->shape.rank = 0;
    for (int i = 0; i < call->inputs; i++) {
        if (!reel_check_dtype(call, i, REEL_FLOATS))
            return false;
        if (call->in[i].dtype == REEL_F64)
            out->dtype = REEL_F64;
    }
    return true;
}

/* Lanes add up side by side, in an order that depends on the shapes alone. */
static void global_norm_add(double sum[GLOBAL_NORM_LANES], const double *x, int64_t n)
{
    int64_t i = 0;
    for (; i + GLOBAL_NORM_LANES <= n; i += GLOBAL_NORM_LANES)
#pragma omp simd
        for (int lane = 0; lane < GLOBAL_NORM_LANES; lane++)
            sum[lane] += x[i + lane] * x[i + lane];
    for (; i < n; i++)
        sum[0] += x[i] * x[i];
}

static void global_norm_of(const reel_array *x, double sum[GLOBAL_NORM_LANES])
{
    double room[GLOBAL_NORM_BLOCK];
    const int64_t size = (int64_t)reel_dtype_size(x->dtype);
    reel_walk walk;
    for (reel_walk_start(&walk, x->rank, x->shape, 1, &x->strides); walk.more; reel_walk_next(&walk))
        for (int64_t at = 0; at < walk.length; at += GLOBAL_NORM_BLOCK) {
            int64_t n = walk.length - at < GLOBAL_NORM_BLOCK ? walk.length - at : GLOBAL_NORM_BLOCK;
            const char *from = (const char *)x->data + (walk.offset[0] + at * walk.step[0]) * size;
            reel_convert_strided(REEL_F64, room, 1, x->dtype, from, walk.step[0], n);
            global_norm_add(sum, room, n);
        }
}

static bool global_norm_forward(const reel_call *call)
{
    double sum[GLOBAL_NORM_LANES] = {0};
    for (int i = 0; i < call->inputs; i++)
        global_norm_of(&call->in[i], sum);
    double norm = sqrt((sum[0] + sum[1]) + (sum[2] + sum[3]));
    reel_convert(call->out[0].dtype, call->out[0].data, REEL_F64, &norm, 1);
    return true;
}

/* scale x, multiplied in the wider of the two dtypes; of x's own dtype. */
static reel_tensor global_norm_scale(REEL_PLACE, reel_tensor x, reel_tensor scale)
{
    reel_dtype dtype = reel_dtype_of(x), wide = reel_dtype_of(scale);
    if (dtype == wide)
        return reel_mul_at(file, line, x, scale);
    reel_tensor y = reel_mul_at(file, line, reel_cast_at(file, line, x, wide), scale);
    return reel_cast_at(file, line, y, dtype);
}

static void global_norm_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[],
                            const bool wanted[])
{
    reel_tensor scale = reel_div(dy[0], call->output[0]);
    for (int i = 0; i < call->inputs; i++)
        if (wanted[i])
            dx[i] = global_norm_scale(REEL_HERE, call->input[i], scale);
}

static void global_norm_reference(const void *attributes, const reel_reference_array *in, int inputs,
                                  reel_reference_array *out, int outputs)
{
    (void)attributes;
    (void)outputs;
    double sum = 0;
    for (int i = 0; i < inputs; i++)
        for (int64_t k = 0; k < in[i].count; k++)
            sum += pow(in[i].value[k], 2);
    out[0].value[0] = sqrt(sum);
}

static const reel_sample global_norm_samples[] = {
    {.note = "two", .inputs = 2, .in = {{.shape = REEL_SIZES(2, 3)}, {.shape = REEL_SIZES(4)}}},
    {.note = "one", .inputs = 1, .in = {{.shape = REEL_SIZES(2, 3)}}},
    {.note = "scalar", .inputs = 1, .in = {{.low = 1, .high = 2}}},
    {.note = "with an empty one", .inputs = 2, .in = {{.shape = REEL_SIZES(0, 3)}, {.shape = REEL_SIZES(5)}}},
    {.note = "transposed and reversed", .inputs = 2,
     .in = {{.shape = REEL_SIZES(3, 4), .layout = REEL_TRANSPOSED},
            {.shape = REEL_SIZES(5), .layout = REEL_REVERSED}}},
    {.note = "stretched", .inputs = 1, .in = {{.shape = REEL_SIZES(3, 2), .layout = REEL_STRETCHED}}},
    {.note = "longer than a block", .inputs = 1, .in = {{.shape = REEL_SIZES(1101)}}},
    {.note = "nothing", .inputs = 1, .in = {{.shape = REEL_SIZES(0)}}, .kink = true},
    {.note = "integers", .inputs = 1, .in = {{.shape = REEL_SIZES(3), .dtype = REEL_I32}},
     .error = "of a dtype that this op does not take"},
};

const reel_op reel_op_global_norm = {
    .size = sizeof(reel_op), .name = "global_norm", .inputs = REEL_ANY, .outputs = 1,
    .shape = global_norm_shape, .forward = global_norm_forward, .vjp = global_norm_vjp,
    .example = "reel_global_norm(REEL_TENSORS(a, b))",
    .formula = "y = sqrt(sum x_i x_i) over all inputs; dx = x dy / y",
    REEL_TRUTH(global_norm_reference), REEL_SAMPLES(global_norm_samples),
};

reel_tensor reel_global_norm_at(REEL_PLACE, reel_tensors xs)
{
    return reel_apply_one(file, line, &reel_op_global_norm, xs, NULL);
}

/* The 1e-6 is PyTorch's. */
reel_tensor reel_clip_gradients_at(REEL_PLACE, reel_tensors gradients, double most, reel_tensor *clipped)
{
    reel_tensor norm = reel_global_norm_at(file, line, gradients);
    if (!(most >= 0) && !reel_failed(norm.tape))
        reel_error_set_at(file, line, norm.tape, "clip_gradients: the largest norm must be at least 0");
    reel_values values = reel_fill(reel_dtype_of(norm), most);
    reel_tensor limit = reel_constant_at(file, line, norm.tape, REEL_SHAPE(), values);
    reel_tensor scale = reel_div_at(file, line, limit, reel_affine_at(file, line, norm, 1, 1e-6));
    scale = reel_clip_at(file, line, scale, 0, 1);
    for (size_t i = 0; i < gradients.count; i++)
        clipped[i] = global_norm_scale(file, line, gradients.tensor[i], scale);
    return reel_failed(norm.tape) ? (reel_tensor){norm.tape, 0, 0} : norm;
}
