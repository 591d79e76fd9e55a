/* Looking at tensors: dtype, shape, name, and their elements copied out. */
#include "autograd/tape.h"
#include "core/dtype.h"
#include "core/shape.h"

#include <math.h>
#include <string.h>

/* The node behind a handle, or NULL; no error for a handle that is not on its tape. */
static const reel_node *access_node(reel_tensor x)
{
    return x.tape && reel_on_tape(x.tape, x) ? reel_node_at(x.tape, x.node) : NULL;
}

bool reel_is_valid(reel_tensor x)
{
    return access_node(x) != NULL;
}

reel_dtype reel_dtype_of(reel_tensor x)
{
    const reel_node *node = access_node(x);
    return node ? (reel_dtype)node->dtype : REEL_NO_DTYPE;
}

reel_shape reel_shape_of(reel_tensor x)
{
    const reel_node *node = access_node(x);
    return node ? reel_make_shape(node->rank, node->shape) : (reel_shape){.rank = -1};
}

int64_t reel_count(reel_tensor x)
{
    const reel_node *node = access_node(x);
    return node ? node->count : -1;
}

reel_tensors reel_tensors_of(const reel_tensor *tensor, size_t count)
{
    return (reel_tensors){tensor, count};
}

reel_tensor reel_name(reel_tensor x, const char *name)
{
    if (!access_node(x) || reel_failed(x.tape) || !name)
        return x;
    reel_node *node = reel_node_at(x.tape, x.node);
    const char *copy = reel_intern(x.tape, name);
    if (copy)
        node->name = copy;
    else
        reel_tape_out_of_memory(x.tape, node->file, node->line, "name", strlen(name));
    return x;
}

const char *reel_name_of(reel_tensor x)
{
    const reel_node *node = access_node(x);
    return node && node->name ? node->name : "";
}

/* Whether x's numbers can be had. A VJP is made of ops: numbers that it read would stand still in a replay. */
static bool readable(const char *file, int line, const char *what, reel_tensor x)
{
    if (!reel_usable(file, line, what, x))
        return false;
    return !x.tape->in_vjp ||
           reel_tape_fail(x.tape, file, line, what,
                          "a VJP cannot read numbers: they would stand still in a replay and in second derivatives");
}

const void *reel_data(reel_tensor x)
{
    return reel_failed(x.tape) || !readable(NULL, 0, "data", x) ? NULL : reel_node_data(access_node(x));
}

void reel_strides_of(reel_tensor x, int64_t strides[REEL_MAX_RANK])
{
    const reel_node *node = access_node(x);
    for (int i = 0; i < REEL_MAX_RANK; i++)
        strides[i] = node && i < node->rank ? node->strides[i] : 0;
}

void reel_array_get(const reel_array *array, reel_dtype to, void *list)
{
    size_t from_size = reel_dtype_size(array->dtype), to_size = reel_dtype_size(to);
    const int64_t *strides[] = {array->strides};
    const char *from = array->data;
    char *at = list;
    reel_walk walk;
    for (reel_walk_start(&walk, array->rank, array->shape, 1, strides); walk.more; reel_walk_next(&walk)) {
        reel_convert_strided(to, at, 1, array->dtype, from + walk.offset[0] * (int64_t)from_size, walk.step[0],
                             walk.length);
        at += (size_t)walk.length * to_size;
    }
}

void reel_array_set(const reel_array *array, const reel_values *values)
{
    size_t size = reel_dtype_size(array->dtype);
    bool repeat = values->count == REEL_REPEAT;
    reel_dtype from_dtype = repeat ? REEL_F64 : values->from;
    const char *from = repeat ? (const char *)&values->repeat : values->data;
    const int64_t *strides[] = {array->strides};
    reel_walk walk;
    for (reel_walk_start(&walk, array->rank, array->shape, 1, strides); walk.more; reel_walk_next(&walk)) {
        reel_convert_strided(array->dtype, (char *)array->data + walk.offset[0] * (int64_t)size, walk.step[0],
                             from_dtype, from, repeat ? 0 : 1, walk.length);
        if (!repeat)
            from += (size_t)walk.length * reel_dtype_size(from_dtype);
    }
}

bool reel_read_at(REEL_PLACE, reel_tensor x, void *buffer, size_t bytes)
{
    if (!readable(file, line, "read", x))
        return false;
    const reel_node *node = access_node(x);
    size_t wanted = (size_t)node->count * reel_dtype_size(node->dtype);
    if (bytes != wanted || (!buffer && wanted))
        return reel_tape_fail(x.tape, file, line, "read", "a buffer of %zu bytes for %s, which has %zu",
                              buffer ? bytes : 0, reel_describe(x).text, wanted);
    reel_array array = reel_node_array(node);
    reel_array_get(&array, array.dtype, buffer);
    return true;
}

bool reel_read_f64_at(REEL_PLACE, reel_tensor x, double *buffer, size_t count)
{
    if (!readable(file, line, "read_f64", x))
        return false;
    const reel_node *node = access_node(x);
    if (count != (size_t)node->count || (!buffer && count))
        return reel_tape_fail(x.tape, file, line, "read_f64", "a buffer of %zu elements for %s, which has %lld",
                              buffer ? count : 0, reel_describe(x).text, (long long)node->count);
    reel_array array = reel_node_array(node);
    reel_array_get(&array, REEL_F64, buffer);
    return true;
}

double reel_item_at(REEL_PLACE, reel_tensor x)
{
    double value = NAN;
    if (!readable(file, line, "item", x))
        return value;
    const reel_node *node = access_node(x);
    if (node->count != 1) {
        reel_tape_fail(x.tape, file, line, "item", "%s does not have exactly one element", reel_describe(x).text);
        return value;
    }
    reel_convert(REEL_F64, &value, (reel_dtype)node->dtype, reel_node_data(node), 1);
    return value;
}
