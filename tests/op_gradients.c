/* Checks of an op's VJP: against differences of its reference, a second time against differences of itself in
 * f64, and with one tensor in two places.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/differences.h"
#include "tests/op_checks.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The way from one element looked at to the next: all of a small tensor's, about `looks` of a large one's. */
static int64_t gradients_step(int64_t count, int64_t looks)
{
    return count <= 2 * looks ? 1 : count / looks;
}

static double gradients_largest(const test_buffer *buffer)
{
    double largest = 0;
    for (int64_t i = 0; i < test_count(buffer->shape); i++)
        largest = fmax(largest, fabs(test_load(buffer->dtype, test_element(buffer, i))));
    return largest;
}


/* ---- Slopes of the reference --------------------------------------------------------------------- */

/* f(h) = <weight, reference(x + h along)>, where `along` is a direction of one input: a vector, or the unit
 * vector of one element. */
typedef struct gradients_reference {
    const test_case   *c;
    int                input;
    int64_t            element;                     /* -1: the vector                              */
    const test_buffer *along;
    double            *weight[TEST_OUTPUTS];        /* NULL: this output does not count            */
    test_arrays        at, above, below;
    double             magnitude;                   /* of the last slope: its terms' sizes summed  */
} gradients_reference;

static void gradients_reference_open(gradients_reference *f, const test_case *c)
{
    *f = (gradients_reference){.c = c};
    reel_shape shape[REEL_SAMPLE_INPUTS];
    for (int i = 0; i < c->inputs; i++)
        shape[i] = c->in[i].shape;
    test_arrays_make(&f->at, c->inputs, shape);
    for (int i = 0; i < c->inputs; i++)
        memcpy(f->at.of[i].value, c->stored.of[i].value, (size_t)f->at.of[i].count * sizeof(double));
    test_case_outputs(c, &f->above);
    test_case_outputs(c, &f->below);
}

static void gradients_reference_close(gradients_reference *f)
{
    test_arrays_free(&f->at);
    test_arrays_free(&f->above);
    test_arrays_free(&f->below);
}

static void gradients_reference_at(gradients_reference *f, double h, test_arrays *out)
{
    const double *x = f->c->stored.of[f->input].value;
    double *at = f->at.of[f->input].value;
    for (int64_t i = 0; i < f->at.of[f->input].count; i++)
        at[i] = f->element >= 0 ? x[i] + (i == f->element ? h : 0)
                                : x[i] + h * test_load(f->along->dtype, test_element(f->along, i));
    test_case_reference(f->c, &f->at, out);
    memcpy(at, x, (size_t)f->at.of[f->input].count * sizeof(double));
}

static double gradients_reference_slope(void *context, double h, double *noise)
{
    gradients_reference *f = context;
    gradients_reference_at(f, h, &f->above);
    gradients_reference_at(f, -h, &f->below);
    double sum = 0, size = 0, values = 0;
    for (int o = 0; o < f->c->op->outputs; o++)
        for (int64_t i = 0; f->weight[o] && i < f->above.of[o].count; i++) {
            double above = f->above.of[o].value[i], below = f->below.of[o].value[i], w = f->weight[o][i];
            double rise = above == below ? 0 : w * (above - below);
            sum += rise;
            size += fabs(rise);
            values += isfinite(above) ? fabs(w * above) : 0;
        }
    double x =
        f->element >= 0 ? fabs(f->c->stored.of[f->input].value[f->element]) : gradients_largest(f->along);
    f->magnitude = size / (2 * h);
    *noise = 0x1p-50 * values / h + 0x1p-52 * x / h * f->magnitude;
    return sum / (2 * h);
}

/* What the slope's steps start at. */
static double gradients_size(const gradients_reference *f)
{
    return f->element >= 0 ? fabs(f->c->stored.of[f->input].value[f->element]) : 0;
}


/* ---- Recording ----------------------------------------------------------------------------------- */

typedef struct gradients_recording {
    reel_tape  *tape;
    reel_tensor in[REEL_SAMPLE_INPUTS], upstream[TEST_OUTPUTS], out[TEST_OUTPUTS],
        gradient[REEL_SAMPLE_INPUTS];
} gradients_recording;

static bool gradients_record(const test_case *c, gradients_recording *r)
{
    test_case_wrap(c, r->tape, r->in);
    for (int o = 0; o < c->op->outputs; o++)
        r->upstream[o] = c->upstream[o].memory ? test_wrap(r->tape, &c->upstream[o], true) : REEL_NONE;
    return test_case_apply(c, r->in, r->out) &&
           test_case_gradient(c, r->in, r->out, r->upstream, r->gradient);
}

static bool gradients_apply_here(const test_case *c)
{
    return test_case_has_gradient(c) && !c->sample->kink;
}


/* ---- First order --------------------------------------------------------------------------------- */

/* Numbers of order one are subtracted in many a derivative (1 - y y, p - y): an error of this size is one
 * rounding of theirs. */
static double gradients_floor(const test_case *c)
{
    test_arrays out;
    test_case_outputs(c, &out);
    test_case_reference(c, &c->stored, &out);
    double value = 0, upstream = 0;
    for (int o = 0; o < c->op->outputs; o++) {
        for (int64_t i = 0; i < out.of[o].count; i++)
            value = fmax(value, isfinite(out.of[o].value[i]) ? fabs(out.of[o].value[i]) : 0);
        if (c->upstream[o].memory)
            upstream = fmax(upstream, gradients_largest(&c->upstream[o]));
    }
    test_arrays_free(&out);
    return upstream * fmin(1, value);
}

/* Compares one derivative. Differences that do not settle would let any gradient pass: they are a failure. */
static void gradients_compare(gradients_reference *f, const char *what, double got, double floor,
                              double roundoffs, test_report *report)
{
    double error, want = test_derivative(gradients_reference_slope, f, gradients_size(f), &error);
    if (!isfinite(want))
        return;
    reel_dtype dtype = test_case_coarsest(f->c);
    double scale = f->magnitude + floor;
    double allowed = roundoffs * test_roundoff(dtype) * scale + 2 * test_ulp(dtype, 0) + 4 * error;
    if (error > 1e-6 * scale)
        test_complain(report, "%s: %s: differences do not settle at input %d [%lld] (a kink?)", f->c->label,
                      what, f->input, (long long)f->element);
    else if (!test_close(dtype, got, want, allowed))
        test_complain(report, "%s: %s: input %d [%lld]: %.17g, differences say %.17g", f->c->label, what,
                      f->input, (long long)f->element, got, want);
}

static void gradients_check_input(gradients_reference *f, const double *gradient, double floor,
                                  test_report *report)
{
    double roundoffs = test_tolerance_of(test_case_coarsest(f->c)).gradient;
    int64_t count = f->at.of[f->input].count, step = gradients_step(count, 12);
    for (f->element = 0; f->element < count; f->element += step)
        gradients_compare(f, "gradient", gradient[f->element], floor, roundoffs, report);
    if (step == 1)
        return;
    double along = 0;
    f->element = -1;
    f->along = &f->c->direction[f->input];
    for (int64_t i = 0; i < count; i++)
        along += gradient[i] * test_load(f->along->dtype, test_element(f->along, i));
    gradients_compare(f, "gradient along a direction", along, floor * (double)count, roundoffs, report);
}

static bool gradients_same_shape(reel_tensor a, reel_tensor b)
{
    reel_shape x = reel_shape_of(a), y = reel_shape_of(b);
    return reel_dtype_of(a) == reel_dtype_of(b) && x.rank == y.rank &&
           memcmp(x.size, y.size, (size_t)x.rank * sizeof x.size[0]) == 0;
}

static void gradients_first(test_case *c, test_report *report)
{
    if (!gradients_apply_here(c))
        return;
    gradients_recording r = {.tape = reel_tape_new()};
    gradients_reference f;
    gradients_reference_open(&f, c);
    for (int o = 0; o < c->op->outputs; o++)
        f.weight[o] = c->upstream[o].memory ? test_buffer_values(&c->upstream[o]) : NULL;
    if (!gradients_record(c, &r))
        test_complain(report, "%s: gradient: %s", c->label, reel_error_message(r.tape));
    double floor = gradients_floor(c);
    for (int i = 0; i < c->inputs && !reel_failed(r.tape); i++) {
        if (!test_case_wants(c, i))
            continue;
        if (!gradients_same_shape(r.gradient[i], r.in[i]))
            test_complain(report, "%s: gradient: not of input %d's dtype and shape", c->label, i);
        double *gradient = test_values(r.gradient[i], report);
        f.input = i;
        if (gradient && gradients_same_shape(r.gradient[i], r.in[i]))
            gradients_check_input(&f, gradient, floor, report);
        free(gradient);
    }
    for (int o = 0; o < TEST_OUTPUTS; o++)
        free(f.weight[o]);
    gradients_reference_close(&f);
    reel_tape_free(r.tape);
    for (int i = 0; i < c->inputs; i++)
        if (!test_case_unchanged(c, i))
            test_complain(report, "%s: gradient: input %d was changed", c->label, i);
}

void test_op_gradient(const reel_op *op, test_report *report)
{
    test_each_case(op, report, gradients_first);
}


/* ---- Second order -------------------------------------------------------------------------------- */

/* f(h) = <gradient into `of`, direction>, computed by the op in f64 at input + h e. */
typedef struct gradients_vjp {
    test_case *twin;
    reel_tape *tape;
    int        of, input;
    int64_t    element;
    double     magnitude;                           /* of the last slope's terms                   */
    double     floor;                               /* ... and of what may have cancelled in them  */
    bool       failed;
} gradients_vjp;

static double gradients_inner(const double *a, const test_buffer *b, double *magnitude)
{
    double sum = 0;
    for (int64_t i = 0; i < test_count(b->shape); i++) {
        double term = a[i] * test_load(b->dtype, test_element(b, i));
        sum += term;
        *magnitude += fabs(term);
    }
    return sum;
}

static double gradients_vjp_at(gradients_vjp *f, double h)
{
    test_report ignored = {0};
    test_buffer *buffer = &f->twin->in[f->input];
    double x = f->twin->stored.of[f->input].value[f->element], sum = NAN;
    test_store(REEL_F64, test_element(buffer, f->element), x + h);
    gradients_recording r = {.tape = f->tape};
    reel_mark start = reel_tape_mark(f->tape);
    double *gradient = gradients_record(f->twin, &r) ? test_values(r.gradient[f->of], &ignored) : NULL;
    if (gradient)
        sum = gradients_inner(gradient, &f->twin->direction[f->of], &f->magnitude);
    f->failed |= !gradient;
    free(gradient);
    reel_tape_rewind(f->tape, start);
    test_store(REEL_F64, test_element(buffer, f->element), x);
    return sum;
}

static double gradients_vjp_slope(void *context, double h, double *noise)
{
    gradients_vjp *f = context;
    f->magnitude = 0;
    double rise = gradients_vjp_at(f, h) - gradients_vjp_at(f, -h);
    double x = fabs(f->twin->stored.of[f->input].value[f->element]);
    *noise = (0x1p-50 * (f->magnitude + f->floor) + 0x1p-52 * x * fabs(rise)) / h;
    return rise / (2 * h);
}

/* d<gradient of `of`, direction>/d input, found by recording, against differences of the f64 gradient. */
static void gradients_compare_second(gradients_vjp *f, const test_case *c, const double *got,
                                     test_report *report)
{
    int64_t count = test_count(c->in[f->input].shape), step = gradients_step(count, 4);
    double want[16], error[16], largest = 0;
    int looks = 0;
    for (f->element = 0; f->element < count && looks < 16; f->element += step, looks++) {
        double size = fabs(f->twin->stored.of[f->input].value[f->element]);
        want[looks] = test_derivative(gradients_vjp_slope, f, size, &error[looks]);
        if (isfinite(want[looks]))
            largest = fmax(largest, fabs(want[looks]));
    }
    reel_dtype dtype = test_case_coarsest(c);
    double scale = largest + f->floor, roundoffs = test_tolerance_of(dtype).second;
    for (int k = 0; k < looks; k++) {
        double allowed = roundoffs * test_roundoff(dtype) * scale + 2 * test_ulp(dtype, 0) + 4 * error[k];
        if (!isfinite(want[k]))
            continue;
        if (error[k] > 1e-5 * scale)
            test_complain(report, "%s: second order: differences do not settle at inputs %d, %d [%lld]",
                          c->label, f->of, f->input, (long long)(k * step));
        else if (!test_close(dtype, got[k * step], want[k], allowed))
            test_complain(report, "%s: second order: inputs %d, %d [%lld]: %.17g, differences say %.17g",
                          c->label, f->of, f->input, (long long)(k * step), got[k * step], want[k]);
    }
}

/* The gradient of <gradient, direction> into the upstream gradient is the derivative of the outputs along the
 * direction. */
static void gradients_compare_forward(const test_case *c, int of, int output, const double *got,
                                      test_report *report)
{
    gradients_reference f;
    gradients_reference_open(&f, c);
    f.input = of;
    f.element = -1;
    f.along = &c->direction[of];
    int64_t count = test_count(c->out_shape[output]), step = gradients_step(count, 4);
    double *unit = calloc((size_t)count + 1, sizeof(double));
    f.weight[output] = unit;
    double floor = fmin(1, gradients_floor(c)) + gradients_largest(f.along);
    for (int64_t i = 0; unit && i < count; i += step) {
        unit[i] = 1;
        gradients_compare(&f, "derivative along a direction", got[i], floor,
                          test_tolerance_of(test_case_coarsest(c)).second, report);
        unit[i] = 0;
    }
    free(unit);
    gradients_reference_close(&f);
}

/* Everything that <gradient of `of`, direction> depends on. */
static void gradients_second_of(test_case *c, gradients_vjp *f, gradients_recording *r, test_report *report)
{
    reel_tensor x[REEL_SAMPLE_INPUTS + TEST_OUTPUTS], second[REEL_SAMPLE_INPUTS + TEST_OUTPUTS];
    size_t count = 0, next = 0;
    for (int i = 0; i < c->inputs; i++)
        if (test_case_wants(c, i))
            x[count++] = r->in[i];
    for (int o = 0; o < c->op->outputs; o++)
        if (r->upstream[o].tape)
            x[count++] = r->upstream[o];
    reel_tensor along = test_wrap(r->tape, &c->direction[f->of], false);
    reel_tensor inner = reel_sum(reel_mul(r->gradient[f->of], along));
    if (!reel_gradient(inner, reel_tensors_of(x, count), second))
        test_complain(report, "%s: second order: input %d: %s", c->label, f->of, reel_error_message(r->tape));
    f->floor = gradients_floor(c);
    for (f->input = 0; f->input < c->inputs + c->op->outputs && !reel_failed(r->tape); f->input++) {
        int o = f->input - c->inputs;
        if (o < 0 ? !test_case_wants(c, f->input) : !r->upstream[o].tape)
            continue;
        double *got = test_values(second[next++], report);
        if (got && o < 0)
            gradients_compare_second(f, c, got, report);
        else if (got)
            gradients_compare_forward(c, f->of, o, got, report);
        free(got);
    }
}

static void gradients_second(test_case *c, test_report *report)
{
    if (!gradients_apply_here(c))
        return;
    test_case twin;
    test_case_promote(&twin, c);
    gradients_vjp f = {.twin = &twin, .tape = reel_tape_new()};
    gradients_recording r = {.tape = reel_tape_new()};
    if (!gradients_record(c, &r))
        test_complain(report, "%s: second order: %s", c->label, reel_error_message(r.tape));
    for (f.of = 0; f.of < c->inputs && !reel_failed(r.tape); f.of++)
        if (test_case_wants(c, f.of))
            gradients_second_of(c, &f, &r, report);
    if (f.failed)
        test_complain(report, "%s: second order: the gradient in f64: %s", c->label,
                      reel_error_message(f.tape));
    reel_tape_free(r.tape);
    reel_tape_free(f.tape);
    test_case_close(&twin);
}

void test_op_second(const reel_op *op, test_report *report)
{
    test_each_case(op, report, gradients_second);
}


/* ---- The same tensor twice ----------------------------------------------------------------------- */

static bool gradients_alike(const test_case *c, int i, int j)
{
    const test_buffer *a = &c->in[i], *b = &c->in[j];
    return test_case_wants(c, i) && test_case_wants(c, j) && a->dtype == b->dtype &&
           a->shape.rank == b->shape.rank &&
           memcmp(a->shape.size, b->shape.size, (size_t)a->shape.rank * sizeof(int64_t)) == 0;
}

/* With input j's values for input i too: the gradient into i and j together, or, where `second`, that of <it,
 * direction>. `shared`: they are one tensor; otherwise two, and what goes into each is added up here. */
static double *gradients_twice(const test_case *c, int i, int j, bool shared, bool second,
                               test_report *report)
{
    gradients_recording r = {.tape = reel_tape_new()};
    test_case_wrap(c, r.tape, r.in);
    r.in[i] = shared ? r.in[j] : test_wrap(r.tape, &c->in[j], true);
    for (int o = 0; o < c->op->outputs; o++)
        r.upstream[o] = c->upstream[o].memory ? test_wrap(r.tape, &c->upstream[o], true) : REEL_NONE;
    test_case_apply(c, r.in, r.out);
    test_case_gradient(c, r.in, r.out, r.upstream, r.gradient);
    reel_tensor both[2] = {r.gradient[i], r.gradient[j]};
    if (second) {
        reel_tensor sum = shared ? both[0] : reel_add(both[0], both[1]);
        reel_tensor along = test_wrap(r.tape, &c->direction[i], false);
        reel_gradient(reel_sum(reel_mul(sum, along)), REEL_TENSORS(r.in[i], r.in[j]), both);
    }
    double *first = test_values(both[0], report), *other = shared ? NULL : test_values(both[1], report);
    for (int64_t k = 0; first && other && k < test_count(c->in[i].shape); k++)
        first[k] += other[k];
    free(other);
    reel_tape_free(r.tape);
    return first;
}

static void gradients_compare_twice(const test_case *c, int i, int j, bool second, test_report *report)
{
    double *apart = gradients_twice(c, i, j, false, second, report);
    double *shared = gradients_twice(c, i, j, true, second, report);
    int64_t count = apart && shared ? test_count(c->in[i].shape) : 0;
    double scale = 0;
    for (int64_t k = 0; k < count; k++)
        scale = fmax(scale, isfinite(apart[k]) ? fabs(apart[k]) : 0);
    reel_dtype dtype = test_case_coarsest(c);
    double roundoffs = second ? test_tolerance_of(dtype).second : test_tolerance_of(dtype).gradient;
    double allowed = roundoffs * test_roundoff(dtype) * (scale + gradients_floor(c));
    for (int64_t k = 0; k < count; k++)
        if (!test_close(dtype, shared[k], apart[k], allowed))
            test_complain(report,
                          "%s: same tensor for inputs %d and %d%s: [%lld] is %.17g, the two add up to %.17g",
                          c->label, i, j, second ? ", second order" : "", (long long)k, shared[k], apart[k]);
    free(apart);
    free(shared);
}

/* The values are the later input's: that is the one with the narrower range (the divisor, say). */
static void gradients_same(test_case *c, test_report *report)
{
    for (int i = 0; i < c->inputs && test_case_has_gradient(c); i++)
        for (int j = i + 1; j < c->inputs; j++)
            if (gradients_alike(c, i, j)) {
                gradients_compare_twice(c, i, j, false, report);
                gradients_compare_twice(c, i, j, true, report);
            }
}

void test_op_same_twice(const reel_op *op, test_report *report)
{
    test_each_case(op, report, gradients_same);
}
