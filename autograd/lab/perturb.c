/* Perturbing an input of the copy, replaying what it moves, and seeing how far the outputs went. */
#include "autograd/lab/lab.h"
#include "autograd/section.h"
#include "core/dtype.h"

#include <math.h>
#include <string.h>

enum reel_lab_run reel_lab_replay(reel_lab *lab, const reel_lab_input *input)
{
    lab->report->replays++;
    if (reel_tape_replay_at(lab->file, lab->line, input->section))
        return REEL_LAB_RAN;
    return lab->tape->error == REEL_REPLAY_ERROR ? REEL_LAB_REFUSED : REEL_LAB_BROKEN;
}

const double *reel_lab_output_values(reel_lab *lab, const reel_lab_output *output)
{
    const reel_node *node = reel_node_at(lab->tape, output->node);
    if (output->plain)
        return reel_node_data(node);
    reel_array array = reel_node_array(node);
    reel_array_get(&array, REEL_F64, lab->room + output->offset);
    return lab->room + output->offset;
}

/* The nearest number that the input can hold. */
static double perturb_on_grid(const reel_lab *lab, double x)
{
    if (lab->grid == REEL_F64)
        return x;
    double element = 0;
    reel_convert(lab->grid, &element, REEL_F64, &x, 1);
    reel_convert(REEL_F64, &x, lab->grid, &element, 1);
    return x;
}

static int64_t perturb_element(const reel_lab_probe *probe, int64_t block)
{
    return probe->first + (probe->blocks > 1 ? probe->input->block_offset[block] : 0);
}

/* Moves the probe's elements, and notes how far: up for a positive step, else down. */
static void perturb_move(const reel_lab *lab, const reel_lab_probe *probe, double step, reel_lab_rise *rise)
{
    reel_lab_input *input = probe->input;
    if (probe->direction) {
        for (int64_t e = 0; e < input->count; e++)
            *reel_lab_element(input, e) = perturb_on_grid(lab, input->origin[e] + step * probe->direction[e]);
        *(step > 0 ? &rise->up : &rise->down) = fabs(step);
        return;
    }
    for (int64_t b = 0; b < probe->blocks; b++) {
        int64_t e = perturb_element(probe, b);
        double x = input->origin[e], to = perturb_on_grid(lab, x + step * input->scale[e]);
        *reel_lab_element(input, e) = to;
        *(step > 0 ? &rise[b].up : &rise[b].down) = fabs(to - x);
    }
}

void reel_lab_restore(const reel_lab_input *input)
{
    for (int64_t e = 0; e < input->count; e++)
        *reel_lab_element(input, e) = input->origin[e];
}

static void perturb_restore(const reel_lab_probe *probe)
{
    if (probe->direction) {
        reel_lab_restore(probe->input);
        return;
    }
    for (int64_t b = 0; b < probe->blocks; b++) {
        int64_t e = perturb_element(probe, b);
        *reel_lab_element(probe->input, e) = probe->input->origin[e];
    }
}

/* Adds what one element of the outputs has done. Where it has not moved it counts with its size alone. */
static inline void perturb_add(reel_lab_rise *rise, double weight, double base, double now, bool above)
{
    double size = fabs(weight * now);
    rise->size += size;
    if (now == base)
        return;
    double moved = weight * (now - base);
    *(above ? &rise->above : &rise->below) += above ? moved : -moved;
    rise->moved += size;
    rise->finite &= isfinite(moved);
}

static void perturb_measure(reel_lab *lab, const reel_lab_probe *probe, bool above, reel_lab_rise *rise)
{
    for (size_t o = 0; o < lab->outputs; o++) {
        const reel_lab_output *output = &lab->output[o];
        const double *now = reel_lab_output_values(lab, output);
        const double *base = lab->base + output->offset, *weight = lab->weight + output->offset;
        const int32_t *block = probe->blocks > 1 ? probe->input->block_of + output->offset : NULL;
        for (int64_t i = 0; i < output->count; i++)
            if (weight[i] != 0)
                perturb_add(&rise[block ? block[i] : 0], weight[i], base[i], now[i], above);
    }
}

enum reel_lab_run reel_lab_rises(reel_lab *lab, const reel_lab_probe *probe, double step, reel_lab_rise *rise)
{
    for (int64_t b = 0; b < probe->blocks; b++)
        rise[b] = (reel_lab_rise){.finite = true};
    enum reel_lab_run run = REEL_LAB_RAN;
    for (int side = 0; side < 2 && run == REEL_LAB_RAN; side++) {
        perturb_move(lab, probe, side ? -step : step, rise);
        run = reel_lab_replay(lab, probe->input);
        if (run == REEL_LAB_RAN)
            perturb_measure(lab, probe, side == 0, rise);
    }
    for (int64_t b = 0; b < probe->blocks; b++) {
        rise[b].size /= 2;
        rise[b].moved /= 2;
    }
    perturb_restore(probe);
    return run;
}
