/* What the lab keeps of a copy's inputs and outputs, and which calls lie between each of them. */
#include "autograd/lab/lab.h"
#include "autograd/section.h"
#include "core/shape.h"

#include <math.h>
#include <string.h>

void *reel_lab_get(const reel_lab *lab, size_t count, size_t size)
{
    size_t bytes = count > SIZE_MAX / 2 / size ? SIZE_MAX : (count ? count : 1) * size;
    void *memory = reel_tape_get(lab->tape, bytes);
    if (!memory)
        reel_tape_out_of_memory(lab->tape, lab->file, lab->line, "gradcheck", bytes);
    return memory;
}

/* ---- Calls ----------------------------------------------------------------------------------------- */

static uint32_t setup_nodes(const reel_lab *lab)
{
    return lab->copy.to - lab->copy.from;
}

/* Going back from the outputs. A call's outputs are needed together, and noted at the first of them. */
static bool setup_useful(reel_lab *lab)
{
    lab->useful = reel_lab_get(lab, setup_nodes(lab), sizeof *lab->useful);
    if (!lab->useful)
        return false;
    memset(lab->useful, 0, setup_nodes(lab) * sizeof *lab->useful);
    for (size_t o = 0; o < lab->outputs; o++)
        lab->useful[lab->output[o].node - lab->copy.from] = true;
    for (uint32_t id = lab->copy.to; id-- > lab->copy.from;) {
        const reel_node *node = reel_node_at(lab->tape, id);
        if (!node->op || !lab->useful[id - lab->copy.from])
            continue;
        const uint32_t *input = reel_node_inputs(node);
        lab->useful[id - node->output - lab->copy.from] = true;
        for (uint32_t i = 0; i < node->inputs; i++)
            lab->useful[input[i] - lab->copy.from] = true;
    }
    return true;
}

/* The calls that the outputs need and that `moves` marks, all of them where it is NULL. */
static bool setup_section(const reel_lab *lab, const bool *moves, reel_section *section)
{
    uint32_t count = 0, *call = reel_lab_get(lab, setup_nodes(lab), sizeof *call);
    for (uint32_t i = 0; call && i < setup_nodes(lab); i++) {
        const reel_node *node = reel_node_at(lab->tape, lab->copy.from + i);
        if (node->op && node->output == 0 && lab->useful[i] && (!moves || moves[i]))
            call[count++] = lab->copy.from + i;
    }
    reel_section_note note = {.pruned = true, .kept = count, .call = call};
    if (call)
        *section = reel_section_with_note(lab->file, lab->line, lab->tape, lab->copy.from, lab->copy.to,
                                          &note, "gradcheck");
    return call && section->anchor;
}

/* What moves less than the rounding of a value between x and y cannot be seen in y. */
static void setup_magnitude(reel_lab *lab, reel_lab_input *input, uint32_t id)
{
    const reel_node *node = reel_node_at(lab->tape, id);
    if (node->dtype != REEL_F64 || !node->count)
        return;
    reel_array array = reel_node_array(node);
    const int64_t *strides[] = {node->strides};
    const double *value = array.data;
    reel_walk walk;
    for (reel_walk_start(&walk, node->rank, node->shape, 1, strides); walk.more; reel_walk_next(&walk))
        for (int64_t i = 0; i < walk.length; i++) {
            double size = fabs(value[walk.offset[0] + i * walk.step[0]]);
            if (size > input->magnitude && isfinite(size))
                input->magnitude = size;
        }
}

static bool setup_moves(reel_lab *lab, reel_lab_input *input)
{
    bool *moves = reel_lab_get(lab, setup_nodes(lab), sizeof *moves);
    if (!moves)
        return false;
    memset(moves, 0, setup_nodes(lab) * sizeof *moves);
    moves[input->node - lab->copy.from] = true;
    for (uint32_t i = input->node - lab->copy.from; i < setup_nodes(lab); i++) {
        const reel_node *node = reel_node_at(lab->tape, lab->copy.from + i);
        const uint32_t *from = reel_node_inputs(node);
        for (uint32_t k = 0; node->op && k < node->inputs; k++)
            moves[i] |= moves[from[k] - lab->copy.from];
        if (moves[i] && lab->useful[i])
            setup_magnitude(lab, input, lab->copy.from + i);
    }
    input->moves = moves;
    return setup_section(lab, moves, &input->section);
}

bool reel_lab_moves(const reel_lab *lab, const reel_lab_input *input, uint32_t node)
{
    return input->moves[node - lab->copy.from];
}

/* ---- Inputs ---------------------------------------------------------------------------------------- */

/* A step's scale is the element's size, to a power of two; for elements near 0, what is usual in their
 * tensor. */
static void setup_scale(reel_lab_input *input, const double *magnitude)
{
    double sum = 0, floor = 1;
    for (int64_t e = 0; e < input->count; e++)
        sum += isfinite(magnitude[e]) ? fabs(magnitude[e]) : 0;
    if (sum > 0 && isfinite(sum))
        floor = sum / (double)input->count / 4;
    for (int64_t e = 0; e < input->count; e++) {
        double size = fmax(isfinite(magnitude[e]) ? fabs(magnitude[e]) : 0, floor);
        input->scale[e] = ldexp(1, ilogb(size));
    }
}

/* Where the elements of a leaf lie that is not laid out in their order. */
static bool setup_places(const reel_lab *lab, reel_lab_input *input, const reel_node *leaf)
{
    if (reel_is_contiguous(leaf->rank, leaf->shape, leaf->strides))
        return true;
    int64_t *place = reel_lab_get(lab, (size_t)leaf->count, sizeof *place);
    for (int64_t e = 0; place && e < leaf->count; e++) {
        int64_t rest = e;
        place[e] = 0;
        for (int i = leaf->rank - 1; i >= 0; i--) {
            place[e] += rest % leaf->shape[i] * leaf->strides[i];
            rest /= leaf->shape[i];
        }
    }
    input->place = place;
    return place != NULL;
}

static bool setup_input(reel_lab *lab, reel_lab_input *input, reel_tensor x)
{
    reel_tape *tape = lab->tape;
    const reel_node *twin = reel_node_at(tape, lab->copy.twin[x.node - lab->copy.low]);
    input->node = lab->copy.leaf[x.node - lab->copy.low];
    const reel_node *leaf = reel_node_at(tape, input->node);
    size_t count = (size_t)leaf->count;
    input->name = leaf->name ? leaf->name : "";
    input->shape = reel_make_shape(leaf->rank, leaf->shape);
    input->count = leaf->count;
    input->value = leaf->data;
    input->origin = reel_lab_get(lab, count, sizeof(double));
    input->scale = reel_lab_get(lab, count, sizeof(double));
    input->numeric = reel_lab_get(lab, count, sizeof(double));
    input->error = reel_lab_get(lab, count, sizeof(double));
    input->verdict = reel_lab_get(lab, count, 1);
    input->doubt = reel_lab_get(lab, count, 1);
    if (!input->origin || !input->scale || !input->numeric || !input->error || !input->verdict ||
        !input->doubt)
        return false;
    reel_array array = reel_node_array(twin);
    reel_array_get(&array, REEL_F64, input->origin);
    setup_scale(input, input->origin);
    array = reel_node_array(leaf);
    reel_array_get(&array, REEL_F64, input->origin);
    memset(input->verdict, REEL_NOT_CHECKED, count);
    memset(input->doubt, REEL_NO_DOUBT, count);
    return setup_places(lab, input, leaf) && setup_moves(lab, input);
}

/* ---- Outputs --------------------------------------------------------------------------------------- */

static void setup_output(reel_lab *lab, reel_lab_output *output, uint32_t node)
{
    const reel_node *twin = reel_node_at(lab->tape, node);
    *output = (reel_lab_output){
        .node = node, .count = twin->count, .offset = lab->y_count,
        .plain = reel_is_contiguous(twin->rank, twin->shape, twin->strides),
    };
    lab->y_count += twin->count;
}

bool reel_lab_set_up(reel_lab *lab, reel_tensors outputs, reel_tensors inputs)
{
    lab->outputs = outputs.count;
    lab->inputs = inputs.count;
    lab->y_count = 0;
    lab->output = reel_lab_get(lab, outputs.count, sizeof *lab->output);
    lab->input = reel_lab_get(lab, inputs.count, sizeof *lab->input);
    if (!lab->output || !lab->input)
        return false;
    memset(lab->input, 0, inputs.count * sizeof *lab->input);
    for (size_t o = 0; o < outputs.count; o++)
        setup_output(lab, &lab->output[o], lab->copy.twin[outputs.tensor[o].node - lab->copy.low]);
    lab->base = reel_lab_get(lab, (size_t)lab->y_count, sizeof *lab->base);
    lab->room = reel_lab_get(lab, (size_t)lab->y_count, sizeof *lab->room);
    if (!lab->base || !lab->room || !setup_useful(lab) || !setup_section(lab, NULL, &lab->whole))
        return false;
    for (size_t o = 0; o < lab->outputs; o++) {
        const reel_lab_output *output = &lab->output[o];
        memcpy(lab->base + output->offset, reel_lab_output_values(lab, output),
               (size_t)output->count * sizeof(double));
    }
    lab->size = 0;
    for (int64_t i = 0; i < lab->y_count; i++)
        lab->size += lab->weight[i] != 0 ? fabs(lab->weight[i] * lab->base[i]) : 0;
    for (size_t i = 0; i < lab->inputs; i++) {
        lab->input[i].x = (int)i;
        if (!setup_input(lab, &lab->input[i], inputs.tensor[i]))
            return false;
    }
    return true;
}
