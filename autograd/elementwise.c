/* Elementwise ops. Kernels know contiguous runs of one dtype; everything else is brought to that form in blocks
 * that stay in the first-level cache: broadcasting, odd strides, half types. */
#include "autograd/elementwise.h"
#include "core/dtype.h"
#include "core/shape.h"

#include <string.h>

enum { ELEMENTWISE_BLOCK = 256 };

struct elementwise {
    const reel_call *call;
    reel_kernel      kernel;
    reel_dtype       works_in;                      /* the kernel's dtype                          */
    int              split;                         /* the dimension divided among threads         */
    int64_t          stride[REEL_KERNEL_INPUTS + 1][REEL_MAX_RANK];     /* the output's last        */
    int64_t          size[REEL_KERNEL_INPUTS + 1];  /* of an element, in bytes                     */
};

/* The half types are computed in f32. */
static reel_dtype dtype_of_work(reel_dtype dtype)
{
    return dtype == REEL_F16 || dtype == REEL_BF16 ? REEL_F32 : dtype;
}

bool reel_elementwise_shape(reel_call *call, reel_output *out)
{
    const reel_array *a = &call->in[0];
    if (call->inputs > REEL_KERNEL_INPUTS)
        return reel_call_error(call, "an elementwise op has at most %d inputs", REEL_KERNEL_INPUTS);
    if (!call->op->kernels->of[dtype_of_work(a->dtype)])
        return reel_call_error(call, "%s is of a dtype that this op does not take",
                               reel_describe(call->input[0]).text);
    out->dtype = a->dtype;
    out->shape = reel_make_shape(a->rank, a->shape);
    for (int i = 1; i < call->inputs; i++) {
        const reel_array *b = &call->in[i];
        reel_shape wider;
        if (b->dtype != a->dtype)
            return reel_call_error(call, "dtypes differ: %s and %s", reel_describe(call->input[0]).text,
                                   reel_describe(call->input[i]).text);
        if (!reel_broadcast_shapes(out->shape.rank, out->shape.size, b->rank, b->shape, &wider))
            return reel_call_error(call, "%s and %s do not broadcast", reel_describe(call->input[0]).text,
                                   reel_describe(call->input[i]).text);
        out->shape = wider;
    }
    if (!(call->op->flags & REEL_OP_IN_SWEEP))
        return true;
    out->view_of = 0;                               /* the sum takes the first operand's place     */
    for (int i = 0; i < a->rank; i++)
        out->strides[i] = a->strides[i];
    return true;
}

/* One block of a run: operands that are not contiguous, or of a half type, are gathered first. */
static void run_block(const struct elementwise *e, const reel_walk *walk, char *const start[], int64_t at, int64_t n)
{
    const reel_call *call = e->call;
    double room[REEL_KERNEL_INPUTS + 1][ELEMENTWISE_BLOCK];
    const void *in[REEL_KERNEL_INPUTS];
    for (int i = 0; i < call->inputs; i++) {
        const char *from = start[i] + (walk->offset[i] + at * walk->step[i]) * e->size[i];
        in[i] = from;
        if (walk->step[i] != 1 || e->works_in != call->in[i].dtype) {
            reel_convert_strided(e->works_in, room[i], 1, call->in[i].dtype, from, walk->step[i], n);
            in[i] = room[i];
        }
    }
    int out = call->inputs;
    char *to = start[out] + (walk->offset[out] + at * walk->step[out]) * e->size[out];
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
    const int64_t *strides[REEL_KERNEL_INPUTS + 1];
    char *start[REEL_KERNEL_INPUTS + 1];
    for (int i = 0; i < out->rank; i++)
        size[i] = i == e->split ? end - begin : out->shape[i];
    for (int i = 0; i < operands; i++) {
        strides[i] = e->stride[i];
        start[i] = i < call->inputs ? call->in[i].data : out->data;
        if (out->rank)
            start[i] += begin * e->stride[i][e->split] * e->size[i];
    }
    reel_walk walk;
    for (reel_walk_start(&walk, out->rank, size, operands, strides); walk.more; reel_walk_next(&walk)) {
        bool plain = true;
        for (int i = 0; i < operands; i++)
            plain &= walk.step[i] == 1 && (i < call->inputs ? call->in[i].dtype : out->dtype) == e->works_in;
        int64_t block = plain ? walk.length : ELEMENTWISE_BLOCK;
        for (int64_t at = 0; at < walk.length; at += block)
            run_block(e, &walk, start, at, walk.length - at < block ? walk.length - at : block);
    }
}

static int first_wide_dimension(const reel_array *out)
{
    for (int i = 0; i < out->rank; i++)
        if (out->shape[i] > 1)
            return i;
    return 0;
}

bool reel_elementwise_run(const reel_call *call)
{
    const reel_array *out = &call->out[0];
    reel_dtype works_in = dtype_of_work(call->in[call->inputs - 1].dtype);
    struct elementwise e = {.call = call, .kernel = call->op->kernels->of[works_in], .works_in = works_in,
                            .split = first_wide_dimension(out)};
    if (out->count == 0)
        return true;
    reel_shape shape = reel_make_shape(out->rank, out->shape);
    for (int i = 0; i < call->inputs; i++) {
        reel_broadcast_strides(call->in[i].rank, call->in[i].shape, call->in[i].strides, &shape, e.stride[i]);
        e.size[i] = (int64_t)reel_dtype_size(call->in[i].dtype);
    }
    for (int i = 0; i < out->rank; i++)
        e.stride[call->inputs][i] = out->strides[i];
    e.size[call->inputs] = (int64_t)reel_dtype_size(out->dtype);
    int64_t wide = out->rank ? out->shape[e.split] : 1;
    reel_call_parallel(call, wide, REEL_ELEMENTWISE_GRAIN * wide / out->count + 1, run_part, &e);
    return true;
}
