/* Leaves: variables, constants, borrowed memory, random numbers; and writing into them. */
#include "autograd/tape.h"
#include "core/dtype.h"
#include "core/shape.h"
#include "core/options.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool leaf_shape_is_legal(reel_tape *tape, const char *file, int line, const char *what,
                                const reel_shape *shape)
{
    if (shape->rank < 0 || shape->rank > REEL_MAX_RANK)
        return reel_tape_fail(tape, file, line, what, "rank %d is not between 0 and %d", shape->rank, REEL_MAX_RANK);
    for (int i = 0; i < shape->rank; i++)
        if (shape->size[i] < 0)
            return reel_tape_fail(tape, file, line, what, "dimension %d has the size %lld", i,
                                  (long long)shape->size[i]);
    int64_t count = reel_shape_count(shape->rank, shape->size);
    if (count < 0 || count > INT64_MAX / 16)
        return reel_tape_fail(tape, file, line, what, "the shape has too many elements");
    return true;
}

/* A leaf's node with its shape, not yet on the tape and without data. */
static reel_node *leaf_node(reel_tape *tape, const char *file, int line, reel_dtype dtype, const reel_shape *shape,
                            const int64_t *strides, bool variable, const char *what)
{
    if (!reel_dtype_size(dtype)) {
        reel_tape_fail(tape, file, line, what, "there is no such dtype (%d)", (int)dtype);
        return NULL;
    }
    if (variable && !reel_dtype_is_float(dtype)) {
        reel_tape_fail(tape, file, line, what, "a variable must have a floating dtype, not %s",
                       reel_dtype_name(dtype));
        return NULL;
    }
    if (!leaf_shape_is_legal(tape, file, line, what, shape))
        return NULL;
    reel_node *node = reel_node_new(tape);
    reel_leaf *leaf = node ? reel_tape_get(tape, sizeof *leaf) : NULL;
    if (!leaf || !reel_node_shape(tape, node, shape, strides)) {
        reel_tape_out_of_memory(tape, file, line, what, sizeof *node + sizeof *leaf);
        return NULL;
    }
    *leaf = (reel_leaf){0};
    node->attributes = leaf;
    node->dtype = (uint8_t)dtype;
    node->size = (uint8_t)reel_dtype_size(dtype);
    node->count = reel_shape_count(shape->rank, shape->size);
    node->file = tape->sweeping ? tape->inherit_file : file;
    node->line = tape->sweeping ? tape->inherit_line : line;
    node->outputs = 1;
    node->flags = REEL_NODE_COMPUTED | (variable ? REEL_NODE_VARIABLE : 0) |
                  (reel_is_contiguous(node->rank, node->shape, node->strides) ? REEL_NODE_CONTIGUOUS : 0);
    return node;
}

static reel_tensor leaf_commit(reel_tape *tape)
{
    return reel_handle(tape, tape->nodes++);
}

/* A leaf with memory of its own that the caller fills. */
reel_tensor reel_leaf_new(REEL_PLACE, reel_tape *tape, reel_dtype dtype, const reel_shape *shape, bool variable,
                          const char *what)
{
    reel_tensor failed = {tape, 0, 0};
    reel_node *node = leaf_node(tape, file, line, dtype, shape, NULL, variable, what);
    if (!node)
        return failed;
    node->data = reel_tape_get(tape, reel_node_bytes(node));
    if (!node->data) {
        reel_tape_out_of_memory(tape, file, line, what, reel_node_bytes(node));
        return failed;
    }
    return leaf_commit(tape);
}

static bool values_fit(reel_tape *tape, const char *file, int line, const char *what, const reel_values *values,
                       int64_t count)
{
    if (values->count == REEL_REPEAT)
        return true;
    if (!reel_dtype_size(values->from))
        return reel_tape_fail(tape, file, line, what, "the values are of no dtype (%d)", (int)values->from);
    if (values->count != (size_t)count)
        return reel_tape_fail(tape, file, line, what, "%zu values for %lld elements", values->count,
                              (long long)count);
    return values->data || count == 0 || reel_tape_fail(tape, file, line, what, "the values are NULL");
}

static reel_tensor leaf_with_values(REEL_PLACE, reel_tape *tape, const reel_shape *shape, const reel_values *values,
                                    bool variable, const char *what)
{
    reel_tensor failed = {tape, 0, 0};
    if (reel_failed(tape) || !leaf_shape_is_legal(tape, file, line, what, shape) ||
        !values_fit(tape, file, line, what, values, reel_shape_count(shape->rank, shape->size)))
        return failed;
    reel_tensor leaf = reel_leaf_new(file, line, tape, values->to, shape, variable, what);
    if (leaf.node) {
        const reel_node *node = reel_node_at(tape, leaf.node);
        reel_values_copy(values, node->data, node->count);
    }
    return leaf;
}

reel_tensor reel_variable_at(REEL_PLACE, reel_tape *tape, reel_shape shape, reel_values values)
{
    return leaf_with_values(file, line, tape, &shape, &values, true, "variable");
}

reel_tensor reel_constant_at(REEL_PLACE, reel_tape *tape, reel_shape shape, reel_values values)
{
    return leaf_with_values(file, line, tape, &shape, &values, false, "constant");
}

/* ---- Borrowed memory ----------------------------------------------------------------------------------- */

/* Whether two positions may share an element. Sorted by stride, each dimension must step over all that the
 * smaller ones span; this may call a layout overlapping that is not, never the other way round. */
static bool strides_overlap(int rank, const int64_t *size, const int64_t *strides)
{
    reel_wide span = 0;
    bool done[REEL_MAX_RANK] = {false};
    for (int round = 0; round < rank; round++) {
        int next = -1;
        for (int i = 0; i < rank; i++)
            if (!done[i] && (next < 0 || llabs(strides[i]) < llabs(strides[next])))
                next = i;
        done[next] = true;
        if (size[next] <= 1)
            continue;
        reel_wide stride = strides[next] < 0 ? -(reel_wide)strides[next] : strides[next];
        if (stride <= span)
            return true;
        span += stride * (size[next] - 1);
    }
    return false;
}

static bool is_aligned(const void *data, reel_dtype dtype)
{
    return (uintptr_t)data % reel_dtype_size(dtype) == 0;
}

reel_tensor reel_wrap_at(REEL_PLACE, const reel_wrap_options *given)
{
    reel_wrap_options known;
    const reel_wrap_options *options = reel_known_options(&known, sizeof known, given);
    reel_tape *tape = options->tape;
    reel_tensor failed = {tape, 0, 0};
    if (reel_failed(tape))
        return failed;
    reel_node *node = leaf_node(tape, file, line, options->dtype, &options->shape, options->strides,
                                options->variable, "wrap");
    if (!node)
        return failed;
    if (!options->data && node->count > 0) {
        reel_tape_fail(tape, file, line, "wrap", "the data is NULL");
        return failed;
    }
    if (!is_aligned(options->data, options->dtype)) {
        reel_tape_fail(tape, file, line, "wrap", "the data at %p is not aligned for %s (%zu bytes)", options->data,
                       reel_dtype_name(options->dtype), reel_dtype_size(options->dtype));
        return failed;
    }
    reel_leaf *leaf = (reel_leaf *)node->attributes;
    leaf->wrapped = true;
    node->flags |= REEL_NODE_WRAPPED;
    leaf->overlaps = strides_overlap(node->rank, node->shape, node->strides);
    leaf->wrapped_before = tape->wrapped;
    tape->wrapped = tape->nodes;
    node->data = options->data;
    return leaf_commit(tape);
}

static bool is_leaf(const reel_node *node)
{
    return !node->op && !(node->flags & REEL_NODE_NOTE);
}

static reel_leaf *leaf_of(const reel_node *node)
{
    return (reel_leaf *)node->attributes;
}

bool reel_point_at(REEL_PLACE, reel_tensor wrapped, void *data)
{
    reel_tape *tape = wrapped.tape;
    if (!reel_can_be_set(file, line, "point", wrapped))
        return false;
    reel_node *node = reel_node_at(tape, wrapped.node);
    if (!is_leaf(node) || !leaf_of(node)->wrapped)
        return reel_tape_fail(tape, file, line, "point", "%s is not wrapped memory", reel_describe(wrapped).text);
    if (!data && node->count > 0)
        return reel_tape_fail(tape, file, line, "point", "the data is NULL");
    if (!is_aligned(data, node->dtype))
        return reel_tape_fail(tape, file, line, "point", "the data at %p is not aligned for %s", data,
                              reel_dtype_name(node->dtype));
    node->data = data;
    reel_mark_written(tape, node, file, line);
    return true;
}

/* The bytes that a wrapped leaf can touch: [low, high). */
static void leaf_extent(const reel_node *node, const char **low, const char **high)
{
    int64_t size = (int64_t)reel_dtype_size(node->dtype), first = 0, last = 0;
    for (int i = 0; i < node->rank && node->count > 0; i++) {
        int64_t reach = node->strides[i] * (node->shape[i] - 1);
        *(reach < 0 ? &first : &last) += reach;
    }
    *low = (const char *)node->data + first * size;
    *high = (const char *)node->data + (node->count > 0 ? (last + 1) * size : 0);
}

/* Only leaves are written, and borrowed memory only where no other leaf would change with it unseen. */
bool reel_leaf_can_be_written(const reel_tape *tape, const reel_node *node, const char **why)
{
    *why = "is not a leaf";
    if (!is_leaf(node))
        return false;
    if (!leaf_of(node)->wrapped)
        return true;
    *why = "is wrapped memory whose strides overlap";
    if (leaf_of(node)->overlaps)
        return false;
    const char *low, *high, *other_low, *other_high;
    leaf_extent(node, &low, &high);
    *why = "is wrapped memory that overlaps that of another leaf";
    for (uint32_t id = tape->wrapped; id; id = leaf_of(reel_node_at(tape, id))->wrapped_before) {
        const reel_node *other = reel_node_at(tape, id);
        if (other == node)
            continue;
        leaf_extent(other, &other_low, &other_high);
        if (low < other_high && other_low < high)
            return false;
    }
    return true;
}

void reel_mark_written(reel_tape *tape, reel_node *node, const char *file, int line)
{
    node->written = ++tape->clock;
    if (is_leaf(node)) {
        leaf_of(node)->writer_file = file;
        leaf_of(node)->writer_line = line;
        tape->leaf_written = tape->clock;
    }
}

bool reel_write_at(REEL_PLACE, reel_tensor x, reel_values values)
{
    reel_tape *tape = x.tape;
    if (!reel_can_be_set(file, line, "write", x))
        return false;
    reel_node *node = reel_node_at(tape, x.node);
    const char *why;
    if (!reel_leaf_can_be_written(tape, node, &why))
        return reel_tape_fail(tape, file, line, "write", "%s %s", reel_describe(x).text, why);
    if (values.to != node->dtype)
        return reel_tape_fail(tape, file, line, "write", "%s values for %s", reel_dtype_name(values.to),
                              reel_describe(x).text);
    if (!values_fit(tape, file, line, "write", &values, node->count))
        return false;
    reel_array array = reel_node_array(node);
    if (reel_is_contiguous(array.rank, array.shape, array.strides))
        reel_values_copy(&values, array.data, array.count);
    else
        reel_array_set(&array, &values);
    reel_mark_written(tape, node, file, line);
    return true;
}

/* ---- Random numbers -------------------------------------------------------------------------------------- */

typedef double (*leaf_draw)(reel_random *random);

/* One number, rounded to the dtype; drawn anew where that rounds it up to `below`. */
static void draw_one(reel_random *random, leaf_draw draw, double shift, double scale, double below,
                     reel_dtype dtype, void *to)
{
    double rounded;
    do {
        double value = shift + scale * draw(random);
        reel_convert(dtype, to, REEL_F64, &value, 1);
        reel_convert(REEL_F64, &rounded, dtype, to, 1);
    } while (shift < below && isfinite(below) && rounded >= below);
}

static reel_tensor leaf_random(REEL_PLACE, reel_tape *tape, const reel_shape *shape, reel_dtype dtype,
                               leaf_draw draw, double shift, double scale, double below, const char *what)
{
    if (reel_failed(tape))
        return (reel_tensor){tape, 0, 0};
    reel_tensor leaf = reel_leaf_new(file, line, tape, dtype, shape, true, what);
    if (!leaf.node)
        return leaf;
    const reel_node *node = reel_node_at(tape, leaf.node);
    char *to = node->data;
    for (int64_t i = 0; i < node->count; i++, to += reel_dtype_size(dtype))
        draw_one(&tape->random, draw, shift, scale, below, dtype, to);
    return leaf;
}

reel_tensor reel_random_uniform_at(REEL_PLACE, reel_tape *tape, reel_shape shape, reel_dtype dtype, double low,
                                   double high)
{
    return leaf_random(file, line, tape, &shape, dtype, reel_random_uniform01, low, high - low, high,
                       "random_uniform");
}

reel_tensor reel_random_normal_at(REEL_PLACE, reel_tape *tape, reel_shape shape, reel_dtype dtype, double mean,
                                  double deviation)
{
    return leaf_random(file, line, tape, &shape, dtype, reel_random_normal01, mean, deviation, INFINITY,
                       "random_normal");
}
