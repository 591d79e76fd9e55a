/* Rows that do not touch each other, so that an element of each can be perturbed in one replay (A. Curtis,
 * M. Powell, J. Reid, "On the estimation of sparse Jacobian matrices", J. Inst. Maths Applics 13, 1974).
 *
 * An axis of the input is one of rows when each output has an axis of the same size such that row i of the
 * input moves row i of the outputs alone. That is tried, not assumed. Each row gets a word of bits, and
 * for each bit the rows that have it are shaken while the others are watched. The words all have the same
 * number of ones, so that of any two rows each has a bit that the other has not (E. Sperner 1928): every
 * row is shaken while any other is watched. */
#include "autograd/lab/lab.h"

#include <string.h>

struct rows_search {
    reel_lab       *lab;
    reel_lab_input *input;
    int            *axis;                           /* of each output: the one that is tried       */
    bool           *used;                           /* of each output: REEL_MAX_RANK axes          */
    bool            broken;
};

static const reel_node *rows_output(const struct rows_search *s, size_t output)
{
    return reel_node_at(s->lab->tape, s->lab->output[output].node);
}

/* ---- Words with as many ones as zeros -------------------------------------------------------------- */

static int64_t rows_choose(int bits)
{
    int64_t n = 1;
    for (int i = 1; i <= bits / 2; i++)
        n = n * (bits - bits / 2 + i) / i;
    return n;
}

static int rows_bits(int64_t rows)
{
    int bits = 2;
    while (bits < 62 && rows_choose(bits) < rows)
        bits++;
    return bits;
}

/* The next larger word with the same number of ones. */
static uint64_t rows_next_word(uint64_t word)
{
    uint64_t low = word & -word, carry = word + low;
    return carry | ((word ^ carry) / low >> 2);
}

static uint64_t *rows_words(const struct rows_search *s, int64_t rows)
{
    uint64_t *word = reel_lab_get(s->lab, (size_t)rows, sizeof *word);
    if (word)
        word[0] = ((uint64_t)1 << rows_bits(rows) / 2) - 1;
    for (int64_t i = 1; word && i < rows; i++)
        word[i] = rows_next_word(word[i - 1]);
    return word;
}

/* ---- One try --------------------------------------------------------------------------------------- */

/* The position along an axis of element e of a shape. */
static int64_t rows_position(int rank, const int64_t *size, int axis, int64_t e)
{
    for (int i = rank - 1; i > axis; i--)
        e /= size[i];
    return e % size[axis];
}

static void rows_shake(const struct rows_search *s, int axis, const uint64_t *word, int bit)
{
    reel_lab_input *input = s->input;
    for (int64_t e = 0; e < input->count; e++)
        if (word[rows_position(input->shape.rank, input->shape.size, axis, e)] >> bit & 1)
            *reel_lab_element(input, e) +=
                input->scale[e] * (reel_random_uniform01(&s->lab->random) - 0.5) / 16;
}

static bool rows_others_stay(const struct rows_search *s, const uint64_t *word, int bit)
{
    for (size_t o = 0; o < s->lab->outputs; o++) {
        const reel_lab_output *output = &s->lab->output[o];
        const reel_node *node = rows_output(s, o);
        const double *now = reel_lab_output_values(s->lab, output), *base = s->lab->base + output->offset;
        if (s->axis[o] < 0)
            continue;
        int64_t inner = 1, size = node->shape[s->axis[o]];
        for (int i = s->axis[o] + 1; i < node->rank; i++)
            inner *= node->shape[i];
        for (int64_t i = 0; i < output->count; i++)
            if (!(word[i / inner % size] >> bit & 1) && memcmp(&now[i], &base[i], sizeof *now))
                return false;
    }
    return true;
}

static bool rows_try(struct rows_search *s, int axis)
{
    int64_t rows = s->input->shape.size[axis];
    uint64_t *word = rows_words(s, rows);
    bool apart = word != NULL;
    s->broken |= !word;
    for (int bit = 0; apart && bit < rows_bits(rows); bit++) {
        rows_shake(s, axis, word, bit);
        enum reel_lab_run run = reel_lab_replay(s->lab, s->input);
        s->broken |= run == REEL_LAB_BROKEN;
        apart = run == REEL_LAB_RAN && rows_others_stay(s, word, bit);
        reel_lab_restore(s->input);
    }
    return apart;
}

/* ---- All axes -------------------------------------------------------------------------------------- */

/* The first axis of that size of an output, not yet used, that comes after `after`; -1: none. */
static int rows_next_axis(const struct rows_search *s, size_t output, int64_t size, int after)
{
    const reel_node *node = rows_output(s, output);
    for (int i = after + 1; i < node->rank; i++)
        if (node->shape[i] == size && !s->used[output * REEL_MAX_RANK + (size_t)i])
            return i;
    return -1;
}

/* With one output each of its axes is tried, with several the first of each. */
static bool rows_match(struct rows_search *s, int axis)
{
    int64_t size = s->input->shape.size[axis];
    for (size_t o = 0; o < s->lab->outputs; o++) {
        s->axis[o] = s->lab->output[o].moved ? rows_next_axis(s, o, size, -1) : -1;
        if (s->lab->output[o].moved && s->axis[o] < 0)
            return false;
    }
    while (!rows_try(s, axis)) {
        s->axis[0] = s->lab->outputs > 1 || s->broken ? -1 : rows_next_axis(s, 0, size, s->axis[0]);
        if (s->axis[0] < 0)
            return false;
    }
    return true;
}

/* Multiplies the blocks by the rows of one more axis: a position along it is the last digit of a block's
 * number. */
static void rows_take(struct rows_search *s, int axis, int64_t *offset, int32_t *block_of)
{
    reel_lab_input *input = s->input;
    int64_t rows = input->shape.size[axis], stride = 1;
    for (int i = axis + 1; i < input->shape.rank; i++)
        stride *= input->shape.size[i];
    for (int64_t b = input->blocks * rows; b-- > 0;)
        offset[b] = offset[b / rows] + b % rows * stride;
    for (size_t o = 0; o < s->lab->outputs; o++) {
        if (s->axis[o] < 0)
            continue;
        const reel_node *node = rows_output(s, o);
        int32_t *block = block_of + s->lab->output[o].offset;
        for (int64_t i = 0; i < s->lab->output[o].count; i++)
            block[i] = (int32_t)(block[i] * rows + rows_position(node->rank, node->shape, s->axis[o], i));
        s->used[o * REEL_MAX_RANK + (size_t)s->axis[o]] = true;
    }
    input->row_axis[axis] = true;
    input->blocks *= rows;
}

/* What an input moves at all. */
static bool rows_find_moved(struct rows_search *s)
{
    for (size_t o = 0; o < s->lab->outputs; o++) {
        const reel_lab_output *output = &s->lab->output[o];
        s->lab->output[o].moved = reel_lab_moves(s->lab, s->input, output->node);
        if (s->lab->output[o].moved && output->count > INT32_MAX)
            return false;
    }
    return s->input->count <= INT32_MAX;
}

bool reel_lab_find_rows(reel_lab *lab, reel_lab_input *input)
{
    input->blocks = 1;
    struct rows_search s = {.lab = lab, .input = input};
    size_t used = lab->outputs * REEL_MAX_RANK;
    int64_t *offset = reel_lab_get(lab, (size_t)input->count + 1, sizeof *offset);
    int32_t *block_of = reel_lab_get(lab, (size_t)lab->y_count + 1, sizeof *block_of);
    s.axis = reel_lab_get(lab, lab->outputs, sizeof *s.axis);
    s.used = reel_lab_get(lab, used, sizeof *s.used);
    if (!offset || !block_of || !s.axis || !s.used)
        return false;
    memset(s.used, 0, used * sizeof *s.used);
    memset(block_of, 0, (size_t)lab->y_count * sizeof *block_of);
    offset[0] = 0;
    input->block_offset = offset;
    input->block_of = block_of;
    if (lab->one_by_one || !input->count || !rows_find_moved(&s))
        return true;
    for (int axis = 0; axis < input->shape.rank && !s.broken; axis++)
        if (input->shape.size[axis] > 1 && rows_match(&s, axis))
            rows_take(&s, axis, offset, block_of);
    return !s.broken;
}
