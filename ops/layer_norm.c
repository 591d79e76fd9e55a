/* layer_norm, over the last dimensions, n elements together (Ba, Kiros, Hinton, "Layer normalization", 2016):
 *
 *     h = (x - mean) r     r = 1 / sqrt(var + eps)     y = h w + b, where weight w and bias b are given
 *     g = dy w             dx = r (g - mean g - h mean(g h))     dw = sum dy h     db = sum dy
 *
 * Mean and variance are compensated sums in f64, and y is rounded once. */
#include "core/options.h"
#include "core/shape.h"
#include "ops/moments.h"
#include "ops/reduce.h"
#include "ops/widen.h"

#include <math.h>
#include <string.h>

struct layer_norm {
    double eps;
    int    dims;                                    /* how many dimensions, from the last one on   */
    bool   weight, bias;                            /* inputs 1 and on                             */
};

struct layer_norm_run {
    reel_lines    x, y;
    double        eps;
    const double *weight, *bias;                    /* or NULL                                     */
};

extern const reel_op reel_op_layer_norm;

static unsigned layer_norm_axes(const struct layer_norm *norm, int rank)
{
    return ((1u << rank) - 1) & ~((1u << (rank - norm->dims)) - 1);
}

static bool layer_norm_shape(reel_call *call, reel_output *out)
{
    const struct layer_norm *norm = call->attributes;
    const reel_array *x = &call->in[0];
    if (!reel_check_dtype(call, 0, REEL_FLOATS))
        return false;
    if (call->inputs != 1 + norm->weight + norm->bias)
        return reel_call_error(call, "%d inputs", call->inputs);
    if (norm->dims < 1 || norm->dims > x->rank)
        return reel_call_error(call, "the last %d dimensions of %s", norm->dims,
                               reel_describe(call->input[0]).text);
    if (!(norm->eps >= 0))
        return reel_call_error(call, "eps must be at least 0");
    int64_t n = 1;
    for (int i = x->rank - norm->dims; i < x->rank; i++)
        n *= x->shape[i];
    for (int i = 1; i < call->inputs; i++) {
        const reel_array *w = &call->in[i];
        if (w->dtype != x->dtype ||
            !reel_same_sizes(w->rank, w->shape, norm->dims, x->shape + x->rank - norm->dims))
            return reel_call_error(call, "the %s %s does not match the last %d dimensions of %s",
                                   i == 1 && norm->weight ? "weight" : "bias",
                                   reel_describe(call->input[i]).text, norm->dims,
                                   reel_describe(call->input[0]).text);
    }
    call->scratch_bytes = (size_t)(call->inputs - 1) * (size_t)n * sizeof(double);
    out->dtype = x->dtype;
    out->shape = reel_make_shape(x->rank, x->shape);
    return true;
}

static void layer_norm_part(void *context, int64_t begin, int64_t end)
{
    const struct layer_norm_run *run = context;
    double block[REEL_LINE_BLOCK];
    for (int64_t i = begin; i < end; i++) {
        reel_moments m = reel_moments_of(&run->x, i);
        double scale = 1 / sqrt(m.squares / (double)run->x.length + run->eps);
        reel_line from = reel_line_at(&run->x, i), to = reel_line_at(&run->y, i);
        int64_t at = 0;
        for (int64_t n; (n = reel_line_read(&from, block)) > 0; at += n) {
#pragma omp simd
            for (int64_t j = 0; j < n; j++)
                block[j] = ((block[j] - m.mean) - m.rest) * scale;
            if (run->weight)
#pragma omp simd
                for (int64_t j = 0; j < n; j++)
                    block[j] *= run->weight[at + j];
            if (run->bias)
#pragma omp simd
                for (int64_t j = 0; j < n; j++)
                    block[j] += run->bias[at + j];
            reel_line_write(&to, block, n);
        }
    }
}

/* A weight or a bias as a list of doubles in scratch memory. */
static const double *layer_norm_list(const reel_array *w, double *list)
{
    reel_lines lines = reel_lines_of(w, (1u << w->rank) - 1);
    reel_line line = reel_line_at(&lines, 0);
    double block[REEL_LINE_BLOCK];
    int64_t at = 0;
    for (int64_t n; (n = reel_line_read(&line, block)) > 0; at += n)
        memcpy(list + at, block, (size_t)n * sizeof *list);
    return list;
}

static bool layer_norm_forward(const reel_call *call)
{
    const struct layer_norm *norm = call->attributes;
    const reel_array *x = &call->in[0];
    unsigned set = layer_norm_axes(norm, x->rank);
    struct layer_norm_run run = {
        .x = reel_lines_of(x, set), .y = reel_lines_of(&call->out[0], set), .eps = norm->eps};
    if (x->count == 0)
        return true;
    double *list = call->scratch;
    if (norm->weight)
        run.weight = layer_norm_list(&call->in[1], list);
    if (norm->bias)
        run.bias = layer_norm_list(&call->in[1 + norm->weight], list + (norm->weight ? run.x.length : 0));
    reel_each_line(call, &run.x, layer_norm_part, &run);
    return true;
}

static reel_tensor layer_norm_plain(reel_tensor x, const struct layer_norm *norm)
{
    struct layer_norm plain = *norm;
    plain.weight = plain.bias = false;
    return reel_apply_one(REEL_HERE, &reel_op_layer_norm, REEL_TENSORS(x), &plain);
}

static void layer_norm_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[],
                           const bool wanted[])
{
    const struct layer_norm *norm = call->attributes;
    int bias = 1 + norm->weight;
    reel_tensor x = reel_widened(call->input[0]), u = reel_widened(dy[0]);
    if (norm->bias && wanted[bias])
        dx[bias] = reel_narrowed(reel_sum_like(u, call->input[bias]), dy[0]);
    if (!wanted[0] && !(norm->weight && wanted[1]))
        return;
    reel_tensor h = layer_norm_plain(x, norm);
    if (norm->weight && wanted[1])
        dx[1] = reel_narrowed(reel_sum_like(reel_mul(u, h), call->input[1]), dy[0]);
    if (!wanted[0])
        return;
    reel_axes axes = {.count = norm->dims};
    for (int i = 0; i < norm->dims; i++)
        axes.axis[i] = i - norm->dims;
    reel_tensor g = norm->weight ? reel_mul(u, reel_widened(call->input[1])) : u;
    reel_tensor r = reel_rsqrt(reel_affine(reel_var(x, .axes = axes, .keepdims = true), 1, norm->eps));
    reel_tensor centered = reel_sub(g, reel_mean(g, .axes = axes, .keepdims = true));
    reel_tensor along = reel_mul(h, reel_mean(reel_mul(g, h), .axes = axes, .keepdims = true));
    dx[0] = reel_narrowed(reel_mul(r, reel_sub(centered, along)), dy[0]);
}

static void layer_norm_reference(const void *attributes, const reel_reference_array *in, int inputs,
                                 reel_reference_array *out, int outputs)
{
    (void)outputs;
    const struct layer_norm *norm = attributes;
    int64_t n = 1;
    for (int i = in->rank - norm->dims; i < in->rank; i++)
        n *= in->shape[i];
    for (int64_t i = 0; i < out->count; i++) {
        const double *line = in->value + i / n * n;
        long double mean = 0, var = 0;
        for (int64_t j = 0; j < n; j++)
            mean += (long double)line[j] / n;
        for (int64_t j = 0; j < n; j++)
            var += (line[j] - mean) * (line[j] - mean) / n;
        long double h = (line[i % n] - mean) / sqrtl(var + (long double)norm->eps);
        h *= norm->weight ? in[1].value[i % n] : 1;
        out->value[i] = (double)(h + (norm->bias ? in[inputs - 1].value[i % n] : 0));
    }
}

static const struct layer_norm norm_all = {1e-5, 1, true, true}, norm_two = {1e-3, 2, true, true},
                               norm_plain = {1e-5, 1, false, false}, norm_weight = {1e-5, 1, true, false},
                               norm_bias = {1e-5, 1, false, true}, norm_far = {1e-5, 3, false, false},
                               norm_negative = {-1, 1, false, false};
static const reel_sample layer_norm_samples[] = {
    {.note = "weight and bias", .inputs = 3, .in = {{.shape = REEL_SIZES(3, 5)}, {.shape = REEL_SIZES(5)},
     {.shape = REEL_SIZES(5)}}, .attributes = &norm_all},
    {.note = "two dimensions", .inputs = 3, .in = {{.shape = REEL_SIZES(2, 2, 3)},
     {.shape = REEL_SIZES(2, 3)},
     {.shape = REEL_SIZES(2, 3)}}, .attributes = &norm_two},
    {.note = "plain", .inputs = 1, .in = {{.shape = REEL_SIZES(4, 6)}}, .attributes = &norm_plain},
    {.note = "a large mean", .inputs = 1, .in = {{.shape = REEL_SIZES(2, 6), .low = 100, .high = 110}},
     .attributes = &norm_plain},
    {.note = "weight alone", .inputs = 2, .in = {{.shape = REEL_SIZES(3, 4)}, {.shape = REEL_SIZES(4)}},
     .attributes = &norm_weight},
    {.note = "bias alone", .inputs = 2, .in = {{.shape = REEL_SIZES(4)}, {.shape = REEL_SIZES(4)}},
     .attributes = &norm_bias},
    {.note = "longer than a block", .inputs = 2, .in = {{.shape = REEL_SIZES(2, 300)},
     {.shape = REEL_SIZES(300)}},
     .attributes = &norm_weight},
    {.note = "empty", .inputs = 2, .in = {{.shape = REEL_SIZES(0, 3)}, {.shape = REEL_SIZES(3)}},
     .attributes = &norm_weight},
    {.note = "transposed, every other", .inputs = 3, .in = {{.shape = REEL_SIZES(4, 3),
     .layout = REEL_TRANSPOSED},
     {.shape = REEL_SIZES(3), .layout = REEL_EVERY_OTHER}, {.shape = REEL_SIZES(3), .layout = REEL_REVERSED}},
     .attributes = &norm_all},
    {.note = "a long weight", .inputs = 2, .in = {{.shape = REEL_SIZES(3, 4)}, {.shape = REEL_SIZES(3)}},
     .attributes = &norm_weight,
     .error = "the weight [3] f32 does not match the last 1 dimensions of [3,4] f32"},
    {.note = "too many dimensions", .inputs = 1, .in = {{.shape = REEL_SIZES(3, 4)}}, .attributes = &norm_far,
     .error = "the last 3 dimensions of [3,4] f32"},
    {.note = "a negative eps", .inputs = 1, .in = {{.shape = REEL_SIZES(3, 4)}}, .attributes = &norm_negative,
     .error = "eps must be at least 0"},
};

const reel_op reel_op_layer_norm = {
    .size = sizeof(reel_op), .name = "layer_norm", .inputs = REEL_ANY, .outputs = 1,
    .attributes = sizeof(struct layer_norm), .flags = REEL_OUTPUT_UNREAD,
    .shape = layer_norm_shape, .forward = layer_norm_forward, .vjp = layer_norm_vjp,
    .example = "reel_layer_norm(a, .weight = b, .bias = c)",
    .formula = "y = h w + b, h = (x - mean) r, r = 1 / sqrt(var + eps); "
               "dx = r (g - mean g - h mean(g h)), g = dy w",
    REEL_TRUTH(layer_norm_reference), REEL_SAMPLES(layer_norm_samples),
};

reel_tensor reel_layer_norm_at(REEL_PLACE, const reel_layer_norm_options *options)
{
    reel_layer_norm_options o;
    reel_known_options(&o, sizeof o, options);
    struct layer_norm norm;
    memset(&norm, 0, sizeof norm);
    norm.eps = o.eps == 0 ? 1e-5 : o.eps;
    norm.dims = o.dims == 0 ? 1 : o.dims;
    norm.weight = o.weight.tape;
    norm.bias = o.bias.tape;
    reel_tensor inputs[3] = {o.x};
    size_t count = 1;
    if (norm.weight)
        inputs[count++] = o.weight;
    if (norm.bias)
        inputs[count++] = o.bias;
    return reel_apply_one(file, line, &reel_op_layer_norm, reel_tensors_of(inputs, count), &norm);
}
