/* The optimisers and the schedules against PyTorch's own trajectories, recorded and replayed.
 *
 * SPDX-License-Identifier: MIT */
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
void   test_optimisers_on_tape(Suite *suite);       /* optimisers_on_tape.c                        */

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
        m->parameter[i] =
            reel_variable(m->tape, w->shape, reel_values_of(w->dtype, w->data, (size_t)w->count));
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
        return reel_sgd(.parameters = w, .gradients = gradients, .learning_rate = m->rate,
                        .momentum = momentum, .velocities = momentum != 0 ? memory : reel_tensors_of(NULL, 0),
                        .weight_decay = decay, .nesterov = optim_option(d, "nesterov", 0) != 0,
                        .decoupled = optim_option(d, "decoupled", 0) != 0);
    if (strcmp(m->kind, "rmsprop") == 0)
        return reel_rmsprop(.parameters = w, .gradients = gradients, .states = memory,
                            .learning_rate = m->rate, .alpha = optim_option(d, "alpha", .99),
                            .epsilon = epsilon, .momentum = momentum, .weight_decay = decay,
                            .centred = optim_option(d, "centered", 0) != 0);
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

/* The worst error of a tensor at step t, relative to its largest element: a weight that passes through 0
 * keeps the rounding errors of the way there. */
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
static double optim_run(const reel_golden *golden, const char *kind, int number, bool replayed,
                        double last[OPTIM_MOST])
{
    const char *names[2] = {"w", "b"};
    char key[24], prefix[24];
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
        ck_assert_msg(worst <= tolerance && again <= tolerance,
                      "%s case %d: off by %.3g recorded, %.3g replayed", name, number, worst, again);
        ck_assert_msg(memcmp(recorded, replayed, sizeof recorded) == 0, "%s case %d: replayed to other bits",
                      name, number);
        if (getenv("REEL_TEST_VERBOSE"))
            printf("%s case %d: off by %.3g\n", name, number, worst);
    }
    reel_golden_free(golden);
}
END_TEST


/* ---- Schedules ----------------------------------------------------------------------------------- */

static void optim_compare_schedule(const reel_golden *golden, const char *name, const reel_schedule *schedule)
{
    const reel_golden_tensor *rates = reel_golden_find(golden, name);
    for (int t = 0; t < OPTIM_STEPS; t++) {
        double want = reel_golden_element(rates, t), got = reel_schedule_rate(schedule, t);
        ck_assert_msg(fabs(got - want) <= 1e-13 * .1 + 1e-12 * want, "%s, step %d: %.17g, not %.17g", name, t,
                      got, want);
    }
}

START_TEST(schedules_are_those_of_pytorch)
{
    reel_golden *golden = optim_golden("schedules");
    optim_compare_schedule(golden, "constant", &(reel_schedule){.rate = .1});
    optim_compare_schedule(golden, "step",
                           &(reel_schedule){REEL_SCHEDULE_STEP, .1, .every = 30, .factor = .5});
    optim_compare_schedule(golden, "cosine", &(reel_schedule){REEL_SCHEDULE_COSINE, .1, .steps = 100});
    optim_compare_schedule(
        golden, "warm_cosine",
        &(reel_schedule){REEL_SCHEDULE_COSINE, .1, .steps = 100, .warm_up = 10, .least = .001});
    optim_compare_schedule(golden, "one_cycle", &(reel_schedule){REEL_SCHEDULE_ONE_CYCLE, .1, .steps = 101});
    reel_golden_free(golden);
}
END_TEST


Suite *reel_suite_optimisers(void)
{
    Suite *suite = suite_create("optimisers");
    TCase *golden = tcase_create("golden");
    tcase_set_timeout(golden, 120);
    tcase_add_loop_test(golden, trajectories_are_those_of_pytorch, 0, 8);
    tcase_add_test(golden, schedules_are_those_of_pytorch);
    suite_add_tcase(suite, golden);
    test_optimisers_on_tape(suite);
    return suite;
}
