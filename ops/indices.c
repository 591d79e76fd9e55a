/* Integer indices: checked each time an op runs, since a replay may find others. */
#include "ops/indices.h"
#include "core/dtype.h"
#include "core/shape.h"

enum { INDICES_BLOCK = 256 };

bool reel_check_index_dtype(reel_call *call, int input)
{
    return REEL_INTEGERS >> call->in[input].dtype & 1 ||
           reel_call_error(call, "the indices %s are not integers", reel_describe(call->input[input]).text);
}

/* The first of n indices that is out of range, or n. */
static int64_t indices_bad(const int64_t *index, int64_t n, int64_t size)
{
    bool good = true;
    for (int64_t i = 0; i < n; i++)
        good &= (uint64_t)index[i] < (uint64_t)size;
    int64_t at = 0;
    while (!good && (uint64_t)index[at] < (uint64_t)size)
        at++;
    return good ? n : at;
}

bool reel_check_indices(const reel_call *call, int input, int64_t size)
{
    const reel_array *x = &call->in[input];
    const int64_t *strides[] = {x->strides};
    int64_t block[INDICES_BLOCK], bytes = (int64_t)reel_dtype_size(x->dtype), before = 0;
    reel_walk walk;
    for (reel_walk_start(&walk, x->rank, x->shape, 1, strides); walk.more; reel_walk_next(&walk))
        for (int64_t at = 0; at < walk.length; at += INDICES_BLOCK) {
            int64_t n = walk.length - at < INDICES_BLOCK ? walk.length - at : INDICES_BLOCK;
            int64_t start = walk.offset[0] + at * walk.step[0];
            reel_convert_strided(REEL_I64, block, 1, x->dtype, (const char *)x->data + start * bytes,
                                 walk.step[0], n);
            int64_t bad = indices_bad(block, n, size);
            if (bad < n)
                return reel_call_error(call, "element %lld of the indices is %lld, which is not in [0, %lld)",
                                       (long long)(before + bad), (long long)block[bad], (long long)size);
            before += n;
        }
    return true;
}

bool reel_check_picks(reel_call *call, int axis, bool same)
{
    const reel_array *x = &call->in[0], *picks = &call->in[1];
    bool fits = x->rank == picks->rank;
    for (int i = 0; fits && i < x->rank; i++)
        fits = i == axis ? !same || picks->shape[i] == x->shape[i]
                         : picks->shape[i] == x->shape[i] || picks->shape[i] == 1;
    return fits ||
           reel_call_error(call, "the indices %s do not fit %s along axis %d",
                           reel_describe(call->input[1]).text, reel_describe(call->input[0]).text, axis);
}
