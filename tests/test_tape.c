/* The tape: recording, rewinding, replaying, gradients and their memory.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/net.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static reel_tape *tape_used;

static void tape_setup(void)
{
    tape_used = reel_tape_new();
}

static void tape_teardown(void)
{
    reel_tape_free(tape_used);
}

static void tape_assert_fine(void)
{
    ck_assert_msg(!reel_failed(tape_used), "%s", reel_error_message(tape_used));
}

/* The elements of x are these. */
static void tape_assert_values(reel_tensor x, const double *want, size_t count)
{
    double got[64];
    ck_assert_uint_le(count, 64);
    ck_assert_msg(reel_read_f64(x, got, count), "%s", reel_error_message(x.tape));
    for (size_t i = 0; i < count; i++)
        ck_assert_msg(fabs(got[i] - want[i]) <= 1e-6 * fabs(want[i]), "[%zu] is %g, not %g", i, got[i],
                      want[i]);
}
#define TAPE_VALUES(x, ...)                                                                                  \
    tape_assert_values(x, (const double[]){__VA_ARGS__},                                                     \
                       sizeof((const double[]){__VA_ARGS__}) / sizeof(double))

static reel_tensor tape_vector(int64_t n, double value)
{
    return reel_variable(tape_used, REEL_SHAPE(n), reel_fill(REEL_F64, value));
}


/* ---- Record and rewind --------------------------------------------------------------------------- */

START_TEST(tape_stale_handles_are_known)
{
    reel_tensor x = tape_vector(3, 2);
    reel_mark mark = reel_tape_mark(tape_used);
    reel_tensor old = reel_exp(x), older = reel_neg(old);
    ck_assert(reel_tape_rewind(tape_used, mark));
    ck_assert(!reel_is_valid(old) && !reel_is_valid(older) && reel_is_valid(x));
    ck_assert_int_eq(reel_dtype_of(old), REEL_NO_DTYPE);
    ck_assert_int_eq(reel_shape_of(old).rank, -1);
    ck_assert_int_eq(reel_count(old), -1);
    ck_assert_str_eq(reel_name_of(old), "");
    reel_tensor fresh = reel_tanh(x);
    ck_assert_uint_eq(fresh.node, old.node);
    ck_assert_uint_ne(fresh.generation, old.generation);
    ck_assert(!reel_is_valid(old) && reel_is_valid(fresh));
    tape_assert_fine();
}
END_TEST

START_TEST(tape_marks_nest)
{
    reel_mark empty = reel_tape_mark(tape_used);
    reel_tensor x = tape_vector(3, 2);
    reel_mark outer = reel_tape_mark(tape_used);
    reel_exp(x);
    reel_mark inner = reel_tape_mark(tape_used);
    reel_exp(x);
    ck_assert(reel_tape_rewind(tape_used, inner));
    ck_assert(reel_tape_rewind(tape_used, inner));
    ck_assert(reel_tape_rewind(tape_used, outer));
    reel_neg(x);
    reel_neg(x);
    ck_assert_uint_eq(reel_tape_statistics(tape_used).nodes, 3);
    ck_assert(!reel_tape_rewind(tape_used, inner));
    ck_assert(reel_failed(tape_used));
    ck_assert(reel_tape_rewind(tape_used, empty));
    ck_assert(reel_error_clear(tape_used));
    ck_assert_uint_eq(reel_tape_statistics(tape_used).nodes, 0);
    ck_assert(!reel_is_valid(x));
}
END_TEST

START_TEST(tape_rewind_keeps_writes)
{
    reel_tensor x = tape_vector(2, 1), rate = reel_constant(tape_used, REEL_SHAPE(), REEL_F64_VALUES(.5)),
                gradient;
    reel_mark mark = reel_tape_mark(tape_used);
    for (int step = 0; step < 3; step++) {
        reel_gradient(reel_mul(x, x), REEL_TENSORS(x), &gradient);
        ck_assert(reel_sgd(.parameters = REEL_TENSORS(x), .gradients = REEL_TENSORS(gradient),
                           .learning_rate = rate, .weight_decay = 1));
        ck_assert(reel_tape_rewind(tape_used, mark));
    }
    TAPE_VALUES(x, -.125, -.125);
}
END_TEST

START_TEST(tape_rewound_memory_is_used_again)
{
    reel_tensor x = tape_vector(1000, 1);
    reel_mark mark = reel_tape_mark(tape_used);
    size_t held = 0, used = 0;
    for (int round = 0; round < 100; round++) {
        reel_tensor y = x;
        for (int i = 0; i < 50; i++)
            y = reel_neg(y);
        ck_assert_double_eq(reel_item(reel_sum(y)), 1000);
        if (round == 0) {
            held = reel_tape_statistics(tape_used).bytes_held;
            used = reel_tape_statistics(tape_used).bytes_used;
        }
        ck_assert_uint_eq(reel_tape_statistics(tape_used).bytes_held, held);
        ck_assert_uint_eq(reel_tape_statistics(tape_used).bytes_used, used);
        reel_tape_rewind(tape_used, mark);
    }
    ck_assert_uint_lt(reel_tape_statistics(tape_used).bytes_used, used / 10);
}
END_TEST

START_TEST(tape_names_and_shapes)
{
    reel_tensor x = reel_name(tape_vector(3, 1), "truth");
    ck_assert_str_eq(reel_name_of(x), "truth");
    ck_assert_str_eq(reel_name_of(reel_neg(x)), "");
    ck_assert_str_eq(reel_name_of(reel_name(x, "")), "");
    ck_assert_int_eq(reel_shape_of(x).rank, 1);
    ck_assert_int_eq(reel_count(reel_constant(tape_used, REEL_SHAPE(4, 0, 2), reel_fill(REEL_U8, 0))), 0);
    int64_t strides[REEL_MAX_RANK];
    reel_strides_of(reel_transpose(reel_constant(tape_used, REEL_SHAPE(2, 3), reel_fill(REEL_F32, 0))),
                    strides);
    ck_assert_int_eq(strides[0], 1);
    ck_assert_int_eq(strides[1], 3);
    tape_assert_fine();
}
END_TEST


/* ---- Wrapped memory ------------------------------------------------------------------------------ */

START_TEST(tape_reaimed_leaves_reach_views)
{
    float first[6] = {1, 2, 3, 4, 5, 6}, second[6] = {10, 20, 30, 40, 50, 60};
    reel_tensor x = reel_wrap(tape_used, .dtype = REEL_F32, .shape = REEL_SHAPE(2, 3), .data = first);
    reel_tensor column = reel_slice(reel_transpose(x), 0, 1, 2, 1);
    reel_mark from = reel_tape_mark(tape_used);
    reel_tensor sum = reel_sum(column);
    reel_section section = reel_tape_section(from, reel_tape_mark(tape_used));
    ck_assert_double_eq(reel_item(sum), 7);
    ck_assert(reel_point(x, second));
    ck_assert_double_eq(reel_item(sum), 7);
    TAPE_VALUES(column, 20, 50);
    ck_assert(reel_tape_replay(section));
    ck_assert_double_eq(reel_item(sum), 70);
    ck_assert_ptr_eq(reel_data(x), second);
    first[1] = 100;
    ck_assert(reel_point(x, first));
    ck_assert(reel_tape_replay(section));
    ck_assert_double_eq(reel_item(sum), 105);
}
END_TEST

/* Elementwise calls keep the addresses of what they read; not so where it can move. */
START_TEST(tape_reaimed_leaves_reach_elementwise_calls)
{
    double first[6] = {1, 2, 3, 4, 5, 6}, second[6] = {10, 20, 30, 40, 50, 60};
    reel_tensor x = reel_wrap(tape_used, .dtype = REEL_F64, .shape = REEL_SHAPE(2, 3), .data = first,
                              .variable = true);
    reel_tensor part = reel_slice(reel_slice(x, 0, 1, 2, 1), 1, 1, 3, 1), one = tape_vector(2, 1), gradient;
    reel_mark from = reel_tape_mark(tape_used);
    reel_tensor y = reel_mul(part, part), z = reel_add(reel_reshape(y, REEL_SHAPE(2)), one);
    ck_assert(reel_gradient(reel_sum(z), REEL_TENSORS(x), &gradient));
    reel_section section = reel_tape_section(from, reel_tape_mark(tape_used));
    TAPE_VALUES(z, 26, 37);
    ck_assert(reel_point(x, second));
    ck_assert(reel_tape_replay(section));
    TAPE_VALUES(z, 2501, 3601);
    TAPE_VALUES(gradient, 0, 0, 0, 0, 100, 120);
}
END_TEST

START_TEST(tape_strided_memory)
{
    double numbers[12];
    for (int i = 0; i < 12; i++)
        numbers[i] = i;
    const int64_t strides[] = {-6, 2};
    reel_tensor x = reel_wrap(tape_used, .dtype = REEL_F64, .shape = REEL_SHAPE(2, 3),
                              .data = numbers + 6, .strides = strides, .variable = true);
    TAPE_VALUES(x, 6, 8, 10, 0, 2, 4);
    TAPE_VALUES(reel_affine(x, 2, 1), 13, 17, 21, 1, 5, 9);
    ck_assert(reel_write(x, REEL_F64_VALUES(-1, -2, -3, -4, -5, -6)));
    ck_assert_double_eq(numbers[6], -1);
    ck_assert_double_eq(numbers[4], -6);
    ck_assert_double_eq(numbers[7], 7);
}
END_TEST


/* ---- Gradients ----------------------------------------------------------------------------------- */

START_TEST(tape_gradient_basics)
{
    reel_tensor a = tape_vector(2, 3), b = tape_vector(2, 5), unrelated = tape_vector(4, 1);
    reel_tensor product = reel_mul(a, b), y = reel_add(product, a), gradient[5];
    ck_assert(reel_gradient(y, REEL_TENSORS(a, b, unrelated, product, y), gradient));
    TAPE_VALUES(gradient[0], 6, 6);
    TAPE_VALUES(gradient[1], 3, 3);
    TAPE_VALUES(gradient[2], 0, 0, 0, 0);
    TAPE_VALUES(gradient[3], 1, 1);
    TAPE_VALUES(gradient[4], 1, 1);
    reel_tensor upstream = reel_constant(tape_used, REEL_SHAPE(2), REEL_F64_VALUES(10, -1));
    ck_assert(reel_gradient(y, REEL_TENSORS(a, a, b), gradient, .upstream = upstream));
    TAPE_VALUES(gradient[0], 60, -6);
    TAPE_VALUES(gradient[1], 60, -6);
    TAPE_VALUES(gradient[2], 30, -3);
    TAPE_VALUES(upstream, 10, -1);
}
END_TEST

START_TEST(tape_gradient_fans_in)
{
    reel_tensor x = tape_vector(3, 2), y = reel_mul(x, x);
    y = reel_add(reel_mul(y, y), reel_add(y, reel_neg(x)));         /* x^4 + x^2 - x               */
    reel_tensor gradient, second, third;
    ck_assert(reel_gradient(y, REEL_TENSORS(x), &gradient));
    TAPE_VALUES(gradient, 35, 35, 35);
    ck_assert(reel_gradient(gradient, REEL_TENSORS(x), &second));
    TAPE_VALUES(second, 50, 50, 50);
    ck_assert(reel_gradient(second, REEL_TENSORS(x), &third));
    TAPE_VALUES(third, 48, 48, 48);
    TAPE_VALUES(gradient, 35, 35, 35);
    TAPE_VALUES(second, 50, 50, 50);
}
END_TEST

/* Gradients that are handed out must not be summed into: both results share what arrives at y. */
START_TEST(tape_gradients_keep_their_values)
{
    reel_tensor a = tape_vector(2, 1), b = tape_vector(2, 1), sum = reel_add(a, b), gradient[3];
    reel_tensor y = reel_add(sum, reel_affine(a, 3, 0));
    reel_tensor upstream = reel_variable(tape_used, REEL_SHAPE(2), REEL_F64_VALUES(1, 2));
    ck_assert(reel_gradient(y, REEL_TENSORS(a, b, sum), gradient, .upstream = upstream));
    TAPE_VALUES(gradient[0], 4, 8);
    TAPE_VALUES(gradient[1], 1, 2);
    TAPE_VALUES(gradient[2], 1, 2);
    TAPE_VALUES(upstream, 1, 2);
    reel_tensor again[2];
    ck_assert(reel_gradient(y, REEL_TENSORS(a, b), again, .upstream = upstream));
    TAPE_VALUES(again[0], 4, 8);
    TAPE_VALUES(gradient[0], 4, 8);
}
END_TEST

START_TEST(tape_why_no_gradient)
{
    reel_tensor x = reel_name(tape_vector(2, 1), "x"), z = tape_vector(2, 1);
    reel_tensor y = reel_add(reel_stop_gradient(reel_mul(x, x)), z);
    char why[300];
    ck_assert_uint_gt(reel_why_no_gradient(y, x, why, sizeof why), 0);
    ck_assert_msg(strstr(why, "stop_gradient"), "%s", why);
    size_t whole = reel_why_no_gradient(y, x, why, 8);
    ck_assert_uint_eq(strlen(why), 7);
    ck_assert_uint_gt(whole, 8);
    ck_assert_uint_gt(reel_why_no_gradient(reel_exp(z), x, why, sizeof why), 0);
    ck_assert_uint_eq(reel_why_no_gradient(y, z, why, sizeof why), 0);
    ck_assert_str_eq(why, "");
    tape_assert_fine();
}
END_TEST

START_TEST(tape_stop_gradient_is_a_view)
{
    reel_tensor x = tape_vector(3, 2), still = reel_stop_gradient(x), gradient;
    ck_assert_ptr_eq(reel_data(still), reel_data(x));
    ck_assert(reel_gradient(reel_mul(still, x), REEL_TENSORS(x), &gradient));
    TAPE_VALUES(gradient, 2, 2, 2);
    ck_assert(reel_gradient(reel_mul(still, still), REEL_TENSORS(x), &gradient));
    TAPE_VALUES(gradient, 0, 0, 0);
}
END_TEST

/* Whole numbers, so that the sum of all contributions is exact: the gradient of sum x_i W is (sum x_i)' 1. */
START_TEST(tape_accumulates_everything)
{
    enum { USES = 40, K = 3, N = 4 };
    reel_tensor w = reel_variable(tape_used, REEL_SHAPE(K, N), reel_fill(REEL_F32, 2)), y = REEL_NONE,
                gradient;
    for (int i = 0; i < USES; i++) {
        reel_tensor x =
            reel_constant(tape_used, REEL_SHAPE(1, K), REEL_F32_VALUES((float)i, 1, (float)(i % 7)));
        reel_tensor product = reel_matmul(x, w);
        y = i ? reel_add(y, product) : product;
    }
    y = reel_add(y, reel_sum(w, .axes = REEL_AXES(0), .keepdims = true));
    for (int final = 0; final <= 1; final++) {
        ck_assert(reel_gradient(y, REEL_TENSORS(w), &gradient, .final = final));
        TAPE_VALUES(gradient, 781, 781, 781, 781, 41, 41, 41, 41, 116, 116, 116, 116);
    }
}
END_TEST

/* A weight that is used 1,000 times: its gradient is summed up in one buffer. */
START_TEST(tape_accumulates_in_place)
{
    enum { N = 256, USES = 1000 };
    reel_tensor w = reel_random_normal(tape_used, REEL_SHAPE(N, N), REEL_F32, 0, .05);
    reel_tensor h = reel_random_normal(tape_used, REEL_SHAPE(1, N), REEL_F32, 0, 1), gradient;
    for (int i = 0; i < USES; i++)
        h = reel_tanh(reel_matmul(h, w));
    size_t before = reel_tape_statistics(tape_used).bytes_used;
    ck_assert(reel_gradient(reel_sum(h), REEL_TENSORS(w), &gradient));
    reel_statistics after = reel_tape_statistics(tape_used);
    ck_assert_uint_lt(after.bytes_used - before, 12 << 20);
    ck_assert_uint_lt(after.bytes_peak, 32 << 20);
    ck_assert(isfinite(reel_item(reel_sum(gradient))));
    size_t recorded = after.bytes_used;
    ck_assert(reel_gradient(reel_sum(h), REEL_TENSORS(w), &gradient, .final = true));
    ck_assert_uint_lt(reel_tape_statistics(tape_used).bytes_used - recorded, 8 << 20);
}
END_TEST

/* y = sum of tanh(tanh(... x)), with wide values in between. */
static reel_tensor tape_tower(reel_tensor x, int floors)
{
    for (int i = 0; i < floors; i++)
        x = reel_tanh(reel_mul(x, x));
    return reel_sum(x);
}

START_TEST(tape_final_uses_memory_again)
{
    reel_tensor x = tape_vector(10000, .9), y = tape_tower(x, 40), gradient[2], second;
    size_t start = reel_tape_statistics(tape_used).bytes_used;
    ck_assert(reel_gradient(y, REEL_TENSORS(x), &gradient[0]));
    size_t plain = reel_tape_statistics(tape_used).bytes_used;
    ck_assert(reel_gradient(y, REEL_TENSORS(x), &gradient[1], .final = true));
    size_t final = reel_tape_statistics(tape_used).bytes_used;
    ck_assert_uint_lt(4 * (final - plain), plain - start);
    ck_assert_uint_gt(plain - start, 40 * 10000 * sizeof(double));
    const double *a = reel_data(gradient[0]), *b = reel_data(gradient[1]);
    ck_assert_mem_eq(a, b, 10000 * sizeof(double));
    ck_assert(reel_gradient(reel_sum(gradient[0]), REEL_TENSORS(x), &second));
    ck_assert(!reel_gradient(reel_sum(gradient[1]), REEL_TENSORS(x), &second));
    ck_assert_msg(strstr(reel_error_message(tape_used), "final"), "%s", reel_error_message(tape_used));
}
END_TEST

/* A final gradient, replayed, must not find its temporaries' memory taken by what is needed later. */
START_TEST(tape_final_replays)
{
    double values[500], first[500], again[500];
    for (int i = 0; i < 500; i++)
        values[i] = .001 * i;
    reel_tensor x = reel_wrap(tape_used, .dtype = REEL_F64, .shape = REEL_SHAPE(500), .data = values,
                              .variable = true), gradient;
    reel_mark from = reel_tape_mark(tape_used);
    reel_tensor y = tape_tower(x, 12);
    ck_assert(reel_gradient(y, REEL_TENSORS(x), &gradient, .final = true));
    reel_section section = reel_tape_section(from, reel_tape_mark(tape_used));
    ck_assert(reel_read(gradient, first, sizeof first));
    for (int round = 0; round < 2; round++) {
        ck_assert(reel_tape_replay(section));
        ck_assert(reel_read(gradient, again, sizeof again));
        ck_assert_mem_eq(first, again, sizeof first);
    }
    reel_section pruned = reel_section_prune(section, REEL_TENSORS(gradient));
    ck_assert(reel_tape_replay(pruned));
    ck_assert(reel_read(gradient, again, sizeof again));
    ck_assert_mem_eq(first, again, sizeof first);
}
END_TEST


/* ---- Replaying ----------------------------------------------------------------------------------- */

enum { TAPE_LINKS = 700 };

/* y = a y + b, many times from 0, with its derivatives, in C. */
static void tape_chain_in_c(double a, double b, double result[3])
{
    double y = 0, da = 0, db = 0;
    for (int i = 0; i < TAPE_LINKS; i++) {
        da = da * a + y;
        db = db * a + 1;
        y = y * a + b;
    }
    result[0] = y;
    result[1] = da;
    result[2] = db;
}

/* Scalar calls over several thousand nodes, each of which is replayed in its turn. */
START_TEST(tape_long_chains_replay)
{
    reel_tensor a = reel_variable(tape_used, REEL_SHAPE(), reel_fill(REEL_F64, .995));
    reel_tensor b = reel_variable(tape_used, REEL_SHAPE(), reel_fill(REEL_F64, .25)), gradient[2];
    reel_mark from = reel_tape_mark(tape_used);
    reel_tensor y = reel_constant(tape_used, REEL_SHAPE(), reel_fill(REEL_F64, 0));
    for (int i = 0; i < TAPE_LINKS; i++)
        y = reel_add(reel_mul(y, a), b);
    ck_assert(reel_gradient(y, REEL_TENSORS(a, b), gradient, .final = true));
    reel_section section = reel_tape_section(from, reel_tape_mark(tape_used));
    for (int round = 0; round < 3; round++) {
        double want[3];
        tape_chain_in_c(.995 - .01 * round, .25, want);
        ck_assert(reel_write(a, reel_fill(REEL_F64, .995 - .01 * round)));
        ck_assert(reel_tape_replay(section));
        ck_assert_double_eq(reel_item(y), want[0]);
        ck_assert_double_eq_tol(reel_item(gradient[0]), want[1], 1e-12 * want[1]);
        ck_assert_double_eq_tol(reel_item(gradient[1]), want[2], 1e-12 * want[2]);
    }
}
END_TEST

/* y = x + 1, counting its runs. */
typedef struct tape_counted {
    int *runs;
} tape_counted;

static bool tape_same_shape(reel_call *call, reel_output *out)
{
    for (int i = 0; i < call->outputs; i++) {
        out[i].dtype = call->in[0].dtype;
        out[i].shape = reel_make_shape(call->in[0].rank, call->in[0].shape);
    }
    return call->in[0].dtype == REEL_F64 || reel_call_error(call, "f64 only");
}

static bool tape_counted_forward(const reel_call *call)
{
    ++*((const tape_counted *)call->attributes)->runs;
    const double *x = call->in[0].data;
    double *y = call->out[0].data;
    for (int64_t i = 0; i < call->out[0].count; i++)
        y[i] = x[i] + 1;
    return true;
}

static const reel_op tape_counted_op = {
    .size = sizeof(reel_op), .name = "counted", .inputs = 1, .outputs = 1, .attributes = sizeof(tape_counted),
    .flags = REEL_NO_GRADIENT, .shape = tape_same_shape, .forward = tape_counted_forward,
};

static reel_tensor tape_count(reel_tensor x, int *runs)
{
    reel_tensor y;
    reel_apply(&tape_counted_op, REEL_TENSORS(x), &(const tape_counted){runs}, &y, 1);
    return y;
}

START_TEST(tape_replays_what_is_needed)
{
    int left = 0, right = 0;
    reel_tensor x = tape_vector(2, 1);
    reel_mark from = reel_tape_mark(tape_used);
    reel_tensor a = tape_count(x, &left), b = tape_count(x, &right), c = reel_add(a, b);
    reel_section whole = reel_tape_section(from, reel_tape_mark(tape_used));
    ck_assert(reel_write(x, reel_fill(REEL_F64, 5)));
    ck_assert(reel_tape_replay(whole));
    ck_assert(left == 2 && right == 2);
    TAPE_VALUES(c, 12, 12);
    reel_section half = reel_section_prune(whole, REEL_TENSORS(a));
    ck_assert(reel_write(x, reel_fill(REEL_F64, 7)));
    ck_assert(reel_tape_replay(half));
    ck_assert(left == 3 && right == 2);
    TAPE_VALUES(a, 8, 8);
    TAPE_VALUES(c, 12, 12);
    ck_assert(reel_tape_replay(reel_section_prune(whole, REEL_TENSORS(b, c))));
    ck_assert(left == 4 && right == 3);
    TAPE_VALUES(c, 16, 16);
}
END_TEST

/* A value that reads a leaf which the section writes needs the write too. */
START_TEST(tape_pruning_keeps_writes)
{
    int runs = 0;
    reel_tensor x = tape_vector(2, 1), step = tape_vector(2, 1),
                rate = reel_constant(tape_used, REEL_SHAPE(), REEL_F64_VALUES(-1));
    reel_mark from = reel_tape_mark(tape_used);
    ck_assert(
        reel_sgd(.parameters = REEL_TENSORS(x), .gradients = REEL_TENSORS(step), .learning_rate = rate));
    reel_tensor y = reel_affine(x, 10, 0);
    tape_count(x, &runs);
    reel_section section =
        reel_section_prune(reel_tape_section(from, reel_tape_mark(tape_used)), REEL_TENSORS(y));
    TAPE_VALUES(y, 20, 20);
    ck_assert(reel_tape_replay(section));
    ck_assert(reel_tape_replay(section));
    TAPE_VALUES(y, 40, 40);
    ck_assert_int_eq(runs, 1);
}
END_TEST

/* y = x, and an error where an x is negative. */
static bool tape_picky_forward(const reel_call *call)
{
    const double *x = call->in[0].data;
    for (int64_t i = 0; i < call->in[0].count; i++)
        if (x[i] < 0)
            return reel_call_error(call, "x[%d] is negative", (int)i);
    memcpy(call->out[0].data, x, (size_t)call->in[0].count * sizeof *x);
    return true;
}

static const reel_op tape_picky_op = {
    .size = sizeof(reel_op), .name = "picky", .inputs = 1, .outputs = 1, .flags = REEL_NO_GRADIENT,
    .shape = tape_same_shape, .forward = tape_picky_forward,
};

START_TEST(tape_failed_replay)
{
    reel_tensor x = tape_vector(2, 1), picky;
    reel_mark from = reel_tape_mark(tape_used);
    reel_tensor before = reel_affine(x, 2, 0);
    int line = __LINE__ + 1;
    ck_assert(reel_apply(&tape_picky_op, REEL_TENSORS(x), NULL, &picky, 1));
    reel_tensor after = reel_affine(picky, 3, 0);
    reel_section section = reel_tape_section(from, reel_tape_mark(tape_used));
    reel_tensor outside = reel_neg(after);

    ck_assert(reel_write(x, REEL_F64_VALUES(4, -4)));
    ck_assert(!reel_tape_replay(section));
    char place[60];
    snprintf(place, sizeof place, "test_tape.c:%d: picky: x[1] is negative", line);
    ck_assert_msg(strstr(reel_error_message(tape_used), place), "%s", reel_error_message(tape_used));
    double value[2];
    ck_assert(!reel_read_f64(after, value, 2));
    ck_assert(!reel_is_valid(reel_exp(before)));

    ck_assert(reel_write(x, REEL_F64_VALUES(4, 5)));
    ck_assert(reel_tape_replay(section));
    tape_assert_fine();
    TAPE_VALUES(before, 8, 10);
    TAPE_VALUES(after, 12, 15);
    TAPE_VALUES(outside, -3, -3);
}
END_TEST

/* After a failed replay, a rewind and a clear make the tape usable, but not the values that the replay
 * did not reach. */
START_TEST(tape_failed_replay_leaves_gaps)
{
    reel_tensor x = tape_vector(2, 1), picky;
    reel_mark from = reel_tape_mark(tape_used);
    ck_assert(reel_apply(&tape_picky_op, REEL_TENSORS(x), NULL, &picky, 1));
    reel_tensor after = reel_affine(picky, 3, 0);
    reel_section section = reel_tape_section(from, reel_tape_mark(tape_used));
    reel_mark end = reel_tape_mark(tape_used);
    ck_assert(reel_write(x, REEL_F64_VALUES(4, -4)));
    ck_assert(!reel_tape_replay(section));
    ck_assert(reel_tape_rewind(tape_used, end));
    ck_assert(reel_error_clear(tape_used));
    TAPE_VALUES(x, 4, -4);
    reel_tensor use = reel_neg(after);
    ck_assert(!reel_is_valid(use));
    ck_assert_msg(strstr(reel_error_message(tape_used), "not computed"), "%s", reel_error_message(tape_used));
    ck_assert(reel_tape_rewind(tape_used, end));
    ck_assert(reel_error_clear(tape_used));
    ck_assert(reel_write(x, REEL_F64_VALUES(1, 2)));
    ck_assert(reel_tape_replay(section));
    TAPE_VALUES(after, 3, 6);
}
END_TEST


/* ---- Steps without the allocator ----------------------------------------------------------------- */

typedef struct tape_training {
    test_memory memory;
    test_net    net;
    uint64_t    calls;                              /* of the allocator, from the second step on   */
    float       numbers[NET_NUMBERS];
} tape_training;

static void tape_train_recording(tape_training *t, int threads, int steps)
{
    reel_tape *own = test_tape_on(&t->memory, .threads = threads);
    test_net_make(&t->net, own, 11);
    reel_mark mark = reel_tape_mark(own);
    for (int step = 0; step < steps; step++) {
        uint64_t before = t->memory.calls;
        ck_assert(test_net_aim(&t->net, step));
        ck_assert_msg(test_net_step(&t->net), "%s", reel_error_message(own));
        ck_assert(reel_tape_rewind(own, mark));
        t->calls += step ? t->memory.calls - before : 0;
    }
    ck_assert(test_net_read(&t->net, t->numbers));
    ck_assert_uint_eq(reel_tape_statistics(own).allocator_calls, t->memory.calls);
    ck_assert_uint_eq(reel_tape_statistics(own).bytes_held, t->memory.live);
    ck_assert_uint_le(reel_tape_statistics(own).bytes_peak, t->memory.peak);
    reel_tape_free(own);
}

static void tape_train_replaying(tape_training *t, int threads, int steps)
{
    reel_tape *own = test_tape_on(&t->memory, .threads = threads);
    test_net_make(&t->net, own, 11);
    reel_mark mark = reel_tape_mark(own);
    ck_assert_msg(test_net_step(&t->net), "%s", reel_error_message(own));
    reel_section section = reel_tape_section(mark, reel_tape_mark(own));
    for (int step = 1; step < steps; step++) {
        uint64_t before = t->memory.calls;
        ck_assert(test_net_aim(&t->net, step));
        ck_assert_msg(reel_tape_replay(section), "%s", reel_error_message(own));
        t->calls += t->memory.calls - before;
    }
    ck_assert(test_net_read(&t->net, t->numbers));
    reel_tape_free(own);
}

START_TEST(tape_steps_do_not_allocate)
{
    static tape_training recorded, replayed;
    tape_train_recording(&recorded, _i, 20);
    tape_train_replaying(&replayed, _i, 20);
    ck_assert_uint_eq(recorded.calls, 0);
    ck_assert_uint_eq(replayed.calls, 0);
    ck_assert_mem_eq(recorded.numbers, replayed.numbers, sizeof recorded.numbers);
    test_report report = {0};
    test_memory_check(&recorded.memory, &report);
    test_memory_check(&replayed.memory, &report);
    test_assert_clean(&report);
}
END_TEST

START_TEST(tape_training_helps)
{
    static test_net net;
    test_net_make(&net, tape_used, 11);
    reel_mark mark = reel_tape_mark(tape_used);
    ck_assert(test_net_step(&net));
    reel_section section = reel_tape_section(mark, reel_tape_mark(tape_used));
    double first = reel_item(net.loss);
    for (int step = 0; step < 200; step++)
        ck_assert(reel_tape_replay(section));
    ck_assert_double_gt(first, 1);
    ck_assert_double_lt(reel_item(net.loss), .1);
}
END_TEST


/* ---- Everything, with each allocation failing ---------------------------------------------------- */

/* Uses all that allocates: names, recording, gradients, final ones, updates, sections, pruning, replaying,
 * re-recording. NaN where it failed. */
static double tape_all_at_once(reel_tape *own)
{
    static test_net net;
    test_net_make(&net, own, 3);
    reel_name(net.weight[0], "the first weight");
    reel_mark mark = reel_tape_mark(own);
    test_net_step(&net);
    reel_section section = reel_tape_section(mark, reel_tape_mark(own));
    reel_tape_replay(section);
    reel_section pruned = reel_section_prune(section, REEL_TENSORS(net.loss));
    reel_tape_replay(pruned);
    reel_section in_f64 = reel_section_in_f64(section);
    reel_tape_replay(in_f64);
    reel_tensor loss = reel_counterpart(in_f64, net.loss), gradient;
    reel_gradient(net.loss, REEL_TENSORS(net.weight[0]), &gradient, .final = true);
    char text[4000];
    reel_format(loss, text, sizeof text);
    return reel_failed(own) ? NAN : reel_item(loss);
}

/* Fails request `fail_at`; false when there was none such. */
static bool tape_survives(uint64_t fail_at, bool fail_on, double want, test_report *report)
{
    test_memory memory = {.fail_at = fail_at, .fail_on = fail_on};
    reel_tape *own = test_tape_on(&memory, .each_request = true, .threads = fail_at % 2 ? 1 : 2);
    if (own) {
        reel_mark start = reel_tape_mark(own);
        double got = tape_all_at_once(own);
        if (!reel_failed(own) ? got != want : !strstr(reel_error_message(own), "memory"))
            test_complain(report, "request %d: %g %s", (int)fail_at, got, reel_error_message(own));
        memory.fail_at = 0;
        if (!reel_tape_rewind(own, start) || (reel_failed(own) && !reel_error_clear(own)))
            test_complain(report, "request %d: the error stays", (int)fail_at);
        got = tape_all_at_once(own);
        if (got != want)
            test_complain(report, "request %d, memory back: %g %s", (int)fail_at, got,
                          reel_error_message(own));
    }
    bool refused = memory.refused > 0;
    reel_tape_free(own);
    test_memory_check(&memory, report);
    return refused;
}

START_TEST(tape_each_allocation_fails)
{
    test_report report = {0};
    double want = tape_all_at_once(tape_used);
    ck_assert_msg(isfinite(want), "%s", reel_error_message(tape_used));
    for (uint64_t request = 1; tape_survives(request, _i, want, &report); request++)
        ck_assert_uint_lt(request, 100000);
    test_assert_clean(&report);
}
END_TEST


/* ---- Re-recording in f64 ------------------------------------------------------------------------- */

/* A bit of everything: broadcasting, views, reductions, casts, a product, a loss, its gradient and second
 * order, and an update. */
typedef struct tape_mixture {
    reel_tensor x, w, v, labels, rate;
    reel_tensor result[8];
    int         results;
} tape_mixture;

static void tape_mixture_leaves(tape_mixture *m, reel_tape *own, reel_dtype dtype, const float numbers[])
{
    double number[64];
    for (int i = 0; i < 64; i++)
        number[i] = numbers[i];
    m->x = reel_variable(own, REEL_SHAPE(4, 6), reel_values_from_f64(dtype, number, 24));
    m->w = reel_variable(own, REEL_SHAPE(5, 6), reel_values_from_f64(dtype, number + 24, 30));
    m->v = reel_variable(own, REEL_SHAPE(5, 6), reel_fill(dtype, .125));
    m->labels = reel_constant(own, REEL_SHAPE(4), REEL_I64_VALUES(0, 4, 2, 2));
    m->rate = reel_constant(own, REEL_SHAPE(), reel_fill(dtype, .25));
}

static void tape_mixture_record(tape_mixture *m, reel_dtype narrow)
{
    reel_tensor narrowed = reel_cast(reel_cast(m->x, narrow), reel_dtype_of(m->x));
    reel_tensor z = reel_matmul(reel_tanh(narrowed), reel_transpose(m->w));
    reel_tensor picked = reel_slice(z, 1, REEL_END, REEL_END, -2);
    reel_tensor norm =
        reel_logsumexp(reel_div(picked, reel_affine(reel_exp(picked), 1, 2)), .axes = REEL_AXES(0));
    reel_tensor loss =
        reel_mean(reel_sparse_softmax_cross_entropy_with_logits(.labels = m->labels, .logits = z));
    reel_tensor y = reel_add(loss, reel_sum(reel_softmax(norm, 0))), *result = m->result;
    y = reel_add(y, reel_max(reel_log_softmax(z, 0)));
    y = reel_add(y, reel_mean(reel_log(reel_relu(reel_affine(z, .1, 3)))));
    result[0] = z, result[1] = norm, result[2] = y;
    reel_gradient(y, REEL_TENSORS(m->x, m->w), &result[3]);
    reel_gradient(reel_sum(reel_mul(result[4], result[4])), REEL_TENSORS(m->x, m->w), &result[5]);
    reel_sgd(.parameters = REEL_TENSORS(m->w), .gradients = REEL_TENSORS(result[4]),
             .velocities = REEL_TENSORS(m->v), .learning_rate = m->rate, .momentum = .9, .weight_decay = .01);
    result[7] = reel_matmul(m->x, reel_permute(m->w, REEL_AXES(1, 0)));
    m->results = 8;
}

START_TEST(tape_f64_agrees_to_the_last_bit)
{
    float numbers[64];
    uint64_t seed = 5;
    for (int i = 0; i < 64; i++)
        numbers[i] = (float)test_uniform(&seed, -1, 1);
    tape_mixture m, direct;
    tape_mixture_leaves(&m, tape_used, REEL_F32, numbers);
    reel_mark from = reel_tape_mark(tape_used);
    tape_mixture_record(&m, REEL_F16);
    reel_section section = reel_tape_section(from, reel_tape_mark(tape_used));
    reel_values w = reel_values_of(REEL_F32, numbers + 24, 30);
    ck_assert(reel_write(m.w, w) && reel_write(m.v, reel_fill(REEL_F32, .125)));
    reel_section in_f64 = reel_section_in_f64(section);
    tape_assert_fine();
    tape_mixture_leaves(&direct, tape_used, REEL_F64, numbers);
    tape_mixture_record(&direct, REEL_F64);
    tape_assert_fine();
    const reel_tensor pairs[][2] = {{m.w, direct.w}, {m.v, direct.v}, {m.x, direct.x}};
    for (int i = 0; i < m.results + 3; i++) {
        reel_tensor twin = reel_counterpart(in_f64, i < m.results ? m.result[i] : pairs[i - m.results][0]);
        reel_tensor want = i < m.results ? direct.result[i] : pairs[i - m.results][1];
        double a[64], b[64];
        size_t count = (size_t)reel_count(want);
        ck_assert_int_eq(reel_dtype_of(twin), REEL_F64);
        ck_assert_msg(reel_read_f64(twin, a, count) && reel_read_f64(want, b, count), "%s",
                      reel_error_message(tape_used));
        ck_assert_msg(memcmp(a, b, count * sizeof *a) == 0, "result %d: %.17g, not %.17g", i, a[0], b[0]);
    }
    float kept[30];
    ck_assert(reel_read(m.w, kept, sizeof kept));
    ck_assert_mem_eq(kept, numbers + 24, sizeof kept);
}
END_TEST

/* The f64 section is a section like any other. */
START_TEST(tape_f64_section_replays_and_differentiates)
{
    reel_tensor x = reel_variable(tape_used, REEL_SHAPE(2), REEL_F32_VALUES(.5f, .1f)), gradient;
    reel_mark from = reel_tape_mark(tape_used);
    reel_tensor y = reel_mul(x, reel_mul(x, x));
    reel_section in_f64 = reel_section_in_f64(reel_tape_section(from, reel_tape_mark(tape_used)));
    reel_tensor x64 = reel_counterpart(in_f64, x), y64 = reel_counterpart(in_f64, y);
    double tenth = (double).1f, got[2];
    ck_assert(reel_read_f64(y64, got, 2));
    ck_assert(got[0] == .125 && got[1] == tenth * (tenth * tenth));
    ck_assert(reel_write(x64, REEL_F64_VALUES(2, 3)));
    ck_assert(reel_tape_replay(reel_section_prune(in_f64, REEL_TENSORS(y64))));
    TAPE_VALUES(y64, 8, 27);
    ck_assert(reel_gradient(y64, REEL_TENSORS(x64), &gradient));
    TAPE_VALUES(gradient, 12, 27);
    TAPE_VALUES(x, .5, .1);
}
END_TEST


/* ---- Ops of one's own ---------------------------------------------------------------------------- */

/* Two outputs, s = a + b and p = a b, of which either may be asked for. */
static bool tape_both_forward(const reel_call *call)
{
    const double *a = call->in[0].data, *b = call->in[1].data;
    double *s = call->out[0].data, *p = call->out[1].data;
    for (int64_t i = 0; i < call->in[0].count; i++) {
        s[i] = a[i] + b[i];
        p[i] = a[i] * b[i];
    }
    return true;
}

static void tape_both_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[],
                          const bool wanted[])
{
    for (int i = 0; i < 2; i++) {
        if (!wanted[i])
            continue;
        if (dy[1].tape)
            dx[i] = reel_mul(dy[1], call->input[1 - i]);
        if (dy[0].tape)
            dx[i] = dx[i].tape ? reel_add(dx[i], dy[0]) : dy[0];
    }
}

static const reel_op tape_both_op = {
    .size = sizeof(reel_op), .name = "both", .inputs = 2, .outputs = 2, .shape = tape_same_shape,
    .forward = tape_both_forward, .vjp = tape_both_vjp,
};

START_TEST(tape_custom_op_with_two_outputs)
{
    reel_tensor a = tape_vector(2, 3), b = tape_vector(2, 5), out[2], gradient[2];
    ck_assert(reel_apply(&tape_both_op, REEL_TENSORS(a, b), NULL, out, 2));
    TAPE_VALUES(out[0], 8, 8);
    TAPE_VALUES(out[1], 15, 15);
    ck_assert(reel_gradient(out[0], REEL_TENSORS(a, b), gradient));
    TAPE_VALUES(gradient[0], 1, 1);
    ck_assert(reel_gradient(out[1], REEL_TENSORS(a, b), gradient));
    TAPE_VALUES(gradient[0], 5, 5);
    ck_assert(reel_gradient(reel_mul(out[0], out[1]), REEL_TENSORS(a, b), gradient));
    TAPE_VALUES(gradient[0], 55, 55);
    TAPE_VALUES(gradient[1], 39, 39);
    reel_tensor second[2];
    ck_assert(reel_gradient(gradient[0], REEL_TENSORS(a, b), second));      /* of 2 a b + b^2      */
    TAPE_VALUES(second[0], 10, 10);
    TAPE_VALUES(second[1], 16, 16);
    ck_assert(!reel_apply(&tape_both_op, REEL_TENSORS(a, b), NULL, out, 1));
    ck_assert(!reel_is_valid(out[0]));
}
END_TEST

/* y = max(0, x) as a user might write it, with a VJP that is not right. */
typedef struct tape_wrong {
    int how;
} tape_wrong;

static bool tape_wrong_forward(const reel_call *call)
{
    memcpy(call->out[0].data, call->in[0].data, (size_t)call->in[0].count * sizeof(double));
    return true;
}

static void tape_wrong_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[],
                           const bool wanted[])
{
    (void)wanted;
    int how = ((const tape_wrong *)call->attributes)->how;
    dx[0] = how == 0   ? reel_sum(dy[0])
            : how == 1 ? reel_cast(dy[0], REEL_F32)
            : how == 2 ? (reel_tensor){call->tape, 0, 0}
            : how == 3 ? (reel_tensor){call->tape, 1000000, 1}
                       : dy[0];
    if (how == 4)
        reel_call_error(call, "no gradient on Sundays");
}

static const reel_op tape_wrong_op = {
    .size = sizeof(reel_op), .name = "wrong", .inputs = 1, .outputs = 1, .attributes = sizeof(tape_wrong),
    .shape = tape_same_shape, .forward = tape_wrong_forward, .vjp = tape_wrong_vjp,
};

START_TEST(tape_wrong_vjp_is_an_error)
{
    const char *says[] = {"[] f64", "[3] f32", "input 1", "input 1", "no gradient on Sundays"};
    reel_tensor x = reel_name(tape_vector(3, 2), "x"), y, gradient;
    reel_mark mark = reel_tape_mark(tape_used);
    ck_assert(reel_apply(&tape_wrong_op, REEL_TENSORS(x), &(const tape_wrong){_i}, &y, 1));
    size_t nodes = reel_tape_statistics(tape_used).nodes;
    ck_assert(!reel_gradient(reel_affine(y, 2, 0), REEL_TENSORS(x), &gradient));
    ck_assert(!reel_is_valid(gradient));
    const char *text = reel_error_message(tape_used);
    ck_assert_msg(strstr(text, "wrong") && strstr(text, "test_tape.c:") && strstr(text, says[_i]), "%s",
                  text);
    ck_assert_uint_eq(reel_tape_statistics(tape_used).nodes, nodes + 1);
    ck_assert(reel_tape_rewind(tape_used, mark) && reel_error_clear(tape_used));
    ck_assert(reel_gradient(reel_mul(x, x), REEL_TENSORS(x), &gradient));
    TAPE_VALUES(gradient, 4, 4, 4);
}
END_TEST

/* count = count + 1, in place. */
static bool tape_advance_writes(const void *attributes, int input)
{
    (void)attributes;
    return input == 0;
}

static bool tape_advance_shape(reel_call *call, reel_output *out)
{
    (void)out;
    return call->in[0].dtype == REEL_I64 || reel_call_error(call, "a counter is i64");
}

static bool tape_advance_forward(const reel_call *call)
{
    ++*(int64_t *)call->in[0].data;
    return true;
}

static const reel_op tape_advance_op = {
    .size = sizeof(reel_op), .name = "advance", .inputs = 1, .outputs = 0, .flags = REEL_NO_GRADIENT,
    .writes = tape_advance_writes, .shape = tape_advance_shape, .forward = tape_advance_forward,
};

START_TEST(tape_custom_op_that_writes)
{
    reel_tensor count = reel_constant(tape_used, REEL_SHAPE(), REEL_I64_VALUES(0));
    reel_mark from = reel_tape_mark(tape_used);
    reel_tensor before = reel_cast(count, REEL_F64);
    ck_assert(reel_apply(&tape_advance_op, REEL_TENSORS(count), NULL, NULL, 0));
    reel_tensor after = reel_cast(count, REEL_F64);
    reel_section section = reel_tape_section(from, reel_tape_mark(tape_used));
    ck_assert(reel_item(before) == 0 && reel_item(after) == 1);
    for (int i = 0; i < 5; i++)
        ck_assert(reel_tape_replay(section));
    ck_assert(reel_item(before) == 5 && reel_item(after) == 6);
    ck_assert(reel_tape_rewind(tape_used, from));
    ck_assert(reel_item(count) == 6);
    ck_assert(!reel_apply(&tape_advance_op, REEL_TENSORS(reel_neg(count)), NULL, NULL, 0));
    ck_assert_msg(strstr(reel_error_message(tape_used), "leaf"), "%s", reel_error_message(tape_used));
}
END_TEST

/* y = a b + c by kernels alone: broadcasting, strides, dtypes and the half types come with them. */
static void tape_fused_f32(int64_t n, const void *const in[], void *out, const void *attributes)
{
    (void)attributes;
    for (int64_t i = 0; i < n; i++)
        ((float *)out)[i] = ((const float *)in[0])[i] * ((const float *)in[1])[i] + ((const float *)in[2])[i];
}

static void tape_fused_f64(int64_t n, const void *const in[], void *out, const void *attributes)
{
    (void)attributes;
    for (int64_t i = 0; i < n; i++)
        ((double *)out)[i] =
            ((const double *)in[0])[i] * ((const double *)in[1])[i] + ((const double *)in[2])[i];
}

static void tape_fused_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[],
                           const bool wanted[])
{
    for (int i = 0; i < 3; i++)
        if (wanted[i])
            dx[i] = reel_sum_to(i < 2 ? reel_mul(dy[0], call->input[1 - i]) : dy[0],
                                reel_shape_of(call->input[i]));
}

static const reel_kernels tape_fused_kernels = {
    .of[REEL_F32] = tape_fused_f32, .of[REEL_F64] = tape_fused_f64,
};

static const reel_op tape_fused_op = {
    .size = sizeof(reel_op), .name = "fused", .inputs = 3, .outputs = 1, .kernels = &tape_fused_kernels,
    .vjp = tape_fused_vjp,
};

START_TEST(tape_custom_op_by_kernels)
{
    const reel_dtype dtypes[] = {REEL_F16, REEL_BF16, REEL_F32, REEL_F64};
    for (int k = 0; k < 4; k++) {
        const double numbers[] = {1, 2, 3, 4, 5, 6};
        reel_tensor x[3] = {
            reel_variable(tape_used, REEL_SHAPE(2, 3), reel_values_from_f64(dtypes[k], numbers, 6)),
            reel_variable(tape_used, REEL_SHAPE(2, 1), reel_values_from_f64(dtypes[k], numbers, 2)),
            reel_variable(tape_used, REEL_SHAPE(), reel_fill(dtypes[k], -1)),
        }, y, gradient[3];
        ck_assert_msg(reel_apply(&tape_fused_op, reel_tensors_of(x, 3), NULL, &y, 1), "%s",
                      reel_error_message(tape_used));
        ck_assert_int_eq(reel_dtype_of(y), dtypes[k]);
        TAPE_VALUES(y, 0, 1, 2, 7, 9, 11);
        ck_assert(reel_gradient(y, reel_tensors_of(x, 3), gradient));
        TAPE_VALUES(gradient[0], 1, 1, 1, 2, 2, 2);
        TAPE_VALUES(gradient[1], 6, 15);
        TAPE_VALUES(gradient[2], 6);
    }
    reel_tensor integer = reel_constant(tape_used, REEL_SHAPE(), REEL_I32_VALUES(1)), y;
    ck_assert(!reel_apply(&tape_fused_op, REEL_TENSORS(integer, integer, integer), NULL, &y, 1));
    ck_assert_msg(strstr(reel_error_message(tape_used), "fused: "), "%s", reel_error_message(tape_used));
}
END_TEST

/* y = the sum of any number of inputs. */
static bool tape_total_forward(const reel_call *call)
{
    double *y = call->out[0].data;
    memset(y, 0, (size_t)call->out[0].count * sizeof *y);
    for (int k = 0; k < call->inputs; k++)
        for (int64_t i = 0; i < call->out[0].count; i++)
            y[i] += ((const double *)call->in[k].data)[i];
    return true;
}

static void tape_total_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[],
                           const bool wanted[])
{
    for (int i = 0; i < call->inputs; i++)
        if (wanted[i])
            dx[i] = dy[0];
}

static const reel_op tape_total_op = {
    .size = sizeof(reel_op), .name = "total", .inputs = REEL_ANY, .outputs = 1, .flags = REEL_INPUTS_UNREAD,
    .shape = tape_same_shape, .forward = tape_total_forward, .vjp = tape_total_vjp,
};

START_TEST(tape_custom_op_with_many_inputs)
{
    enum { MANY = 100 };
    reel_tensor x[MANY], y, gradient[MANY];
    for (int i = 0; i < MANY; i++)
        x[i] = tape_vector(2, i);
    reel_mark from = reel_tape_mark(tape_used);
    ck_assert(reel_apply(&tape_total_op, reel_tensors_of(x, MANY), NULL, &y, 1));
    reel_section section = reel_tape_section(from, reel_tape_mark(tape_used));
    TAPE_VALUES(y, 4950, 4950);
    ck_assert(reel_gradient(reel_mul(y, y), reel_tensors_of(x, MANY), gradient));
    TAPE_VALUES(gradient[0], 9900, 9900);
    TAPE_VALUES(gradient[MANY - 1], 9900, 9900);
    ck_assert(reel_write(x[50], reel_fill(REEL_F64, 51)));
    ck_assert(reel_tape_replay(section));
    TAPE_VALUES(y, 4951, 4951);
    for (int i = 0; i < MANY; i++)
        x[i] = x[i % 3];
    ck_assert(reel_apply(&tape_total_op, reel_tensors_of(x, MANY), NULL, &y, 1));
    ck_assert(reel_gradient(y, REEL_TENSORS(x[0], x[1]), gradient));
    TAPE_VALUES(gradient[0], 34, 34);
    TAPE_VALUES(gradient[1], 33, 33);
}
END_TEST


/* ---- Memory, statistics, output ------------------------------------------------------------------ */

/* Values do not overlap, and lie at multiples of what vectors of their size are loaded by. */
START_TEST(tape_values_are_aligned)
{
    reel_tape *tape = reel_tape_new();
    for (int i = 0; i < 200; i++) {
        const int64_t count = 1 + i * 7 % 40;
        reel_tensor x = reel_constant(tape, REEL_SHAPE(count), reel_fill(REEL_F32, 1)), y = reel_mul(x, x);
        const uintptr_t first = (uintptr_t)reel_data(x), second = (uintptr_t)reel_data(y);
        const uintptr_t bytes = (uintptr_t)count * sizeof(float), align = bytes <= 8 ? 8 : bytes < 64 ? 16 : 64;
        ck_assert(first % align == 0 && second % align == 0);
        ck_assert(first + bytes <= second || second + bytes <= first);
    }
    reel_tape_free(tape);
}
END_TEST

START_TEST(tape_statistics)
{
    reel_statistics empty = reel_tape_statistics(tape_used);
    ck_assert_uint_eq(empty.nodes, 0);
    ck_assert_uint_lt(empty.node_bytes, 192);
    reel_tensor x = tape_vector(1000, 1);
    reel_tensor view = reel_reshape(x, REEL_SHAPE(10, 100));
    reel_statistics one = reel_tape_statistics(tape_used);
    ck_assert_uint_eq(one.nodes, 2);
    ck_assert_uint_ge(one.bytes_used, 8000);
    ck_assert_uint_lt(one.bytes_used, 12000);
    ck_assert_uint_ge(one.bytes_held, one.bytes_used);
    ck_assert_uint_ge(one.bytes_peak, one.bytes_held);
    ck_assert_ptr_eq(reel_data(view), reel_data(x));
    reel_exp(view);
    ck_assert_uint_ge(reel_tape_statistics(tape_used).bytes_used, one.bytes_used + 8000);
    ck_assert_uint_eq(reel_tape_statistics(NULL).nodes, 0);
}
END_TEST

START_TEST(tape_frees_everything_at_once)
{
    test_memory memory = {0};
    test_report report = {0};
    reel_tape *own = test_tape_on(&memory, .threads = 2, .seed = 3);
    reel_tensor x = reel_random_normal(own, REEL_SHAPE(300, 300), REEL_F32, 0, 1), gradient;
    for (int i = 0; i < 2000; i++)
        x = reel_name(reel_tanh(x), i % 2 ? "odd" : "even");
    x = reel_random_uniform(own, REEL_SHAPE(30), REEL_F64, 2, 3);
    reel_gradient(reel_log(x), REEL_TENSORS(x), &gradient);
    ck_assert_msg(!reel_failed(own), "%s", reel_error_message(own));
    ck_assert_uint_gt(memory.live, 300 * 300 * 4 * 2000u);
    reel_tape_free(own);
    test_memory_check(&memory, &report);
    test_assert_clean(&report);
}
END_TEST

/* Two leaves drawn one after the other from a fresh tape's generator. */
static void tape_draw(uint64_t seed, float first[100], float second[100])
{
    reel_tape *own = reel_tape_new_with(.seed = seed);
    ck_assert(
        reel_read(reel_random_uniform(own, REEL_SHAPE(100), REEL_F32, -2, 5), first, 100 * sizeof *first));
    ck_assert(
        reel_read(reel_random_uniform(own, REEL_SHAPE(100), REEL_F32, -2, 5), second, 100 * sizeof *second));
    reel_tape_free(own);
}

START_TEST(tape_seeds_make_random_leaves)
{
    float first[3][100], second[3][100];
    tape_draw(7, first[0], second[0]);
    tape_draw(7, first[1], second[1]);
    tape_draw(8, first[2], second[2]);
    ck_assert_mem_eq(first[0], first[1], sizeof first[0]);
    ck_assert_mem_eq(second[0], second[1], sizeof second[0]);
    ck_assert_mem_ne(first[0], second[0], sizeof first[0]);
    ck_assert_mem_ne(first[0], first[2], sizeof first[0]);
    for (int i = 0; i < 100; i++)
        ck_assert(first[0][i] >= -2 && first[0][i] < 5);
}
END_TEST

START_TEST(tape_prints_through_the_table)
{
    test_files files;
    test_files_start(&files);
    reel_tape *own = reel_tape_new_with(.io = &files.io);
    reel_tensor x = reel_variable(own, REEL_SHAPE(2), REEL_F32_VALUES(.16984601f, .8247449f));
    ck_assert(reel_print(x));
    ck_assert_str_eq(test_files_text(&files, "stdout"), "[0.16984601 0.8247449]\n");
    uint64_t calls = files.calls;
    ck_assert_uint_ge(calls, 1);
    reel_mark mark = reel_tape_mark(own);
    for (uint64_t call = 1; call <= calls; call++) {
        files.calls = 0;
        files.fail_at = call;
        ck_assert(!reel_print(x));
        ck_assert_msg(strstr(reel_error_message(own), "print"), "%s", reel_error_message(own));
        ck_assert(reel_tape_rewind(own, mark) && reel_error_clear(own));
    }
    files.fail_at = 0;
    ck_assert(reel_print(x));
    reel_tape_free(own);
    test_files_end(&files);
}
END_TEST

Suite *reel_suite_tape(void);

static TCase *tape_case(Suite *suite, const char *name)
{
    TCase *c = tcase_create(name);
    tcase_add_checked_fixture(c, tape_setup, tape_teardown);
    tcase_set_timeout(c, 120);
    suite_add_tcase(suite, c);
    return c;
}

static void tape_add_gradients(Suite *suite)
{
    TCase *c = tape_case(suite, "gradients");
    tcase_add_test(c, tape_gradient_basics);
    tcase_add_test(c, tape_gradient_fans_in);
    tcase_add_test(c, tape_gradients_keep_their_values);
    tcase_add_test(c, tape_why_no_gradient);
    tcase_add_test(c, tape_stop_gradient_is_a_view);
    tcase_add_test(c, tape_accumulates_everything);
    tcase_add_test(c, tape_accumulates_in_place);
    tcase_add_test(c, tape_final_uses_memory_again);
    tcase_add_test(c, tape_final_replays);
}

static void tape_add_sections(Suite *suite)
{
    TCase *c = tape_case(suite, "sections");
    tcase_add_test(c, tape_long_chains_replay);
    tcase_add_test(c, tape_replays_what_is_needed);
    tcase_add_test(c, tape_pruning_keeps_writes);
    tcase_add_test(c, tape_failed_replay);
    tcase_add_test(c, tape_failed_replay_leaves_gaps);
    tcase_add_loop_test(c, tape_steps_do_not_allocate, 1, 3);
    tcase_add_test(c, tape_training_helps);
    tcase_add_loop_test(c, tape_each_allocation_fails, 0, 2);
    tcase_add_test(c, tape_f64_agrees_to_the_last_bit);
    tcase_add_test(c, tape_f64_section_replays_and_differentiates);
}

Suite *reel_suite_tape(void)
{
    Suite *suite = suite_create("tape");
    TCase *c = tape_case(suite, "record and rewind");
    tcase_add_test(c, tape_stale_handles_are_known);
    tcase_add_test(c, tape_marks_nest);
    tcase_add_test(c, tape_rewind_keeps_writes);
    tcase_add_test(c, tape_rewound_memory_is_used_again);
    tcase_add_test(c, tape_names_and_shapes);
    tcase_add_test(c, tape_reaimed_leaves_reach_views);
    tcase_add_test(c, tape_reaimed_leaves_reach_elementwise_calls);
    tcase_add_test(c, tape_strided_memory);
    tcase_add_test(c, tape_values_are_aligned);
    tcase_add_test(c, tape_statistics);
    tcase_add_test(c, tape_frees_everything_at_once);
    tcase_add_test(c, tape_seeds_make_random_leaves);
    tcase_add_test(c, tape_prints_through_the_table);
    tape_add_gradients(suite);
    tape_add_sections(suite);
    c = tape_case(suite, "ops of one's own");
    tcase_add_test(c, tape_custom_op_with_two_outputs);
    tcase_add_loop_test(c, tape_wrong_vjp_is_an_error, 0, 5);
    tcase_add_test(c, tape_custom_op_that_writes);
    tcase_add_test(c, tape_custom_op_with_many_inputs);
    tcase_add_test(c, tape_custom_op_by_kernels);
    return suite;
}
