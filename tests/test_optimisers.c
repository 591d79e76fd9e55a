/* The optimisers against PyTorch's own trajectories, recorded and replayed; clipping, states, refusals; the schedules
 * against PyTorch's; the initialisers' moments.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/harness.h"
#include "tests/safetensors.h"

#include <reel_train.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef REEL_TEST_GOLDEN
#define REEL_TEST_GOLDEN "tests/golden"             /* from the root of the source                 */
#endif

Suite *reel_suite_optimisers(void);

enum { OPTIM_STEPS = 100, OPTIM_MOST = 64 };

static const char *const optim_kind[] = {"sgd", "rmsprop", "adam", "adamw"};


/* ---- Golden trajectories ------------------------------------------------------------------------- */

static reel_golden *optim_golden(const char *name)
{
    char path[400], why[REEL_GOLDEN_WHY];
    snprintf(path, sizeof path, "%s/optimisers/%s.safetensors", REEL_TEST_GOLDEN, name);
    reel_golden *golden = reel_golden_read(path, why);
    ck_assert_msg(golden != NULL, "%s: %s", path, why);
    return golden;
}

static const reel_golden_tensor *optim_find(const reel_golden *golden, const char *prefix, const char *name)
{
    char key[64];
    snprintf(key, sizeof key, "%s%s", prefix, name);
    return reel_golden_find(golden, key);
}

/* "key=value" in the case's description. */
static double optim_option(const char *description, const char *key, double usual)
{
    char wanted[32];
    snprintf(wanted, sizeof wanted, "%s=", key);
    for (const char *at = description; (at = strstr(at, wanted)); at++)
        if (at == description || at[-1] == ' ')
            return strtod(at + strlen(wanted), NULL);
    return usual;
}

/* One case: a model of two parameters whose gradients are leaves that the test writes. */
typedef struct optim_model {
    reel_tape   *tape;
    const char  *kind, *description;
    reel_dtype   dtype;
    reel_tensor  parameter[2], gradient[2], memory[2], clipped[2], rate, norm;
    reel_section step;
} optim_model;

static int optim_parts(const optim_model *m)
{
    const char *d = m->description;
    if (strcmp(m->kind, "rmsprop") == 0)
        return 1 + (optim_option(d, "momentum", 0) != 0) + (optim_option(d, "centered", 0) != 0);
    return optim_option(d, "amsgrad", 0) != 0 ? 3 : 2;
}

static void optim_open(optim_model *m, const reel_golden *golden, const char *kind, const char *description,
                       const char *names[2])
{
    *m = (optim_model){.tape = reel_tape_new(), .kind = kind, .description = description};
    for (int i = 0; i < 2; i++) {
        const reel_golden_tensor *w = reel_golden_find(golden, names[i]);
        m->dtype = w->dtype;
        m->parameter[i] = reel_variable(m->tape, w->shape, reel_values_of(w->dtype, w->data, (size_t)w->count));
        m->gradient[i] = reel_constant(m->tape, w->shape, reel_fill(w->dtype, 0));
        m->memory[i] = strcmp(kind, "sgd") == 0 ? reel_zeros_like(m->parameter[i])
                                                : reel_optimiser_state(m->parameter[i], optim_parts(m));
    }
    m->rate = reel_constant(m->tape, REEL_SHAPE(), reel_fill(REEL_F64, optim_option(description, "lr", 0)));
}

static bool optim_update(optim_model *m, reel_tensors gradients)
{
    const char *d = m->description;
    reel_tensors w = reel_tensors_of(m->parameter, 2), memory = reel_tensors_of(m->memory, 2);
    double momentum = optim_option(d, "momentum", 0), decay = optim_option(d, "weight_decay", 0);
    double epsilon = optim_option(d, "eps", 1e-8), beta1 = optim_option(d, "beta1", .9);
    double beta2 = optim_option(d, "beta2", .999);
    bool amsgrad = optim_option(d, "amsgrad", 0) != 0;
    if (strcmp(m->kind, "sgd") == 0)
        return reel_sgd(.parameters = w, .gradients = gradients, .learning_rate = m->rate, .momentum = momentum,
                        .velocities = momentum != 0 ? memory : reel_tensors_of(NULL, 0), .weight_decay = decay,
                        .nesterov = optim_option(d, "nesterov", 0) != 0,
                        .decoupled = optim_option(d, "decoupled", 0) != 0);
    if (strcmp(m->kind, "rmsprop") == 0)
        return reel_rmsprop(.parameters = w, .gradients = gradients, .states = memory, .learning_rate = m->rate,
                            .alpha = optim_option(d, "alpha", .99), .epsilon = epsilon, .momentum = momentum,
                            .weight_decay = decay, .centred = optim_option(d, "centered", 0) != 0);
    if (strcmp(m->kind, "adam") == 0)
        return reel_adam(.parameters = w, .gradients = gradients, .states = memory, .learning_rate = m->rate,
                         .beta1 = beta1, .beta2 = beta2, .epsilon = epsilon, .weight_decay = decay,
                         .amsgrad = amsgrad);
    return reel_adamw(.parameters = w, .gradients = gradients, .states = memory, .learning_rate = m->rate,
                      .beta1 = beta1, .beta2 = beta2, .amsgrad = amsgrad,
                      .weight_decay = optim_option(d, "weight_decay", .01));
}

/* Puts in the gradients (and the rate) of step t, and records the step or replays it. */
static void optim_step(optim_model *m, const reel_golden *golden, const char *names[2], int t, bool replayed)
{
    for (int i = 0; i < 2; i++) {
        const reel_golden_tensor *g = optim_find(golden, "gradient.", names[i]);
        size_t count = (size_t)g->count / OPTIM_STEPS;
        const char *data = (const char *)g->data + (size_t)t * count * reel_dtype_size(g->dtype);
        ck_assert(reel_write(m->gradient[i], reel_values_of(g->dtype, data, count)));
    }
    if (optim_option(m->description, "rates", 0) != 0)
        reel_write(m->rate, reel_fill(REEL_F64, reel_golden_element(reel_golden_find(golden, "rates"), t)));
    if (replayed && t > 0) {
        ck_assert(reel_tape_replay(m->step));
        return;
    }
    reel_mark start = reel_tape_mark(m->tape);
    reel_tensors gradients = reel_tensors_of(m->gradient, 2);
    double clip = optim_option(m->description, "clip", 0);
    if (clip > 0) {
        m->norm = reel_clip_gradients(gradients, clip, m->clipped);
        gradients = reel_tensors_of(m->clipped, 2);
    }
    ck_assert_msg(optim_update(m, gradients), "%s", reel_error_message(m->tape));
    m->step = reel_tape_section(start, reel_tape_mark(m->tape));
}

/* The worst error of a tensor at step t, relative to its largest element: a weight that passes through 0 keeps the
 * rounding errors of the way there. */
static double optim_compare(reel_tensor x, const reel_golden_tensor *path, int t)
{
    double got[OPTIM_MOST], worst = 0, largest = 0;
    size_t count = (size_t)path->count / OPTIM_STEPS;
    ck_assert(reel_read_f64(x, got, count));
    for (size_t k = 0; k < count; k++) {
        double want = reel_golden_element(path, t * (int64_t)count + (int64_t)k);
        worst = fmax(worst, fabs(got[k] - want));
        largest = fmax(largest, fabs(want));
        ck_assert(isfinite(got[k]));
    }
    return worst / largest;
}

/* `last` gets the parameters' bits after the last step. */
static double optim_run(const reel_golden *golden, const char *kind, int number, bool replayed, double last[OPTIM_MOST])
{
    const char *names[2] = {"w", "b"};
    char key[16], prefix[16];
    snprintf(key, sizeof key, "case%d", number);
    snprintf(prefix, sizeof prefix, "case%d.", number);
    optim_model m;
    optim_open(&m, golden, kind, reel_golden_metadata(golden, key), names);
    const reel_golden_tensor *norms = optim_find(golden, prefix, "norm");
    reel_mark start = reel_tape_mark(m.tape);
    double worst = 0;
    for (int t = 0; t < OPTIM_STEPS; t++) {
        optim_step(&m, golden, names, t, replayed);
        for (int i = 0; i < 2; i++)
            worst = fmax(worst, optim_compare(m.parameter[i], optim_find(golden, prefix, names[i]), t));
        if (norms)
            worst = fmax(worst, optim_compare(m.norm, norms, t));
        if (!replayed)
            reel_tape_rewind(m.tape, start);
    }
    ck_assert_msg(!reel_failed(m.tape), "%s", reel_error_message(m.tape));
    for (int i = 0, at = 0; i < 2; at += (int)reel_count(m.parameter[i++]))
        reel_read_f64(m.parameter[i], last + at, (size_t)reel_count(m.parameter[i]));
    reel_tape_free(m.tape);
    return worst;
}

START_TEST(trajectories_are_those_of_pytorch)
{
    const char *kind = optim_kind[_i / 2];
    double tolerance = _i % 2 ? 1e-12 : 1e-6;
    char name[32];
    snprintf(name, sizeof name, "%s_%s", kind, _i % 2 ? "f64" : "f32");
    reel_golden *golden = optim_golden(name);
    int cases = atoi(reel_golden_metadata(golden, "cases"));
    ck_assert_int_ge(cases, 5);
    for (int number = 0; number < cases; number++) {
        double recorded[OPTIM_MOST] = {0}, replayed[OPTIM_MOST] = {0};
        double worst = optim_run(golden, kind, number, false, recorded);
        double again = optim_run(golden, kind, number, true, replayed);
        ck_assert_msg(worst <= tolerance && again <= tolerance, "%s case %d: off by %.3g recorded, %.3g replayed",
                      name, number, worst, again);
        ck_assert_msg(memcmp(recorded, replayed, sizeof recorded) == 0, "%s case %d: replayed to other bits", name,
                      number);
        if (getenv("REEL_TEST_VERBOSE"))
            printf("%s case %d: off by %.3g\n", name, number, worst);
    }
    reel_golden_free(golden);
}
END_TEST


/* ---- Behaviour ----------------------------------------------------------------------------------- */

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
    ck_assert_msg(reel_failed(optim_tape) && strstr(message, text) && strstr(message, "test_optimisers.c:"),
                  "\"%s\" does not say \"%s\"", message, text);
}

START_TEST(refuses_wrong_states_and_changes_nothing)
{
    reel_tensor w = reel_name(reel_variable(optim_tape, REEL_SHAPE(2, 3), reel_fill(REEL_F32, 2)), "w");
    reel_tensor v = reel_name(reel_variable(optim_tape, REEL_SHAPE(2), reel_fill(REEL_F16, 2)), "v");
    reel_tensor g = reel_constant(optim_tape, REEL_SHAPE(2, 3), reel_fill(REEL_F32, 1)), h = reel_ones_like(v);
    reel_tensor s = reel_optimiser_state(w, 2), three = reel_optimiser_state(w, 3);
    reel_tensor half = reel_constant(optim_tape, REEL_SHAPE(5), reel_fill(REEL_F16, 0));
    reel_tensor rate = optim_rate(.1);
    reel_mark mark = reel_tape_mark(optim_tape);
    for (int i = 0; i < 5; i++) {
        bool done = true;
        if (i == 0)
            done = reel_adam(.parameters = REEL_TENSORS(w), .gradients = REEL_TENSORS(g), .learning_rate = rate);
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
            done = reel_adam(.parameters = REEL_TENSORS(w, v), .gradients = REEL_TENSORS(g), .states = REEL_TENSORS(s),
                             .learning_rate = rate);
        static const char *const why[] = {
            "adam: there must be one state for each parameter", "must be 13 elements of f32", "must be 5 elements of f32",
            "rmsprop: the state", "adam: there must be one gradient for each parameter"};
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
        case 0: done = reel_adam(.parameters = p, .gradients = d, .states = s, .learning_rate = rate, .beta1 = 1); break;
        case 1: done = reel_adam(.parameters = p, .gradients = d, .states = s, .learning_rate = rate, .beta2 = NAN); break;
        case 2: done = reel_adamw(.parameters = p, .gradients = d, .states = s, .learning_rate = rate, .epsilon = -1); break;
        case 3: done = reel_adamw(.parameters = p, .gradients = d, .states = s, .learning_rate = rate,
                                  .weight_decay = -1); break;
        case 4: done = reel_rmsprop(.parameters = p, .gradients = d, .states = s, .learning_rate = rate, .alpha = 1); break;
        case 5: done = reel_sgd(.parameters = p, .gradients = d, .learning_rate = rate, .nesterov = true); break;
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
    ck_assert(reel_adamw(.parameters = REEL_TENSORS(w), .gradients = REEL_TENSORS(g), .states = REEL_TENSORS(s),
                         .learning_rate = optim_rate(.5), .beta1 = 0, .beta2 = 0, .epsilon = 0, .weight_decay = 0));
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
        ck_assert(reel_adam(.parameters = REEL_TENSORS(w), .gradients = REEL_TENSORS(g), .states = REEL_TENSORS(s),
                            .learning_rate = rate, .amsgrad = true));
        if (step == 0)
            calls = optim_memory.calls;
        ck_assert_double_gt(reel_item(norm), 1);
        reel_tape_rewind(optim_tape, mark);
    }
    ck_assert_uint_eq(optim_memory.calls, calls);
}
END_TEST

/* The half types: the state in f32, so that v is not lost, and w follows f32's path within its own rounding. */
START_TEST(half_types_follow_f32)
{
    const reel_dtype dtypes[] = {REEL_F32, REEL_F16, REEL_BF16};
    double end[3][2];
    for (int k = 0; k < 3; k++) {
        reel_tensor w = reel_variable(optim_tape, REEL_SHAPE(2), reel_values_from_f64(dtypes[k], (double[]){1, -2}, 2));
        reel_tensor g = reel_constant(optim_tape, REEL_SHAPE(2), reel_values_from_f64(dtypes[k], (double[]){.5, -.25}, 2));
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
        reel_tensor w = reel_wrap(.tape = tape, .dtype = REEL_F32, .shape = REEL_SHAPE(N), .data = data[k],
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
        reel_tensor w = reel_random_normal(tape, REEL_SHAPE(2, 3), REEL_F32, 0, 1), s = reel_optimiser_state(w, 2);
        reel_tensor rate = reel_constant(tape, REEL_SHAPE(), reel_fill(REEL_F32, .1)), g;
        if (half) {
            reel_write(w, reel_values_of(REEL_F32, kept, 6));
            reel_write(s, reel_values_of(REEL_F32, state, 13));
        }
        reel_mark mark = reel_tape_mark(tape);
        for (int step = half ? 5 : 0; step < 10; step++) {
            if (step == 5 && !half)
                ck_assert(reel_read(w, kept, sizeof kept) && reel_read(s, state, sizeof state) && state[12] == 5);
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
    reel_tensor zero = reel_zeros_like(large), bad = reel_constant(optim_tape, REEL_SHAPE(), REEL_F32_VALUES(NAN));
    ck_assert_double_eq(reel_item(reel_clip_gradients(REEL_TENSORS(zero), 1, &zero)), 0);
    ck_assert(reel_read_f64(zero, x, 4) && x[0] == 0);
    ck_assert(isnan(reel_item(reel_clip_gradients(REEL_TENSORS(bad), 1, &bad))) && isnan(reel_item(bad)));
}
END_TEST


/* ---- Schedules ----------------------------------------------------------------------------------- */

static void optim_compare_schedule(const reel_golden *golden, const char *name, const reel_schedule *schedule)
{
    const reel_golden_tensor *rates = reel_golden_find(golden, name);
    for (int t = 0; t < OPTIM_STEPS; t++) {
        double want = reel_golden_element(rates, t), got = reel_schedule_rate(schedule, t);
        ck_assert_msg(fabs(got - want) <= 1e-13 * .1 + 1e-12 * want, "%s, step %d: %.17g, not %.17g", name, t, got, want);
    }
}

START_TEST(schedules_are_those_of_pytorch)
{
    reel_golden *golden = optim_golden("schedules");
    optim_compare_schedule(golden, "constant", &(reel_schedule){.rate = .1});
    optim_compare_schedule(golden, "step", &(reel_schedule){REEL_SCHEDULE_STEP, .1, .every = 30, .factor = .5});
    optim_compare_schedule(golden, "cosine", &(reel_schedule){REEL_SCHEDULE_COSINE, .1, .steps = 100});
    optim_compare_schedule(golden, "warm_cosine",
                           &(reel_schedule){REEL_SCHEDULE_COSINE, .1, .steps = 100, .warm_up = 10, .least = .001});
    optim_compare_schedule(golden, "one_cycle", &(reel_schedule){REEL_SCHEDULE_ONE_CYCLE, .1, .steps = 101});
    reel_golden_free(golden);
}
END_TEST

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
    ck_assert(reel_schedule_write(&(reel_schedule){REEL_SCHEDULE_STEP, 1, .every = 2, .factor = .5}, 5, rate));
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
    optim_moments(reel_init_glorot_uniform(optim_tape, kernel, REEL_F32), 2. / (100 * 25), sqrt(6. / (100 * 25)));
    double zero[2] = {1, 1};
    ck_assert(reel_read_f64(reel_init_zeros(optim_tape, REEL_SHAPE(2), REEL_F16), zero, 2) && zero[0] == 0);
    ck_assert_int_eq(reel_count(reel_init_he_normal(optim_tape, REEL_SHAPE(0, 3), REEL_F32)), 0);
    ck_assert(!reel_is_valid(reel_init_he_normal(optim_tape, REEL_SHAPE(3), REEL_F32)));
    optim_expect("a shape of rank 1 has no fans");
}
END_TEST


Suite *reel_suite_optimisers(void)
{
    Suite *suite = suite_create("optimisers");
    TCase *golden = tcase_create("golden"), *tape = tcase_create("on a tape");
    tcase_set_timeout(golden, 120);
    tcase_add_loop_test(golden, trajectories_are_those_of_pytorch, 0, 8);
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
    tcase_add_test(tape, schedules_are_those_of_pytorch);
    tcase_add_test(tape, schedules_hold_at_their_ends);
    tcase_add_test(tape, initialisers_have_their_moments);
    suite_add_tcase(suite, golden);
    suite_add_tcase(suite, tape);
    return suite;
}
