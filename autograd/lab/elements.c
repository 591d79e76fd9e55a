/* Every element of an input, or some random directions.
 *
 * One pair of steps, up and down, is enough where it is so small that the slopes of both sides agree with
 * the gradient, and yet so large that the rounding of y, over the step, is far below the tolerance. Where
 * y is too much curved for that, the slopes at half the step are taken too and extrapolated; then the same
 * is tried with wide steps. Elements of rows that do not touch each other move together through all that.
 * What is not let pass is looked at alone. */
#include "autograd/lab/lab.h"

#include <math.h>
#include <string.h>

enum { ELEMENTS_WIDE = -8, ELEMENTS_TINY = -26 };  /* a pair's step, as a power of two             */

/* How far the rounding of y, in a slope, is to stay below the tolerance. */
static const double elements_room = 8;

static void elements_note(reel_lab_input *input, int64_t e, const reel_lab_answer *answer)
{
    input->numeric[e] = answer->numeric;
    input->error[e] = answer->error;
    input->verdict[e] = (unsigned char)answer->verdict;
    input->doubt[e] = (unsigned char)answer->doubt;
}

static bool elements_alone(reel_lab *lab, reel_lab_input *input, int64_t e)
{
    reel_lab_probe probe = {.input = input, .first = e, .blocks = 1};
    reel_lab_answer answer;
    if (!reel_lab_careful(lab, &probe, input->analytic[e], 0, &answer))
        return false;
    elements_note(input, e, &answer);
    return true;
}

/* ---- Quick steps ----------------------------------------------------------------------------------- */

/* What the elements of one place in each block go through. */
struct elements_group {
    reel_lab      *lab;
    reel_lab_probe probe;
    reel_lab_rise *rise;                            /* [2][blocks]: of a pair, and of one of half the step */
    bool          *passed;                          /* of each block                               */
    int64_t        left;                            /* how many have not                           */
};

static int64_t elements_of_block(const struct elements_group *g, int64_t block)
{
    return g->probe.first + g->probe.input->block_offset[block];
}

/* The smallest step at which the slopes of all elements are exact enough, by the rounding seen so far. */
static int elements_step(const struct elements_group *g)
{
    const reel_lab_input *input = g->probe.input;
    double least = INFINITY;
    for (int64_t b = 0; b < input->blocks; b++) {
        int64_t e = elements_of_block(g, b);
        least = fmin(least, fabs(input->analytic[e]) * input->scale[e]);
    }
    double step = elements_room * input->rounding / (g->lab->tolerance * least);
    if (!(step < ldexp(1, ELEMENTS_WIDE)))
        return ELEMENTS_WIDE;
    return step > ldexp(1, ELEMENTS_TINY) ? ilogb(step) + 1 : ELEMENTS_TINY;
}

/* A pair of steps of 2^exponent, and, where that is not enough for all, one of half the size. */
static enum reel_lab_run elements_try(struct elements_group *g, int exponent)
{
    reel_lab_input *input = g->probe.input;
    enum reel_lab_run run = REEL_LAB_RAN;
    for (int pairs = 1; pairs <= 2 && g->left; pairs++) {
        run = reel_lab_rises(g->lab, &g->probe, ldexp(1, exponent + 1 - pairs),
                             g->rise + (pairs - 1) * input->blocks);
        if (run != REEL_LAB_RAN)
            return run;
        for (int64_t b = 0; b < input->blocks; b++) {
            const reel_lab_rise pair[2] = {g->rise[b], g->rise[input->blocks + b]};
            reel_lab_answer answer;
            if (g->passed[b] ||
                !reel_lab_quick(g->lab, input, elements_of_block(g, b), pair, pairs, &answer))
                continue;
            elements_note(input, elements_of_block(g, b), &answer);
            g->passed[b] = true;
            g->left--;
        }
    }
    return run;
}

/* The rounding of a slope times its step, of the largest of the blocks. It is taken for larger where the
 * steps that it led to were too small. */
static void elements_learn(const struct elements_group *g, bool too_small)
{
    reel_lab_input *input = g->probe.input;
    double moved = 0;
    for (int64_t b = 0; b < input->blocks; b++)
        moved = fmax(moved, g->rise[b].moved);
    input->noisiness *= too_small ? 4 : 1;
    input->rounding = 8 * input->noisiness * g->lab->roundoff * moved;
}

/* The elements that lie where `first` does in each block. */
static bool elements_together(struct elements_group *g, int64_t first)
{
    reel_lab_input *input = g->probe.input;
    g->probe.first = first;
    g->left = input->blocks;
    memset(g->passed, 0, (size_t)input->blocks * sizeof *g->passed);
    int exponent = elements_step(g);
    enum reel_lab_run run = elements_try(g, exponent);
    if (run == REEL_LAB_RAN)
        elements_learn(g, g->left && exponent < ELEMENTS_WIDE);
    if (g->left && exponent < ELEMENTS_WIDE && run != REEL_LAB_BROKEN)
        run = elements_try(g, ELEMENTS_WIDE);
    if (run == REEL_LAB_BROKEN)
        return false;
    for (int64_t b = 0; b < input->blocks; b++)
        if (!g->passed[b] && !elements_alone(g->lab, input, elements_of_block(g, b)))
            return false;
    return true;
}

/* Whether element e lies in the first block. */
static bool elements_is_first(const reel_lab_input *input, int64_t e)
{
    for (int i = input->shape.rank - 1; i >= 0; i--) {
        if (input->row_axis[i] && e % input->shape.size[i])
            return false;
        e /= input->shape.size[i];
    }
    return true;
}

bool reel_lab_elements(reel_lab *lab, reel_lab_input *input)
{
    struct elements_group g = {.lab = lab, .probe = {.input = input, .blocks = input->blocks}};
    g.rise = reel_lab_get(lab, 2 * (size_t)input->blocks, sizeof *g.rise);
    g.passed = reel_lab_get(lab, (size_t)input->blocks, sizeof *g.passed);
    if (!g.rise || !g.passed)
        return false;
    input->noisiness = 1;
    input->rounding = 8 * lab->roundoff * lab->size;
    for (int64_t e = 0; e < input->count; e++)
        if (elements_is_first(input, e) && !elements_together(&g, e))
            return false;
    return true;
}

/* ---- Directions ------------------------------------------------------------------------------------ */

/* Each element moves by its tensor's scale, up or down by the toss of a coin. So the error of a single
 * derivative shows in every direction with its full size; of several, the largest d of them, at least one
 * of the two sides of d's own coin leaves a sum of d or more: each direction misses them with a chance of
 * at most 1/2. */
static double elements_toss(reel_lab *lab, const reel_lab_input *input, double scale, double *direction,
                            double *slack)
{
    double along = 0, size = 0;
    for (int64_t e = 0; e < input->count; e++) {
        direction[e] = reel_random_below(&lab->random, 2) ? scale : -scale;
        along += direction[e] * input->analytic[e];
        size += fabs(direction[e] * input->analytic[e]);
    }
    *slack = 64 * lab->roundoff * size;
    return along;
}

static double elements_common_scale(const reel_lab_input *input)
{
    double sum = 0;
    for (int64_t e = 0; e < input->count; e++)
        sum += input->scale[e];
    return input->count ? ldexp(1, ilogb(sum / (double)input->count)) : 1;
}

bool reel_lab_directions(reel_lab *lab, reel_lab_input *input, int directions)
{
    double *direction = reel_lab_get(lab, (size_t)input->count + 1, sizeof *direction);
    double scale = elements_common_scale(input), tolerance = lab->tolerance;
    if (!direction)
        return false;
    input->blocks = 1;
    input->directions = directions;
    lab->tolerance = fmin(tolerance, 1e-10);        /* of a sum over all elements                  */
    for (int k = 0; k < directions; k++) {
        double slack, along = elements_toss(lab, input, scale, direction, &slack);
        reel_lab_probe probe = {.input = input, .blocks = 1, .direction = direction};
        reel_lab_answer answer;
        if (!reel_lab_careful(lab, &probe, along, slack, &answer))
            return false;
        double seen =
            (20 * answer.error + lab->tolerance * fmax(fabs(along), fabs(answer.numeric)) + slack) / scale;
        lab->report->seen_above = fmax(lab->report->seen_above, seen);
        reel_lab_tell(lab, input, -1, along, &answer);
    }
    lab->tolerance = tolerance;
    return true;
}
