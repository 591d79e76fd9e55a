/* What is known of a node, in a few words: where it comes from, the range of its elements, its gradient. */
#include "autograd/look.h"
#include "autograd/section.h"
#include "core/dtype.h"
#include "core/shape.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOOK_DIGITS = 4, LOOK_MOST_DIGITS = 17, LOOK_RUN = 256, LOOK_FILE = 40 };

/* ---- Numbers ------------------------------------------------------------------------------------------- */

/* The digits come from printf's exponent form; its point depends on the locale and is passed over. */
static int rounded_digits(double x, int digits, char digit[LOOK_MOST_DIGITS + 1], int *exponent)
{
    char text[64];
    snprintf(text, sizeof text, "%.*e", digits - 1, x);
    int count = 0;
    const char *at = text;
    for (; *at != 'e'; at++)
        if (*at >= '0' && *at <= '9' && count < digits)
            digit[count++] = *at;
    *exponent = (int)strtol(at + 1, NULL, 10);
    while (count > 1 && digit[count - 1] == '0')
        count--;
    return count;
}

void reel_text_rounded(reel_text *text, double x, int digits)
{
    if (!isfinite(x) || x == 0) {
        reel_text_add(text, "%s", isnan(x) ? "nan" : x == 0 ? "0" : x < 0 ? "-inf" : "inf");
        return;
    }
    char digit[LOOK_MOST_DIGITS + 1];
    int exponent, count = rounded_digits(fabs(x), digits, digit, &exponent);
    bool scientific = exponent < -4 || exponent > 6;
    int point = scientific ? 0 : exponent, last = count - 1 > point ? count - 1 : point;
    if (x < 0)
        reel_text_char(text, '-');
    for (int i = point < 0 ? point : 0; i <= last; i++) {
        reel_text_char(text, i >= 0 && i < count ? digit[i] : '0');
        if (i == point && i < last)
            reel_text_char(text, '.');
    }
    if (scientific)
        reel_text_add(text, "e%d", exponent);
}

/* ---- Ranges -------------------------------------------------------------------------------------------- */

struct range {
    double  low, high;
    int64_t nan;
};

static void widen_range(struct range *range, const double *value, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        range->nan += isnan(value[i]);
        range->low = fmin(range->low, value[i]);
        range->high = fmax(range->high, value[i]);
    }
}

static struct range range_of(const reel_array *array)
{
    struct range range = {.low = INFINITY, .high = -INFINITY};
    int64_t size = (int64_t)reel_dtype_size(array->dtype);
    const int64_t *strides[] = {array->strides};
    reel_walk walk;
    double value[LOOK_RUN];
    for (reel_walk_start(&walk, array->rank, array->shape, 1, strides); walk.more; reel_walk_next(&walk))
        for (int64_t i = 0; i < walk.length; i += LOOK_RUN) {
            int64_t some = walk.length - i < LOOK_RUN ? walk.length - i : LOOK_RUN;
            const char *from = (const char *)array->data + (walk.offset[0] + i * walk.step[0]) * size;
            reel_convert_strided(REEL_F64, value, 1, array->dtype, from, walk.step[0], some);
            widen_range(&range, value, some);
        }
    return range;
}

static void text_number(reel_text *text, reel_dtype dtype, double x)
{
    if (reel_dtype_is_float(dtype))
        reel_text_rounded(text, x, LOOK_DIGITS);
    else
        reel_text_number(text, dtype, x);
}

static void text_range(reel_text *text, const reel_array *array)
{
    if (array->count == 0) {
        reel_text_add(text, "empty");
        return;
    }
    struct range range = range_of(array);
    if (range.nan == array->count) {
        reel_text_add(text, "nan");
        return;
    }
    text_number(text, array->dtype, range.low);
    if (range.high > range.low) {
        reel_text_add(text, " .. ");
        text_number(text, array->dtype, range.high);
    }
    if (range.nan)
        reel_text_add(text, ", %lld nan", (long long)range.nan);
}

/* In a sweep the first contribution to a gradient lends its memory to the sum, and a temporary that
 * nobody can see any more lends it to the next. */
const char *reel_value_missing(const reel_node *node)
{
    const reel_node *base = node->base;
    if (node->dtype == REEL_NO_DTYPE)
        return "";
    if (!(node->flags & REEL_NODE_COMPUTED))
        return "not computed";
    if (node->flags & REEL_NODE_RECYCLED || (base->op && base->written > node->executed))
        return "memory used again";
    return NULL;
}

void reel_text_range(reel_text *text, const reel_tape *tape, uint32_t id)
{
    const reel_node *node = reel_node_at(tape, id);
    const char *missing = reel_value_missing(node);
    if (missing) {
        reel_text_add(text, "%s", missing);
        return;
    }
    reel_array array = reel_node_array(node);
    text_range(text, &array);
}

/* ---- Gradients ----------------------------------------------------------------------------------------- */

/* What was recorded in the gradient's place since the sweep, after a rewind, is of a later generation. */
enum reel_gradient_news reel_known_gradient(const reel_tape *tape, uint32_t id, uint32_t *gradient)
{
    const reel_node *node = reel_node_at(tape, id);
    *gradient = 0;
    if (!(node->flags & REEL_NODE_VARIABLE))
        return REEL_GRADIENT_IMPOSSIBLE;
    if (!tape->swept || node->sweep != tape->swept || node->generation > tape->swept_generation)
        return REEL_GRADIENT_UNKNOWN;
    if (!node->gradient)
        return REEL_GRADIENT_NONE_ARRIVED;
    if (node->gradient->id >= tape->nodes || node->gradient->generation > tape->swept_generation)
        return REEL_GRADIENT_UNKNOWN;
    *gradient = node->gradient->id;
    return REEL_GRADIENT_KNOWN;
}

/* ---- Where a node comes from --------------------------------------------------------------------------- */

void reel_text_origin(reel_text *text, const reel_node *node)
{
    if (!node->op)
        reel_text_add(text, "%s", node->flags & REEL_NODE_VARIABLE ? "variable" : "constant");
    else if (node->outputs > 1)
        reel_text_add(text, "%s:%d", node->op->name, node->output);
    else
        reel_text_add(text, "%s", node->op->name);
}

void reel_text_place(reel_text *text, const char *file, int line)
{
    size_t length = file ? strlen(file) : 0;
    if (length > LOOK_FILE)
        reel_text_add(text, "...%s:%d", file + length - LOOK_FILE, line);
    else if (length)
        reel_text_add(text, "%s:%d", file, line);
}

/* ---- Sections ------------------------------------------------------------------------------------------ */

static bool call_is_kept(const reel_section_note *note, uint32_t head)
{
    uint32_t low = 0, high = note->kept;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (note->call[middle] < head)
            low = middle + 1;
        else
            high = middle;
    }
    return low < note->kept && note->call[low] == head;
}

bool reel_section_shows(reel_section section, uint32_t id)
{
    const reel_node *node = reel_node_at(section.tape, id);
    const reel_section_note *note = reel_section_details(section);
    if (node->flags & REEL_NODE_NOTE)
        return false;
    return !node->op || !note || !note->pruned || call_is_kept(note, id - node->output);
}

reel_section reel_tape_whole(reel_tape *tape)
{
    uint32_t anchor = tape->nodes - 1;
    return (reel_section){tape, 1, tape->nodes, anchor, reel_handle(tape, anchor).generation};
}
