/* conv2d and its two gradients: shape rules, VJPs and the public call. conv2d.h says what they compute. */
#include "ops/conv2d.h"
#include "core/options.h"
#include "core/shape.h"

#include <string.h>

extern const reel_op reel_op_conv2d, reel_op_conv2d_input_gradient, reel_op_conv2d_weight_gradient;

/* ---- Shapes ---------------------------------------------------------------------------------------- */

static reel_conv2d_plan conv2d_plan(const reel_conv2d *conv, int64_t n, int64_t c, int64_t o,
                                    const int64_t *size, const int64_t *kernel, const int64_t *out)
{
    reel_conv2d_plan plan = {.n = n, .groups = conv->groups, .c = c / conv->groups, .o = o / conv->groups,
                             .h = size[0], .w = size[1], .oh = out[0], .ow = out[1]};
    for (int i = 0; i < 2; i++) {
        plan.window.kernel[i] = kernel[i];
        plan.window.stride[i] = conv->stride[i];
        plan.window.padding[i] = conv->padding[i];
        plan.window.dilation[i] = conv->dilation[i];
    }
    plan.depth = plan.c * kernel[0] * kernel[1];
    plan.places = out[0] * out[1];
    return plan;
}

reel_conv2d_plan reel_conv2d_plan_of(const reel_conv2d *conv, const reel_array *x, const reel_array *w,
                                     const reel_array *g)
{
    return conv2d_plan(conv, x->shape[0], x->shape[1], w->shape[0], x->shape + 2, w->shape + 2, g->shape + 2);
}

static bool conv2d_operands(reel_call *call)
{
    const reel_conv2d *conv = call->attributes;
    if (!reel_check_dtype(call, 0, REEL_FLOATS))
        return false;
    if (call->in[0].dtype != call->in[1].dtype)
        return reel_call_error(call, "dtypes differ: %s and %s", reel_describe(call->input[0]).text,
                               reel_describe(call->input[1]).text);
    if (conv->groups < 1)
        return reel_call_error(call, "%lld groups", (long long)conv->groups);
    return reel_check_images(call, 0) && reel_check_images(call, 1);
}

/* Whether input `i` has these sizes. */
static bool conv2d_fits(reel_call *call, int i, reel_shape wanted)
{
    const reel_array *x = &call->in[i];
    if (reel_same_sizes(x->rank, x->shape, wanted.rank, wanted.size))
        return true;
    char sizes[128];
    reel_text text = reel_text_in(sizes, sizeof sizes);
    reel_text_shape(&text, wanted.rank, wanted.size);
    return reel_call_error(call, "%s does not fit %s in %lld groups: %s is wanted",
                           reel_describe(call->input[i]).text, reel_describe(call->input[1 - i]).text,
                           (long long)((const reel_conv2d *)call->attributes)->groups, sizes);
}

/* The plan of a call of which two operands are known: x, w or g is NULL. The others' shapes are checked. */
static bool conv2d_check(reel_call *call, const reel_array *x, const reel_array *w, const reel_array *g,
                         reel_conv2d_plan *plan)
{
    const reel_conv2d *conv = call->attributes;
    int64_t n = (x ? x : g)->shape[0], o = w ? w->shape[0] : g->shape[1], c, out[2];
    if (!x && __builtin_mul_overflow(w->shape[1], conv->groups, &c))
        return reel_call_error(call, "the result has too many elements");
    c = x ? x->shape[1] : c;
    if (c % conv->groups || o % conv->groups)
        return reel_call_error(call, "%lld channels to %lld in %lld groups", (long long)c, (long long)o,
                               (long long)conv->groups);
    const int64_t *size = x ? x->shape + 2 : conv->size, *kernel = w ? w->shape + 2 : conv->size;
    *plan = conv2d_plan(conv, n, c, o, size, kernel, (const int64_t[]){0, 0});
    if (!reel_window_slide(call, &plan->window, size, out))
        return false;
    *plan = conv2d_plan(conv, n, c, o, size, kernel, out);
    int64_t wide = 0;
    if (__builtin_mul_overflow(plan->depth, plan->places, &wide) || wide > INT64_MAX / 1024)
        return reel_call_error(call, "an unfolded image has too many elements");
    return (!x || conv2d_fits(call, (int)(x - call->in), REEL_SHAPE(n, c, size[0], size[1]))) &&
           (!w || conv2d_fits(call, (int)(w - call->in), REEL_SHAPE(o, plan->c, kernel[0], kernel[1]))) &&
           (!g || conv2d_fits(call, (int)(g - call->in), REEL_SHAPE(n, o, out[0], out[1])));
}

static void conv2d_result(reel_call *call, const reel_conv2d_plan *plan, reel_output *out, reel_shape shape)
{
    out->dtype = call->in[0].dtype;
    out->shape = shape;
    call->scratch_bytes = reel_conv2d_scratch(call, plan);
}

static bool conv2d_shape(reel_call *call, reel_output *out)
{
    reel_conv2d_plan plan;
    if (!conv2d_operands(call) || !conv2d_check(call, &call->in[0], &call->in[1], NULL, &plan))
        return false;
    conv2d_result(call, &plan, out, REEL_SHAPE(plan.n, call->in[1].shape[0], plan.oh, plan.ow));
    return true;
}

static bool conv2d_input_gradient_shape(reel_call *call, reel_output *out)
{
    reel_conv2d_plan plan;
    if (!conv2d_operands(call) || !conv2d_check(call, NULL, &call->in[1], &call->in[0], &plan))
        return false;
    conv2d_result(call, &plan, out, REEL_SHAPE(plan.n, plan.c * plan.groups, plan.h, plan.w));
    return true;
}

static bool conv2d_weight_gradient_shape(reel_call *call, reel_output *out)
{
    reel_conv2d_plan plan;
    if (!conv2d_operands(call) || !conv2d_check(call, &call->in[0], NULL, &call->in[1], &plan))
        return false;
    conv2d_result(call, &plan, out,
                  REEL_SHAPE(plan.o * plan.groups, plan.c, plan.window.kernel[0], plan.window.kernel[1]));
    return true;
}

/* ---- VJPs ------------------------------------------------------------------------------------------ */

/* The partial derivative with the result's shape where `like` has it. */
static reel_tensor conv2d_apply(const reel_op *op, const reel_call *call, reel_tensor a, reel_tensor b,
                                reel_tensor like)
{
    reel_conv2d conv = *(const reel_conv2d *)call->attributes;
    reel_shape shape = reel_shape_of(like);
    for (int i = 0; i < 2; i++)
        conv.size[i] = op == &reel_op_conv2d ? 0 : shape.size[2 + i];
    return reel_apply_one(REEL_HERE, op, REEL_TENSORS(a, b), &conv);
}

static void conv2d_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    reel_tensor x = call->input[0], w = call->input[1];
    if (wanted[0])
        dx[0] = conv2d_apply(&reel_op_conv2d_input_gradient, call, dy[0], w, x);
    if (wanted[1])
        dx[1] = conv2d_apply(&reel_op_conv2d_weight_gradient, call, x, dy[0], w);
}

static void conv2d_input_gradient_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[],
                                      const bool wanted[])
{
    reel_tensor g = call->input[0], w = call->input[1];
    if (wanted[0])
        dx[0] = conv2d_apply(&reel_op_conv2d, call, dy[0], w, g);
    if (wanted[1])
        dx[1] = conv2d_apply(&reel_op_conv2d_weight_gradient, call, dy[0], g, w);
}

static void conv2d_weight_gradient_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[],
                                       const bool wanted[])
{
    reel_tensor x = call->input[0], g = call->input[1];
    if (wanted[0])
        dx[0] = conv2d_apply(&reel_op_conv2d_input_gradient, call, g, dy[0], x);
    if (wanted[1])
        dx[1] = conv2d_apply(&reel_op_conv2d, call, x, dy[0], g);
}

/* ---- Records --------------------------------------------------------------------------------------- */

#define CONV2D_OP(NAME, EXAMPLE, FORMULA)                                                            \
    const reel_op reel_op_##NAME = {                                                                 \
        .size = sizeof(reel_op), .name = #NAME, .inputs = 2, .outputs = 1,                           \
        .attributes = sizeof(reel_conv2d), .flags = REEL_OUTPUT_UNREAD, .shape = NAME##_shape,       \
        .forward = reel_##NAME##_forward, .vjp = NAME##_vjp, .formula = FORMULA,                     \
        .example = EXAMPLE, REEL_TRUTH(reel_##NAME##_reference),                                     \
        REEL_COUNTED_SAMPLES(reel_##NAME##_samples, REEL_CONV2D_SAMPLES),                            \
    };

CONV2D_OP(conv2d, "reel_conv2d(a, b)",
          "y[p] = sum w[k] x[p stride - padding + k dilation]; dx = conv2d_input_gradient(dy, w), "
          "dw = conv2d_weight_gradient(x, dy)")
CONV2D_OP(conv2d_input_gradient, NULL,
          "y[q] = sum w[k] g[p], q = p stride - padding + k dilation; "
          "dg = conv2d(dy, w), dw = conv2d_weight_gradient(dy, g)")
CONV2D_OP(conv2d_weight_gradient, NULL,
          "y[k] = sum g[p] x[p stride - padding + k dilation]; "
          "dx = conv2d_input_gradient(g, dy), dg = conv2d(x, dy)")

/* ---- The call -------------------------------------------------------------------------------------- */

reel_tensor reel_conv2d_at(REEL_PLACE, const reel_conv2d_options *options)
{
    reel_conv2d_options o;
    reel_known_options(&o, sizeof o, options);
    reel_conv2d conv;
    memset(&conv, 0, sizeof conv);
    for (int i = 0; i < 2; i++) {
        conv.stride[i] = o.stride[i] ? o.stride[i] : 1;
        conv.padding[i] = o.padding[i];
        conv.dilation[i] = o.dilation[i] ? o.dilation[i] : 1;
    }
    conv.groups = o.groups ? o.groups : 1;
    reel_tensor y = reel_apply_one(file, line, &reel_op_conv2d, REEL_TENSORS(o.x, o.weight), &conv);
    reel_shape shape = reel_shape_of(o.bias);
    if (!o.bias.tape || !y.node)
        return y;
    if (shape.rank != 1 || shape.size[0] != reel_shape_of(y).size[1]) {
        reel_error_set_at(file, line, y.tape, "conv2d: the bias %s is not one number a channel of %s",
                          reel_describe(o.bias).text, reel_describe(y).text);
        return (reel_tensor){y.tape, 0, 0};
    }
    return reel_add_at(file, line, y, reel_reshape_at(file, line, o.bias, REEL_SHAPE(shape.size[0], 1, 1)));
}
