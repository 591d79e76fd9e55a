/* The reverse sweep: what it does for a VJP, and what it does instead of one.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/harness.h"

#include <stdio.h>
#include <string.h>


/* ---- Sums and products ----------------------------------------------------------------------------- */

/* The sweep passes plain sums and products without calling their VJPs, but calls them if somebody looks on; and where
 * memory is at hand, they are recorded by a shorter way. All ways must come to the same bits, and record the same, but
 * for products that a final sweep adds at once. Random programs are swept each way: they are rich in sums and products,
 * of one operand with itself, too, and have other ops and operands that are stretched among them. The gradient into a
 * value on the way is asked for, too. Nodes come in chunks, and each program gets into the second one at another
 * place. */
enum { SWEEP_LEAVES = 3, SWEEP_STEPS = 16, SWEEP_XS = SWEEP_LEAVES + 1, SWEEP_BYTES = 6 * sizeof(double),
       SWEEP_PROGRAMS = 300, SWEEP_CHUNK = 512, SWEEP_NODES = 90 };

enum sweep_way { SWEEP_ALONE, SWEEP_WATCHED, SWEEP_EACH_REQUEST };

/* What came of a gradient, and of its own gradient, or, where it was final, of a replay. */
typedef struct sweep_result {
    unsigned char bytes[2][SWEEP_XS][SWEEP_BYTES];
    uint64_t      nodes;
    int           steps;                            /* that were looked on at                      */
} sweep_result;

/* What a VJP recorded has the place of the call. */
static bool sweep_look_on(void *steps, const reel_step *step)
{
    ck_assert_str_eq(step->file, __FILE__);
    *(int *)steps += step->added == NULL;
    return true;
}

static reel_tensor sweep_leaf(reel_tape *tape, reel_dtype dtype, reel_shape shape, uint64_t *state)
{
    double value[6];
    for (int i = 0; i < 6; i++)
        value[i] = (double)(test_random(state) % 2000) / 1000 - 1;
    size_t count = 1;
    for (int i = 0; i < shape.rank; i++)
        count *= (size_t)shape.size[i];
    return reel_variable(tape, shape, reel_values_from_f64(dtype, value, count));
}

static reel_tensor sweep_step(reel_tensor a, reel_tensor b, uint64_t choice)
{
    switch (choice % 8) {
    case 0: return reel_mul(reel_tanh(a), reel_mean(b));
    case 1: return reel_sub(a, b);
    case 2: return reel_mul(a, a);
    case 3: return reel_add(a, a);
    case 4:
    case 5: return reel_add(a, b);
    default: return reel_mul(a, b);
    }
}

/* The program's leaves, and values that are computed from them, the last of them in whole: [2,3], or [6], or []. */
static void sweep_program(reel_tape *tape, uint64_t seed, reel_dtype dtype,
                          reel_tensor value[SWEEP_LEAVES + SWEEP_STEPS])
{
    const reel_shape whole = seed % 5 == 0 ? REEL_SHAPE(6) : seed % 5 == 1 ? REEL_SHAPE() : REEL_SHAPE(2, 3);
    const reel_shape part = whole.rank == 2 ? REEL_SHAPE(3) : REEL_SHAPE();
    const reel_shape shape[SWEEP_LEAVES] = {whole, seed % 3 ? whole : part, seed % 4 ? whole : REEL_SHAPE()};
    uint64_t state = seed;
    for (int i = 0; i < SWEEP_LEAVES; i++)
        value[i] = sweep_leaf(tape, dtype, shape[i], &state);
    for (int i = SWEEP_LEAVES; i < SWEEP_LEAVES + SWEEP_STEPS; i++) {
        reel_tensor a = value[test_random(&state) % (uint64_t)i], b = value[i - 1];
        value[i] = i + 1 == SWEEP_LEAVES + SWEEP_STEPS ? reel_add(reel_mul(a, b), value[0])
                                                       : sweep_step(a, b, test_random(&state));
    }
}

static void sweep_read(const reel_tensor gradient[SWEEP_XS], unsigned char bytes[SWEEP_XS][SWEEP_BYTES])
{
    for (int i = 0; i < SWEEP_XS; i++) {
        const size_t size = reel_dtype_size(reel_dtype_of(gradient[i]));
        ck_assert(reel_read(gradient[i], bytes[i], (size_t)reel_count(gradient[i]) * size));
    }
}

static sweep_result sweep_run(uint64_t seed, enum sweep_way way, bool final)
{
    const reel_dtype dtypes[] = {REEL_F64, REEL_F32, REEL_F64, REEL_BF16};
    sweep_result result = {.nodes = 0};
    reel_tape *tape = reel_tape_new_with(.each_request = way == SWEEP_EACH_REQUEST);
    reel_tensor value[SWEEP_LEAVES + SWEEP_STEPS], x[SWEEP_XS], gradient[SWEEP_XS];
    for (uint64_t i = seed % SWEEP_NODES; i < SWEEP_CHUNK; i++)
        reel_constant(tape, REEL_SHAPE(), REEL_F64_VALUES(0));
    const reel_mark from = reel_tape_mark(tape);
    sweep_program(tape, seed, dtypes[seed % 4], value);
    const reel_tensor y = value[SWEEP_LEAVES + SWEEP_STEPS - 1];
    memcpy(x, value, sizeof x);
    x[SWEEP_LEAVES] = value[SWEEP_LEAVES + seed % (SWEEP_STEPS - 1)];
    if (way == SWEEP_WATCHED)
        reel_watch(tape, sweep_look_on, &result.steps);
    ck_assert_msg(reel_gradient(y, reel_tensors_of(x, SWEEP_XS), gradient, .final = final), "program %d: %s",
                  (int)seed, reel_error_message(tape));
    sweep_read(gradient, result.bytes[0]);
    if (final) {
        ck_assert(reel_tape_replay(reel_tape_section(from, reel_tape_mark(tape))));
    } else {
        reel_tensor total = reel_sum(reel_mul(gradient[0], value[0]));
        for (int i = 1; i < SWEEP_XS; i++)
            total = reel_add(total, reel_sum(reel_mul(gradient[i], x[i])));
        ck_assert(reel_gradient(total, reel_tensors_of(x, SWEEP_XS), gradient));
    }
    sweep_read(gradient, result.bytes[1]);
    result.nodes = reel_tape_statistics(tape).nodes;
    reel_tape_free(tape);
    return result;
}

START_TEST(sweep_sums_and_products)
{
    for (uint64_t seed = 1; seed <= SWEEP_PROGRAMS; seed++) {
        const sweep_result alone = sweep_run(seed, SWEEP_ALONE, _i), watched = sweep_run(seed, SWEEP_WATCHED, _i);
        const sweep_result each = sweep_run(seed, SWEEP_EACH_REQUEST, _i);
        ck_assert_int_gt(watched.steps, 2);
        ck_assert_msg(memcmp(alone.bytes, each.bytes, sizeof alone.bytes) == 0, "program %d", (int)seed);
        ck_assert_msg(alone.nodes == each.nodes, "program %d: %d and %d nodes", (int)seed, (int)alone.nodes,
                      (int)each.nodes);
        ck_assert_msg(memcmp(alone.bytes, watched.bytes, sizeof alone.bytes) == 0, "program %d", (int)seed);
        ck_assert_msg(_i ? alone.nodes <= watched.nodes : alone.nodes == watched.nodes, "program %d: %d and %d nodes",
                      (int)seed, (int)alone.nodes, (int)watched.nodes);
        if (_i)
            ck_assert_mem_eq(alone.bytes[0], alone.bytes[1], sizeof alone.bytes[0]);
    }
}
END_TEST

/* A final gradient leads nowhere, by way of sums and products neither. */
START_TEST(sweep_final_is_final)
{
    reel_tape *tape = reel_tape_new();
    reel_tensor x = reel_variable(tape, REEL_SHAPE(), reel_fill(REEL_F64, 3)), gradient, second;
    ck_assert(reel_gradient(reel_mul(x, reel_add(x, x)), REEL_TENSORS(x), &gradient, .final = true));
    ck_assert(reel_item(gradient) == 12);
    ck_assert(!reel_gradient(reel_mul(gradient, x), REEL_TENSORS(x), &second));
    ck_assert_msg(strstr(reel_error_message(tape), ".final = true"), "%s", reel_error_message(tape));
    reel_tape_free(tape);
}
END_TEST

/* The gradient that a step of a final sweep began with, whose memory serves something else later. */
static bool sweep_keep(void *kept, const reel_step *step)
{
    if (strcmp(step->op->name, "tanh") == 0)
        *(reel_tensor *)kept = step->incoming[0];
    return true;
}

START_TEST(sweep_recycled_is_refused)
{
    reel_tape *tape = reel_tape_new();
    reel_tensor x = reel_variable(tape, REEL_SHAPE(), reel_fill(REEL_F64, 3)), gradient, kept = REEL_NONE;
    reel_watch(tape, sweep_keep, &kept);
    ck_assert(reel_gradient(reel_mul(reel_tanh(x), x), REEL_TENSORS(x), &gradient, .final = true));
    ck_assert_ptr_eq(kept.tape, tape);
    ck_assert_uint_eq((_i ? reel_mul(x, kept) : reel_add(kept, x)).node, 0);
    ck_assert_msg(strstr(reel_error_message(tape), _i ? "mul" : "add"), "%s", reel_error_message(tape));
    reel_tape_free(tape);
}
END_TEST

/* A final gradient, to which products are added at once, in f64 anew: (2 x^3)' = 6 x^2, and by y. */
START_TEST(sweep_final_in_f64)
{
    reel_tape *tape = reel_tape_new();
    reel_tensor x = reel_variable(tape, REEL_SHAPE(2), REEL_F32_VALUES(.5f, .1f)), gradient;
    const reel_mark from = reel_tape_mark(tape);
    reel_tensor square = reel_mul(x, x), y = reel_mul(square, reel_add(x, x));
    ck_assert(reel_gradient(y, REEL_TENSORS(x), &gradient, .final = true));
    reel_section in_f64 = reel_section_in_f64(reel_tape_section(from, reel_tape_mark(tape)));
    double got[2], x1 = (double).1f;
    ck_assert_msg(reel_read_f64(reel_counterpart(in_f64, gradient), got, 2), "%s", reel_error_message(tape));
    ck_assert(got[0] == 1.5);
    ck_assert_double_eq_tol(got[1], 6 * x1 * x1, 1e-16);
    reel_tape_free(tape);
}
END_TEST


/* ---- Values that are missing ----------------------------------------------------------------------- */

/* y = x, unless it is told to fail. */
static bool sweep_fails;

static bool sweep_fickle_shape(reel_call *call, reel_output *out)
{
    out->dtype = call->in[0].dtype;
    out->shape = reel_make_shape(call->in[0].rank, call->in[0].shape);
    return true;
}

static bool sweep_fickle_forward(const reel_call *call)
{
    memcpy(call->out[0].data, call->in[0].data, sizeof(double));
    return !sweep_fails || reel_call_error(call, "not today");
}

static void sweep_fickle_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    (void)call;
    (void)wanted;
    dx[0] = dy[0];
}

static const reel_op sweep_fickle_op = {
    .size = sizeof(reel_op), .name = "fickle", .inputs = 1, .outputs = 1, .shape = sweep_fickle_shape,
    .forward = sweep_fickle_forward, .vjp = sweep_fickle_vjp,
};

/* A gradient does not go through a call whose operand a failed replay has not computed, even if a VJP would not read
 * it. */
START_TEST(sweep_gaps_stop_it)
{
    reel_tape *tape = reel_tape_new();
    reel_tensor x = reel_variable(tape, REEL_SHAPE(), reel_fill(REEL_F64, 3)), fickle, gradient;
    const reel_mark first = reel_tape_mark(tape);
    ck_assert(reel_apply(&sweep_fickle_op, REEL_TENSORS(x), NULL, &fickle, 1));
    const reel_mark second = reel_tape_mark(tape);
    reel_tensor twice = reel_affine(fickle, 2, 0);
    const reel_section part = reel_tape_section(first, second);
    reel_tensor y = _i == 0 ? reel_add(twice, x) : _i == 1 ? reel_mul(twice, x) : _i == 2 ? reel_sub(twice, x)
                                                                                          : reel_neg(twice);
    const reel_section all = reel_tape_section(first, reel_tape_mark(tape));
    sweep_fails = true;
    ck_assert(!reel_tape_replay(all));
    sweep_fails = false;
    ck_assert(reel_tape_replay(part));
    ck_assert(!reel_gradient(y, REEL_TENSORS(x), &gradient));
    ck_assert_msg(strstr(reel_error_message(tape), "input 1 is not computed"), "%s", reel_error_message(tape));
    reel_tape_free(tape);
}
END_TEST


/* ---- Operands that were stretched ------------------------------------------------------------------ */

/* y = a b, the VJP of which leaves it to the sweep to sum; or gives a wrong shape. */
typedef struct sweep_times {
    bool wrong;
} sweep_times;

static void sweep_times_f64(int64_t n, const void *const in[], void *out, const void *attributes)
{
    (void)attributes;
    for (int64_t i = 0; i < n; i++)
        ((double *)out)[i] = ((const double *)in[0])[i] * ((const double *)in[1])[i];
}

static void sweep_times_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    const bool wrong = ((const sweep_times *)call->attributes)->wrong;
    for (int i = 0; i < 2; i++)
        if (wanted[i])
            dx[i] = wrong ? reel_sum(dy[0], .axes = REEL_AXES(0), .keepdims = true)
                          : reel_mul(dy[0], call->input[1 - i]);
}

static const reel_kernels sweep_times_kernels = {.of[REEL_F64] = sweep_times_f64};
static const reel_op sweep_times_op = {
    .size = sizeof(reel_op), .name = "times", .inputs = 2, .outputs = 1, .attributes = sizeof(sweep_times),
    .kernels = &sweep_times_kernels, .vjp = sweep_times_vjp,
};

/* What it was shown fits the inputs. */
static bool sweep_look_for_misfits(void *misfits, const reel_step *step)
{
    for (int i = 0; step->added && i < step->inputs; i++)
        *(int *)misfits += step->added[i].node && reel_count(step->added[i]) != reel_count(step->input[i]);
    return true;
}

START_TEST(sweep_stretched_operands_are_summed)
{
    reel_tape *tape = reel_tape_new();
    reel_tensor row = reel_variable(tape, REEL_SHAPE(3), REEL_F64_VALUES(1, 2, 3)), y, gradient[2];
    reel_tensor column = reel_variable(tape, REEL_SHAPE(2, 1), REEL_F64_VALUES(10, 20));
    double got[3];
    int misfits = 0;
    ck_assert(reel_apply(&sweep_times_op, REEL_TENSORS(row, column), &(const sweep_times){false}, &y, 1));
    for (int watched = 0; watched <= 1; watched++) {
        reel_watch(tape, watched ? sweep_look_for_misfits : NULL, &misfits);
        ck_assert_msg(reel_gradient(y, REEL_TENSORS(row, column), gradient), "%s", reel_error_message(tape));
        ck_assert(reel_read_f64(gradient[0], got, 3));
        ck_assert(got[0] == 30 && got[1] == 30 && got[2] == 30);
        ck_assert(reel_read_f64(gradient[1], got, 2));
        ck_assert(got[0] == 6 && got[1] == 6);
    }
    ck_assert_int_eq(misfits, 0);
    reel_gradcheck_report report = reel_gradcheck(y, REEL_TENSORS(row, column), .order = 2);
    ck_assert_int_eq(report.verdict, REEL_PASS);
    reel_tape_free(tape);
}
END_TEST

/* Neither the input's shape nor the output's. */
START_TEST(sweep_no_other_shape_is_summed)
{
    reel_tape *tape = reel_tape_new();
    reel_tensor row = reel_variable(tape, REEL_SHAPE(3), REEL_F64_VALUES(1, 2, 3)), y, gradient;
    reel_tensor column = reel_variable(tape, REEL_SHAPE(2, 1), REEL_F64_VALUES(10, 20));
    ck_assert(reel_apply(&sweep_times_op, REEL_TENSORS(row, column), &(const sweep_times){true}, &y, 1));
    const uint64_t nodes = reel_tape_statistics(tape).nodes;
    ck_assert(!reel_gradient(y, REEL_TENSORS(row), &gradient));
    const char *text = reel_error_message(tape);
    ck_assert_msg(strstr(text, "the VJP of times at") && strstr(text, "[1,3] f64 for input 1, which is"), "%s", text);
    ck_assert_uint_eq(reel_tape_statistics(tape).nodes, nodes);
    reel_tape_free(tape);
}
END_TEST

/* An op that is Reel's own but for its VJP, dx = 10 dy z and nothing into z, has that VJP. */
static void sweep_tenfold_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    (void)wanted;
    dx[0] = reel_affine(reel_mul(dy[0], call->input[1]), 10, 0);
}

START_TEST(sweep_copied_op)
{
    size_t row = 0;
    while (strcmp(reel_op_in_table(row)->name, _i ? "mul" : "add"))
        row++;
    reel_op op = *reel_op_in_table(row);
    op.vjp = sweep_tenfold_vjp;
    reel_tape *tape = reel_tape_new();
    reel_tensor x = reel_variable(tape, REEL_SHAPE(), reel_fill(REEL_F64, 3)), gradient[2], y;
    reel_tensor z = reel_variable(tape, REEL_SHAPE(), reel_fill(REEL_F64, 5));
    ck_assert(reel_apply(&op, REEL_TENSORS(x, z), NULL, &y, 1));
    ck_assert(reel_gradient(y, REEL_TENSORS(x, z), gradient));
    ck_assert(reel_item(gradient[0]) == 50 && reel_item(gradient[1]) == 0);
    reel_tape_free(tape);
}
END_TEST

/* A VJP that records a call without a value, in whose memory a final sweep must not look for room. */
static bool sweep_nothing_shape(reel_call *call, reel_output *out)
{
    (void)call;
    (void)out;
    return true;
}

static bool sweep_nothing_forward(const reel_call *call)
{
    (void)call;
    return true;
}

static const reel_op sweep_nothing_op = {
    .size = sizeof(reel_op), .name = "nothing", .inputs = 1, .outputs = 0, .shape = sweep_nothing_shape,
    .forward = sweep_nothing_forward,
};

static void sweep_talkative_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    (void)wanted;
    reel_apply(&sweep_nothing_op, REEL_TENSORS(dy[0]), NULL, NULL, 0);
    dx[0] = reel_mul(dy[0], call->input[1]);
}

START_TEST(sweep_call_without_value)
{
    const reel_op op = {
        .size = sizeof(reel_op), .name = "talkative", .inputs = 2, .outputs = 1, .kernels = &sweep_times_kernels,
        .vjp = sweep_talkative_vjp,
    };
    reel_tape *tape = reel_tape_new();
    reel_tensor x = reel_variable(tape, REEL_SHAPE(), reel_fill(REEL_F64, 3)), gradient, y;
    ck_assert(reel_apply(&op, REEL_TENSORS(x, x), NULL, &y, 1));
    ck_assert_msg(reel_gradient(y, REEL_TENSORS(x), &gradient, .final = true), "%s", reel_error_message(tape));
    ck_assert(reel_item(gradient) == 3);
    reel_tape_free(tape);
}
END_TEST

/* The first contribution to x is one number seen as three, to which nothing can be added in its place:
 * d(sum x^2 + 5 sum x) = 2 x + 5. */
START_TEST(sweep_stretched_contribution)
{
    reel_tape *tape = reel_tape_new();
    reel_tensor x = reel_variable(tape, REEL_SHAPE(3), REEL_F64_VALUES(1, 2, 3)), gradient;
    reel_tensor five = reel_constant(tape, REEL_SHAPE(), REEL_F64_VALUES(5)), squares = reel_sum(reel_mul(x, x));
    double got[3];
    ck_assert(reel_gradient(reel_add(squares, reel_mul(reel_sum(x), five)), REEL_TENSORS(x), &gradient, .final = _i));
    ck_assert(reel_read_f64(gradient, got, 3));
    ck_assert(got[0] == 7 && got[1] == 9 && got[2] == 11);
    reel_tape_free(tape);
}
END_TEST

/* Products with wrapped memory are added to a gradient at once, and again once that memory has moved:
 * d(a b + a c) = b + c. */
START_TEST(sweep_wrapped_operands)
{
    double first = 2, moved = 30;
    reel_tape *tape = reel_tape_new();
    reel_tensor a = reel_variable(tape, REEL_SHAPE(), reel_fill(REEL_F64, 1)), gradient;
    reel_tensor b = reel_wrap(tape, .dtype = REEL_F64, .data = &first);
    reel_tensor c = reel_wrap(tape, .dtype = REEL_F64, .data = &first);
    const reel_mark from = reel_tape_mark(tape);
    ck_assert(reel_gradient(reel_add(reel_mul(a, b), reel_mul(a, c)), REEL_TENSORS(a), &gradient, .final = true));
    ck_assert(reel_item(gradient) == 4);
    ck_assert(reel_point(b, &moved) && reel_point(c, &moved));
    ck_assert(reel_tape_replay(reel_tape_section(from, reel_tape_mark(tape))));
    ck_assert(reel_item(gradient) == 60);
    reel_tape_free(tape);
}
END_TEST

/* A VJP that reads what it gives: dx = dy z, dz = dx^2. What is added to dx later must not be seen by those who ask for
 * a gradient of dz. */
static void sweep_rereading_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    (void)wanted;
    dx[0] = reel_mul(dy[0], call->input[1]);
    dx[1] = reel_mul(dx[0], dx[0]);
}

START_TEST(sweep_reread_contribution)
{
    const reel_op op = {
        .size = sizeof(reel_op), .name = "rereading", .inputs = 2, .outputs = 1, .kernels = &sweep_times_kernels,
        .vjp = sweep_rereading_vjp,
    };
    reel_tape *tape = reel_tape_new();
    reel_tensor x = reel_variable(tape, REEL_SHAPE(), reel_fill(REEL_F64, 2)), gradient[2], second;
    reel_tensor z = reel_variable(tape, REEL_SHAPE(), reel_fill(REEL_F64, 3)), product = reel_mul(x, x), y;
    ck_assert(reel_apply(&op, REEL_TENSORS(x, z), NULL, &y, 1));
    ck_assert(reel_gradient(reel_add(product, y), REEL_TENSORS(x, z), gradient));
    ck_assert(reel_item(gradient[0]) == 7 && reel_item(gradient[1]) == 9);
    ck_assert_msg(reel_gradient(gradient[1], REEL_TENSORS(z), &second), "%s", reel_error_message(tape));
    ck_assert(reel_item(second) == 6);
    reel_tape_free(tape);
}
END_TEST

Suite *reel_suite_sweep(void)
{
    Suite *suite = suite_create("sweep");
    TCase *c = tcase_create("sweep");
    tcase_set_timeout(c, 120);
    tcase_add_loop_test(c, sweep_sums_and_products, 0, 2);
    tcase_add_test(c, sweep_final_is_final);
    tcase_add_loop_test(c, sweep_recycled_is_refused, 0, 2);
    tcase_add_test(c, sweep_final_in_f64);
    tcase_add_loop_test(c, sweep_gaps_stop_it, 0, 4);
    tcase_add_test(c, sweep_stretched_operands_are_summed);
    tcase_add_test(c, sweep_no_other_shape_is_summed);
    tcase_add_loop_test(c, sweep_copied_op, 0, 2);
    tcase_add_test(c, sweep_call_without_value);
    tcase_add_loop_test(c, sweep_stretched_contribution, 0, 2);
    tcase_add_test(c, sweep_wrapped_operands);
    tcase_add_test(c, sweep_reread_contribution);
    suite_add_tcase(suite, c);
    return suite;
}
