/* cast: y = x in another dtype; dx = dy cast back. Between floating dtypes it is differentiable. When a section is
 * recorded again in f64, a cast between floating dtypes becomes the identity. */
#include "ops/op.h"
#include "core/dtype.h"
#include "core/shape.h"

struct cast {
    reel_dtype dtype;
};

static bool cast_shape(reel_call *call, reel_output *out)
{
    const struct cast *cast = call->attributes;
    const reel_array *x = &call->in[0];
    if (!reel_dtype_size(cast->dtype))
        return reel_call_error(call, "there is no such dtype (%d)", (int)cast->dtype);
    out->dtype = cast->dtype;
    out->shape = reel_make_shape(x->rank, x->shape);
    return true;
}

static bool cast_forward(const reel_call *call)
{
    const reel_array *x = &call->in[0], *y = &call->out[0];
    const int64_t *strides[] = {x->strides, y->strides};
    int64_t x_size = (int64_t)reel_dtype_size(x->dtype), y_size = (int64_t)reel_dtype_size(y->dtype);
    reel_walk walk;
    for (reel_walk_start(&walk, x->rank, x->shape, 2, strides); walk.more; reel_walk_next(&walk))
        reel_convert_strided(y->dtype, (char *)y->data + walk.offset[1] * y_size, walk.step[1], x->dtype,
                             (const char *)x->data + walk.offset[0] * x_size, walk.step[0], walk.length);
    return true;
}

static void cast_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    (void)wanted;
    dx[0] = reel_cast(dy[0], reel_dtype_of(call->input[0]));
}

static void cast_promote(void *attributes)
{
    struct cast *cast = attributes;
    if (reel_dtype_is_float(cast->dtype))
        cast->dtype = REEL_F64;
}

REEL_REFERENCE(cast_reference, x[0])
static const struct cast cast_to_f64 = {REEL_F64};
static const reel_sample cast_samples[] = {
    {.note = "to f64", .in = {{.shape = REEL_SIZES(2, 3)}}, .attributes = &cast_to_f64},
    {.note = "scalar", .attributes = &cast_to_f64},
    {.note = "empty", .in = {{.shape = REEL_SIZES(0, 2)}}, .attributes = &cast_to_f64},
    {.note = "transposed", .in = {{.shape = REEL_SIZES(3, 4), .layout = REEL_TRANSPOSED}}, .attributes = &cast_to_f64},
    {.note = "from i32", .in = {{.shape = REEL_SIZES(2), .values = (const double[]){-7, 9}, .dtype = REEL_I32}},
     .attributes = &cast_to_f64},
    {.note = "no dtype", .attributes = &(const struct cast){REEL_NO_DTYPE}, .error = "no such dtype"},
};

const reel_op reel_op_cast = {
    .size = sizeof(reel_op), .name = "cast", .inputs = 1, .outputs = 1, .attributes = sizeof(struct cast),
    .flags = REEL_OUTPUT_UNREAD | REEL_INPUTS_UNREAD,
    .shape = cast_shape, .forward = cast_forward, .vjp = cast_vjp, .promote = cast_promote,
    .example = "reel_cast(a, REEL_F64)",
    .formula = "y = x in another dtype; dx = dy in x's dtype", REEL_TRUTH(cast_reference), REEL_SAMPLES(cast_samples),
};

reel_tensor reel_cast_at(REEL_PLACE, reel_tensor x, reel_dtype dtype)
{
    return reel_apply_one(file, line, &reel_op_cast, REEL_TENSORS(x), &(const struct cast){dtype});
}
