/* The calls: each case runs under the semantics that its call has by default, which is not named then, and
 * under the other one.
 */
#include "tests/conformance/conformance.h"
#include "autograd/tape.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static reel_tensor run_leaf(reel_tape *tape, const reel_golden_tensor *x)
{
    reel_values values = reel_values_of(x->dtype, x->data, (size_t)x->count);
    return reel_dtype_is_float(x->dtype) ? reel_variable(tape, x->shape, values)
                                         : reel_constant(tape, x->shape, values);
}

static reel_loss_and_backprop run_call(const conformance_case *c, reel_tensor logits, reel_tensor labels,
                                       reel_semantics semantics)
{
    reel_loss_and_backprop both = {REEL_NONE, REEL_NONE};
    switch (c->call) {
    case CALL_V2:
        both.loss = reel_softmax_cross_entropy_with_logits(.labels = labels, .logits = logits,
                                                           .axis = c->axis, .semantics = semantics);
        break;
    case CALL_V1:
        both.loss = reel_softmax_cross_entropy_with_logits_v1(.labels = labels, .logits = logits,
                                                              .dim = c->axis, .semantics = semantics);
        break;
    case CALL_V1_V2:
        both.loss = reel_softmax_cross_entropy_with_logits_v2(.labels = labels, .logits = logits,
                                                              .dim = c->axis, .semantics = semantics);
        break;
    case CALL_SPARSE:
        both.loss = reel_sparse_softmax_cross_entropy_with_logits(.labels = labels, .logits = logits,
                                                                  .axis = c->axis, .semantics = semantics);
        break;
    case CALL_RAW:
        both = reel_raw_softmax_cross_entropy_with_logits(.features = logits, .labels = labels,
                                                          .semantics = semantics);
        break;
    case CALL_RAW_SPARSE:
        both = reel_raw_sparse_softmax_cross_entropy_with_logits(.features = logits, .labels = labels,
                                                                 .semantics = semantics);
        break;
    }
    return both;
}


/* ---- Answers ------------------------------------------------------------------------------------- */

static void run_keep(conformance_run *run, reel_truth_quantity quantity, reel_tensor x, reel_shape shape)
{
    conformance_case *c = run->c;
    reel_shape got = reel_shape_of(x);
    bool same = got.rank == shape.rank;
    for (int i = 0; same && i < shape.rank; i++)
        same = got.size[i] == shape.size[i];
    if (reel_failed(x.tape))
        return;
    if (!same) {
        conformance_fail(c, INFINITY, "%s has another shape than it must",
                         reel_truth_quantity_name[quantity]);
        return;
    }
    run->got[quantity] = malloc(((size_t)reel_count(x) + 1) * sizeof(double));
    run->dtype[quantity] = reel_dtype_of(x);
    reel_read_f64(x, run->got[quantity], (size_t)reel_count(x));
}

/* The wider of two floating dtypes; a floating one where the other is whole. */
static reel_dtype run_wider(reel_dtype a, reel_dtype b)
{
    if (!reel_dtype_is_float(b))
        return a;
    return reel_dtype_size(a) >= reel_dtype_size(b) ? a : b;
}

/* What a caller has to write where the labels do not fit as they are. */
static reel_loss_and_backprop run_remedied(const conformance_run *run, reel_tensor logits, reel_tensor labels,
                                           reel_semantics semantics)
{
    reel_dtype own = reel_dtype_of(logits), wide = run_wider(own, reel_dtype_of(labels));
    if (run->remedy == REMEDY_RESHAPE)
        labels = reel_reshape(labels, reel_shape_of(logits));
    if (run->remedy != REMEDY_CAST)
        return run_call(run->c, logits, labels, semantics);
    reel_loss_and_backprop both =
        run_call(run->c, reel_cast(logits, wide), reel_cast(labels, wide), semantics);
    both.loss = reel_cast(both.loss, own);
    return both;
}

/* Second order: the gradient of sum(grad_logits * v). */
static void run_second_order(conformance_run *run, reel_tensor gradient, reel_tensors xs)
{
    reel_tensor second[2];
    reel_tensor v = run_leaf(gradient.tape, run->c->v);
    reel_gradient(reel_sum(reel_mul(gradient, v)), xs, second);
    run_keep(run, HVP_LOGITS, second[0], run->c->logits->shape);
    if (xs.count == 2)
        run_keep(run, HVP_LABELS, second[1], run->c->labels->shape);
}

static void run_record(conformance_run *run, reel_tape *tape)
{
    conformance_case *c = run->c;
    reel_semantics semantics = run->by_default ? REEL_SEMANTICS_DEFAULT
                               : run->tensorflow ? REEL_TENSORFLOW : REEL_EXACT;
    reel_tensor x[2] = {run_leaf(tape, c->logits), run_leaf(tape, c->labels)}, gradient[2];
    reel_loss_and_backprop both = run_remedied(run, x[0], x[1], semantics);
    reel_tensors xs = reel_tensors_of(x, reel_dtype_is_float(c->labels->dtype) ? 2 : 1);

    run_keep(run, LOSS, both.loss, run->truth->loss.shape);
    if (c->raw)
        run_keep(run, BACKPROP, both.backprop, run->truth->shape);
    if (c->upstream)
        reel_gradient(both.loss, xs, gradient, .upstream = run_leaf(tape, c->upstream));
    else
        reel_gradient(both.loss, xs, gradient);
    run_keep(run, GRAD_LOGITS, gradient[0], c->logits->shape);
    if (xs.count == 2)
        run_keep(run, GRAD_LABELS, gradient[1], c->labels->shape);
    if (c->v)
        run_second_order(run, gradient[0], xs);
}

reel_cpu_level conformance_level;

static reel_tape *run_tape(void)
{
    reel_tape *tape = reel_tape_new();
    if (tape)
        tape->cpu = conformance_level;
    return tape;
}

static void run_semantics(conformance_case *c, conformance_remedy remedy, bool by_default)
{
    conformance_run run = {
        .c = c, .by_default = by_default, .tensorflow = by_default == c->raw, .remedy = remedy};
    reel_truth_arguments arguments = {
        .logits_shape = c->logits->shape,
        .labels_shape = remedy == REMEDY_RESHAPE ? c->logits->shape : c->labels->shape,
        .logits = c->numbers[0], .labels = c->index ? NULL : c->numbers[1], .index = c->index,
        .axis = c->axis, .tensorflow = run.tensorflow, .ignore_index = REEL_NO_INDEX,
        .upstream = c->numbers[2], .v = c->numbers[3],
    };
    reel_tape *tape = run_tape();
    run.truth = reel_truth_of(&arguments);
    if (!run.truth || !tape)
        conformance_fail(c, INFINITY, "the reference cannot compute this case");
    else
        run_record(&run, tape);
    if (run.truth && reel_failed(tape))
        conformance_fail(c, INFINITY, "the call failed: %s", reel_error_message(tape));
    if (run.truth)
        conformance_judge(&run);
    for (int i = 0; i < QUANTITIES; i++)
        free(run.got[i]);
    reel_truth_free(run.truth);
    reel_tape_free(tape);
}

void conformance_answer(conformance_case *c, conformance_remedy remedy)
{
    run_semantics(c, remedy, true);
    run_semantics(c, remedy, false);
}


/* ---- Refusals ------------------------------------------------------------------------------------ */

static bool run_names(const char *message, const conformance_refusal *refusal)
{
    for (int i = 0; i < refusal->words; i++)
        if (!strstr(message, refusal->word[i]))
            return false;
    return true;
}

void conformance_refuse(conformance_case *c, const conformance_verdict *verdict)
{
    reel_tape *tape = run_tape();
    reel_tensor logits = run_leaf(tape, c->logits), labels = run_leaf(tape, c->labels);
    bool named = false;
    if (reel_failed(tape)) {
        conformance_fail(c, INFINITY, "the inputs failed: %s", reel_error_message(tape));
    } else {
        run_call(c, logits, labels, REEL_SEMANTICS_DEFAULT);
        const char *message = reel_error_message(tape);
        for (int i = 0; i < verdict->refusals; i++)
            named |= run_names(message, &verdict->refusal[i]);
        named &= strstr(message, "run.c:") && strstr(message, "softmax_cross_entropy_with_logits");
        if (!reel_failed(tape))
            conformance_fail(c, INFINITY, "the call did not fail");
        else if (!named)
            conformance_fail(c, INFINITY, "the message does not say what is wrong (%s, %s, ...): %s",
                             verdict->refusal[0].word[0], verdict->refusal[0].word[1], message);
    }
    reel_tape_free(tape);
}
