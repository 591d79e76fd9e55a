/* Random networks whose gradients are right: 3 to 20 nodes of mixed ops, vectors and matrices of up to
 * 3,072 numbers, f64 and f32 by turns, half of them smooth, the others with kinks. Not one derivative may
 * be called wrong, and in the smooth ones at most one in a hundred may be left untold.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/lab/trials.h"

#include <math.h>
#include <stdio.h>

enum { NETWORK_VALUES = 32, NETWORK_INPUTS = 6 };

uint64_t lab_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

int lab_below(uint64_t *state, int n)
{
    return (int)(lab_random(state) % (uint64_t)n);
}

struct network {
    reel_tape  *tape;
    reel_dtype  dtype;
    uint64_t   *seed;
    bool        smooth;
    reel_tensor value[NETWORK_VALUES];
    int         values;
    reel_tensor x[NETWORK_INPUTS];
    int         xs;
};

static reel_tensor network_put(struct network *n, reel_tensor x)
{
    if (n->values < NETWORK_VALUES)
        n->value[n->values++] = x;
    return x;
}

/* A new input, its numbers of about the size that keeps sums over `width` of them near 1. */
static reel_tensor network_input(struct network *n, reel_shape shape, double width)
{
    if (n->xs == NETWORK_INPUTS)
        return REEL_NONE;
    double size = 1 / sqrt(width);
    reel_tensor x = lab_below(n->seed, 2) ? reel_random_normal(n->tape, shape, n->dtype, 0, size)
                                          : reel_random_uniform(n->tape, shape, n->dtype, -size, size);
    return network_put(n, n->x[n->xs++] = x);
}

static reel_tensor network_pick(struct network *n)
{
    return n->value[n->values - 1 - lab_below(n->seed, n->values < 4 ? n->values : 4)];
}

/* Another value, or a new input, that broadcasts against x. */
static reel_tensor network_partner(struct network *n, reel_tensor x)
{
    reel_shape shape = reel_shape_of(x);
    for (int tries = 0; tries < 4; tries++) {
        reel_tensor y = network_pick(n);
        reel_shape other = reel_shape_of(y);
        bool same = other.rank == shape.rank;
        for (int i = 0; i < shape.rank && same; i++)
            same = other.size[i] == shape.size[i];
        if (same)
            return y;
    }
    if (shape.rank == 2 && lab_below(n->seed, 2))
        shape = REEL_SHAPE(lab_below(n->seed, 2) ? shape.size[0] : 1, shape.size[1]);
    reel_tensor y = network_input(n, shape, 1);
    return y.tape ? y : x;
}

static reel_tensor network_unary(struct network *n, reel_tensor x)
{
    switch (lab_below(n->seed, n->smooth ? 11 : 14)) {
    case 0: return reel_tanh(x);
    case 1: return reel_sigmoid(x);
    case 2: return reel_softplus(x);
    case 3: return reel_exp(reel_affine(reel_tanh(x), 1.5, 0));
    case 4: return reel_log(reel_affine(reel_mul(x, x), 1, .5));
    case 5: return reel_sin(x);
    case 6: return reel_affine(x, -1.3, .2);
    case 7: return reel_gelu(x);
    case 8: return reel_neg(x);
    case 9: return reel_shape_of(x).rank ? reel_softmax(x, -1) : x;
    case 10: return reel_shape_of(x).rank ? reel_log_softmax(x, -1) : x;
    case 11: return reel_relu(x);
    case 12: return reel_abs(x);
    default: return reel_clip(x, -.7, .9);
    }
}

static reel_tensor network_binary(struct network *n, reel_tensor x)
{
    reel_tensor y = network_partner(n, x);
    switch (lab_below(n->seed, n->smooth ? 4 : 6)) {
    case 0: return reel_add(x, y);
    case 1: return reel_sub(x, y);
    case 2: return reel_mul(x, y);
    case 3: return reel_div(x, reel_affine(reel_mul(y, y), 1, 1));
    case 4: return reel_maximum(x, y);
    default: return reel_minimum(x, y);
    }
}

static reel_tensor network_shaped(struct network *n, reel_tensor x)
{
    reel_shape shape = reel_shape_of(x);
    if (shape.rank < 2)
        return network_unary(n, x);
    switch (lab_below(n->seed, n->smooth ? 8 : 9)) {
    case 0: return reel_transpose(x);
    case 1: return reel_reshape(x, REEL_SHAPE(shape.size[1], shape.size[0]));
    case 2: return reel_slice(x, 0, 0, REEL_END, 2);
    case 3: return reel_mean(x, .axes = REEL_AXES(lab_below(n->seed, 2)), .keepdims = true);
    case 4: return reel_logsumexp(x, .axes = REEL_AXES(-1), .keepdims = true);
    case 5: return reel_sub(x, reel_stop_gradient(reel_mean(x)));
    case 8: return reel_max(x, .axes = REEL_AXES(-1), .keepdims = true);
    default: {
        int64_t columns = 1 + lab_below(n->seed, 12), room = 3072 / (shape.size[1] ? shape.size[1] : 1);
        reel_tensor w = network_input(n, REEL_SHAPE(shape.size[1], columns < room ? columns : room),
                                      (double)shape.size[1]);
        return w.tape ? reel_matmul(x, w) : network_unary(n, x);
    }
    }
}

static reel_tensor network_loss(struct network *n, reel_tensor x)
{
    if (reel_shape_of(x).rank != 2 || lab_below(n->seed, 2))
        return x;
    reel_tensor labels = network_input(n, reel_shape_of(x), 1);
    return labels.tape ? reel_softmax_cross_entropy_with_logits(.labels = labels, .logits = x) : x;
}

/* Most inputs are small; one in eight networks has up to 3,072 numbers. */
static reel_shape network_shape(struct network *n)
{
    bool large = lab_below(n->seed, 8) == 0;
    int64_t rows = 1 + lab_below(n->seed, large ? 16 : 8);
    int64_t columns = 1 + lab_below(n->seed, (int)(large ? 3072 / rows : 12));
    return REEL_SHAPE(rows, columns);
}

static reel_tensor network_record(struct network *n)
{
    int nodes = 3 + lab_below(n->seed, 18);
    reel_tensor x = network_input(n, network_shape(n), 1);
    for (int i = 0; i < nodes && !reel_failed(n->tape); i++) {
        x = lab_below(n->seed, 5) ? x : network_pick(n);
        int kind = lab_below(n->seed, 3);
        x = kind == 0 ? network_unary(n, x) : kind == 1 ? network_binary(n, x) : network_shaped(n, x);
        network_put(n, x);
    }
    x = network_loss(n, x);
    return lab_below(n->seed, 2) ? reel_mean(x) : x;
}

/* ---- The run --------------------------------------------------------------------------------------- */

struct network_counts {
    int     networks, broken, false_fails, unsure;
    int64_t derivatives, passed, undecided, failed, replays;
};

static void network_add(struct network_counts *c, const reel_gradcheck_report *r)
{
    c->networks++;
    c->false_fails += r->failed > 0;
    c->unsure += r->undecided > 0;
    c->passed += r->passed;
    c->undecided += r->undecided;
    c->failed += r->failed;
    c->derivatives += r->passed + r->undecided + r->failed;
    c->replays += r->replays;
}

static void network_say(const char *what, const struct network_counts *c)
{
    printf("%-14s %8d %11lld %10lld %8lld %7.3f %% %6lld %10d\n", what, c->networks,
           (long long)c->derivatives, (long long)c->passed, (long long)c->undecided,
           c->derivatives ? 100. * (double)c->undecided / (double)c->derivatives : 0, (long long)c->failed,
           c->false_fails);
}

static void network_try(int i, bool verbose, struct network_counts count[2][2])
{
    uint64_t seed = (uint64_t)i * 7919 + 1;
    struct network n = {.dtype = i % 2 ? REEL_F32 : REEL_F64, .seed = &seed, .smooth = i / 2 % 2 == 0};
    n.tape = reel_tape_new_with(.seed = (uint64_t)i + 1);
    reel_tensor y = network_record(&n);
    reel_gradcheck_report r = reel_gradcheck(y, reel_tensors_of(n.x, (size_t)n.xs), .seed = (uint64_t)i);
    struct network_counts *c = &count[!n.smooth][i % 2];
    network_add(c, &r);
    if (reel_failed(n.tape)) {
        printf("  network %d: %s\n", i, reel_error_message(n.tape));
        c->broken++;
    }
    if (r.verdict == REEL_FAIL || (verbose && r.verdict != REEL_PASS)) {
        printf("  network %d, %s%s:\n", i, reel_dtype_name(n.dtype), n.smooth ? ", smooth" : "");
        fflush(stdout);
        reel_gradcheck_print(&r, NULL);
    }
    reel_tape_free(n.tape);
}

bool lab_trial_networks(int networks, bool verbose)
{
    struct network_counts count[2][2] = {0};
    printf("%-14s %8s %11s %10s %18s %6s %10s\n", "random right", "networks", "derivatives", "PASS",
           "CANNOT TELL", "FAIL", "networks");
    for (int i = 0; i < networks; i++)
        network_try(i, verbose, count);
    static const char *const what[2][2] = {{"smooth, f64", "smooth, f32"}, {"kinks, f64", "kinks, f32"}};
    bool good = true;
    for (int kinked = 0; kinked < 2; kinked++)
        for (int f32 = 0; f32 < 2; f32++) {
            const struct network_counts *c = &count[kinked][f32];
            network_say(what[kinked][f32], c);
            good &= c->failed == 0 && c->broken == 0 && (kinked || c->undecided * 100 <= c->derivatives);
        }
    return good;
}
