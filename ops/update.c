/* One update of all parameters: the checks, the walk over their elements, and the recording. */
#include "ops/update.h"
#include "autograd/tape.h"
#include "core/dtype.h"
#include "core/shape.h"

#include <string.h>

enum { UPDATE_BLOCK = 512, UPDATE_MOST_PARAMETERS = 1 << 16 };

static reel_dtype update_works_in(reel_dtype dtype)
{
    return dtype == REEL_F64 ? REEL_F64 : REEL_F32;
}

/* ---- Checks ---------------------------------------------------------------------------------- */

bool reel_update_writes(const void *attributes, int input)
{
    const reel_update *update = attributes;
    int role = input == 0 ? 1 : (input - 1) % update->group;
    return role != 1;                               /* 0: w, 1: its gradient, 2: what is remembered */
}

static bool update_is_alike(reel_call *call, int w, int i, const char *what)
{
    const reel_array *x = &call->in[w], *y = &call->in[i];
    return (y->dtype == x->dtype && reel_same_sizes(x->rank, x->shape, y->rank, y->shape)) ||
           reel_call_error(call, "the %s %s does not match the parameter %s", what,
                           reel_describe(call->input[i]).text, reel_describe(call->input[w]).text);
}

static bool update_state_fits(reel_call *call, int w, int parts)
{
    const reel_array *x = &call->in[w], *state = &call->in[w + 2];
    reel_dtype dtype = update_works_in(x->dtype);
    if (state->dtype == dtype && state->count == parts * x->count + 1 &&
        reel_is_contiguous(state->rank, state->shape, state->strides))
        return true;
    return reel_call_error(call,
                           "the state %s of the parameter %s must be %lld elements of %s side by side (for "
                           "%s): %d times the parameter's, and the step count",
                           reel_describe(call->input[w + 2]).text, reel_describe(call->input[w]).text,
                           (long long)(parts * x->count + 1), reel_dtype_name(dtype),
                           reel_dtype_name(x->dtype), parts);
}

static bool update_group_fits(reel_call *call, int w, const reel_update *update)
{
    return reel_check_dtype(call, w, REEL_FLOATS) && update_is_alike(call, w, w + 1, "gradient") &&
           (update->group < 3 || (update->parts ? update_state_fits(call, w, update->parts)
                                                : update_is_alike(call, w, w + 2, "velocity")));
}

bool reel_update_shape(reel_call *call, reel_output *out)
{
    (void)out;
    const reel_update *update = call->attributes;
    if (call->in[0].count != 1 || !reel_dtype_is_float(call->in[0].dtype))
        return reel_call_error(call, "the learning rate %s is not a floating scalar",
                               reel_describe(call->input[0]).text);
    if (update->group < 2 || update->group > 3 || (call->inputs - 1) % update->group)
        return reel_call_error(call, "%d inputs are not a learning rate and %d a parameter", call->inputs,
                               update->group);
    for (int w = 1; w < call->inputs; w += update->group)
        if (!update_group_fits(call, w, update))
            return false;
    return true;
}

/* ---- The walk -------------------------------------------------------------------------------- */

/* One parameter and all that moves along with it. */
struct update_walk {
    const reel_update_rule *rule;
    const void             *attributes;
    reel_walk               walk;
    reel_dtype              works_in;
    bool                    direct;                 /* the kernel can work where the numbers lie   */
    int                     streams;
    char                   *data[REEL_UPDATE_STREAMS];
    reel_dtype              dtype[REEL_UPDATE_STREAMS];
    double                  number[REEL_UPDATE_NUMBERS];
};

static void *update_place(const struct update_walk *u, int stream, int64_t at)
{
    return u->data[stream] +
           (u->walk.offset[stream] + at * u->walk.step[stream]) * (int64_t)reel_dtype_size(u->dtype[stream]);
}

/* n elements from `at` on, gathered into the dtype of the arithmetic and put back. */
static void update_block(const struct update_walk *u, reel_update_kernel kernel, int64_t at, int64_t n)
{
    double room[REEL_UPDATE_STREAMS][UPDATE_BLOCK];
    void *x[REEL_UPDATE_STREAMS];
    for (int i = 0; i < u->streams; i++) {
        x[i] = room[i];
        reel_convert_strided(u->works_in, x[i], 1, u->dtype[i], update_place(u, i, at), u->walk.step[i], n);
    }
    kernel(n, x, u->number, u->attributes);
    for (int i = 0; i < u->streams; i++)
        if (i != 1)
            reel_convert_strided(u->dtype[i], update_place(u, i, at), u->walk.step[i], u->works_in, x[i], 1,
                                 n);
}

/* Elements [begin, end) of one run. */
static void update_part(void *context, int64_t begin, int64_t end)
{
    const struct update_walk *u = context;
    reel_update_kernel kernel = u->works_in == REEL_F64 ? u->rule->f64 : u->rule->f32;
    if (u->direct) {
        void *x[REEL_UPDATE_STREAMS];
        for (int i = 0; i < u->streams; i++)
            x[i] = update_place(u, i, begin);
        kernel(end - begin, x, u->number, u->attributes);
        return;
    }
    for (int64_t at = begin; at < end; at += UPDATE_BLOCK)
        update_block(u, kernel, at, end - at < UPDATE_BLOCK ? end - at : UPDATE_BLOCK);
}

/* The parts of a state lie like w would if it were contiguous. */
static void update_streams(struct update_walk *u, const reel_array *x, const reel_update *update)
{
    int64_t own[REEL_MAX_RANK];
    const int64_t *strides[REEL_UPDATE_STREAMS];
    reel_contiguous_strides(x->rank, x->shape, own);
    int tensors = update->parts ? 2 : update->group;
    u->streams = tensors + update->parts;
    for (int i = 0; i < u->streams; i++) {
        const reel_array *from = &x[i < tensors ? i : 2];
        int64_t part = i < tensors ? 0 : i - tensors;
        u->dtype[i] = from->dtype;
        u->data[i] = (char *)from->data + part * x->count * (int64_t)reel_dtype_size(from->dtype);
        strides[i] = i < tensors ? from->strides : own;
    }
    reel_walk_start(&u->walk, x->rank, x->shape, u->streams, strides);
    u->direct = true;
    for (int i = 0; i < u->streams; i++)
        u->direct &= u->dtype[i] == u->works_in && u->walk.step[i] == 1;
}

static void update_parameter(const reel_call *call, const reel_update_rule *rule, int w, double rate)
{
    const reel_update *update = call->attributes;
    const reel_array *x = &call->in[w];
    struct update_walk u = {.rule = rule, .attributes = call->attributes,
                            .works_in = update_works_in(x->dtype)};
    double step = 0;
    char *count = NULL;
    if (update->parts) {
        const reel_array *state = &x[2];
        count = (char *)state->data + update->parts * x->count * (int64_t)reel_dtype_size(state->dtype);
        reel_convert(REEL_F64, &step, state->dtype, count, 1);
        step++;
    }
    rule->numbers(call->attributes, rate, step, u.number);
    for (update_streams(&u, x, update); u.walk.more; reel_walk_next(&u.walk))
        reel_call_parallel(call, u.walk.length, 16 * UPDATE_BLOCK, update_part, &u);
    if (count)
        reel_convert(u.works_in, count, REEL_F64, &step, 1);
}

bool reel_update_run(const reel_call *call, const reel_update_rule *rule)
{
    const reel_update *update = call->attributes;
    double rate;
    reel_convert(REEL_F64, &rate, call->in[0].dtype, call->in[0].data, 1);
    for (int w = 1; w < call->inputs; w += update->group)
        update_parameter(call, rule, w, rate);
    return true;
}

/* ---- Recording ------------------------------------------------------------------------------- */

reel_tape *reel_update_tape(reel_tensor learning_rate, reel_tensors parameters)
{
    return learning_rate.tape ? learning_rate.tape : parameters.count ? parameters.tensor[0].tape : NULL;
}

/* The list of inputs lies in the tape's arena until the call is recorded, which copies it. */
bool reel_update_record(REEL_PLACE, const reel_op *op, reel_tensor learning_rate, reel_tensors parameters,
                        reel_tensors gradients, reel_tensors memory, const void *attributes)
{
    reel_tape *tape = reel_update_tape(learning_rate, parameters);
    const reel_update *update = attributes;
    if (!parameters.count || parameters.count > UPDATE_MOST_PARAMETERS)
        return reel_tape_fail(tape, file, line, op->name, "there must be between 1 and %d parameters",
                              UPDATE_MOST_PARAMETERS);
    if (gradients.count != parameters.count)
        return reel_tape_fail(tape, file, line, op->name, "there must be one gradient for each parameter");
    if (update->group == 3 && memory.count != parameters.count)
        return reel_tape_fail(tape, file, line, op->name, "there must be one %s for each parameter",
                              update->parts ? "state" : "velocity (momentum needs them)");
    size_t count = 1 + parameters.count * (size_t)update->group;
    reel_tensor *input = reel_tape_get(tape, count * sizeof *input), *at = input;
    if (!input)
        return reel_tape_out_of_memory(tape, file, line, op->name, count * sizeof *input);
    *at++ = learning_rate;
    for (size_t i = 0; i < parameters.count; i++) {
        *at++ = parameters.tensor[i];
        *at++ = gradients.tensor[i];
        if (update->group == 3)
            *at++ = memory.tensor[i];
    }
    return reel_apply_at(file, line, op, reel_tensors_of(input, count), attributes, NULL, 0);
}

reel_tensor reel_optimiser_state_at(REEL_PLACE, reel_tensor parameter, int parts)
{
    reel_tensor failed = {parameter.tape, 0, 0};
    if (!reel_usable(file, line, "optimiser_state", parameter))
        return failed;
    if (parts < 1 || parts > REEL_UPDATE_STREAMS - 2 || !reel_dtype_is_float(reel_dtype_of(parameter))) {
        reel_tape_fail(parameter.tape, file, line, "optimiser_state", "no state of %d parts for %s", parts,
                       reel_describe(parameter).text);
        return failed;
    }
    reel_dtype dtype = update_works_in(reel_dtype_of(parameter));
    return reel_constant_at(file, line, parameter.tape, REEL_SHAPE(parts * reel_count(parameter) + 1),
                            reel_fill(dtype, 0));
}
