/* Checks of an op's record, of its error samples, and of its forward against its reference.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/op_checks.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


/* Why these numbers. The half types are computed in f32 and rounded once, which costs half an ulp and next to
 * nothing more. In f32 a value passes through one library function, good to an ulp or two, and some exact
 * or correctly rounded steps. In f64 the reference itself is rounded as often as the op is, so that two
 * errors add. A gradient takes a handful of ops, a second one a handful more for each of them, and every one
 * rounds to the dtype. */
test_tolerance test_tolerance_of(reel_dtype dtype)
{
    static const test_tolerance tolerance[REEL_DTYPES] = {
        [REEL_F16] = {1, 8, 32},
        [REEL_BF16] = {1, 8, 32},
        [REEL_F32] = {4, 16, 64},
        [REEL_F64] = {8, 32, 128},
    };
    return tolerance[dtype];
}

/* The dtypes of a case: each floating one, or the sample's own where it leaves none open. */
void test_each_case(const reel_op *op, test_report *report, void (*check)(test_case *c, test_report *report))
{
    if (!op->reference || !op->samples)
        test_complain(report, "%s: cannot be checked without reference and samples", op->name);
    for (int s = 0; op->reference && op->samples && s < (int)op->sample_count; s++) {
        const reel_sample *sample = &op->samples[s];
        bool varies = test_sample_varies(op, sample);
        for (reel_dtype dtype = varies ? REEL_F16 : REEL_F64; dtype <= REEL_F64 && !sample->error; dtype++) {
            test_case c;
            if (test_case_open(&c, op, s, varies ? dtype : sample->in[0].dtype, report))
                check(&c, report);
            test_case_close(&c);
        }
    }
}


/* ---- The record ---------------------------------------------------------------------------------- */

typedef struct op_values_kinds {
    bool good, empty, strided, error;
} op_values_kinds;

/* Whether the op refuses a good sample when it comes in some dtype: then there is an error to show. */
static bool op_values_can_fail(const reel_op *op, int sample)
{
    bool refused = false;
    for (reel_dtype dtype = REEL_F16; dtype < REEL_DTYPES; dtype++) {
        test_case c;
        reel_tensor in[REEL_SAMPLE_INPUTS], out[TEST_OUTPUTS];
        reel_tape *tape = reel_tape_new();
        test_case_lay(&c, op, sample, dtype);
        test_case_wrap(&c, tape, in);
        refused |= !test_case_apply(&c, in, out);
        test_case_close(&c);
        reel_tape_free(tape);
    }
    return refused;
}

static op_values_kinds op_values_kinds_of(const reel_op *op)
{
    op_values_kinds kinds = {false, false, false, false};
    for (size_t s = 0; s < op->sample_count; s++) {
        const reel_sample *sample = &op->samples[s];
        *(sample->error ? &kinds.error : &kinds.good) = true;
        for (int i = 0; i < REEL_SAMPLE_INPUTS; i++) {
            kinds.empty |= test_count(sample->in[i].shape) == 0;
            kinds.strided |= sample->in[i].layout != REEL_CONTIGUOUS;
        }
    }
    for (int s = 0; s < (int)op->sample_count && !kinds.error; s++)
        kinds.error =
            !op->samples[s].error && test_sample_varies(op, &op->samples[s]) && !op_values_can_fail(op, s);
    return kinds;
}

void test_op_record(const reel_op *op, test_report *report)
{
    const char *name = op->name && *op->name ? op->name : "an op without a name";
    if (op->size != sizeof(reel_op) || !op->name ||
        name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_")])
        test_complain(report, "%s: its size or its name is wrong", name);
    if (!op->formula || !*op->formula)
        test_complain(report, "%s: no formula", name);
    if (!op->reference)
        test_complain(report, "%s: no reference", name);
    if ((!op->shape && !op->kernels) || (!op->vjp && !op->writes && !(op->flags & REEL_NO_GRADIENT)))
        test_complain(report, "%s: no shape rule, or no VJP and no word that it has none", name);
    if (op->inputs == 0 || op->inputs < REEL_ANY || op->outputs < 0 || (op->outputs == 0 && !op->writes))
        test_complain(report, "%s: %d inputs, %d outputs", name, op->inputs, op->outputs);
    op_values_kinds kinds = op->samples ? op_values_kinds_of(op) : (op_values_kinds){0};
    if (!kinds.good || !kinds.empty || !kinds.strided || !kinds.error)
        test_complain(report, "%s: missing samples:%s%s%s%s", name, kinds.good ? "" : " good",
                      kinds.empty ? "" : " empty", kinds.strided ? "" : " strided",
                      kinds.error ? "" : " error");
}


/* ---- Error samples ------------------------------------------------------------------------------- */

/* After the failed call: the error is the one promised, and after a rewind the tape does what it did
 * before. */
static void op_values_error(const test_case *c, test_report *report)
{
    reel_tape *tape = reel_tape_new();
    reel_tensor in[REEL_SAMPLE_INPUTS], out[TEST_OUTPUTS] = {REEL_NONE};
    reel_mark start = reel_tape_mark(tape);
    test_case_wrap(c, tape, in);
    if (reel_failed(tape))
        test_complain(report, "%s: its inputs: %s", c->label, reel_error_message(tape));
    bool done = test_case_apply(c, in, out);
    const char *text = reel_error_message(tape);
    if (done || !reel_failed(tape))
        test_complain(report, "%s: no error where \"%s\" was promised", c->label, c->sample->error);
    else if (!strstr(text, c->sample->error) || !strstr(text, c->op->name) || !strstr(text, "samples.c:"))
        test_complain(report, "%s: \"%s\" does not say \"%s\", op and place", c->label, text,
                      c->sample->error);
    for (int i = 0; i < c->op->outputs; i++)
        if (reel_is_valid(out[i]))
            test_complain(report, "%s: a failed call returned a valid tensor", c->label);
    for (int i = 0; i < c->inputs; i++)
        if (!test_case_unchanged(c, i))
            test_complain(report, "%s: a failed call changed input %d", c->label, i);
    if (!reel_tape_rewind(tape, start) || !reel_error_clear(tape) || reel_failed(tape))
        test_complain(report, "%s: the error cannot be cleared", c->label);
    reel_tensor two = reel_constant(tape, REEL_SHAPE(), REEL_F64_VALUES(2));
    if (reel_item(reel_add(two, two)) != 4)
        test_complain(report, "%s: the tape is of no use after the error", c->label);
    reel_tape_free(tape);
}

void test_op_errors(const reel_op *op, test_report *report)
{
    for (int s = 0; op->samples && s < (int)op->sample_count; s++) {
        if (!op->samples[s].error)
            continue;
        test_case c;
        test_case_lay(&c, op, s, REEL_F32);
        op_values_error(&c, report);
        test_case_close(&c);
    }
}


/* ---- Forward ------------------------------------------------------------------------------------- */

/* The reference at |x|. In a sum, or a sum of products, that is the sum of the terms' magnitudes, which is
 * what rounding errors scale with. */
static void op_values_magnitudes(const test_case *c, test_arrays *out)
{
    reel_shape shape[REEL_SAMPLE_INPUTS];
    for (int i = 0; i < c->inputs; i++)
        shape[i] = c->in[i].shape;
    test_arrays in;
    test_arrays_make(&in, c->inputs, shape);
    for (int i = 0; i < c->inputs; i++)
        for (int64_t k = 0; k < in.of[i].count; k++)
            in.of[i].value[k] = fabs(c->stored.of[i].value[k]);
    test_case_reference(c, &in, out);
    test_arrays_free(&in);
}

/* What an op writes is an update of what was there before, and as large as that was. */
static void op_values_add_old(const test_case *c, test_arrays *out)
{
    for (int i = 0, next = c->op->outputs; i < c->inputs; i++) {
        if (!test_case_writes(c, i))
            continue;
        double *magnitude = out->of[next++].value;
        for (int64_t k = 0; k < c->stored.of[i].count; k++)
            magnitude[k] = fabs(magnitude[k]) + fabs(c->stored.of[i].value[k]);
    }
}

/* The gradients of this family are differences of S p and y, of which the reference at |x| tells nothing. Here they are
 * judged by the largest number of a result; tests/cross_entropy_limits.h has limits for each number. */
static void op_values_of_cross_entropy(const test_case *c, const test_arrays *want, test_arrays *out)
{
    for (int o = 0; strstr(c->op->name, "cross_entropy") && o < c->op->outputs; o++) {
        double largest = 0;
        for (int64_t i = 0; i < want->of[o].count; i++)
            largest = fmax(largest, isfinite(want->of[o].value[i]) ? fabs(want->of[o].value[i]) : 0);
        for (int64_t i = 0; i < want->of[o].count; i++)
            if (!isfinite(out->of[o].value[i]) || out->of[o].value[i] < largest)
                out->of[o].value[i] = largest;
    }
}

static double op_values_allowed(const test_case *c, reel_dtype dtype, double want, double magnitude)
{
    if (!reel_dtype_is_float(dtype))
        return 0;
    bool strict = c->op->kernels || !isfinite(magnitude);
    double scale = strict ? fabs(want) : fmax(fabs(want), fabs(magnitude));
    return test_tolerance_of(dtype).forward * test_ulp(dtype, scale);
}

/* Compares what the op gives, for the inputs as they now are, with the reference. Where it `may_refuse`
 * them, an error that names the op will do too. */
static void op_values_compare(test_case *c, const char *what, bool may_refuse, test_report *report)
{
    test_arrays want, magnitude;
    test_case_outputs(c, &want);
    test_case_outputs(c, &magnitude);
    test_case_reference(c, &c->stored, &want);
    op_values_magnitudes(c, &magnitude);
    op_values_add_old(c, &magnitude);
    op_values_of_cross_entropy(c, &want, &magnitude);
    reel_tape *tape = reel_tape_new();
    reel_tensor in[REEL_SAMPLE_INPUTS], out[TEST_OUTPUTS];
    test_case_wrap(c, tape, in);
    if (!test_case_apply(c, in, out) && !(may_refuse && strstr(reel_error_message(tape), c->op->name)))
        test_complain(report, "%s: %s: %s", c->label, what, reel_error_message(tape));
    for (int o = 0; o < c->outputs && !reel_failed(tape); o++) {
        double *got = test_values(out[o], report);
        for (int64_t i = 0; got && i < want.of[o].count; i++) {
            double exact = want.of[o].value[i];
            double allowed = op_values_allowed(c, c->out_dtype[o], exact, magnitude.of[o].value[i]);
            if (!test_close(c->out_dtype[o], got[i], exact, allowed))
                test_complain(report, "%s: %s: output %d [%lld] is %.17g, not %.17g", c->label, what, o,
                              (long long)i, got[i], exact);
        }
        free(got);
    }
    reel_tape_free(tape);
    test_arrays_free(&want);
    test_arrays_free(&magnitude);
}

/* The inputs that an op does not write must keep their bits, and the gaps between their elements too. */
static void op_values_forward(test_case *c, test_report *report)
{
    op_values_compare(c, "forward", false, report);
    for (int i = 0; i < c->inputs; i++)
        if (!test_case_writes(c, i) && !test_case_unchanged(c, i))
            test_complain(report, "%s: forward: input %d was changed", c->label, i);
    test_case_restore(c);
}

void test_op_forward(const reel_op *op, test_report *report)
{
    test_each_case(op, report, op_values_forward);
}


/* ---- NaN and infinities -------------------------------------------------------------------------- */

static void op_values_place(test_case *c, int input, int64_t i, double value)
{
    test_buffer *buffer = &c->in[input];
    test_store(buffer->dtype, test_element(buffer, i), value);
    for (int64_t k = 0; k < test_count(buffer->shape); k++)
        c->stored.of[input].value[k] = test_load(buffer->dtype, test_element(buffer, k));
    memcpy(buffer->original, buffer->memory, buffer->bytes);
}

static void op_values_special(test_case *c, test_report *report)
{
    const double special[] = {NAN, INFINITY, -INFINITY};
    for (int i = 0; i < c->inputs; i++) {
        int64_t count = test_count(c->in[i].shape);
        if (!reel_dtype_is_float(c->in[i].dtype) || count == 0)
            continue;
        for (int k = 0; k < 3; k++) {
            char what[40];
            snprintf(what, sizeof what, "%g in input %d", special[k], i);
            op_values_place(c, i, k * (count - 1) / 2, special[k]);
            op_values_compare(c, what, true, report);
            test_case_fill(c, test_hash(c->label));
        }
    }
}

void test_op_special(const reel_op *op, test_report *report)
{
    test_each_case(op, report, op_values_special);
}
