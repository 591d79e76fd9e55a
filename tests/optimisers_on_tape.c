/* The optimisers on a tape: what they refuse, what they allocate, half types, threads, states; clipping;
 * schedules; and the initialisers' moments.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/harness.h"

#include <reel_train.h>

#include <math.h>
#include <string.h>

void test_optimisers_on_tape(Suite *suite);

static reel_tape *optim_tape;
static test_memory optim_memory;

static void optim_set_up(void)
{
    optim_memory = (test_memory){0};
    optim_tape = test_tape_on(&optim_memory, .threads = 1);
}

static void optim_tear_down(void)
{
    test_report report = {0};
    reel_tape_free(optim_tape);
    test_memory_check(&optim_memory, &report);
    test_assert_clean(&report);
}

static reel_tensor optim_rate(double value)
{
    return reel_name(reel_constant(optim_tape, REEL_SHAPE(), reel_fill(REEL_F32, value)), "rate");
}

static void optim_expect(const char *text)
{
    const char *message = reel_error_message(optim_tape);
    ck_assert_msg(reel_failed(optim_tape) && strstr(message, text) &&
                      strstr(message, "optimisers_on_tape.c:"),
                  "\"%s\" does not say \"%s\"", message, text);
}

START_TEST(refuses_wrong_states_and_changes_nothing)
{
    reel_tensor w = reel_name(reel_variable(optim_tape, REEL_SHAPE(2, 3), reel_fill(REEL_F32, 2)), "w");
    reel_tensor v = reel_name(reel_variable(optim_tape, REEL_SHAPE(2), reel_fill(REEL_F16, 2)), "v");
    reel_tensor g = reel_constant(optim_tape, REEL_SHAPE(2, 3), reel_fill(REEL_F32, 1)),
                h = reel_ones_like(v);
    reel_tensor s = reel_optimiser_state(w, 2), three = reel_optimiser_state(w, 3);
    reel_tensor half = reel_constant(optim_tape, REEL_SHAPE(5), reel_fill(REEL_F16, 0));
    reel_tensor rate = optim_rate(.1);
    reel_mark mark = reel_tape_mark(optim_tape);
    for (int i = 0; i < 5; i++) {
        bool done = true;
        if (i == 0)
            done =
                reel_adam(.parameters = REEL_TENSORS(w), .gradients = REEL_TENSORS(g), .learning_rate = rate);
        else if (i == 1)
            done = reel_adam(.parameters = REEL_TENSORS(w), .gradients = REEL_TENSORS(g),
                             .states = REEL_TENSORS(three), .learning_rate = rate);
        else if (i == 2)
            done = reel_adamw(.parameters = REEL_TENSORS(w, v), .gradients = REEL_TENSORS(g, h),
                              .states = REEL_TENSORS(s, half), .learning_rate = rate);
        else if (i == 3)
            done = reel_rmsprop(.parameters = REEL_TENSORS(w), .gradients = REEL_TENSORS(g),
                                .states = REEL_TENSORS(s), .learning_rate = rate);
        else
            done = reel_adam(.parameters = REEL_TENSORS(w, v), .gradients = REEL_TENSORS(g),
                             .states = REEL_TENSORS(s), .learning_rate = rate);
        static const char *const why[] = {"adam: there must be one state for each parameter",
                                          "must be 13 elements of f32", "must be 5 elements of f32",
                                          "rmsprop: the state",
                                          "adam: there must be one gradient for each parameter"};
        ck_assert(!done);
        optim_expect(why[i]);
        reel_tape_rewind(optim_tape, mark);
        ck_assert(reel_error_clear(optim_tape));
    }
    double numbers[13];
    ck_assert(reel_read_f64(w, numbers, 6) && numbers[0] == 2 && numbers[5] == 2);
    ck_assert(reel_read_f64(s, numbers, 13) && numbers[0] == 0 && numbers[12] == 0);
}
END_TEST

START_TEST(refuses_wrong_options)
{
    reel_tensor w = reel_variable(optim_tape, REEL_SHAPE(2), reel_fill(REEL_F32, 2)), g = reel_ones_like(w);
    reel_tensors p = REEL_TENSORS(w), d = REEL_TENSORS(g), s = REEL_TENSORS(reel_optimiser_state(w, 2));
    reel_tensor rate = optim_rate(.1);
    reel_mark mark = reel_tape_mark(optim_tape);
    for (int i = 0; i < 8; i++) {
        bool done = true;
        switch (i) {
        case 0:
            done = reel_adam(.parameters = p, .gradients = d, .states = s, .learning_rate = rate, .beta1 = 1);
            break;
        case 1:
            done =
                reel_adam(.parameters = p, .gradients = d, .states = s, .learning_rate = rate, .beta2 = NAN);
            break;
        case 2:
            done = reel_adamw(.parameters = p, .gradients = d, .states = s, .learning_rate = rate,
                              .epsilon = -1);
            break;
        case 3: done = reel_adamw(.parameters = p, .gradients = d, .states = s, .learning_rate = rate,
                                  .weight_decay = -1); break;
        case 4:
            done =
                reel_rmsprop(.parameters = p, .gradients = d, .states = s, .learning_rate = rate, .alpha = 1);
            break;
        case 5:
            done = reel_sgd(.parameters = p, .gradients = d, .learning_rate = rate, .nesterov = true);
            break;
        case 6: done = reel_is_valid(reel_clip_gradients(d, -1, (reel_tensor[1]){{0}})); break;
        case 7: done = reel_is_valid(reel_optimiser_state(w, 4)); break;
        }
        ck_assert_int_eq(done, false);
        optim_expect("");
        reel_tape_rewind(optim_tape, mark);
        ck_assert(reel_error_clear(optim_tape));
    }
}
END_TEST

/* Beta 0 is beta 0: m is the gradient itself, and w moves by the rate in its sign. */
START_TEST(zero_is_an_option)
{
    reel_tensor w = reel_variable(optim_tape, REEL_SHAPE(3), REEL_F64_VALUES(1, 2, 3));
    reel_tensor g = reel_constant(optim_tape, REEL_SHAPE(3), REEL_F64_VALUES(4, -5, 0.001));
    reel_tensor s = reel_optimiser_state(w, 2);
    ck_assert(reel_adamw(.parameters = REEL_TENSORS(w), .gradients = REEL_TENSORS(g),
                         .states = REEL_TENSORS(s), .learning_rate = optim_rate(.5), .beta1 = 0, .beta2 = 0,
                         .epsilon = 0, .weight_decay = 0));
    double got[7], state[] = {4, -5, .001, 16, 25, 1e-6, 1};
    ck_assert(reel_read_f64(w, got, 3) && got[0] == .5 && got[1] == 2.5 && got[2] == 2.5);
    ck_assert(reel_read_f64(s, got, 7));
    for (int i = 0; i < 7; i++)
        ck_assert_double_eq_tol(got[i], state[i], 1e-18);
}
END_TEST

/* An older program's struct ends before `nesterov`: what lies behind it is not looked at. */
START_TEST(older_options_are_understood)
{
    reel_tensor w = reel_variable(optim_tape, REEL_SHAPE(), REEL_F64_VALUES(1)), v = reel_zeros_like(w);
    reel_sgd_options o = {.parameters = REEL_TENSORS(w), .gradients = REEL_TENSORS(reel_ones_like(w)),
                          .velocities = REEL_TENSORS(v), .learning_rate = optim_rate(.5), .momentum = .5,
                          .nesterov = true, .decoupled = true};
    o.size = offsetof(reel_sgd_options, nesterov);
    ck_assert(reel_sgd_at(__FILE__, __LINE__, &o));
    ck_assert_double_eq(reel_item(w), .5);
    o.size = sizeof o;
    reel_write(w, reel_fill(REEL_F64, 1));
    reel_write(v, reel_fill(REEL_F64, 0));
    ck_assert(reel_sgd_at(__FILE__, __LINE__, &o));
    ck_assert_double_eq(reel_item(w), .25);
}
END_TEST

/* After its first time, a step of any of them asks the allocator for nothing. */
START_TEST(steps_do_not_allocate)
{
    reel_tensor w = reel_variable(optim_tape, REEL_SHAPE(40, 30), reel_fill(REEL_F32, 2));
    reel_tensor s = reel_optimiser_state(w, 3), rate = optim_rate(.1), g, norm = REEL_NONE;
    reel_mark mark = reel_tape_mark(optim_tape);
    uint64_t calls = 0;
    for (int step = 0; step < 5; step++) {
        reel_gradient(reel_sum(reel_mul(w, w)), REEL_TENSORS(w), &g);
        norm = reel_clip_gradients(REEL_TENSORS(g), 1, &g);
        ck_assert(reel_adam(.parameters = REEL_TENSORS(w), .gradients = REEL_TENSORS(g),
                            .states = REEL_TENSORS(s), .learning_rate = rate, .amsgrad = true));
        if (step == 0)
            calls = optim_memory.calls;
        ck_assert_double_gt(reel_item(norm), 1);
        reel_tape_rewind(optim_tape, mark);
    }
    ck_assert_uint_eq(optim_memory.calls, calls);
}
END_TEST

/* The half types: the state in f32, so that v is not lost, and w follows f32's path within its own
 * rounding. */
START_TEST(half_types_follow_f32)
{
    const reel_dtype dtypes[] = {REEL_F32, REEL_F16, REEL_BF16};
    double end[3][2];
    for (int k = 0; k < 3; k++) {
        reel_tensor w =
            reel_variable(optim_tape, REEL_SHAPE(2), reel_values_from_f64(dtypes[k], (double[]){1, -2}, 2));
        reel_tensor g = reel_constant(optim_tape, REEL_SHAPE(2),
                                      reel_values_from_f64(dtypes[k], (double[]){.5, -.25}, 2));
        reel_tensor s = reel_optimiser_state(w, 2), rate = optim_rate(.125);
        ck_assert_int_eq(reel_dtype_of(s), REEL_F32);
        for (int step = 0; step < 10; step++)
            ck_assert(reel_adam(.parameters = REEL_TENSORS(w), .gradients = REEL_TENSORS(g),
                                .states = REEL_TENSORS(s), .learning_rate = rate));
        ck_assert(reel_read_f64(w, end[k], 2));
        for (int i = 0; i < 2; i++)
            ck_assert_double_eq_tol(end[k][i], end[0][i], 10 * test_roundoff(dtypes[k]) * 2);
    }
    ck_assert_double_eq_tol(end[0][0], -.25, 1e-5);
}
END_TEST

/* Large enough that threads share it: one parameter in order, one with gaps, so that it is gathered. */
START_TEST(threads_give_the_same_bits)
{
    enum { N = 50000 };
    static float data[3][2 * N], end[3][N];
    for (int k = 0; k < 3; k++) {
        uint64_t seed = 5;
        reel_tape *tape = reel_tape_new_with(.threads = k + 1);
        for (int i = 0; i < 2 * N; i++)
            data[k][i] = (float)test_uniform(&seed, -1, 1);
        reel_tensor w = reel_wrap(tape, .dtype = REEL_F32, .shape = REEL_SHAPE(N), .data = data[k],
                                  .strides = (int64_t[]){2}, .variable = true);
        reel_tensor x = reel_random_normal(tape, REEL_SHAPE(N), REEL_F32, 0, 1);
        reel_tensor states[2] = {reel_optimiser_state(w, 2), reel_optimiser_state(x, 2)};
        reel_tensor rate = reel_constant(tape, REEL_SHAPE(), reel_fill(REEL_F32, .1));
        reel_tensor g = reel_random_normal(tape, REEL_SHAPE(N), REEL_F32, 0, 1);
        for (int step = 0; step < 3; step++)
            ck_assert_msg(reel_adam(.parameters = REEL_TENSORS(w, x), .gradients = REEL_TENSORS(g, g),
                                    .states = reel_tensors_of(states, 2), .learning_rate = rate), "%s",
                          reel_error_message(tape));
        reel_read(x, end[k], sizeof end[k]);
        reel_tape_free(tape);
    }
    for (int k = 1; k < 3; k++) {
        ck_assert_mem_eq(end[0], end[k], sizeof end[0]);
        ck_assert_mem_eq(data[0], data[k], sizeof data[0]);
    }
}
END_TEST

/* A state that was copied out at step 5 and back in elsewhere goes on to the same bits. */
START_TEST(states_are_restored_exactly)
{
    float straight[6], resumed[6], kept[6], state[13];
    for (int half = 0; half < 2; half++) {
        reel_tape *tape = reel_tape_new_with(.seed = 3);
        reel_tensor w = reel_random_normal(tape, REEL_SHAPE(2, 3), REEL_F32, 0, 1),
                    s = reel_optimiser_state(w, 2);
        reel_tensor rate = reel_constant(tape, REEL_SHAPE(), reel_fill(REEL_F32, .1)), g;
        if (half) {
            reel_write(w, reel_values_of(REEL_F32, kept, 6));
            reel_write(s, reel_values_of(REEL_F32, state, 13));
        }
        reel_mark mark = reel_tape_mark(tape);
        for (int step = half ? 5 : 0; step < 10; step++) {
            if (step == 5 && !half)
                ck_assert(reel_read(w, kept, sizeof kept) && reel_read(s, state, sizeof state) &&
                          state[12] == 5);
            reel_gradient(reel_sum(reel_exp(w)), REEL_TENSORS(w), &g);
            ck_assert(reel_adamw(.parameters = REEL_TENSORS(w), .gradients = REEL_TENSORS(g),
                                 .states = REEL_TENSORS(s), .learning_rate = rate));
            reel_tape_rewind(tape, mark);
        }
        reel_read(w, half ? resumed : straight, sizeof straight);
        reel_tape_free(tape);
    }
    ck_assert_mem_eq(straight, resumed, sizeof straight);
}
END_TEST


/* ---- Clipping ------------------------------------------------------------------------------------ */

START_TEST(clips_to_the_norm)
{
    reel_tensor g[3] = {reel_constant(optim_tape, REEL_SHAPE(2), REEL_F32_VALUES(3, 0)),
                        reel_constant(optim_tape, REEL_SHAPE(), REEL_BF16_VALUES(4)),
                        reel_constant(optim_tape, REEL_SHAPE(0), reel_fill(REEL_F16, 0))};
    reel_tensor clipped[3];
    ck_assert_double_eq(reel_item(reel_clip_gradients(reel_tensors_of(g, 3), 10, clipped)), 5);
    ck_assert_double_eq(reel_item(clipped[1]), 4);
    ck_assert_double_eq(reel_item(reel_clip_gradients(reel_tensors_of(g, 3), 1, g)), 5);
    double x[2];
    ck_assert(reel_read_f64(g[0], x, 2));
    ck_assert_double_eq_tol(x[0], .6, 1e-6);
    ck_assert_double_eq_tol(reel_item(g[1]), .8, .8 / 256);
    ck_assert_int_eq(reel_dtype_of(g[1]), REEL_BF16);
    ck_assert_int_eq(reel_count(g[2]), 0);
}
END_TEST

/* The squares of f16's and f32's numbers are beyond their range, and so are those of the smallest. */
START_TEST(norms_do_not_overflow)
{
    reel_tensor large = reel_constant(optim_tape, REEL_SHAPE(4), reel_fill(REEL_F32, 1e30));
    reel_tensor small = reel_constant(optim_tape, REEL_SHAPE(4), reel_fill(REEL_F32, 1e-30));
    reel_tensor half = reel_constant(optim_tape, REEL_SHAPE(4), reel_fill(REEL_F16, 60000));
    ck_assert_double_eq_tol(reel_item(reel_global_norm(REEL_TENSORS(large))), 2e30, 1e24);
    ck_assert_double_eq_tol(reel_item(reel_global_norm(REEL_TENSORS(small))), 2e-30, 1e-36);
    reel_tensor norm = reel_clip_gradients(REEL_TENSORS(half), 1, &half);
    ck_assert_double_eq(reel_item(norm), 120000);
    double x[4];
    ck_assert(reel_read_f64(half, x, 4) && x[3] == .5);
    reel_tensor zero = reel_zeros_like(large),
                bad = reel_constant(optim_tape, REEL_SHAPE(), REEL_F32_VALUES(NAN));
    ck_assert_double_eq(reel_item(reel_clip_gradients(REEL_TENSORS(zero), 1, &zero)), 0);
    ck_assert(reel_read_f64(zero, x, 4) && x[0] == 0);
    ck_assert(isnan(reel_item(reel_clip_gradients(REEL_TENSORS(bad), 1, &bad))) && isnan(reel_item(bad)));
}
END_TEST


/* ---- Schedules ------------------------------------------------------------------------------------- */

START_TEST(schedules_hold_at_their_ends)
{
    ck_assert_double_eq(reel_schedule_cosine(.1, .01, 0, 10, 0), .1);
    ck_assert_double_eq(reel_schedule_cosine(.1, .01, 0, 10, 10), .01);
    ck_assert_double_eq(reel_schedule_cosine(.1, .01, 0, 10, 1000000), .01);
    ck_assert_double_eq(reel_schedule_cosine(.1, .01, 4, 10, 0), .025);
    ck_assert_double_eq(reel_schedule_cosine(.1, .01, 4, 10, 3), .1);
    ck_assert_double_eq(reel_schedule_cosine(.1, .01, 10, 10, 9), .1);
    ck_assert_double_eq(reel_schedule_cosine(.1, .01, 0, 0, 0), .01);
    ck_assert_double_eq(reel_schedule_step(.8, .5, 3, 2), .8);
    ck_assert_double_eq(reel_schedule_step(.8, .5, 3, 9), .1);
    ck_assert_double_eq(reel_schedule_step(.8, .5, 0, 9), .8);
    ck_assert_double_eq(reel_schedule_one_cycle(1, 10, 2), 1);
    ck_assert_double_eq_tol(reel_schedule_one_cycle(1, 10, 0), .04, 1e-16);
    ck_assert_double_eq_tol(reel_schedule_one_cycle(1, 10, 9), 4e-6, 1e-20);
    for (int64_t steps = 0; steps < 8; steps++)
        for (int64_t t = 0; t < 10; t++) {
            double rate = reel_schedule_one_cycle(1, steps, t);
            ck_assert(rate > 0 && rate <= 1);
        }
    reel_tensor rate = optim_rate(0);
    ck_assert(
        reel_schedule_write(&(reel_schedule){REEL_SCHEDULE_STEP, 1, .every = 2, .factor = .5}, 5, rate));
    ck_assert_double_eq(reel_item(rate), .25);
}
END_TEST


/* ---- Initialisers -------------------------------------------------------------------------------- */

/* Mean and variance within five standard errors of n draws; a uniform's range. */
static void optim_moments(reel_tensor x, double variance, double most)
{
    enum { N = 60000 };
    static double value[N];
    ck_assert_msg(!reel_failed(optim_tape), "%s", reel_error_message(optim_tape));
    ck_assert_int_eq(reel_count(x), N);
    ck_assert(reel_read_f64(x, value, N));
    double sum = 0, squares = 0, largest = 0;
    for (int i = 0; i < N; i++) {
        sum += value[i];
        squares += value[i] * value[i];
        largest = fmax(largest, fabs(value[i]));
    }
    ck_assert_double_le(fabs(sum / N), 5 * sqrt(variance / N));
    ck_assert_double_le(fabs(squares / N - variance), 5 * variance * sqrt(2. / N));
    if (most > 0)
        ck_assert(largest <= most * (1 + 1e-6) && largest > most * .999);
    else
        ck_assert_double_gt(largest, 3.5 * sqrt(variance));
}

START_TEST(initialisers_have_their_moments)
{
    reel_shape matrix = REEL_SHAPE(200, 300), kernel = REEL_SHAPE(40, 60, 5, 5);
    optim_moments(reel_init_normal(optim_tape, matrix, REEL_F32, .5), .25, 0);
    optim_moments(reel_init_uniform(optim_tape, matrix, REEL_F64, .5), .25 / 3, .5);
    optim_moments(reel_init_glorot_normal(optim_tape, matrix, REEL_F32), 2. / 500, 0);
    optim_moments(reel_init_glorot_uniform(optim_tape, matrix, REEL_F32), 2. / 500, sqrt(6. / 500));
    optim_moments(reel_init_he_normal(optim_tape, matrix, REEL_F32), 2. / 200, 0);
    optim_moments(reel_init_he_uniform(optim_tape, matrix, REEL_F32), 2. / 200, sqrt(6. / 200));
    optim_moments(reel_init_he_normal(optim_tape, kernel, REEL_F32), 2. / (60 * 25), 0);
    optim_moments(reel_init_glorot_uniform(optim_tape, kernel, REEL_F32), 2. / (100 * 25),
                  sqrt(6. / (100 * 25)));
    double zero[2] = {1, 1};
    ck_assert(reel_read_f64(reel_init_zeros(optim_tape, REEL_SHAPE(2), REEL_F16), zero, 2) && zero[0] == 0);
    ck_assert_int_eq(reel_count(reel_init_he_normal(optim_tape, REEL_SHAPE(0, 3), REEL_F32)), 0);
    ck_assert(!reel_is_valid(reel_init_he_normal(optim_tape, REEL_SHAPE(3), REEL_F32)));
    optim_expect("a shape of rank 1 has no fans");
}
END_TEST


void test_optimisers_on_tape(Suite *suite)
{
    TCase *tape = tcase_create("on a tape");
    tcase_set_timeout(tape, 60);
    tcase_add_checked_fixture(tape, optim_set_up, optim_tear_down);
    tcase_add_test(tape, refuses_wrong_states_and_changes_nothing);
    tcase_add_test(tape, refuses_wrong_options);
    tcase_add_test(tape, zero_is_an_option);
    tcase_add_test(tape, older_options_are_understood);
    tcase_add_test(tape, steps_do_not_allocate);
    tcase_add_test(tape, half_types_follow_f32);
    tcase_add_test(tape, threads_give_the_same_bits);
    tcase_add_test(tape, states_are_restored_exactly);
    tcase_add_test(tape, clips_to_the_norm);
    tcase_add_test(tape, norms_do_not_overflow);
    tcase_add_test(tape, schedules_hold_at_their_ends);
    tcase_add_test(tape, initialisers_have_their_moments);
    suite_add_tcase(suite, tape);
}
