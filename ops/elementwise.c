/* The elementwise driver. Kernels know contiguous runs of one dtype; the driver brings everything else to
 * that form in blocks that stay in the first-level cache: broadcasting, odd strides, half types. */
#include "ops/op.h"
#include "core/dtype.h"
#include "core/shape.h"

enum { ELEMENTWISE_INPUTS = 3, ELEMENTWISE_BLOCK = 256, ELEMENTWISE_GRAIN = 32768 };

struct elementwise {
    const reel_call *call;
    reel_kernel      kernel;
    reel_dtype       works_in;                      /* the kernel's dtype                          */
    int              split;                         /* the dimension divided among threads         */
    int64_t          stride[ELEMENTWISE_INPUTS + 1][REEL_MAX_RANK];     /* the output's last        */
};

static reel_kernel kernel_for(const reel_kernels *kernels, reel_dtype dtype)
{
    switch (dtype) {
    case REEL_F16:
    case REEL_BF16:
    case REEL_F32:
        return kernels->f32;
    case REEL_F64:
        return kernels->f64;
    case REEL_I32:
        return kernels->i32;
    case REEL_I64:
        return kernels->i64;
    case REEL_U8:
        return kernels->u8;
    default:
        return NULL;
    }
}

/* One block of a run: operands that are not contiguous, or of a half type, are gathered first. */
static void run_block(const struct elementwise *e, const reel_walk *walk, char *const start[], int64_t at, int64_t n)
{
    const reel_call *call = e->call;
    double room[ELEMENTWISE_INPUTS + 1][ELEMENTWISE_BLOCK];
    const void *in[ELEMENTWISE_INPUTS];
    size_t size = reel_dtype_size(call->out[0].dtype);
    for (int i = 0; i < call->inputs; i++) {
        const char *from = start[i] + (walk->offset[i] + at * walk->step[i]) * (int64_t)size;
        in[i] = from;
        if (walk->step[i] != 1 || e->works_in != call->in[i].dtype) {
            reel_convert_strided(e->works_in, room[i], 1, call->in[i].dtype, from, walk->step[i], n);
            in[i] = room[i];
        }
    }
    int out = call->inputs;
    char *to = start[out] + (walk->offset[out] + at * walk->step[out]) * (int64_t)size;
    bool direct = (walk->step[out] == 1 || n == 1) && e->works_in == call->out[0].dtype;
    e->kernel(n, in, direct ? to : (char *)room[out], call->attributes);
    if (!direct)
        reel_convert_strided(call->out[0].dtype, to, walk->step[out], e->works_in, room[out], 1, n);
}

/* Positions [begin, end) of the dimension that is split. A run whose operands need no gathering is one block. */
static void run_part(void *context, int64_t begin, int64_t end)
{
    const struct elementwise *e = context;
    const reel_call *call = e->call;
    const reel_array *out = &call->out[0];
    int operands = call->inputs + 1;
    int64_t size[REEL_MAX_RANK];
    const int64_t *strides[ELEMENTWISE_INPUTS + 1];
    char *start[ELEMENTWISE_INPUTS + 1];
    for (int i = 0; i < out->rank; i++)
        size[i] = i == e->split ? end - begin : out->shape[i];
    for (int i = 0; i < operands; i++) {
        strides[i] = e->stride[i];
        start[i] = i < call->inputs ? call->in[i].data : out->data;
        if (out->rank)
            start[i] += begin * e->stride[i][e->split] * (int64_t)reel_dtype_size(out->dtype);
    }
    reel_walk walk;
    for (reel_walk_start(&walk, out->rank, size, operands, strides); walk.more; reel_walk_next(&walk)) {
        bool plain = e->works_in == out->dtype;
        for (int i = 0; i < operands; i++)
            plain &= walk.step[i] == 1;
        int64_t block = plain ? walk.length : ELEMENTWISE_BLOCK;
        for (int64_t at = 0; at < walk.length; at += block)
            run_block(e, &walk, start, at, walk.length - at < block ? walk.length - at : block);
    }
}

/* Operands that all have the output's shape, contiguous and in the kernel's dtype: most calls, and all scalars. */
static bool all_plain(const reel_call *call)
{
    const reel_array *out = &call->out[0];
    if (out->dtype == REEL_F16 || out->dtype == REEL_BF16)
        return false;
    for (int i = 0; i < call->inputs; i++)
        if (call->in[i].count != out->count ||
            (out->count != 1 && !(call->in[i].shape == out->shape && call->in[i].strides == out->strides)))
            return false;
    return out->count == 1 || reel_is_contiguous(out->rank, out->shape, out->strides);
}

static int first_wide_dimension(const reel_array *out)
{
    for (int i = 0; i < out->rank; i++)
        if (out->shape[i] > 1)
            return i;
    return 0;
}

bool reel_elementwise(const reel_call *call, const reel_kernels *kernels)
{
    const reel_array *out = &call->out[0];
    struct elementwise e = {.call = call, .kernel = kernel_for(kernels, out->dtype)};
    if (!e.kernel)
        return reel_call_error(call, "there is no kernel for %s", reel_dtype_name(out->dtype));
    if (out->count <= ELEMENTWISE_GRAIN && all_plain(call)) {
        const void *in[ELEMENTWISE_INPUTS];
        for (int i = 0; i < call->inputs; i++)
            in[i] = call->in[i].data;
        e.kernel(out->count, in, out->data, call->attributes);
        return true;
    }
    bool half = out->dtype == REEL_F16 || out->dtype == REEL_BF16;
    e.works_in = half ? REEL_F32 : out->dtype;
    e.split = first_wide_dimension(out);
    reel_shape shape = reel_make_shape(out->rank, out->shape);
    for (int i = 0; i < call->inputs; i++)
        reel_broadcast_strides(call->in[i].rank, call->in[i].shape, call->in[i].strides, &shape, e.stride[i]);
    for (int i = 0; i < out->rank; i++)
        e.stride[call->inputs][i] = out->strides[i];
    int64_t wide = out->rank ? out->shape[e.split] : 1;
    int64_t grain = out->count ? ELEMENTWISE_GRAIN * wide / out->count + 1 : 1;
    if (out->count)
        reel_call_parallel(call, wide, grain, run_part, &e);
    return true;
}
