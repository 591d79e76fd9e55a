/* A gradient that is right but for an axis: a softmax, a mean or another normalisation that is taken along
 * axis j where axis k is meant. What does not change when a constant is added to x along an axis has a
 * gradient that sums to 0 along it. So the derivatives n sum to 0 along k, and not along j; and the
 * gradient a
 *
 *     sums to 0 along j, and not along k          all of the VJP works along j
 *     is n + c (softmax_j(x) - softmax_k(x))      only its softmax does; c is the same along k
 *
 * Each is a claim about every line of the tensor, which is looked at with the error bars of n. */
#include "autograd/lab/lab.h"

#include <math.h>

/* The elements of a line along one axis: size of them, stride apart. */
struct axis_lines {
    int64_t size, stride;
};

static struct axis_lines axis_lines_along(const reel_lab_input *input, int axis)
{
    struct axis_lines lines = {input->shape.size[axis], 1};
    for (int i = axis + 1; i < input->shape.rank; i++)
        lines.stride *= input->shape.size[i];
    return lines;
}

static bool axis_starts_line(struct axis_lines lines, int64_t e)
{
    return e / lines.stride % lines.size == 0;
}

/* ---- Sums ------------------------------------------------------------------------------------------ */

struct axis_sums {
    bool zero;                                      /* of every line                               */
    bool other;                                     /* of a line at least, without doubt           */
};

/* Beside the sum of the sizes, and the error bars where there are any. */
static struct axis_sums axis_sum(const reel_lab_input *input, const double *value, const double *error,
                                 int axis)
{
    struct axis_lines lines = axis_lines_along(input, axis);
    struct axis_sums sums = {.zero = true};
    for (int64_t e = 0; e < input->count; e++) {
        if (!axis_starts_line(lines, e))
            continue;
        double sum = 0, size = 0, bar = 0;
        for (int64_t i = e; i < e + lines.size * lines.stride; i += lines.stride) {
            sum += value[i];
            size += fabs(value[i]);
            bar += error ? 2 * error[i] : 0;
        }
        sums.zero = sums.zero && bar <= 1e-4 * input->largest && fabs(sum) <= 1e-5 * size + bar;
        sums.other |= fabs(sum) > 1e-2 * size + 8 * bar;
    }
    return sums;
}

/* ---- A softmax in place of another ----------------------------------------------------------------- */

static double *axis_softmax(const reel_lab *lab, const reel_lab_input *input, int axis)
{
    struct axis_lines lines = axis_lines_along(input, axis);
    double *p = reel_lab_get(lab, (size_t)input->count, sizeof *p);
    for (int64_t e = 0; p && e < input->count; e++) {
        if (!axis_starts_line(lines, e))
            continue;
        int64_t end = e + lines.size * lines.stride;
        double largest = -INFINITY, sum = 0;
        for (int64_t i = e; i < end; i += lines.stride)
            largest = fmax(largest, input->origin[i]);
        for (int64_t i = e; i < end; i += lines.stride)
            sum += p[i] = exp(input->origin[i] - largest);
        for (int64_t i = e; i < end; i += lines.stride)
            p[i] /= sum;
    }
    return p;
}

/* Whether a - n = c (p_j - p_k) in each line along k, with the c of least squares. */
static bool axis_gap_is(const reel_lab_input *input, int meant, const double *taken_p, const double *meant_p)
{
    struct axis_lines lines = axis_lines_along(input, meant);
    double largest = 0;
    for (int64_t e = 0; e < input->count; e++)
        largest = fmax(largest, fabs(input->analytic[e] - input->numeric[e]));
    for (int64_t e = 0; e < input->count; e++) {
        if (!axis_starts_line(lines, e))
            continue;
        int64_t end = e + lines.size * lines.stride;
        double both = 0, square = 0;
        for (int64_t i = e; i < end; i += lines.stride) {
            double d = taken_p[i] - meant_p[i];
            both += d * (input->analytic[i] - input->numeric[i]);
            square += d * d;
        }
        for (int64_t i = e; i < end; i += lines.stride) {
            double expected = square > 0 ? both / square * (taken_p[i] - meant_p[i]) : 0;
            double off = fabs(input->analytic[i] - input->numeric[i] - expected);
            if (!(input->error[i] <= 1e-4 * largest && off <= 1e-5 * largest + 2 * input->error[i]))
                return false;
        }
    }
    return largest > 0;
}

static bool axis_is_other_softmax(reel_lab *lab, const reel_lab_input *input, const reel_clue *clue)
{
    const double *taken_p = axis_softmax(lab, input, clue->axis);
    const double *meant_p = axis_softmax(lab, input, clue->meant);
    return taken_p && meant_p && axis_gap_is(input, clue->meant, taken_p, meant_p);
}

/* ---- Both ------------------------------------------------------------------------------------------ */

static bool axis_is_taken_for(reel_lab *lab, const reel_lab_input *input, reel_clue *clue)
{
    if (input->shape.size[clue->axis] < 2 || input->shape.size[clue->meant] < 2 ||
        !axis_sum(input, input->numeric, input->error, clue->meant).zero ||
        !axis_sum(input, input->numeric, input->error, clue->axis).other)
        return false;
    bool along_other = axis_sum(input, input->analytic, NULL, clue->axis).zero &&
                       axis_sum(input, input->analytic, NULL, clue->meant).other;
    clue->softmax = axis_is_other_softmax(lab, input, clue);
    return along_other || clue->softmax;
}

bool reel_lab_takes_another_axis(reel_lab *lab, const reel_lab_input *input, reel_clue *clue)
{
    for (int meant = 0; meant < input->shape.rank; meant++)
        for (int axis = 0; axis < input->shape.rank; axis++) {
            reel_clue guess = {.factor = NAN, .axis = axis, .meant = meant};
            if (axis != meant && axis_is_taken_for(lab, input, &guess)) {
                *clue = guess;
                return true;
            }
        }
    return false;
}
