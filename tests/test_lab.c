/* The gradient-check lab: verdicts, doubts, causes, blame; what it reports and what it leaves as it was.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/harness.h"
#include "tests/lab/trials.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LAB_ASSERT_VERDICT(report, wanted)                                                           \
    do {                                                                                             \
        char lab_text[8000];                                                                         \
        reel_gradcheck_text(&(report), lab_text, sizeof lab_text);                                   \
        ck_assert_msg((report).verdict == (wanted), "%s, but got\n%s", reel_verdict_name(wanted), lab_text); \
    } while (0)

/* ---- Ops to check ---------------------------------------------------------------------------------- */

/* y = x^3 elementwise in f64, with a VJP that is right or wrong in a chosen way. */
enum lab_mistake { LAB_RIGHT, LAB_SIGN, LAB_TWICE, LAB_NOTHING, LAB_TRANSPOSED, LAB_ONE, LAB_NAN, LAB_STOPPED,
                   LAB_UNRECORDED, LAB_RESTLESS, LAB_MEAN, LAB_SLIGHT };

typedef struct lab_cube {
    enum lab_mistake mistake;
} lab_cube;

static bool lab_cube_shape(reel_call *call, reel_output *out)
{
    out->dtype = call->in[0].dtype;
    out->shape = reel_make_shape(call->in[0].rank, call->in[0].shape);
    return call->in[0].dtype == REEL_F64 || reel_call_error(call, "f64 alone");
}

static double lab_kept_squares[64];

/* Inputs are contiguous here, of at most 64 elements. LAB_RESTLESS gives another value each time. */
static bool lab_cube_forward(const reel_call *call)
{
    static int calls;
    const double *x = call->in[0].data;
    double *y = call->out[0].data;
    double drift = ((const lab_cube *)call->attributes)->mistake == LAB_RESTLESS ? 1e-3 * ++calls : 0;
    for (int64_t i = 0; i < call->out[0].count; i++) {
        lab_kept_squares[i] = x[i] * x[i];
        y[i] = x[i] * x[i] * x[i] + drift;
    }
    return true;
}

/* What the last forward kept aside: numbers that are not on the tape. */
static reel_tensor lab_constant_square(reel_tensor x)
{
    return reel_constant(x.tape, reel_shape_of(x),
                         reel_values_of(REEL_F64, lab_kept_squares, (size_t)reel_count(x)));
}

static reel_tensor lab_but_one(reel_tensor dx)
{
    double mask[64];
    for (int i = 0; i < 64; i++)
        mask[i] = i == 3 ? 1.01 : 1;
    return reel_mul(dx, reel_constant(dx.tape, reel_shape_of(dx),
                                      reel_values_of(REEL_F64, mask, (size_t)reel_count(dx))));
}

static void lab_cube_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    (void)wanted;
    enum lab_mistake mistake = ((const lab_cube *)call->attributes)->mistake;
    reel_tensor x = call->input[0];
    reel_tensor square = mistake == LAB_UNRECORDED ? lab_constant_square(x)
                         : mistake == LAB_STOPPED  ? reel_mul(x, reel_stop_gradient(x)) : reel_mul(x, x);
    double factor = mistake == LAB_SIGN ? -3 : mistake == LAB_TWICE ? 6
                    : mistake == LAB_MEAN ? 3. / (double)reel_count(x)
                    : mistake == LAB_SLIGHT ? 3 * (1 + 4e-6) : 3;
    dx[0] = reel_mul(reel_affine(square, factor, 0), dy[0]);
    if (mistake == LAB_TRANSPOSED)
        dx[0] = reel_reshape(reel_transpose(dx[0]), reel_shape_of(x));
    if (mistake == LAB_ONE)
        dx[0] = lab_but_one(dx[0]);
    if (mistake == LAB_NAN)
        dx[0] = reel_affine(dx[0], 1, NAN);
    if (mistake == LAB_NOTHING)
        dx[0] = REEL_NONE;
}

static const reel_op lab_op_cube = {
    .size = sizeof(reel_op), .name = "cube", .inputs = 1, .outputs = 1, .attributes = sizeof(lab_cube),
    .shape = lab_cube_shape, .forward = lab_cube_forward, .vjp = lab_cube_vjp,
    .formula = "y = x^3; dx = 3 x x dy",
};

enum { LAB_CUBE_LINE = 1234 };

static reel_tensor lab_cubed(reel_tensor x, enum lab_mistake mistake)
{
    reel_tensor y;
    reel_apply_at("a page of mine.c", LAB_CUBE_LINE, &lab_op_cube, REEL_TENSORS(x), &(lab_cube){mistake}, &y,
                  1);
    return y;
}

/* tanh(cube(1.1 x)) with x [3,4]. */
static reel_tensor lab_network(reel_tape *tape, enum lab_mistake mistake, reel_tensor *x)
{
    *x = reel_name(reel_random_uniform(tape, REEL_SHAPE(3, 4), REEL_F64, .3, .9), "x");
    return reel_tanh(lab_cubed(reel_affine(*x, 1.1, 0), mistake));
}

/* Three normalisations along an axis of x [3,4,2], each with a VJP that takes another axis: all of it, or in
 * the softmax alone. */
enum lab_norm_kind { LAB_CENTRED, LAB_SOFTMAX, LAB_LOG_SOFTMAX };

typedef struct lab_norm {
    enum lab_norm_kind kind;
    int                axis, taken;
    bool               in_softmax;                  /* the mistake is made there alone             */
} lab_norm;

static bool lab_norm_shape(reel_call *call, reel_output *out)
{
    out->dtype = REEL_F64;
    out->shape = reel_make_shape(call->in[0].rank, call->in[0].shape);
    return true;
}

static double lab_norm_of(enum lab_norm_kind kind, double x, double sum, double exponentials, double size)
{
    return kind == LAB_CENTRED ? x - sum / size
           : kind == LAB_SOFTMAX ? exp(x) / exponentials : x - log(exponentials);
}

/* x is contiguous. */
static bool lab_norm_forward(const reel_call *call)
{
    const lab_norm *norm = call->attributes;
    const double *x = call->in[0].data;
    int64_t size = call->in[0].shape[norm->axis], stride = call->in[0].strides[norm->axis];
    for (int64_t e = 0; e < call->in[0].count; e++) {
        int64_t first = e - e / stride % size * stride;
        double sum = 0, exponentials = 0;
        for (int64_t i = 0; i < size; i++) {
            sum += x[first + i * stride];
            exponentials += exp(x[first + i * stride]);
        }
        ((double *)call->out[0].data)[e] = lab_norm_of(norm->kind, x[e], sum, exponentials, (double)size);
    }
    return true;
}

static reel_tensor lab_sum_along(reel_tensor x, int axis)
{
    return reel_sum(x, .axes = REEL_AXES(axis), .keepdims = true);
}

static void lab_norm_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    (void)wanted;
    const lab_norm *norm = call->attributes;
    int axis = norm->in_softmax ? norm->axis : norm->taken;
    reel_tensor x = call->input[0], p = reel_softmax(x, norm->taken), weighted = reel_mul(p, dy[0]);
    double size = (double)reel_shape_of(x).size[axis];
    if (norm->kind == LAB_CENTRED)
        dx[0] = reel_sub(dy[0], reel_affine(lab_sum_along(dy[0], axis), 1 / size, 0));
    else if (norm->kind == LAB_SOFTMAX)
        dx[0] = reel_sub(weighted, reel_mul(p, lab_sum_along(weighted, axis)));
    else
        dx[0] = reel_sub(dy[0], reel_mul(p, lab_sum_along(dy[0], axis)));
}

static const reel_op lab_op_norm = {
    .size = sizeof(reel_op), .name = "norm", .inputs = 1, .outputs = 1, .attributes = sizeof(lab_norm),
    .shape = lab_norm_shape, .forward = lab_norm_forward, .vjp = lab_norm_vjp,
    .formula = "y = x - mean x, softmax x or log softmax x",
};

/* ---- Verdicts -------------------------------------------------------------------------------------- */

static const struct lab_fault {
    enum lab_mistake mistake;
    int              order;
    reel_cause       cause;
} lab_faults[] = {
    {LAB_SIGN, 1, REEL_CAUSE_SIGN},
    {LAB_TWICE, 1, REEL_CAUSE_FACTOR},
    {LAB_MEAN, 1, REEL_CAUSE_REDUCTION},
    {LAB_NOTHING, 1, REEL_CAUSE_MISSING_PATH},
    {LAB_TRANSPOSED, 1, REEL_CAUSE_TRANSPOSED},
    {LAB_ONE, 1, REEL_CAUSE_SOME_ELEMENTS},
    {LAB_NAN, 1, REEL_CAUSE_NOT_FINITE},
    {LAB_STOPPED, 2, REEL_CAUSE_FACTOR},
    {LAB_UNRECORDED, 2, REEL_CAUSE_NOT_RECORDED},
};

START_TEST(lab_names_the_mistake_and_the_node)
{
    const struct lab_fault *fault = &lab_faults[_i];
    reel_tape *tape = reel_tape_new();
    reel_tensor x, y = lab_network(tape, fault->mistake, &x);
    reel_gradcheck_report r = reel_gradcheck(y, REEL_TENSORS(x), .order = fault->order);
    LAB_ASSERT_VERDICT(r, REEL_FAIL);
    ck_assert_int_eq(r.blames, 1);
    ck_assert_str_eq(r.blame[0].op, "cube");
    ck_assert_int_eq(r.blame[0].line, LAB_CUBE_LINE);
    ck_assert_uint_eq(r.blame[0].node, x.node + 2);
    ck_assert_int_eq(r.blame[0].cause, fault->cause);
    ck_assert_int_eq(r.cause, fault->cause);
    ck_assert_int_eq(r.worst[0].verdict, REEL_FAIL);
    ck_assert_int_eq(r.worst[0].order, fault->order);
    ck_assert_str_eq(r.worst[0].name, "x");
    char text[8000];
    reel_gradcheck_text(&r, text, sizeof text);
    ck_assert_ptr_nonnull(strstr(text, "the VJP of cube, called at a page of mine.c:1234"));
    ck_assert_ptr_nonnull(strstr(text, reel_cause_text(fault->cause)));
    reel_tape_free(tape);
}
END_TEST

static reel_gradcheck_report lab_check_norm(reel_tape *tape, lab_norm norm, int order)
{
    reel_tensor x = reel_random_normal(tape, REEL_SHAPE(3, 4, 2), REEL_F64, 0, 1), y;
    reel_apply(&lab_op_norm, REEL_TENSORS(reel_affine(x, 1.1, 0)), &norm, &y, 1);
    return reel_gradcheck(reel_tanh(y), REEL_TENSORS(x), .order = order);
}

START_TEST(lab_names_the_axis_that_is_taken_and_the_one_that_is_meant)
{
    static const lab_norm mistakes[] = {{LAB_CENTRED, 0, 0, false}, {LAB_SOFTMAX, 0, 0, false},
                                        {LAB_LOG_SOFTMAX, 0, 0, false}, {LAB_LOG_SOFTMAX, 0, 0, true}};
    reel_tape *tape = reel_tape_new();
    for (int pair = 0; pair < 9; pair++) {
        lab_norm norm = mistakes[_i];
        norm.axis = pair / 3;
        norm.taken = pair % 3;
        reel_gradcheck_report r = lab_check_norm(tape, norm, 1);
        LAB_ASSERT_VERDICT(r, norm.axis == norm.taken ? REEL_PASS : REEL_FAIL);
        if (norm.axis == norm.taken)
            continue;
        ck_assert_int_eq(r.blames, 1);
        ck_assert_int_eq(r.blame[0].cause, REEL_CAUSE_AXIS);
        ck_assert_int_eq(r.blame[0].clue.axis, norm.taken);
        ck_assert_int_eq(r.blame[0].clue.meant, norm.axis);
        ck_assert_int_eq(r.cause, REEL_CAUSE_AXIS);
        ck_assert_int_eq(r.clue.axis, norm.taken);
        char text[8000], wanted[64];
        reel_gradcheck_text(&r, text, sizeof text);
        snprintf(wanted, sizeof wanted, "axis %d, where axis %d is right\n", norm.taken, norm.axis);
        ck_assert_ptr_nonnull(strstr(text, wanted));
    }
    reel_tape_free(tape);
}
END_TEST

/* The wrong softmax, in the right sum: this gradient sums to 0 along no axis. */
START_TEST(lab_names_no_axis_where_none_is_taken)
{
    reel_tape *tape = reel_tape_new();
    reel_gradcheck_report r = lab_check_norm(tape, (lab_norm){LAB_SOFTMAX, 1, 0, true}, 1);
    LAB_ASSERT_VERDICT(r, REEL_FAIL);
    ck_assert_int_eq(r.blames, 1);
    ck_assert_int_ne(r.cause, REEL_CAUSE_AXIS);
    reel_tape_free(tape);
}
END_TEST

/* Wrong at order 1, and so at order 2: the same node, listed once. */
START_TEST(lab_blames_a_node_once)
{
    reel_tape *tape = reel_tape_new();
    reel_gradcheck_report r = lab_check_norm(tape, (lab_norm){LAB_SOFTMAX, 1, 2, false}, 2);
    LAB_ASSERT_VERDICT(r, REEL_FAIL);
    int listed = 0;
    for (int i = 0; i < r.blames; i++)
        listed += !strcmp(r.blame[i].op, "norm");
    ck_assert_int_eq(listed, 1);
    reel_tape_free(tape);
}
END_TEST

START_TEST(lab_says_by_what_factor)
{
    reel_tape *tape = reel_tape_new();
    char text[8000];
    reel_tensor x, y = lab_network(tape, LAB_TWICE, &x);
    reel_gradcheck_report r = reel_gradcheck(y, REEL_TENSORS(x));
    ck_assert_double_eq_tol(r.clue.factor, 2, 1e-6);
    reel_gradcheck_text(&r, text, sizeof text);
    ck_assert_ptr_nonnull(strstr(text, "it is 2. times the derivative\n"));
    r = reel_gradcheck(lab_network(tape, LAB_MEAN, &x), REEL_TENSORS(x));
    ck_assert_double_eq_tol(r.clue.factor, 1. / 12, 1e-6);
    ck_assert_int_eq(r.clue.axis, -1);              /* 12 is the number of elements, no axis's size */
    reel_gradcheck_text(&r, text, sizeof text);
    ck_assert_ptr_nonnull(strstr(text, "the derivative divided by 12; a division by 12 is too much\n"));
    reel_tape_free(tape);
}
END_TEST

START_TEST(lab_passes_what_is_right)
{
    reel_tape *tape = reel_tape_new();
    reel_tensor x, y = lab_network(tape, LAB_RIGHT, &x);
    reel_gradcheck_report r = reel_gradcheck(y, REEL_TENSORS(x), .order = 3);
    LAB_ASSERT_VERDICT(r, REEL_PASS);
    ck_assert_int_eq(r.passed, 12 + 24 + 36);       /* x; x, u; x, u, v                            */
    ck_assert_int_eq(r.findings, 0);
    ck_assert_double_nan(r.digits);
    reel_tape_free(tape);
}
END_TEST

START_TEST(lab_finds_one_element)
{
    reel_tape *tape = reel_tape_new();
    reel_tensor x, y = lab_network(tape, LAB_ONE, &x);
    reel_finding all[20];
    reel_gradcheck_report r = reel_gradcheck(y, REEL_TENSORS(x), .elements = all, .element_room = 20);
    ck_assert_int_eq(r.failed, 1);
    ck_assert_int_eq(r.passed, 11);
    ck_assert_int_eq(r.worst[0].element, 3);
    ck_assert_int_eq(r.worst[0].index[0], 0);
    ck_assert_int_eq(r.worst[0].index[1], 3);
    ck_assert_double_eq_tol(r.worst[0].ratio, 1.01, 1e-6);
    ck_assert_int_eq(all[0].verdict, REEL_FAIL);
    for (int i = 1; i < 12; i++) {
        ck_assert_int_eq(all[i].verdict, REEL_PASS);
        ck_assert(i == 1 || all[i].severity <= all[i - 1].severity);
    }
    reel_tape_free(tape);
}
END_TEST

/* The tolerance is 1e-6 whatever steps are taken. */
START_TEST(lab_lets_no_slight_error_pass)
{
    reel_tape *tape = reel_tape_new();
    reel_tensor x, y = lab_network(tape, LAB_SLIGHT, &x);
    reel_gradcheck_report r = reel_gradcheck(y, REEL_TENSORS(x), .one_by_one = _i);
    LAB_ASSERT_VERDICT(r, REEL_FAIL);
    ck_assert_int_eq(r.failed, 12);
    y = lab_network(tape, LAB_RIGHT, &x);
    r = reel_gradcheck(y, REEL_TENSORS(x), .one_by_one = _i);
    LAB_ASSERT_VERDICT(r, REEL_PASS);
    ck_assert_int_lt(r.replays, 12 * 3);            /* most elements need one pair of steps        */
    reel_tape_free(tape);
}
END_TEST

START_TEST(lab_wants_both_uses_added)
{
    reel_tape *tape = reel_tape_new();
    reel_tensor x = reel_name(reel_random_normal(tape, REEL_SHAPE(5), REEL_F64, 0, 1), "x");
    reel_tensor h = reel_tanh(x), y = reel_add(reel_mul(h, x), reel_mul(h, h));
    reel_gradcheck_report r = reel_gradcheck(y, REEL_TENSORS(x, h), .order = 2);
    LAB_ASSERT_VERDICT(r, REEL_PASS);               /* h depends on x, and both are asked for      */
    reel_tape_free(tape);
}
END_TEST

/* ---- Doubts ---------------------------------------------------------------------------------------- */

START_TEST(lab_cannot_tell_at_a_kink)
{
    ck_assert(lab_trial_kinks());
}
END_TEST

START_TEST(lab_does_not_trust_a_restless_node)
{
    reel_tape *tape = reel_tape_new();
    reel_tensor x, y = lab_network(tape, LAB_RESTLESS, &x);
    reel_gradcheck_report r = reel_gradcheck(y, REEL_TENSORS(x), .order = 2);
    LAB_ASSERT_VERDICT(r, REEL_CANNOT_TELL);
    ck_assert_int_eq(r.failed, 0);
    ck_assert_int_eq(r.undecided, 12);
    ck_assert_int_eq(r.worst[0].doubt, REEL_NOT_REPEATABLE);
    ck_assert_str_eq(r.unsteady_op, "cube");
    ck_assert_int_eq(r.unsteady_line, LAB_CUBE_LINE);
    reel_tape_free(tape);
}
END_TEST

START_TEST(lab_leaves_out_what_is_not_finite)
{
    reel_tape *tape = reel_tape_new();
    reel_tensor x = reel_variable(tape, REEL_SHAPE(4), REEL_F64_VALUES(1, 0, 3, 800));
    reel_gradcheck_report r = reel_gradcheck(reel_log(x), REEL_TENSORS(x));
    LAB_ASSERT_VERDICT(r, REEL_CANNOT_TELL);
    ck_assert_int_eq(r.not_finite, 1);
    ck_assert_int_eq(r.failed, 0);
    ck_assert_int_eq(r.passed, 3);
    r = reel_gradcheck(reel_exp(x), REEL_TENSORS(x));
    LAB_ASSERT_VERDICT(r, REEL_CANNOT_TELL);
    ck_assert_int_eq(r.passed, 3);
    reel_tape_free(tape);
}
END_TEST

START_TEST(lab_sees_cancellation)
{
    reel_tape *tape = reel_tape_new();
    reel_tensor x = reel_variable(tape, REEL_SHAPE(2), REEL_F64_VALUES(.3, .7));
    reel_tensor y = reel_affine(reel_tanh(x), 1e-6, 1e6);
    reel_gradcheck_report r = reel_gradcheck(y, REEL_TENSORS(x));
    LAB_ASSERT_VERDICT(r, REEL_CANNOT_TELL);
    ck_assert_int_eq(r.worst[0].doubt, REEL_CANCELLATION);
    reel_tape_free(tape);
}
END_TEST

/* ---- The loss -------------------------------------------------------------------------------------- */

START_TEST(lab_checks_the_loss)
{
    reel_tape *tape = reel_tape_new();
    reel_tensor logits = reel_random_normal(tape, REEL_SHAPE(32, 10), REEL_F64, 0, 1);
    reel_tensor labels = reel_random_uniform(tape, REEL_SHAPE(32, 10), REEL_F64, 0, 1);
    reel_tensor loss = reel_softmax_cross_entropy_with_logits(.labels = labels, .logits = logits);
    reel_gradcheck_report r = reel_gradcheck(loss, REEL_TENSORS(logits, labels));
    LAB_ASSERT_VERDICT(r, REEL_PASS);
    ck_assert_int_eq(r.passed, 640);
    ck_assert_int_eq(r.rows, 32);
    ck_assert_int_lt(r.replays, 120);
    r = reel_gradcheck(loss, REEL_TENSORS(logits, labels), .one_by_one = true);
    LAB_ASSERT_VERDICT(r, REEL_PASS);
    ck_assert_int_eq(r.rows, 1);
    r = reel_gradcheck(reel_mean(loss), REEL_TENSORS(logits, labels), .order = 2);
    LAB_ASSERT_VERDICT(r, REEL_PASS);
    reel_tape_free(tape);
}
END_TEST

START_TEST(lab_holds_what_is_stopped)
{
    reel_tape *tape = reel_tape_new();
    reel_tensor logits = reel_random_normal(tape, REEL_SHAPE(4, 3), REEL_F64, 0, 1);
    reel_tensor scores = reel_random_normal(tape, REEL_SHAPE(4, 3), REEL_F64, 0, 1);
    reel_tensor labels = reel_softmax(scores, -1);
    reel_tensor v1 = reel_softmax_cross_entropy_with_logits_v1(.labels = labels, .logits = logits);
    reel_tensor v2 = reel_softmax_cross_entropy_with_logits(.labels = labels, .logits = logits);
    reel_gradcheck_report r = reel_gradcheck(v1, REEL_TENSORS(logits, scores));
    LAB_ASSERT_VERDICT(r, REEL_PASS);
    ck_assert_int_eq(r.stopped, 1);
    r = reel_gradcheck(v2, REEL_TENSORS(logits, scores));
    LAB_ASSERT_VERDICT(r, REEL_PASS);
    ck_assert_int_eq(r.stopped, 0);
    reel_tape_free(tape);
}
END_TEST

START_TEST(lab_tells_semantics_apart)
{
    reel_tape *tape = reel_tape_new();
    reel_tensor logits = reel_name(reel_random_normal(tape, REEL_SHAPE(4, 5), REEL_F64, 0, 1), "logits");
    reel_tensor labels = reel_random_uniform(tape, REEL_SHAPE(4, 5), REEL_F64, 0, 1);
    reel_tensor loss = reel_softmax_cross_entropy_with_logits(.labels = labels, .logits = logits,
                                                              .semantics = REEL_TENSORFLOW);
    reel_gradcheck_report r = reel_gradcheck(loss, REEL_TENSORS(logits));
    LAB_ASSERT_VERDICT(r, REEL_FAIL);
    ck_assert_int_eq(r.cause, REEL_CAUSE_LABEL_SUM);
    reel_tape_free(tape);
}
END_TEST

START_TEST(lab_does_not_mix_rows_that_touch)
{
    reel_tape *tape = reel_tape_new();
    reel_tensor x = reel_random_normal(tape, REEL_SHAPE(8, 6), REEL_F64, 0, 1);
    reel_gradcheck_report r = reel_gradcheck(reel_softmax(x, 0), REEL_TENSORS(x));
    LAB_ASSERT_VERDICT(r, REEL_PASS);
    ck_assert_int_eq(r.rows, 6);                    /* the columns are apart, the rows are not     */
    r = reel_gradcheck(reel_tanh(x), REEL_TENSORS(x));
    ck_assert_int_eq(r.rows, 48);
    r = reel_gradcheck(reel_sub(x, reel_mean(x)), REEL_TENSORS(x));
    LAB_ASSERT_VERDICT(r, REEL_PASS);
    ck_assert_int_eq(r.rows, 1);
    reel_tape_free(tape);
}
END_TEST

/* ---- Dtypes ---------------------------------------------------------------------------------------- */

START_TEST(lab_counts_the_digits_that_stay)
{
    static const struct {
        reel_dtype dtype;
        double     least, most;
    } expected[] = {{REEL_F32, 5.5, 9}, {REEL_F16, 1.8, 4.5}, {REEL_BF16, 0.9, 3.5}};
    reel_tape *tape = reel_tape_new();
    reel_tensor a = reel_random_normal(tape, REEL_SHAPE(6, 5), expected[_i].dtype, 0, 1);
    reel_tensor b = reel_random_normal(tape, REEL_SHAPE(5, 4), expected[_i].dtype, 0, 1);
    reel_gradcheck_report r = reel_gradcheck(reel_mean(reel_tanh(reel_matmul(a, b))), REEL_TENSORS(a, b));
    LAB_ASSERT_VERDICT(r, REEL_PASS);
    ck_assert_int_eq(r.dtype, expected[_i].dtype);
    ck_assert_double_gt(r.digits, expected[_i].least);
    ck_assert_double_lt(r.digits, expected[_i].most);
    reel_tape_free(tape);
}
END_TEST

/* ---- Directions ------------------------------------------------------------------------------------ */

START_TEST(lab_directions_see_one_element)
{
    reel_tape *tape = reel_tape_new();
    reel_tensor x, y = lab_network(tape, LAB_ONE, &x);
    reel_gradcheck_report r = reel_gradcheck(reel_mean(y), REEL_TENSORS(x), .directions = 3);
    LAB_ASSERT_VERDICT(r, REEL_FAIL);
    ck_assert_double_eq(r.chance_to_miss, 1. / 8);
    ck_assert_double_lt(r.seen_above, 1e-4);
    ck_assert_int_eq(r.worst[0].element, -1);
    ck_assert_int_eq(r.blames, 1);
    y = lab_network(tape, LAB_RIGHT, &x);
    r = reel_gradcheck(reel_mean(y), REEL_TENSORS(x), .directions = 3);
    LAB_ASSERT_VERDICT(r, REEL_PASS);
    reel_tape_free(tape);
}
END_TEST

/* ---- Functions in C -------------------------------------------------------------------------------- */

/* y_i = x_i e^(x_i), in f64 or f32; `user` points at what the gradient of element 3 is multiplied with. */
static bool lab_forward(void *user, const void *x, void *y)
{
    (void)user;
    for (int i = 0; i < 6; i++)
        ((double *)y)[i] = ((const double *)x)[i] * exp(((const double *)x)[i]);
    return true;
}

static bool lab_backward(void *user, const void *x, const void *dy, void *dx)
{
    for (int i = 0; i < 6; i++) {
        double at = ((const double *)x)[i];
        ((double *)dx)[i] =
            ((const double *)dy)[i] * exp(at) * (1 + at) * (i == 3 ? *(const double *)user : 1);
    }
    return true;
}

static bool lab_forward_f32(void *user, const void *x, void *y)
{
    (void)user;
    for (int i = 0; i < 6; i++)
        ((float *)y)[i] = ((const float *)x)[i] * expf(((const float *)x)[i]);
    return true;
}

static bool lab_backward_f32(void *user, const void *x, const void *dy, void *dx)
{
    for (int i = 0; i < 6; i++) {
        float at = ((const float *)x)[i];
        ((float *)dx)[i] =
            ((const float *)dy)[i] * expf(at) * (1 + at) * (i == 3 ? (float)*(const double *)user : 1);
    }
    return true;
}

static bool lab_refuses(void *user, const void *x, void *y)
{
    (void)user, (void)x, (void)y;
    return false;
}

START_TEST(lab_checks_functions_in_c)
{
    double x[6] = {.1, -2, .4, 1.3, -.6, 3}, ones[6] = {1, 1, 1, 1, 1, 1}, gradient[6];
    double factor = _i ? 1.01 : 1;
    float small[6] = {.1f, -2, .4f, 1.3f, -.6f, 3};
    reel_verdict wanted = _i ? REEL_FAIL : REEL_PASS;
    reel_gradcheck_report r =
        reel_gradcheck_function(.forward = lab_forward, .backward = lab_backward, .user = &factor, .x = x,
                                .x_shape = REEL_SHAPE(2, 3), .y_shape = REEL_SHAPE(6), .name = "w");
    LAB_ASSERT_VERDICT(r, wanted);
    if (_i) {
        ck_assert_str_eq(r.worst[0].name, "w");
        ck_assert_int_eq(r.worst[0].index[0], 1);
        ck_assert_int_eq(r.worst[0].index[1], 0);
    }
    lab_backward(&factor, x, ones, gradient);
    r = reel_gradcheck_function(.forward = lab_forward, .gradient = gradient, .x = x,
                                .x_shape = REEL_SHAPE(6), .y_shape = REEL_SHAPE(6));
    LAB_ASSERT_VERDICT(r, wanted);
    r = reel_gradcheck_function(.forward = lab_forward_f32, .backward = lab_backward_f32, .user = &factor,
                                .dtype = REEL_F32, .x = small, .x_shape = REEL_SHAPE(6),
                                .y_shape = REEL_SHAPE(6));
    LAB_ASSERT_VERDICT(r, wanted);
}
END_TEST

START_TEST(lab_refuses_senseless_functions)
{
    double x[2] = {1, 2};
    reel_gradcheck_report r =
        reel_gradcheck_function(.forward = lab_forward, .x = x, .x_shape = REEL_SHAPE(2));
    ck_assert_int_eq(r.verdict, REEL_NOT_CHECKED);
    r = reel_gradcheck_function(.forward = lab_refuses, .gradient = x, .x = x, .x_shape = REEL_SHAPE(2));
    ck_assert_int_eq(r.verdict, REEL_NOT_CHECKED);
    r = reel_gradcheck_function(.forward = lab_refuses, .gradient = x, .x = x, .x_shape = {.rank = 99});
    ck_assert_int_eq(r.verdict, REEL_NOT_CHECKED);
}
END_TEST

/* ---- The tape stays as it was ---------------------------------------------------------------------- */

START_TEST(lab_leaves_the_tape_as_it_was)
{
    reel_tape *tape = reel_tape_new();
    reel_tensor x, y = lab_network(tape, LAB_RIGHT, &x), z = reel_mul(reel_relu(y), reel_stop_gradient(y));
    double before[3][12], after[3][12];
    reel_tensor kept[3] = {x, y, z};
    for (int i = 0; i < 3; i++)
        reel_read(kept[i], before[i], sizeof before[i]);
    size_t nodes = reel_tape_statistics(tape).nodes, used = reel_tape_statistics(tape).bytes_used;
    for (int round = 0; round < 3; round++)
        reel_gradcheck(z, REEL_TENSORS(x, y), .order = 2);
    ck_assert_uint_eq(reel_tape_statistics(tape).nodes, nodes);
    ck_assert_uint_eq(reel_tape_statistics(tape).bytes_used, used);
    for (int i = 0; i < 3; i++) {
        ck_assert(reel_is_valid(kept[i]));
        reel_read(kept[i], after[i], sizeof after[i]);
        ck_assert_mem_eq(before[i], after[i], sizeof after[i]);
    }
    ck_assert(!reel_failed(tape));
    reel_tape_free(tape);
}
END_TEST

START_TEST(lab_follows_strides)
{
    reel_tape *tape = reel_tape_new();
    double memory[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    reel_tensor x = reel_wrap(tape, .dtype = REEL_F64, .shape = REEL_SHAPE(3, 4), .data = memory,
                              .strides = (const int64_t[]){1, 3}, .variable = true);
    reel_tensor row = reel_reshape(reel_transpose(x), REEL_SHAPE(12));          /* a view           */
    reel_tensor w =
        reel_constant(tape, REEL_SHAPE(12), REEL_F64_VALUES(1, -1, 2, -2, 3, -3, 4, -4, 5, -5, 6, -6));
    reel_finding all[12];
    reel_gradcheck_report r = reel_gradcheck(reel_mean(reel_mul(reel_log(row), w)), REEL_TENSORS(x),
                                             .elements = all, .element_room = 12);
    LAB_ASSERT_VERDICT(r, REEL_PASS);
    ck_assert_int_eq(r.passed, 12);
    reel_tape_free(tape);
}
END_TEST

START_TEST(lab_gives_errors_as_values)
{
    reel_tape *tape = reel_tape_new();
    reel_mark start = reel_tape_mark(tape);
    reel_tensor x = reel_random_normal(tape, REEL_SHAPE(3), REEL_F64, 0, 1);
    reel_tensor c = reel_constant(tape, REEL_SHAPE(3), reel_fill(REEL_F64, 1));
    reel_gradcheck_report r = reel_gradcheck(reel_mul(x, c), REEL_TENSORS(c));
    ck_assert_int_eq(r.verdict, REEL_NOT_CHECKED);
    ck_assert_ptr_nonnull(strstr(reel_error_message(tape), "no variable reaches"));
    reel_tape_rewind(tape, start);
    ck_assert(reel_error_clear(tape));
    x = reel_random_normal(tape, REEL_SHAPE(3), REEL_F64, 0, 1);
    r = reel_gradcheck(x, REEL_TENSORS(x), .order = -1);
    ck_assert_int_eq(r.verdict, REEL_NOT_CHECKED);
    ck_assert_ptr_nonnull(strstr(reel_error_message(tape), "order must be"));
    char text[200];
    ck_assert_uint_gt(reel_gradcheck_text(&r, text, sizeof text), 0);
    reel_tape_free(tape);
}
END_TEST

/* y = 3 x in f32, and in nothing else. */
static bool lab_f32_shape(reel_call *call, reel_output *out)
{
    out->dtype = REEL_F32;
    out->shape = reel_make_shape(call->in[0].rank, call->in[0].shape);
    return call->in[0].dtype == REEL_F32 || reel_call_error(call, "f32 alone");
}

static bool lab_f32_forward(const reel_call *call)
{
    for (int64_t i = 0; i < call->out[0].count; i++)
        ((float *)call->out[0].data)[i] = 3 * ((const float *)call->in[0].data)[i];
    return true;
}

static const reel_op lab_op_f32 = {
    .size = sizeof(reel_op), .name = "triple", .inputs = 1, .outputs = 1, .flags = REEL_NO_GRADIENT,
    .shape = lab_f32_shape, .forward = lab_f32_forward, .formula = "y = 3 x",
};

START_TEST(lab_says_that_an_op_must_take_f64)
{
    reel_tape *tape = reel_tape_new();
    reel_tensor x = reel_random_normal(tape, REEL_SHAPE(3), REEL_F32, 0, 1), y;
    reel_apply_at("mine.c", 7, &lab_op_f32, REEL_TENSORS(x), NULL, &y, 1);
    y = reel_tanh(reel_add(x, y));
    reel_gradcheck_report r =
        reel_gradcheck_at("check.c", 9, REEL_OPTIONS(reel_gradcheck_options, .y = y, .xs = REEL_TENSORS(x)));
    LAB_ASSERT_VERDICT(r, REEL_NOT_CHECKED);
    ck_assert_double_nan(r.digits);
    const char *message = reel_error_message(tape);
    const char *wanted = "mine.c:7: triple: f32 alone; the check at check.c:9 records in f64 again what y needs, "
                         "so triple, which was recorded in f32, must take f64 too";
    ck_assert_msg(!strncmp(message, wanted, strlen(wanted)), "%s", message);
    char text[200];
    reel_gradcheck_text(&r, text, sizeof text);
    ck_assert_str_eq(text, "NOT CHECKED: the check could not be made; the tape's error message says why\n");
    reel_tape_free(tape);
}
END_TEST

/* A request of the check fails, alone (an op may then find another way) or with all after it: an error,
 * nothing lost, and the tape can be used again. Returns how many requests there were. */
static uint64_t lab_check_with_failing(uint64_t fail, bool on)
{
    test_memory memory = {0};
    test_report report = {0};
    reel_tape *tape = test_tape_on(&memory, .each_request = true);
    reel_mark start = reel_tape_mark(tape);
    reel_tensor x, y = lab_network(tape, LAB_SIGN, &x);
    uint64_t before = memory.requests;
    memory.fail_at = fail ? before + fail : 0;
    memory.fail_on = on;
    reel_gradcheck_report r = reel_gradcheck(y, REEL_TENSORS(x), .order = 2);
    uint64_t requests = memory.requests - before;
    ck_assert_int_eq(r.verdict, reel_failed(tape) ? REEL_NOT_CHECKED : REEL_FAIL);
    ck_assert(reel_failed(tape) || !(fail && on));
    memory.fail_at = 0;
    reel_tape_rewind(tape, start);
    reel_error_clear(tape);
    y = lab_network(tape, LAB_RIGHT, &x);
    r = reel_gradcheck(y, REEL_TENSORS(x));
    LAB_ASSERT_VERDICT(r, REEL_PASS);
    reel_tape_free(tape);
    test_memory_check(&memory, &report);
    test_assert_clean(&report);
    return requests;
}

START_TEST(lab_survives_each_failing_allocation)
{
    uint64_t requests = lab_check_with_failing(0, false);
    ck_assert_uint_gt(requests, 100);
    for (uint64_t fail = 1; fail <= requests; fail += 1 + fail / 30)
        lab_check_with_failing(fail, _i);
}
END_TEST

START_TEST(lab_cuts_its_text)
{
    reel_tape *tape = reel_tape_new();
    reel_tensor x, y = lab_network(tape, LAB_SIGN, &x);
    reel_gradcheck_report r = reel_gradcheck(y, REEL_TENSORS(x));
    char text[8000], part[50];
    size_t length = reel_gradcheck_text(&r, text, sizeof text);
    ck_assert_uint_eq(length, strlen(text));
    ck_assert_uint_eq(reel_gradcheck_text(&r, part, sizeof part), length);
    ck_assert_uint_eq(strlen(part), sizeof part - 1);
    ck_assert_uint_eq(reel_gradcheck_text(&r, NULL, 0), length);
    test_files files;
    test_files_start(&files);
    ck_assert(reel_gradcheck_print(&r, &files.io));
    ck_assert_str_eq(test_files_text(&files, "stdout"), text);
    test_files_end(&files);
    reel_tape_free(tape);
}
END_TEST

START_TEST(lab_calls_no_right_network_wrong)
{
    ck_assert(lab_trial_networks(60, false));
}
END_TEST

Suite *reel_suite_lab(void);

Suite *reel_suite_lab(void)
{
    Suite *suite = suite_create("lab");
    TCase *tests = tcase_create("lab");
    tcase_set_timeout(tests, 300);
    tcase_add_loop_test(tests, lab_names_the_mistake_and_the_node, 0,
                        sizeof lab_faults / sizeof lab_faults[0]);
    tcase_add_loop_test(tests, lab_names_the_axis_that_is_taken_and_the_one_that_is_meant, 0, 4);
    tcase_add_test(tests, lab_names_no_axis_where_none_is_taken);
    tcase_add_test(tests, lab_blames_a_node_once);
    tcase_add_test(tests, lab_says_by_what_factor);
    tcase_add_test(tests, lab_passes_what_is_right);
    tcase_add_test(tests, lab_finds_one_element);
    tcase_add_loop_test(tests, lab_lets_no_slight_error_pass, 0, 2);
    tcase_add_test(tests, lab_wants_both_uses_added);
    tcase_add_test(tests, lab_cannot_tell_at_a_kink);
    tcase_add_test(tests, lab_does_not_trust_a_restless_node);
    tcase_add_test(tests, lab_leaves_out_what_is_not_finite);
    tcase_add_test(tests, lab_sees_cancellation);
    tcase_add_test(tests, lab_checks_the_loss);
    tcase_add_test(tests, lab_holds_what_is_stopped);
    tcase_add_test(tests, lab_tells_semantics_apart);
    tcase_add_test(tests, lab_does_not_mix_rows_that_touch);
    tcase_add_loop_test(tests, lab_counts_the_digits_that_stay, 0, 3);
    tcase_add_test(tests, lab_directions_see_one_element);
    tcase_add_loop_test(tests, lab_checks_functions_in_c, 0, 2);
    tcase_add_test(tests, lab_refuses_senseless_functions);
    tcase_add_test(tests, lab_leaves_the_tape_as_it_was);
    tcase_add_test(tests, lab_follows_strides);
    tcase_add_test(tests, lab_gives_errors_as_values);
    tcase_add_test(tests, lab_says_that_an_op_must_take_f64);
    tcase_add_loop_test(tests, lab_survives_each_failing_allocation, 0, 2);
    tcase_add_test(tests, lab_cuts_its_text);
    tcase_add_test(tests, lab_calls_no_right_network_wrong);
    suite_add_tcase(suite, tests);
    return suite;
}
