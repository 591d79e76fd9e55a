/* sgd: one step of stochastic gradient descent with momentum over all parameters, as PyTorch defines it.
 *
 *     g = gradient + weight_decay w      v = momentum v + g      w = w - learning_rate v
 *
 * Inputs: the learning rate, then for each parameter w, its gradient, and its velocity where momentum is used.
 * It writes w and v, and has no output. Computed in f32 for the half types and in the dtype itself for f32 and
 * f64. */
#include "autograd/tape.h"
#include "ops/op.h"
#include "core/dtype.h"
#include "core/shape.h"

enum { SGD_BLOCK = 512, SGD_MOST_PARAMETERS = 1 << 16 };

struct sgd {
    double momentum, weight_decay;
    int    per_parameter;                           /* inputs: w and g, or w, g and v              */
};

static bool sgd_parameter_fits(reel_call *call, int w, int per_parameter)
{
    const reel_array *x = &call->in[w];
    if (!reel_check_dtype(call, w, REEL_FLOATS))
        return false;
    for (int i = 1; i < per_parameter; i++)
        if (call->in[w + i].dtype != x->dtype ||
            !reel_same_sizes(x->rank, x->shape, call->in[w + i].rank, call->in[w + i].shape))
            return reel_call_error(call, "the %s %s does not match the parameter %s",
                                   i == 1 ? "gradient" : "velocity", reel_describe(call->input[w + i]).text,
                                   reel_describe(call->input[w]).text);
    return true;
}

static bool sgd_shape(reel_call *call, reel_output *out)
{
    (void)out;
    const struct sgd *sgd = call->attributes;
    if (call->in[0].count != 1 || !reel_dtype_is_float(call->in[0].dtype))
        return reel_call_error(call, "the learning rate %s is not a floating scalar",
                               reel_describe(call->input[0]).text);
    if (sgd->per_parameter < 2 || (call->inputs - 1) % sgd->per_parameter)
        return reel_call_error(call, "%d inputs are not a learning rate and %d a parameter", call->inputs,
                               sgd->per_parameter);
    for (int w = 1; w < call->inputs; w += sgd->per_parameter)
        if (!sgd_parameter_fits(call, w, sgd->per_parameter))
            return false;
    return true;
}

static bool sgd_writes(const void *attributes, int input)
{
    const struct sgd *sgd = attributes;
    int role = input == 0 ? 1 : (input - 1) % sgd->per_parameter;
    return role != 1;                               /* 0: w, 1: its gradient, 2: v                 */
}

/* One block of one parameter, n elements laid out side by side. */
#define SGD_STEP(TYPE)                                                                               \
    static void sgd_step_##TYPE(int64_t n, TYPE *w, const TYPE *g, TYPE *v, TYPE rate, const struct sgd *sgd) \
    {                                                                                                \
        TYPE momentum = (TYPE)sgd->momentum, decay = (TYPE)sgd->weight_decay;                        \
        for (int64_t i = 0; i < n; i++) {                                                            \
            TYPE step = g[i] + decay * w[i];                                                         \
            if (v)                                                                                   \
                step = v[i] = momentum * v[i] + step;                                                \
            w[i] -= rate * step;                                                                     \
        }                                                                                            \
    }
SGD_STEP(float)
SGD_STEP(double)

struct sgd_run {
    const reel_array *w;
    const reel_walk  *walk;
    const struct sgd *sgd;
    double            rate;
    int               operands;
};

static char *sgd_place(const struct sgd_run *run, int operand, int64_t at)
{
    const reel_walk *walk = run->walk;
    return (char *)run->w[operand].data +
           (walk->offset[operand] + at * walk->step[operand]) * (int64_t)reel_dtype_size(run->w->dtype);
}

/* Elements [begin, end) of one run, gathered by blocks into the dtype of the arithmetic. */
static void sgd_part(void *context, int64_t begin, int64_t end)
{
    const struct sgd_run *run = context;
    reel_dtype dtype = run->w->dtype, works_in = dtype == REEL_F64 ? REEL_F64 : REEL_F32;
    double room[3][SGD_BLOCK];
    for (int64_t at = begin; at < end; at += SGD_BLOCK) {
        int64_t n = end - at < SGD_BLOCK ? end - at : SGD_BLOCK;
        for (int i = 0; i < run->operands; i++)
            reel_convert_strided(works_in, room[i], 1, dtype, sgd_place(run, i, at), run->walk->step[i], n);
        void *v = run->operands == 3 ? room[2] : NULL;
        if (works_in == REEL_F64)
            sgd_step_double(n, room[0], room[1], v, run->rate, run->sgd);
        else
            sgd_step_float(n, (float *)room[0], (const float *)room[1], v, (float)run->rate, run->sgd);
        for (int i = 0; i < run->operands; i += 2)
            reel_convert_strided(dtype, sgd_place(run, i, at), run->walk->step[i], works_in, room[i], 1, n);
    }
}

static bool sgd_forward(const reel_call *call)
{
    const struct sgd *sgd = call->attributes;
    double rate;
    reel_convert(REEL_F64, &rate, call->in[0].dtype, call->in[0].data, 1);
    for (int w = 1; w < call->inputs; w += sgd->per_parameter) {
        const reel_array *x = &call->in[w];
        const int64_t *strides[3];
        for (int i = 0; i < sgd->per_parameter; i++)
            strides[i] = x[i].strides;
        reel_walk walk;
        struct sgd_run run = {.w = x, .walk = &walk, .sgd = sgd, .rate = rate, .operands = sgd->per_parameter};
        for (reel_walk_start(&walk, x->rank, x->shape, run.operands, strides); walk.more; reel_walk_next(&walk))
            reel_call_parallel(call, walk.length, 16 * SGD_BLOCK, sgd_part, &run);
    }
    return true;
}

/* out: the new w and v of the one parameter that the samples have. */
static void sgd_reference(const void *attributes, const reel_reference_array *in, int inputs,
                          reel_reference_array *out, int outputs)
{
    (void)inputs;
    const struct sgd *sgd = attributes;
    for (int64_t i = 0; i < in[1].count; i++) {
        double step = in[2].value[i] + sgd->weight_decay * in[1].value[i];
        if (outputs == 2)
            out[1].value[i] = step = sgd->momentum * in[3].value[i] + step;
        out[0].value[i] = in[1].value[i] - in[0].value[0] * step;
    }
}

static const struct sgd sgd_with_momentum = {.9, .01, 3}, sgd_plain = {0, .01, 2};
static const reel_sample sgd_samples[] = {
    {.note = "momentum", .inputs = 4, .in = {{.low = .1, .high = .2}, {.shape = REEL_SIZES(2, 3)},
     {.shape = REEL_SIZES(2, 3)}, {.shape = REEL_SIZES(2, 3)}}, .attributes = &sgd_with_momentum},
    {.note = "longer than a block", .inputs = 4, .in = {{.low = .1, .high = .2}, {.shape = REEL_SIZES(1100)},
     {.shape = REEL_SIZES(1100)}, {.shape = REEL_SIZES(1100)}}, .attributes = &sgd_with_momentum},
    {.note = "plain", .inputs = 3, .in = {{.low = .1, .high = .2}, {.shape = REEL_SIZES(5)},
     {.shape = REEL_SIZES(5)}}, .attributes = &sgd_plain},
    {.note = "empty", .inputs = 3, .in = {{.low = .1, .high = .2}, {.shape = REEL_SIZES(0)},
     {.shape = REEL_SIZES(0)}}, .attributes = &sgd_plain},
    {.note = "shapes differ", .inputs = 3, .in = {{.low = .1, .high = .2}, {.shape = REEL_SIZES(5)},
     {.shape = REEL_SIZES(4)}}, .attributes = &sgd_plain, .error = "does not match the parameter"},
    {.note = "a rate of two numbers", .inputs = 3, .in = {{.shape = REEL_SIZES(2)}, {.shape = REEL_SIZES(5)},
     {.shape = REEL_SIZES(5)}}, .attributes = &sgd_plain, .error = "is not a floating scalar"},
};

const reel_op reel_op_sgd = {
    .size = sizeof(reel_op), .name = "sgd", .inputs = REEL_ANY, .outputs = 0, .attributes = sizeof(struct sgd),
    .flags = REEL_NO_GRADIENT, .writes = sgd_writes, .shape = sgd_shape, .forward = sgd_forward,
    .formula = "g = gradient + weight_decay w; v = momentum v + g; w = w - learning_rate v",
    .reference = sgd_reference, REEL_SAMPLES(sgd_samples),
};

/* ---- The call ---------------------------------------------------------------------------------------------- */

static bool sgd_options_make_sense(REEL_PLACE, reel_tape *tape, const reel_sgd_options *o)
{
    const char *fault = NULL;
    if (!o->parameters.count || o->parameters.count > SGD_MOST_PARAMETERS)
        fault = "sgd: there must be between 1 and 65536 parameters";
    else if (o->gradients.count != o->parameters.count)
        fault = "sgd: there must be one gradient for each parameter";
    else if (o->velocities.count ? o->velocities.count != o->parameters.count : o->momentum != 0)
        fault = "sgd: with momentum there must be one velocity for each parameter";
    else if (!(o->momentum >= 0 && o->momentum < 1) || !(o->weight_decay >= 0))
        fault = "sgd: momentum must be in [0, 1) and weight_decay at least 0";
    if (fault)
        reel_error_set_at(file, line, tape, "%s", fault);
    return !fault;
}

/* The list of inputs lies in the tape's arena until the call is recorded, which copies it. */
bool reel_sgd_at(REEL_PLACE, const reel_sgd_options *o)
{
    reel_tape *tape = o->learning_rate.tape ? o->learning_rate.tape
                                            : (o->parameters.count ? o->parameters.tensor[0].tape : NULL);
    if (reel_failed(tape) || !sgd_options_make_sense(file, line, tape, o))
        return false;
    int per_parameter = o->velocities.count ? 3 : 2;
    size_t count = 1 + o->parameters.count * (size_t)per_parameter;
    reel_tensor *input = reel_tape_get(tape, count * sizeof *input), *at = input;
    if (!input)
        return reel_tape_out_of_memory(tape, file, line, "sgd", count * sizeof *input);
    *at++ = o->learning_rate;
    for (size_t i = 0; i < o->parameters.count; i++) {
        *at++ = o->parameters.tensor[i];
        *at++ = o->gradients.tensor[i];
        if (per_parameter == 3)
            *at++ = o->velocities.tensor[i];
    }
    struct sgd sgd = {o->momentum, o->weight_decay, per_parameter};
    return reel_apply_at(file, line, &reel_op_sgd, reel_tensors_of(input, count), &sgd, NULL, 0);
}
