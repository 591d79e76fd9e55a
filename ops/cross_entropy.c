/* The public calls of softmax cross-entropy: their arguments become inputs and attributes of the ops. */
#include "ops/cross_entropy.h"
#include "core/shape.h"
#include "core/options.h"

#include <string.h>

/* What the calls have in common. */
struct calls_arguments {
    const char        *file;
    int                line;
    const reel_op     *op;
    const char        *call;                        /* its public name                             */
    reel_tensor        logits, labels, class_weights, row_weights;
    reel_tensor       *counted;
    int                axis;
    const char        *name;
    reel_cross_entropy attributes;
};

static bool calls_fail(const struct calls_arguments *a, reel_tape *tape, const char *text)
{
    reel_error_set_at(a->file, a->line, tape, "%s: %s", a->call, text);
    return false;
}

static void calls_set_semantics(reel_cross_entropy *attributes, reel_semantics semantics,
                                reel_semantics by_default)
{
    semantics = semantics == REEL_SEMANTICS_DEFAULT ? by_default : semantics;
    attributes->tensorflow = semantics == REEL_TENSORFLOW && !attributes->sparse;
    attributes->sum = attributes->tensorflow ? REEL_XENT_ONE : REEL_XENT_SUM;
}

static bool calls_check(const struct calls_arguments *a, reel_semantics semantics)
{
    reel_tape *tape = a->logits.tape ? a->logits.tape : a->labels.tape;
    if (reel_failed(tape))
        return false;
    if (!a->logits.tape || !a->labels.tape)
        return calls_fail(a, tape, a->attributes.raw ? "Both `labels` and `features` must be provided"
                                                     : "Both `labels` and `logits` must be provided");
    if ((unsigned)semantics > REEL_TENSORFLOW)
        return calls_fail(a, tape, "the semantics are none of REEL_EXACT and REEL_TENSORFLOW");
    return true;
}

/* Weights are data. */
static reel_tensor calls_data(const struct calls_arguments *a, reel_tensor weights)
{
    return weights.tape ? reel_stop_gradient_at(a->file, a->line, weights) : weights;
}

/* The loss, and the gradient where the op gives it. */
static void calls_apply(struct calls_arguments *a, reel_tensor *outputs, int count)
{
    reel_cross_entropy *attributes = &a->attributes;
    int rank = reel_shape_of(a->logits).rank;
    attributes->axis = a->axis < 0 || rank < 0 ? a->axis : a->axis - rank;
    attributes->class_weights = a->class_weights.tape;
    attributes->row_weights = a->row_weights.tape;
    if (a->name)
        strncpy(attributes->name, a->name, sizeof attributes->name - 1);
    reel_tensor input[4] = {a->logits, a->labels};
    size_t inputs = 2;
    if (attributes->class_weights)
        input[inputs++] = calls_data(a, a->class_weights);
    if (attributes->row_weights)
        input[inputs++] = calls_data(a, a->row_weights);
    if (reel_apply_at(a->file, a->line, a->op, reel_tensors_of(input, inputs), attributes, outputs, count) &&
        a->name)
        reel_name(outputs[0], a->name);
}

/* How many rows count: known beforehand, but for integer labels. */
static void calls_count(const struct calls_arguments *a, reel_tensor loss)
{
    if (!a->counted)
        return;
    *a->counted = (reel_tensor){loss.tape, 0, 0};
    if (reel_failed(loss.tape))
        return;
    if (a->attributes.sparse) {
        reel_cross_entropy attributes = a->attributes;
        attributes.class_weights = attributes.row_weights = false;
        reel_apply_at(a->file, a->line, &reel_op_sparse_softmax_cross_entropy_count,
                      REEL_TENSORS(a->logits, a->labels), &attributes, a->counted, 1);
        return;
    }
    reel_shape z = reel_shape_of(a->logits), y = reel_shape_of(a->labels), both;
    reel_broadcast_shapes(z.rank, z.size, y.rank, y.size, &both);
    both.size[both.rank + a->attributes.axis] = 1;
    *a->counted =
        reel_constant_at(a->file, a->line, loss.tape, REEL_SHAPE(),
                         reel_fill(reel_dtype_of(a->logits), (double)reel_shape_count(both.rank, both.size)));
}

static reel_tensor calls_loss(struct calls_arguments *a, reel_semantics semantics)
{
    reel_tensor loss = {a->logits.tape ? a->logits.tape : a->labels.tape, 0, 0};
    calls_set_semantics(&a->attributes, semantics, REEL_EXACT);
    a->attributes.quantity = REEL_XENT_LOSS;
    if (calls_check(a, semantics))
        calls_apply(a, &loss, 1);
    calls_count(a, loss);
    return loss;
}

/* The options that every call has, and more attributes. */
#define CALLS_OPTIONS(arguments, ...)                                                                \
    .class_weights = (arguments)->class_weights, .row_weights = (arguments)->row_weights,            \
    .counted = (arguments)->counted, .name = (arguments)->name,                                      \
    .attributes = {                                                                                  \
        .reduction = (arguments)->reduction, .label_smoothing = (arguments)->label_smoothing, __VA_ARGS__}

/* ---- Dense labels ------------------------------------------------------------------------------ */

static reel_tensor calls_dense(struct calls_arguments *a, reel_semantics semantics, bool validate,
                               double tolerance)
{
    a->op = &reel_op_softmax_cross_entropy_with_logits;
    a->attributes.validate = validate;
    a->attributes.sum_tolerance = tolerance == 0 ? 1e-3 : tolerance;
    return calls_loss(a, semantics);
}

reel_tensor reel_softmax_cross_entropy_with_logits_at(REEL_PLACE, const reel_cross_entropy_v2 *given)
{
    reel_cross_entropy_v2 known;
    const reel_cross_entropy_v2 *arguments = reel_known_options(&known, sizeof known, given);
    struct calls_arguments a = {.file = file,
                                .line = line,
                                .call = "softmax_cross_entropy_with_logits",
                                .axis = arguments->axis,
                                .logits = arguments->logits,
                                .labels = arguments->labels,
                                CALLS_OPTIONS(arguments, .ignore_index = REEL_NO_INDEX)};
    return calls_dense(&a, arguments->semantics, arguments->validate, arguments->sum_tolerance);
}

/* `dim` is the older name of `axis`. */
static reel_tensor calls_v1(REEL_PLACE, const reel_cross_entropy_v1 *given, const char *call, bool stop)
{
    reel_cross_entropy_v1 known;
    const reel_cross_entropy_v1 *arguments = reel_known_options(&known, sizeof known, given);
    int axis = arguments->axis != REEL_NO_AXIS ? arguments->axis : arguments->dim;
    struct calls_arguments a = {.file = file,
                                .line = line,
                                .call = call,
                                .axis = axis == REEL_NO_AXIS ? -1 : axis,
                                .logits = arguments->logits,
                                .labels = arguments->labels,
                                CALLS_OPTIONS(arguments, .ignore_index = REEL_NO_INDEX)};
    reel_tape *tape = a.logits.tape ? a.logits.tape : a.labels.tape;
    if (arguments->dim != REEL_NO_AXIS && arguments->dim != axis && !reel_failed(tape)) {
        reel_error_set_at(file, line, tape, "%s: dim is %d and axis is %d: give one of them", call,
                          arguments->dim, axis);
        if (a.counted)
            *a.counted = (reel_tensor){tape, 0, 0};
        return (reel_tensor){tape, 0, 0};
    }
    if (stop && a.labels.tape)
        a.labels = reel_stop_gradient_at(file, line, a.labels);
    return calls_dense(&a, arguments->semantics, arguments->validate, arguments->sum_tolerance);
}

reel_tensor reel_softmax_cross_entropy_with_logits_v2_at(REEL_PLACE, const reel_cross_entropy_v1 *arguments)
{
    return calls_v1(file, line, arguments, "softmax_cross_entropy_with_logits_v2", false);
}

reel_tensor reel_softmax_cross_entropy_with_logits_v1_at(REEL_PLACE, const reel_cross_entropy_v1 *arguments)
{
    return calls_v1(file, line, arguments, "softmax_cross_entropy_with_logits_v1", true);
}

/* ---- Integer labels ---------------------------------------------------------------------------- */

reel_tensor reel_sparse_softmax_cross_entropy_with_logits_at(REEL_PLACE,
                                                             const reel_cross_entropy_sparse *given)
{
    reel_cross_entropy_sparse known;
    const reel_cross_entropy_sparse *arguments = reel_known_options(&known, sizeof known, given);
    struct calls_arguments a = {.file = file,
                                .line = line,
                                .call = "sparse_softmax_cross_entropy_with_logits",
                                .axis = arguments->axis,
                                .op = &reel_op_sparse_softmax_cross_entropy_with_logits,
                                .logits = arguments->logits,
                                .labels = arguments->labels,
                                CALLS_OPTIONS(arguments, .sparse = true,
                                              .ignore_index = arguments->ignore_index,
                                              .out_of_range = arguments->out_of_range)};
    return calls_loss(&a, arguments->semantics);
}

/* ---- Raw --------------------------------------------------------------------------------------- */

static reel_loss_and_backprop calls_raw(REEL_PLACE, const reel_cross_entropy_raw *given,
                                        const reel_op *op, const char *call, bool sparse)
{
    reel_cross_entropy_raw known;
    const reel_cross_entropy_raw *arguments = reel_known_options(&known, sizeof known, given);
    struct calls_arguments a = {
        .file = file, .line = line, .call = call, .op = op, .axis = -1, .logits = arguments->features,
        .labels = arguments->labels, .name = arguments->name,
        .attributes = {.quantity = REEL_XENT_LOSS | REEL_XENT_GRADIENT, .raw = true, .sparse = sparse,
                       .ignore_index = REEL_NO_INDEX}};
    reel_tape *tape = a.logits.tape ? a.logits.tape : a.labels.tape;
    reel_tensor outputs[2] = {{tape, 0, 0}, {tape, 0, 0}};
    calls_set_semantics(&a.attributes, arguments->semantics, REEL_TENSORFLOW);
    if (calls_check(&a, arguments->semantics))
        calls_apply(&a, outputs, 2);
    return (reel_loss_and_backprop){outputs[0], outputs[1]};
}

reel_loss_and_backprop reel_raw_softmax_cross_entropy_with_logits_at(REEL_PLACE,
                                                                     const reel_cross_entropy_raw *arguments)
{
    return calls_raw(file, line, arguments, &reel_op_raw_softmax_cross_entropy_with_logits,
                     "raw_softmax_cross_entropy_with_logits", false);
}

reel_loss_and_backprop
reel_raw_sparse_softmax_cross_entropy_with_logits_at(REEL_PLACE, const reel_cross_entropy_raw *arguments)
{
    return calls_raw(file, line, arguments, &reel_op_raw_sparse_softmax_cross_entropy_with_logits,
                     "raw_sparse_softmax_cross_entropy_with_logits", true);
}
