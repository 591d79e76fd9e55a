/* One order of derivatives after the other.
 *
 *     order 1     outputs {y}                       inputs xs
 *     order 2     outputs {d<u, y>/dx for each x}   inputs xs, u
 *     order 3     outputs {d<v, those>/dx ...}      inputs xs, u, v
 *
 * At each the outputs are weighted with random numbers, so that one gradient stands for the whole
 * Jacobian: weights that hide a mistake in it have probability 0. What an order records lies above the
 * copy of the order before. */
#include "autograd/lab/lab.h"
#include "core/dtype.h"

#include <math.h>
#include <string.h>

enum { LEVEL_DIRECTIONS = 8,                        /* where elements would cost too much          */
       LEVEL_JIGGLES = 3 };

/* ---- Weights --------------------------------------------------------------------------------------- */

/* Random in +-[1/2, 3/2), as the output's dtype stores it; 0 for an element that is not finite. */
static void level_draw(reel_lab *lab, reel_dtype dtype, const double *value, double *weight, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        double u = 0.5 + reel_random_uniform01(&lab->random), stored = 0;
        u = reel_random_below(&lab->random, 2) ? u : -u;
        reel_convert(dtype, &stored, REEL_F64, &u, 1);
        reel_convert(REEL_F64, &weight[i], dtype, &stored, 1);
        if (!isfinite(value[i])) {
            weight[i] = 0;
            lab->left_out = true;
            lab->report->not_finite++;
        }
    }
}

static bool level_weigh(reel_lab *lab, reel_tensors outputs)
{
    int64_t total = 0, at = 0;
    lab->left_out = false;
    for (size_t o = 0; o < outputs.count; o++)
        total += reel_count(outputs.tensor[o]);
    double *value = reel_lab_get(lab, (size_t)total, sizeof *value);
    lab->weight = reel_lab_get(lab, (size_t)total, sizeof *lab->weight);
    for (size_t o = 0; value && lab->weight && o < outputs.count; o++) {
        reel_tensor y = outputs.tensor[o];
        if (!reel_read_f64_at(lab->file, lab->line, y, value + at, (size_t)reel_count(y)))
            return false;
        level_draw(lab, reel_dtype_of(y), value + at, lab->weight + at, reel_count(y));
        at += reel_count(y);
    }
    if (value && lab->weight && lab->given)
        memcpy(lab->weight, lab->given, (size_t)total * sizeof *lab->weight);
    return value && lab->weight;
}

/* The weights of one output as a tensor of its dtype and shape. */
static reel_tensor level_upstream(const reel_lab *lab, reel_tensor y, const double *weight, bool variable)
{
    reel_values values = reel_values_from_f64(reel_dtype_of(y), weight, (size_t)reel_count(y));
    return variable ? reel_variable_at(lab->file, lab->line, lab->tape, reel_shape_of(y), values)
                    : reel_constant_at(lab->file, lab->line, lab->tape, reel_shape_of(y), values);
}

static bool level_upstreams(const reel_lab *lab, reel_tensors outputs, bool variable, reel_tensor *upstream)
{
    const double *weight = lab->weight;
    for (size_t o = 0; o < outputs.count; o++) {
        upstream[o] = level_upstream(lab, outputs.tensor[o], weight, variable);
        if (!upstream[o].node)
            return false;
        weight += reel_count(outputs.tensor[o]);
    }
    return true;
}

/* ---- Gradients ------------------------------------------------------------------------------------- */

/* d<upstream, outputs>/d inputs. */
static bool level_gradient(const reel_lab *lab, reel_tensors outputs, const reel_tensor *upstream,
                           reel_tensors inputs, reel_tensor *gradient)
{
    const char *file = lab->file;
    int line = lab->line;
    if (outputs.count == 1)
        return reel_vjp_at(file, line, outputs.tensor[0], upstream[0], inputs, gradient);
    reel_tensor sum = REEL_NONE;
    for (size_t o = 0; o < outputs.count; o++) {
        reel_tensor product = reel_mul_at(file, line, upstream[o], outputs.tensor[o]);
        reel_tensor term = reel_sum_at(file, line, REEL_OPTIONS(reel_reduce_options, .x = product));
        sum = o ? reel_add_at(file, line, sum, term) : term;
    }
    return reel_vjp_at(file, line, sum, REEL_NONE, inputs, gradient);
}

/* The same as numbers, into one list an input. */
static bool level_gradient_values(const reel_lab *lab, reel_tensors outputs, reel_tensors inputs,
                                  double **value)
{
    reel_tensor *upstream = reel_lab_get(lab, outputs.count, sizeof *upstream);
    reel_tensor *gradient = reel_lab_get(lab, inputs.count, sizeof *gradient);
    if (!upstream || !gradient || !level_upstreams(lab, outputs, false, upstream) ||
        !level_gradient(lab, outputs, upstream, inputs, gradient))
        return false;
    for (size_t i = 0; i < inputs.count; i++) {
        size_t count = (size_t)reel_count(gradient[i]);
        value[i] = reel_lab_get(lab, count, sizeof **value);
        if (!value[i] || !reel_read_f64_at(lab->file, lab->line, gradient[i], value[i], count))
            return false;
    }
    return true;
}

static reel_tensor level_twin(const reel_lab *lab, reel_tensor x)
{
    return reel_handle(lab->tape, lab->copy.twin[x.node - lab->copy.low]);
}

/* The outputs' twins and the inputs' leaves. */
static bool level_twins(const reel_lab *lab, reel_tensors *outputs, reel_tensors *inputs)
{
    reel_tensor *list = reel_lab_get(lab, outputs->count + inputs->count, sizeof *list);
    for (size_t o = 0; list && o < outputs->count; o++)
        list[o] = level_twin(lab, outputs->tensor[o]);
    for (size_t i = 0; list && i < inputs->count; i++)
        list[outputs->count + i] =
            reel_handle(lab->tape, lab->copy.leaf[inputs->tensor[i].node - lab->copy.low]);
    *outputs = reel_tensors_of(list, outputs->count);
    *inputs = list ? reel_tensors_of(list + outputs->count, inputs->count) : *inputs;
    return list != NULL;
}

static void level_find_reach(reel_lab_input *input)
{
    for (int64_t e = 0; e < input->count; e++) {
        double reach = fabs(input->analytic[e]) * input->scale[e];
        if (isfinite(reach) && reach > input->reach)
            input->reach = reach;
    }
}

/* The gradient in the dtype of the recording, and in f64 where that is another. */
static bool level_analytic(reel_lab *lab, reel_tensors outputs, reel_tensors inputs)
{
    double **recorded = reel_lab_get(lab, inputs.count, sizeof *recorded);
    double **analytic = reel_lab_get(lab, inputs.count, sizeof *analytic);
    bool smaller = lab->copy.coarsest != REEL_F64;
    lab->twins = outputs;
    lab->leaves = inputs;
    if (!recorded || !analytic || !level_twins(lab, &lab->twins, &lab->leaves) ||
        !level_gradient_values(lab, outputs, inputs, recorded) ||
        (smaller && !level_gradient_values(lab, lab->twins, lab->leaves, analytic)))
        return false;
    for (size_t i = 0; i < lab->inputs; i++) {
        lab->input[i].analytic = smaller ? analytic[i] : recorded[i];
        lab->input[i].recorded = smaller ? recorded[i] : NULL;
        level_find_reach(&lab->input[i]);
    }
    return true;
}

/* Moves every input by a rounding or two, or puts it back. */
static void level_jiggle(reel_lab *lab, bool back)
{
    for (size_t i = 0; i < lab->inputs; i++)
        for (int64_t e = 0; e < lab->input[i].count; e++) {
            double x = lab->input[i].origin[e], part = (reel_random_uniform01(&lab->random) - 0.5) * 0x1p-50;
            *reel_lab_element(&lab->input[i], e) = back ? x : x + x * part;
        }
}

static bool level_replay_whole(const reel_lab *lab)
{
    return reel_tape_replay_at(lab->file, lab->line, lab->whole) || lab->tape->error != REEL_ERROR;
}

static void level_note_jitter(reel_lab_input *input, const double *moved)
{
    for (int64_t e = 0; e < input->count; e++) {
        double jitter = fabs(moved[e] - input->analytic[e]);
        if (jitter > input->jitter[e])
            input->jitter[e] = jitter;
    }
}

bool reel_lab_measure_jitter(reel_lab *lab)
{
    double **moved = reel_lab_get(lab, lab->inputs, sizeof *moved);
    for (size_t i = 0; moved && i < lab->inputs; i++) {
        size_t bytes = (size_t)lab->input[i].count * sizeof(double);
        lab->input[i].jitter = reel_lab_get(lab, bytes + 1, 1);
        if (!lab->input[i].jitter)
            return false;
        memset(lab->input[i].jitter, 0, bytes);
    }
    for (int round = 0; moved && round < LEVEL_JIGGLES; round++) {
        level_jiggle(lab, false);
        if (!level_replay_whole(lab) || !level_gradient_values(lab, lab->twins, lab->leaves, moved))
            return false;
        for (size_t i = 0; i < lab->inputs; i++)
            level_note_jitter(&lab->input[i], moved[i]);
        level_jiggle(lab, true);
        if (!level_replay_whole(lab))
            return false;
    }
    return moved != NULL;
}

/* ---- Checking -------------------------------------------------------------------------------------- */

/* Elements read and written by perturbing each element of an input. */
static double level_costs(const reel_lab *lab, const reel_lab_input *input)
{
    return 4 * (double)(input->count / input->blocks) * (double)(input->count + lab->y_count);
}

/* Afterwards what the input moves is computed once more, and stands where it stood. */
static bool level_check_input(reel_lab *lab, reel_lab_input *input)
{
    int directions = lab->directions;
    if (!directions && !reel_lab_find_rows(lab, input))
        return false;
    if (!directions && level_costs(lab, input) > lab->budget)
        directions = LEVEL_DIRECTIONS;
    if (directions ? !reel_lab_directions(lab, input, directions) : !reel_lab_elements(lab, input))
        return false;
    if (lab->report->rows < input->blocks)
        lab->report->rows = input->blocks;
    return reel_lab_replay(lab, input) == REEL_LAB_RAN;
}

static void level_doubt_all(reel_lab *lab, reel_doubt doubt)
{
    for (size_t i = 0; i < lab->inputs; i++) {
        reel_lab_input *input = &lab->input[i];
        memset(input->verdict, REEL_CANNOT_TELL, (size_t)input->count);
        memset(input->doubt, doubt, (size_t)input->count);
        for (int64_t e = 0; e < input->count; e++) {
            input->numeric[e] = NAN;
            input->error[e] = INFINITY;
        }
    }
}

static bool level_check_inputs(reel_lab *lab)
{
    bool steady;
    if (!reel_lab_is_steady(lab, &steady))
        return false;
    for (size_t i = 0; steady && i < lab->inputs; i++)
        if (!level_check_input(lab, &lab->input[i]))
            return false;
    if (steady && !reel_lab_is_steady_still(lab, &steady))
        return false;
    if (!steady)
        level_doubt_all(lab, REEL_NOT_REPEATABLE);
    for (size_t i = 0; i < lab->inputs; i++)
        if (!steady || !lab->input[i].directions)
            reel_lab_tell_elements(lab, &lab->input[i]);
    return true;
}

static bool level_check(reel_lab *lab, uint32_t low, const reel_lab_copy *below, reel_tensors outputs,
                        reel_tensors inputs)
{
    int64_t failed = lab->report->failed;
    if (!level_weigh(lab, outputs) ||
        !reel_lab_copy_make(lab->file, lab->line, &lab->copy, low, outputs, inputs, lab->order == 1))
        return false;
    lab->copy.below = below;
    if (!reel_lab_set_up(lab, outputs, inputs) || !level_analytic(lab, outputs, inputs) ||
        !level_check_inputs(lab))
        return false;
    if (lab->order == 1) {
        lab->report->stopped = lab->copy.stopped;
        lab->report->dtype = lab->copy.coarsest;
    }
    return lab->report->failed == failed || lab->no_blame || reel_lab_find_blame(lab, lab->order);
}

/* A derivative of order n, over n scales of x, is 0 to the last digit where it is no more than that of y. */
static void level_find_natural(reel_lab *lab)
{
    double scale = INFINITY;
    for (size_t i = 0; i < lab->inputs; i++)
        for (int64_t e = 0; e < lab->input[i].count; e++)
            scale = fmin(scale, lab->input[i].scale[e]);
    if (isfinite(scale))
        lab->natural = fmax(lab->natural, lab->size) / scale;
}

static bool level_record_again(const reel_lab *lab, const reel_tensor *upstream, reel_tensor *gradient)
{
    return level_gradient(lab, lab->twins, upstream, lab->leaves, gradient);
}

/* The gradients of this order become the outputs of the next, and their upstream an input. */
static bool level_next(reel_lab *lab, reel_tensors *outputs, reel_tensors *inputs)
{
    size_t ys = lab->twins.count, xs = lab->leaves.count;
    reel_tensor *next = reel_lab_get(lab, xs + ys, sizeof *next);
    reel_tensor *gradient = reel_lab_get(lab, xs, sizeof *gradient);
    if (!next || !gradient || !level_upstreams(lab, lab->twins, true, next + xs))
        return false;
    uint32_t first = lab->tape->nodes;
    if (!level_record_again(lab, next + xs, gradient) ||
        !reel_lab_is_all_recorded(lab, first, next + xs, gradient, level_record_again))
        return false;
    for (size_t o = 0; o < ys; o++)
        reel_name(next[xs + o], "upstream gradient");
    memcpy(next, lab->leaves.tensor, xs * sizeof *next);
    level_find_natural(lab);
    *outputs = reel_tensors_of(gradient, xs);
    *inputs = reel_tensors_of(next, xs + ys);
    return true;
}

bool reel_lab_levels(reel_lab *lab, uint32_t low, reel_tensors outputs, reel_tensors inputs, int order)
{
    const reel_lab_copy *below = NULL;
    for (lab->order = 1; level_check(lab, low, below, outputs, inputs); lab->order++) {
        if (lab->order == order || lab->report->unsteady_op)
            return true;
        reel_lab_copy *copy = reel_lab_get(lab, 1, sizeof *copy);
        if (!copy)
            return false;
        *copy = lab->copy;
        below = copy;
        low = below->from;
        if (!level_next(lab, &outputs, &inputs))
            return false;
    }
    return false;
}
