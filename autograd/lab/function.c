/* A gradient without a tape: functions in C become an op on a tape of the lab's own, and the rest is the
 * same. The op reads and writes f64; for functions of f32 the numbers are rounded on the way, and steps
 * land on numbers of f32. */
#include "autograd/lab/lab.h"
#include "core/dtype.h"
#include "core/shape.h"
#include "core/options.h"

#include <math.h>

extern const reel_op reel_op_lab_function, reel_op_lab_gradient;

/* The attributes of both ops: they lie in the caller's options. */
struct function_call {
    const reel_gradcheck_function_options *options;
};

static reel_dtype function_dtype(const reel_gradcheck_function_options *o)
{
    return o->dtype ? o->dtype : REEL_F64;
}

/* ---- The two ops ----------------------------------------------------------------------------------- */

static bool function_shape_of(reel_call *call, reel_output *out, const reel_shape *shape)
{
    out->dtype = REEL_F64;
    out->shape = *shape;
    call->scratch_bytes = (size_t)reel_shape_count(shape->rank, shape->size) * sizeof(double) + 64;
    for (int i = 0; i < call->inputs; i++)
        call->scratch_bytes += (size_t)call->in[i].count * sizeof(double) + 64;
    return true;
}

static bool function_shape(reel_call *call, reel_output *out)
{
    return function_shape_of(call, out, &((const struct function_call *)call->attributes)->options->y_shape);
}

static bool function_gradient_shape(reel_call *call, reel_output *out)
{
    return function_shape_of(call, out, &((const struct function_call *)call->attributes)->options->x_shape);
}

/* The call's operands in the functions' dtype, in scratch memory, so that nothing else can be overwritten. */
static void function_gather(const reel_call *call, reel_dtype dtype, void *operand[3])
{
    char *at = call->scratch;
    for (int i = 0; i <= call->inputs; i++) {
        const reel_array *array = i < call->inputs ? &call->in[i] : &call->out[0];
        operand[i] = at;
        if (i < call->inputs)
            reel_array_get(array, dtype, at);
        at += ((size_t)array->count * sizeof(double) + 63) & ~(size_t)63;
    }
}

static bool function_scatter(const reel_call *call, reel_dtype dtype, const void *result)
{
    reel_convert(REEL_F64, call->out[0].data, dtype, result, call->out[0].count);
    return true;
}

static bool function_forward(const reel_call *call)
{
    const reel_gradcheck_function_options *o = ((const struct function_call *)call->attributes)->options;
    void *operand[3];
    function_gather(call, function_dtype(o), operand);
    return o->forward(o->user, operand[0], operand[1]) ? function_scatter(call, function_dtype(o), operand[1])
                                                       : reel_call_error(call, "the function gave an error");
}

static bool function_backward(const reel_call *call)
{
    const reel_gradcheck_function_options *o = ((const struct function_call *)call->attributes)->options;
    if (!o->backward)
        return function_scatter(call, function_dtype(o), o->gradient);
    void *operand[3];
    function_gather(call, function_dtype(o), operand);
    return o->backward(o->user, operand[0], operand[1], operand[2])
               ? function_scatter(call, function_dtype(o), operand[2])
               : reel_call_error(call, "the backward function gave an error");
}

static void function_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    (void)wanted;
    reel_apply(&reel_op_lab_gradient, REEL_TENSORS(call->input[0], dy[0]), call->attributes, dx, 1);
}

const reel_op reel_op_lab_function = {
    .size = sizeof(reel_op), .name = "function", .inputs = 1, .outputs = 1,
    .attributes = sizeof(struct function_call), .shape = function_shape, .forward = function_forward,
    .vjp = function_vjp, .formula = "the caller's forward",
};

const reel_op reel_op_lab_gradient = {
    .size = sizeof(reel_op), .name = "function_gradient", .inputs = 2, .outputs = 1,
    .attributes = sizeof(struct function_call), .flags = REEL_NO_GRADIENT, .shape = function_gradient_shape,
    .forward = function_backward, .formula = "the caller's backward",
};

/* ---- The check ------------------------------------------------------------------------------------- */

static bool function_shape_makes_sense(const reel_shape *shape)
{
    return shape->rank >= 0 && shape->rank <= REEL_MAX_RANK &&
           reel_shape_count(shape->rank, shape->size) >= 0;
}

static bool function_options_make_sense(const reel_gradcheck_function_options *o)
{
    return o->forward && o->x && (!o->backward != !o->gradient) &&
           (!o->dtype || o->dtype == REEL_F32 || o->dtype == REEL_F64) && o->directions >= 0 &&
           o->tolerance >= 0 && function_shape_makes_sense(&o->x_shape) &&
           function_shape_makes_sense(&o->y_shape);
}

/* The weights that the caller's gradient was computed with. */
static bool function_given(reel_lab *lab, const reel_gradcheck_function_options *o, int64_t count)
{
    if (o->backward)
        return true;
    double *given = reel_lab_get(lab, (size_t)count, sizeof *given);
    for (int64_t i = 0; given && i < count; i++)
        given[i] = 1;
    if (given && o->dy)
        reel_convert(REEL_F64, given, function_dtype(o), o->dy, count);
    lab->given = given;
    return given != NULL;
}

static bool function_check(reel_lab *lab, const reel_gradcheck_function_options *o)
{
    struct function_call attributes = {o};
    int64_t count = reel_shape_count(o->x_shape.rank, o->x_shape.size);
    reel_values values = {.data = o->x, .count = (size_t)count, .from = function_dtype(o), .to = REEL_F64};
    reel_tensor x = reel_variable_at(lab->file, lab->line, lab->tape, o->x_shape, values), y;
    reel_name(x, o->name ? o->name : "x");
    return reel_apply_at(lab->file, lab->line, &reel_op_lab_function, REEL_TENSORS(x), &attributes, &y, 1) &&
           function_given(lab, o, reel_count(y)) &&
           reel_lab_levels(lab, 1, REEL_TENSORS(y), REEL_TENSORS(x), 1);
}

/* The name in the findings is the caller's own, since the tape goes. */
static void function_rename(reel_finding *finding, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        finding[i].name = name ? name : "x";
}

reel_gradcheck_report reel_gradcheck_function_at(REEL_PLACE, const reel_gradcheck_function_options *options)
{
    reel_gradcheck_function_options known;
    const reel_gradcheck_function_options *o = reel_known_options(&known, sizeof known, options);
    reel_gradcheck_report report = reel_lab_no_report();
    if (!function_options_make_sense(o))
        return report;
    bool f32 = o->dtype == REEL_F32;
    reel_lab lab = {
        .file = file, .line = line, .xs = 1, .no_blame = true, .budget = INFINITY,
        .tape = reel_tape_new_with(.allocator = o->allocator, .allocator_user = o->allocator_user),
        .tolerance = o->tolerance ? o->tolerance : f32 ? 1e-3 : 1e-6, .roundoff = f32 ? 0x1p-24 : 0x1p-53,
        .grid = f32 ? REEL_F32 : REEL_F64, .directions = o->directions, .one_by_one = o->one_by_one,
        .random = {.seed = o->seed},
    };
    reel_lab_open_report(&lab, &report, o->elements, o->element_room);
    reel_lab_close_report(&lab, lab.tape && function_check(&lab, o));
    function_rename(report.worst, (size_t)report.findings, o->name);
    function_rename(o->elements, lab.all.count, o->name);
    if (report.verdict != REEL_NOT_CHECKED)
        report.dtype = function_dtype(o);
    reel_tape_free(lab.tape);
    return report;
}
