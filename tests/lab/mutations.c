/* VJPs broken on purpose. A mutant is an op with another's samples, shape rule and forward, whose VJP asks
 * the right one and then spoils what it says. It stands in the middle of a small network,
 *
 *     x -> a = 1 x -> b = mutant(a) -> y = b + b b / 2
 *
 * and the lab, which sees x and y alone, must say FAIL and blame b. A mutant whose gradient comes out
 * right all the same (the transpose of a row, say) is no mutant; then the next smaller sample is tried.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/lab/trials.h"
#include "tools/op_samples.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum mutation { MUTATION_NONE, MUTATION_SIGN, MUTATION_FACTOR, MUTATION_TERM, MUTATION_ELEMENT,
                MUTATION_TRANSPOSED, MUTATION_DETACHED, MUTATION_ACCUMULATION, MUTATIONS };

static const char *const mutation_name[MUTATIONS] = {
    "", "sign", "factor 2", "missing term", "one element, 1 %", "transposed", "detached", "accumulation",
};

struct mutant {
    reel_op        op;                              /* first, so that a call's op leads here       */
    const reel_op *original;
    enum mutation  mutation;
    int            input;                           /* whose gradient is spoiled                   */
    int64_t        element;                         /* MUTATION_ELEMENT                            */
};

/* ---- Spoiling -------------------------------------------------------------------------------------- */

/* 1 everywhere but at some elements, in the dtype and shape of x. */
static reel_tensor mutation_mask(reel_tensor x, int64_t from, int64_t to, double value)
{
    int64_t count = reel_count(x);
    double *mask = malloc(((size_t)count + 1) * sizeof *mask);
    if (!mask)
        return REEL_NONE;
    for (int64_t i = 0; i < count; i++)
        mask[i] = i >= from && i < to ? value : 1;
    reel_tensor constant =
        reel_constant(x.tape, reel_shape_of(x), reel_values_from_f64(reel_dtype_of(x), mask, (size_t)count));
    free(mask);
    return constant;
}

static reel_tensor mutation_masked(reel_tensor x, int64_t from, int64_t to, double value)
{
    return reel_mul(x, mutation_mask(x, from, to, value));
}

static reel_tensor mutation_transposed(reel_tensor x)
{
    return reel_shape_of(x).rank < 2 ? x : reel_reshape(reel_transpose(x), reel_shape_of(x));
}

static bool mutation_drops(const reel_call *call, int input)
{
    for (int i = 0; i < input; i++)
        if (call->input[i].node == call->input[input].node)
            return true;
    return false;
}

static reel_tensor mutation_spoil(const struct mutant *m, const reel_call *call, reel_tensor dx)
{
    int64_t half = (reel_count(dx) + 1) / 2;
    switch (m->mutation) {
    case MUTATION_SIGN:
        return reel_neg(dx);
    case MUTATION_FACTOR:
        return reel_affine(dx, 2, 0);
    case MUTATION_TERM:
        return reel_count(call->output[0]) > 1 ? dx : mutation_masked(dx, 0, half, 0);
    case MUTATION_ELEMENT:
        return m->element < reel_count(dx) ? mutation_masked(dx, m->element, m->element + 1, 1.01) : dx;
    case MUTATION_TRANSPOSED:
        return mutation_transposed(dx);
    default:
        return REEL_NONE;
    }
}

/* A missing term is a part of the outputs that the VJP forgets. */
static void mutation_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    const struct mutant *m = (const struct mutant *)(const void *)call->op;
    reel_call right = *call;
    right.op = m->original;
    reel_tensor upstream[OP_SAMPLE_OUTPUTS];
    for (int i = 0; i < call->outputs; i++)
        upstream[i] = dy[i];
    if (m->mutation == MUTATION_TERM && dy[0].tape && reel_count(dy[0]) > 1)
        upstream[0] = mutation_masked(dy[0], 0, reel_count(dy[0]) / 2, 0);
    m->original->vjp(&right, upstream, dx, wanted);
    for (int i = 0; i < call->inputs; i++)
        if (m->mutation == MUTATION_ACCUMULATION ? mutation_drops(call, i)
                                                 : m->mutation && i == m->input && dx[i].tape)
            dx[i] = mutation_spoil(m, call, dx[i]);
}

/* ---- The network ----------------------------------------------------------------------------------- */

struct mutation_network {
    reel_tape  *tape;
    op_sample   sample;
    reel_tensor x[REEL_SAMPLE_INPUTS];
    int         xs;
    reel_tensor y;
    uint32_t    node;                               /* of the mutant's first output                */
};

/* What each output does to y: b + b b / 2, with a weight of its own where there are several. */
static reel_tensor mutation_tail(const reel_tensor b[], int outputs)
{
    reel_tensor y = REEL_NONE;
    for (int i = 0; i < outputs; i++) {
        reel_tensor term = reel_add(b[i], reel_affine(reel_mul(b[i], b[i]), .5, 0));
        if (outputs > 1)
            term = reel_affine(reel_sum(term), 1 + .3 * i, 0);
        y = i ? reel_add(y, term) : term;
    }
    return y;
}

static bool mutation_are_alike(reel_tensor a, reel_tensor b)
{
    reel_shape x = reel_shape_of(a), y = reel_shape_of(b);
    return reel_dtype_of(a) == reel_dtype_of(b) && x.rank == y.rank &&
           !memcmp(x.size, y.size, (size_t)x.rank * sizeof x.size[0]);
}

/* For the accumulation: the first floating input takes the place of a later one that is like it. */
static bool mutation_share(const struct mutation_network *n, reel_tensor a[])
{
    for (int i = 0; i < n->sample.inputs; i++)
        for (int k = i + 1; k < n->sample.inputs; k++)
            if (reel_dtype_is_float(reel_dtype_of(a[i])) && mutation_are_alike(a[i], a[k])) {
                a[i] = a[k];                        /* the later one has the narrower range        */
                return true;
            }
    return false;
}

static bool mutation_record(struct mutation_network *n, const struct mutant *m, int sample, reel_dtype dtype)
{
    *n = (struct mutation_network){.tape = reel_tape_new()};
    reel_tensor a[REEL_SAMPLE_INPUTS], b[OP_SAMPLE_OUTPUTS];
    if (!op_sample_make(&n->sample, n->tape, m->original, sample, dtype))
        return false;
    for (int i = 0; i < n->sample.inputs; i++) {
        reel_tensor x = n->sample.input[i];
        bool floating = reel_dtype_is_float(reel_dtype_of(x));
        a[i] = floating ? reel_affine(x, 1, 0) : x;
        if (floating)
            n->x[n->xs++] = x;
    }
    if (m->mutation == MUTATION_ACCUMULATION && !mutation_share(n, a))
        return false;
    int outputs = op_sample_apply(&n->sample, &m->op, a, b);
    if (!outputs)
        return false;
    n->node = b[0].node;
    n->y = mutation_tail(b, outputs);
    return reel_is_valid(n->y);
}

static void mutation_forget(struct mutation_network *n)
{
    reel_tape_free(n->tape);
    op_sample_free(&n->sample);
}

/* ---- Choosing a sample ----------------------------------------------------------------------------- */

/* The gradients into all inputs, one behind the other; NULL where there are none. */
static double *mutation_gradients(const struct mutation_network *n, int64_t *count, int64_t *first_of)
{
    reel_tensor gradient[REEL_SAMPLE_INPUTS];
    *count = 0;
    if (!reel_gradient(reel_sum(n->y), reel_tensors_of(n->x, (size_t)n->xs), gradient))
        return NULL;
    for (int i = 0; i < n->xs; i++)
        *count += reel_count(gradient[i]);
    double *list = malloc(((size_t)*count + 1) * sizeof *list), *at = list;
    for (int i = 0; list && i < n->xs; i++) {
        first_of[i] = at - list;
        reel_read_f64(gradient[i], at, (size_t)reel_count(gradient[i]));
        at += reel_count(gradient[i]);
    }
    return list;
}

/* The first element, from the middle on, that is not small; and which input it belongs to. */
static void mutation_choose_element(struct mutant *m, const struct mutation_network *n, const double *right,
                                    int64_t count, const int64_t *first_of)
{
    double largest = 0;
    for (int64_t i = 0; i < count; i++)
        largest = fmax(largest, fabs(right[i]));
    for (int64_t k = 0; k < count; k++) {
        int64_t i = (count / 2 + k) % count;
        if (fabs(right[i]) < largest / 20)
            continue;
        int x = n->xs - 1;
        while (first_of[x] > i)
            x--;
        m->element = i - first_of[x];
        for (int input = 0; input < n->sample.inputs; input++)
            if (n->sample.input[input].node == n->x[x].node)
                m->input = input;
        return;
    }
}

/* Whether the mutant's gradient is wrong on this sample, by more than rounding. */
static bool mutation_shows(struct mutant *m, int sample, reel_dtype dtype)
{
    struct mutant right = *m;
    right.mutation = m->mutation == MUTATION_ACCUMULATION ? MUTATION_ACCUMULATION : MUTATION_NONE;
    right.op.vjp = m->original->vjp;
    struct mutation_network a, b;
    int64_t count = 0, other = 0, first_of[REEL_SAMPLE_INPUTS];
    double *good =
        mutation_record(&a, &right, sample, dtype) ? mutation_gradients(&a, &count, first_of) : NULL;
    if (good && m->mutation == MUTATION_ELEMENT)
        mutation_choose_element(m, &a, good, count, first_of);
    double *bad = mutation_record(&b, m, sample, dtype) ? mutation_gradients(&b, &other, first_of) : NULL;
    double gap = 0, largest = 0;
    for (int64_t i = 0; good && bad && i < count; i++) {
        gap = fmax(gap, fabs(good[i] - bad[i]));
        largest = fmax(largest, fabs(good[i]));
    }
    free(good);
    free(bad);
    mutation_forget(&a);
    mutation_forget(&b);
    return gap > 1e-4 * largest;
}

static int64_t mutation_sample_size(const reel_sample *sample, int inputs)
{
    int64_t size = 0;
    for (int i = 0; i < inputs; i++) {
        int64_t count = 1;
        for (int k = 0; k < sample->in[i].shape.rank; k++)
            count *= sample->in[i].shape.size[k];
        size += count;
    }
    return size;
}

/* The largest sample on which the mutant is wrong, for the first input where it can be; -1: none. */
static int mutation_find_sample(struct mutant *m, reel_dtype dtype)
{
    const reel_op *op = m->original;
    bool tried[64] = {false};
    for (;;) {
        int64_t largest = -1;
        int best = -1;
        for (int i = 0; i < (int)op->sample_count && i < 64; i++) {
            const reel_sample *sample = &op->samples[i];
            int64_t size = mutation_sample_size(sample, sample->inputs ? sample->inputs : op->inputs);
            if (!tried[i] && op_sample_has_gradient(op, i) && !sample->kink && size > largest) {
                largest = size;
                best = i;
            }
        }
        if (best < 0)
            return -1;
        tried[best] = true;
        int inputs = op->samples[best].inputs ? op->samples[best].inputs : op->inputs;
        for (m->input = 0; m->input < inputs; m->input++)
            if (mutation_shows(m, best, dtype))
                return best;
    }
}

/* ---- The run --------------------------------------------------------------------------------------- */

struct mutation_counts {
    int made, failed, blamed, named, none;
};

static bool mutation_cause_fits(enum mutation mutation, const reel_gradcheck_report *r)
{
    switch (mutation) {
    case MUTATION_SIGN:
        return r->cause == REEL_CAUSE_SIGN;
    case MUTATION_FACTOR:
        return r->cause == REEL_CAUSE_FACTOR;
    case MUTATION_ELEMENT:
        return r->cause == REEL_CAUSE_SOME_ELEMENTS || r->cause == REEL_CAUSE_FACTOR;
    case MUTATION_TRANSPOSED:
        return r->cause == REEL_CAUSE_TRANSPOSED;
    case MUTATION_DETACHED:
        return r->cause == REEL_CAUSE_MISSING_PATH;
    case MUTATION_ACCUMULATION:
        return r->cause == REEL_CAUSE_ACCUMULATION;
    default:
        return r->cause != REEL_CAUSE_AXIS;         /* no mutation takes another axis              */
    }
}

static void mutation_try(const reel_op *op, enum mutation mutation, reel_dtype dtype, bool verbose,
                         struct mutation_counts *c)
{
    struct mutant m = {.op = *op, .original = op, .mutation = mutation};
    m.op.vjp = mutation_vjp;
    int sample = mutation_find_sample(&m, dtype);
    if (sample < 0) {
        c->none++;
        return;
    }
    struct mutation_network n;
    mutation_record(&n, &m, sample, dtype);
    reel_gradcheck_report r = reel_gradcheck(n.y, reel_tensors_of(n.x, (size_t)n.xs));
    bool failed = r.verdict == REEL_FAIL;
    bool blamed = r.blames == 1 && r.blame[0].node == n.node && !strcmp(r.blame[0].op, op->name);
    bool named = mutation_cause_fits(mutation, &r);
    c->made++;
    c->failed += failed;
    c->blamed += blamed;
    c->named += named;
    if (verbose || !failed || !blamed || !named) {
        printf("  %s, %s, sample %d (%s), %s:%s%s%s\n", op->name, mutation_name[mutation], sample,
               op->samples[sample].note, reel_dtype_name(dtype), failed ? "" : " NOT FOUND",
               blamed ? "" : " NOT BLAMED", named ? "" : " CAUSE NOT NAMED");
        if (reel_failed(n.tape))
            printf("  %s\n", reel_error_message(n.tape));
        fflush(stdout);
        reel_gradcheck_print(&r, NULL);
    }
    mutation_forget(&n);
}

bool lab_trial_mutations(bool verbose)
{
    struct mutation_counts total = {0};
    int ops = 0;
    for (size_t i = 0; i < reel_op_count(); i++)
        ops += reel_op_in_table(i)->vjp && !(reel_op_in_table(i)->flags & REEL_NO_GRADIENT);
    printf("%-18s %6s %6s %7s %12s %8s\n", "mutation", "made", "FAIL", "blamed", "cause named", "no such");
    for (int mutation = MUTATION_SIGN; mutation < MUTATIONS; mutation++) {
        struct mutation_counts c = {0};
        for (size_t i = 0; i < reel_op_count(); i++) {
            const reel_op *op = reel_op_in_table(i);
            if (!op->vjp || op->flags & REEL_NO_GRADIENT)
                continue;
            mutation_try(op, mutation, REEL_F64, verbose, &c);
            mutation_try(op, mutation, REEL_F32, verbose, &c);
        }
        printf("%-18s %6d %6d %7d %12d %8d\n", mutation_name[mutation], c.made, c.failed, c.blamed, c.named,
               c.none);
        total.made += c.made;
        total.failed += c.failed;
        total.blamed += c.blamed;
        total.named += c.named;
    }
    printf("%d ops, %d mutants: %d answered with FAIL, %d with the right node blamed, %d with the cause "
           "named\n", ops, total.made, total.failed, total.blamed, total.named);
    return total.made > 0 && total.failed == total.made && total.blamed == total.made;
}
