/* The needle: one wrong derivative among 20,000; the kinks; and the time of one check.
 *
 * SPDX-License-Identifier: MIT
 */
#define _POSIX_C_SOURCE 200809L
#include "tests/lab/trials.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { NEEDLE_COUNT = 20000 };

/* y = sum c_i (x_i + x_i^2 / 3 + x_i^3 / 9), with the derivatives of some elements off by a part of
 * themselves. */
struct needle {
    double c[NEEDLE_COUNT];
    int    wrong;                                   /* how many elements                           */
    int    at[2];
    double by[2];                                   /* absolute                                    */
};

static bool needle_forward(void *user, const void *x, void *y)
{
    const struct needle *n = user;
    const double *value = x;
    double sum = 0;
    for (int i = 0; i < NEEDLE_COUNT; i++)
        sum += n->c[i] * value[i] * (1 + value[i] * (1. / 3 + value[i] / 9));
    *(double *)y = sum;
    return true;
}

static double needle_derivative(const struct needle *n, const double *x, int i)
{
    return n->c[i] * (1 + x[i] * (2. / 3 + x[i] / 3));
}

static bool needle_backward(void *user, const void *x, const void *dy, void *dx)
{
    const struct needle *n = user;
    const double *value = x, *up = dy;
    double *gradient = dx;
    for (int i = 0; i < NEEDLE_COUNT; i++)
        gradient[i] = up[0] * needle_derivative(n, value, i);
    for (int i = 0; i < n->wrong; i++)
        gradient[n->at[i]] += up[0] * n->by[i];
    return true;
}

static double needle_uniform(uint64_t *seed, double low, double high)
{
    return low + (high - low) * (double)(lab_random(seed) >> 11) * 0x1p-53;
}

static void needle_draw(struct needle *n, double *x, uint64_t seed)
{
    for (int i = 0; i < NEEDLE_COUNT; i++) {
        n->c[i] = needle_uniform(&seed, -1, 1);
        x[i] = needle_uniform(&seed, -1.5, 1.5);
    }
    n->at[0] = lab_below(&seed, NEEDLE_COUNT);
    n->at[1] = (n->at[0] + 1 + lab_below(&seed, NEEDLE_COUNT - 1)) % NEEDLE_COUNT;
    n->by[0] = needle_derivative(n, x, n->at[0]) / 2;                   /* 50 % of the right one   */
    n->by[1] = n->by[0];
}

static bool needle_by_elements(struct needle *n, double *x)
{
    needle_draw(n, x, 1);
    n->wrong = 1;
    reel_gradcheck_report r = reel_gradcheck_function(.forward = needle_forward, .backward = needle_backward,
                                                      .user = n, .x = x, .x_shape = REEL_SHAPE(NEEDLE_COUNT));
    bool found = r.verdict == REEL_FAIL && r.failed == 1 && r.worst[0].element == n->at[0];
    printf("one of %d elements wrong by 50 %%: element %d; %s element %lld, ratio %.3f, %lld others pass\n",
           NEEDLE_COUNT, n->at[0], found ? "FAIL at" : "not found; worst", (long long)r.worst[0].element,
           r.worst[0].ratio, (long long)r.passed);
    return found && r.undecided == 0;
}

/* How often k directions do not FAIL, beside how often they say they may. */
static bool needle_by_directions(struct needle *n, double *x, int k, int wrong, int seeds)
{
    int missed = 0, stated = 0;
    double chance = 0, above = 0;
    for (int seed = 0; seed < seeds; seed++) {
        needle_draw(n, x, (uint64_t)seed + 10);
        n->wrong = wrong;
        reel_gradcheck_report r =
            reel_gradcheck_function(.forward = needle_forward, .backward = needle_backward, .user = n, .x = x,
                                    .x_shape = REEL_SHAPE(NEEDLE_COUNT), .directions = k,
                                    .seed = (uint64_t)seed);
        stated += fabs(n->by[0]) > r.seen_above;
        missed += r.verdict != REEL_FAIL && fabs(n->by[0]) > r.seen_above;
        above = fmax(above, r.seen_above);
        chance = r.chance_to_miss;
    }
    double allowed = wrong == 1 ? 0 : chance, part = stated ? (double)missed / stated : 0;
    double spread = 3 * sqrt(allowed * (1 - allowed) / seeds);
    printf("%d direction%s, %d wrong: an error above %.1e is seen; stated to be missed in at most %5.1f %%, "
           "missed in %5.1f %% of %d\n", k, k == 1 ? " " : "s", wrong, above, 100 * allowed, 100 * part,
           stated);
    return part <= allowed + spread && stated > seeds * 9 / 10;
}

bool lab_trial_needle(int seeds)
{
    struct needle *n = malloc(sizeof *n);
    double *x = malloc(NEEDLE_COUNT * sizeof *x);
    bool good = n && x && needle_by_elements(n, x);
    for (int k = 1; good && k <= 4; k *= 2)
        good = needle_by_directions(n, x, k, 1, seeds) && needle_by_directions(n, x, k, 2, seeds);
    free(n);
    free(x);
    return good;
}

/* ---- Kinks ----------------------------------------------------------------------------------------- */

static bool needle_is_kink(const char *what, reel_tensor y, reel_tensor x, int64_t undecided)
{
    reel_gradcheck_report r = reel_gradcheck(y, REEL_TENSORS(x));
    bool good = r.verdict == REEL_CANNOT_TELL && r.failed == 0 && r.undecided == undecided &&
                r.worst[0].doubt == REEL_KINK;
    printf("%-28s %s: %lld pass, %lld cannot be told (%s)\n", what, reel_verdict_name(r.verdict),
           (long long)r.passed, (long long)r.undecided, reel_doubt_text(r.worst[0].doubt));
    return good;
}

bool lab_trial_kinks(void)
{
    reel_tape *tape = reel_tape_new();
    reel_tensor x = reel_variable(tape, REEL_SHAPE(4), REEL_F64_VALUES(-1, 0, 2, 1e-7));
    reel_tensor w = reel_variable(tape, REEL_SHAPE(4), REEL_F64_VALUES(2, 1, 2, 0));
    reel_tensor f = reel_variable(tape, REEL_SHAPE(3), REEL_F32_VALUES(0, 3, -2));
    bool good = needle_is_kink("relu at 0, f64", reel_relu(x), x, 1);
    good &= needle_is_kink("relu at 0, f32", reel_relu(f), f, 1);
    good &= needle_is_kink("relu at 0, inside", reel_mean(reel_exp(reel_relu(reel_tanh(x)))), x, 1);
    good &= needle_is_kink("abs at 0", reel_abs(x), x, 1);
    good &= needle_is_kink("max at a tie", reel_max(w), w, 2);
    good &= needle_is_kink("maximum at a tie", reel_maximum(w, reel_stop_gradient(w)), w, 4);
    reel_tape_free(tape);
    return good;
}

/* ---- Time ------------------------------------------------------------------------------------------ */

static double needle_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return 1e3 * (double)now.tv_sec + 1e-6 * (double)now.tv_nsec;
}

bool lab_trial_time(void)
{
    reel_tape *tape = reel_tape_new();
    reel_tensor logits = reel_random_normal(tape, REEL_SHAPE(32, 10), REEL_F64, 0, 1);
    reel_tensor labels = reel_softmax(reel_random_normal(tape, REEL_SHAPE(32, 10), REEL_F64, 0, 1), -1);
    labels = reel_name(reel_add(labels, reel_zeros_like(labels)), "labels");
    reel_tensor loss = reel_softmax_cross_entropy_with_logits(.labels = labels, .logits = logits);
    double best[2] = {INFINITY, INFINITY};
    reel_gradcheck_report r[2];
    for (int round = 0; round < 40; round++)
        for (int alone = 0; alone < 2; alone++) {
            double start = needle_now();
            r[alone] = reel_gradcheck(loss, REEL_TENSORS(logits, labels), .one_by_one = alone);
            best[alone] = fmin(best[alone], needle_now() - start);
        }
    printf("unreduced loss, 32 x 10, f64, %lld derivatives: %.3f ms and %lld replays with rows together, "
           "%.3f ms and %lld element by element\n",
           (long long)r[0].passed, best[0], (long long)r[0].replays, best[1], (long long)r[1].replays);
    bool good = r[0].verdict == REEL_PASS && r[1].verdict == REEL_PASS;
    reel_tape_free(tape);
    return good;
}
