/* Every element of an input, or some random directions.
 *
 * Elements of rows that do not touch each other move together through the two quick steps; what those do
 * not let pass is looked at alone. */
#include "autograd/lab/lab.h"

#include <math.h>

enum { ELEMENTS_STEP = -8 };                        /* the wider of the quick steps, as a power of two */

static void elements_note(reel_lab *lab, reel_lab_input *input, int64_t e, const reel_lab_answer *answer)
{
    input->numeric[e] = answer->numeric;
    input->error[e] = answer->error;
    input->verdict[e] = (unsigned char)answer->verdict;
    input->doubt[e] = (unsigned char)answer->doubt;
    (void)lab;
}

static bool elements_alone(reel_lab *lab, reel_lab_input *input, int64_t e)
{
    reel_lab_probe probe = {.input = input, .first = e, .blocks = 1};
    reel_lab_answer answer;
    if (!reel_lab_careful(lab, &probe, input->analytic[e], 0, &answer))
        return false;
    elements_note(lab, input, e, &answer);
    return true;
}

/* The elements that lie where `first` does in each block. `rise` has room for two pairs of steps of each. */
static bool elements_together(reel_lab *lab, reel_lab_input *input, int64_t first, reel_lab_rise *rise)
{
    reel_lab_probe probe = {.input = input, .first = first, .blocks = input->blocks};
    enum reel_lab_run wide = reel_lab_rises(lab, &probe, ldexp(1, ELEMENTS_STEP), rise);
    enum reel_lab_run narrow = wide == REEL_LAB_RAN ? reel_lab_rises(lab, &probe, ldexp(1, ELEMENTS_STEP - 1),
                                                                      rise + input->blocks)
                                                    : wide;
    if (narrow == REEL_LAB_BROKEN)
        return false;
    for (int64_t b = 0; b < input->blocks; b++) {
        int64_t e = first + input->block_offset[b];
        reel_lab_rise pair[2] = {rise[b], rise[input->blocks + b]};
        reel_lab_answer answer;
        if (narrow == REEL_LAB_RAN && reel_lab_quick(lab, input, e, pair, &answer))
            elements_note(lab, input, e, &answer);
        else if (!elements_alone(lab, input, e))
            return false;
    }
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
    reel_lab_rise *rise = reel_lab_get(lab, 2 * (size_t)input->blocks, sizeof *rise);
    if (!rise)
        return false;
    for (int64_t e = 0; e < input->count; e++)
        if (elements_is_first(input, e) && !elements_together(lab, input, e, rise))
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
