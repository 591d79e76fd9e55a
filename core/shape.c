/* Shapes and strides: arithmetic on small arrays of int64_t. */
#include "core/shape.h"

#include <string.h>

reel_shape reel_make_shape(int rank, const int64_t *size)
{
    reel_shape shape = {.rank = rank};
    for (int i = 0; i < rank && i < REEL_MAX_RANK; i++)
        shape.size[i] = size[i];
    return shape;
}

reel_axes reel_make_axes(int count, const int *axis)
{
    reel_axes axes = {.count = count};
    for (int i = 0; i < count && i < REEL_MAX_RANK; i++)
        axes.axis[i] = axis[i];
    return axes;
}

/* A size of 0 makes the count 0, however large the other sizes are. */
int64_t reel_shape_count(int rank, const int64_t *size)
{
    int64_t count = 1;
    bool empty = false, overflow = false;
    for (int i = 0; i < rank; i++) {
        if (size[i] < 0)
            return -1;
        empty |= size[i] == 0;
        overflow |= __builtin_mul_overflow(count, size[i], &count);
    }
    if (empty)
        return 0;
    return overflow ? -1 : count;
}

void reel_contiguous_strides(int rank, const int64_t *size, int64_t *strides)
{
    int64_t stride = 1;
    for (int i = rank - 1; i >= 0; i--) {
        strides[i] = stride;
        __builtin_mul_overflow(stride, size[i] > 0 ? size[i] : 1, &stride);     /* then there are no elements */
    }
}

bool reel_is_contiguous(int rank, const int64_t *size, const int64_t *strides)
{
    int64_t stride = 1;
    for (int i = rank - 1; i >= 0; i--) {
        if (size[i] == 0)
            return true;
        if (size[i] != 1 && strides[i] != stride)
            return false;
        __builtin_mul_overflow(stride, size[i], &stride);
    }
    return true;
}

bool reel_same_sizes(int rank_a, const int64_t *a, int rank_b, const int64_t *b)
{
    if (rank_a != rank_b)
        return false;
    for (int i = 0; i < rank_a; i++)
        if (a[i] != b[i])
            return false;
    return true;
}

bool reel_normal_axis(int axis, int rank, int *normal)
{
    if (axis < -rank || axis >= rank)
        return false;
    *normal = axis < 0 ? axis + rank : axis;
    return true;
}

bool reel_broadcast_shapes(int rank_a, const int64_t *a, int rank_b, const int64_t *b, reel_shape *out)
{
    out->rank = rank_a > rank_b ? rank_a : rank_b;
    for (int i = 0; i < out->rank; i++) {
        int ia = i - (out->rank - rank_a), ib = i - (out->rank - rank_b);
        int64_t sa = ia < 0 ? 1 : a[ia], sb = ib < 0 ? 1 : b[ib];
        if (sa != sb && sa != 1 && sb != 1)
            return false;
        out->size[i] = sa == 1 ? sb : sa;
    }
    return true;
}

void reel_broadcast_strides(int rank, const int64_t *size, const int64_t *strides, const reel_shape *to,
                            int64_t *out)
{
    int missing = to->rank - rank;
    for (int i = 0; i < to->rank; i++)
        out[i] = i < missing || (size[i - missing] == 1 && to->size[i] != 1) ? 0 : strides[i - missing];
}

void reel_text_shape(reel_text *text, int rank, const int64_t *size)
{
    reel_text_char(text, '[');
    for (int i = 0; i < rank; i++)
        reel_text_add(text, i ? ",%lld" : "%lld", (long long)size[i]);
    reel_text_char(text, ']');
}

/* Whether dimension i can be joined with the one after it: each array steps over both evenly. */
static bool walk_joins(const reel_walk *walk, int i)
{
    for (int a = 0; a < walk->arrays; a++)
        if (walk->stride[a][i] != walk->stride[a][i + 1] * walk->size[i + 1])
            return false;
    return true;
}

static void walk_drop(reel_walk *walk, int i)
{
    walk->rank--;
    for (int j = i; j < walk->rank; j++) {
        walk->size[j] = walk->size[j + 1];
        for (int a = 0; a < walk->arrays; a++)
            walk->stride[a][j] = walk->stride[a][j + 1];
    }
}

static void walk_merge(reel_walk *walk)
{
    for (int i = walk->rank - 1; i >= 0; i--)
        if (walk->size[i] == 1)
            walk_drop(walk, i);
    for (int i = walk->rank - 2; i >= 0; i--)
        if (walk_joins(walk, i)) {
            walk->size[i + 1] *= walk->size[i];
            walk_drop(walk, i);
        }
}

void reel_walk_start(reel_walk *walk, int rank, const int64_t *size, int arrays, const int64_t *const strides[])
{
    walk->more = true;
    walk->rank = rank;
    walk->arrays = arrays;
    for (int i = 0; i < rank; i++) {
        walk->size[i] = size[i];
        walk->more &= size[i] > 0;
        for (int a = 0; a < arrays; a++)
            walk->stride[a][i] = strides[a][i];
    }
    walk_merge(walk);
    int last = walk->rank - 1;
    walk->length = last < 0 ? 1 : walk->size[last];
    for (int a = 0; a < arrays; a++) {
        walk->step[a] = last < 0 ? 0 : walk->stride[a][last];
        walk->offset[a] = 0;
    }
    memset(walk->position, 0, sizeof walk->position);
}

void reel_walk_next(reel_walk *walk)
{
    for (int i = walk->rank - 2; i >= 0; i--) {
        for (int a = 0; a < walk->arrays; a++)
            walk->offset[a] += walk->stride[a][i];
        if (++walk->position[i] < walk->size[i])
            return;
        for (int a = 0; a < walk->arrays; a++)
            walk->offset[a] -= walk->stride[a][i] * walk->size[i];
        walk->position[i] = 0;
    }
    walk->more = false;
}
