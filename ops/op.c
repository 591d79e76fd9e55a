/* What the ops share: shape rules, references, and applying an op of one output. */
#include "ops/op.h"
#include "core/shape.h"

bool reel_check_dtype(reel_call *call, int input, unsigned allowed)
{
    reel_dtype dtype = call->in[input].dtype;
    if (allowed >> dtype & 1)
        return true;
    return reel_call_error(call, "%s is of a dtype that this op does not take%s",
                           reel_describe(call->input[input]).text,
                           allowed == REEL_FLOATS ? " (f16, bf16, f32, f64)" : "");
}

bool reel_check_axis(reel_call *call, int input, int axis, int *normal)
{
    int rank = call->in[input].rank;
    if (reel_normal_axis(axis, rank, normal))
        return true;
    if (rank == 0)
        return reel_call_error(call, "axis %d of a scalar, %s", axis, reel_describe(call->input[input]).text);
    return reel_call_error(call, "axis %d is not in [%d, %d) for %s", axis, -rank, rank,
                           reel_describe(call->input[input]).text);
}

void reel_view_output(const reel_call *call, reel_output *out)
{
    const reel_array *in = &call->in[0];
    out->dtype = in->dtype;
    out->view_of = 0;
    out->shape.rank = in->rank;
    for (int i = 0; i < in->rank; i++) {
        out->shape.size[i] = in->shape[i];
        out->strides[i] = in->strides[i];
    }
}

/* The element of a broadcast input that belongs to element `index` of the output. */
static int64_t reference_index(const reel_reference_array *in, const reel_reference_array *out, int64_t index)
{
    int64_t at = 0, stride = 1;
    for (int i = 1; i <= out->rank; i++) {
        int64_t size = out->shape[out->rank - i], position = index % size;
        index /= size;
        if (i > in->rank)
            continue;
        int64_t own = in->shape[in->rank - i];
        at += own == 1 ? 0 : position * stride;
        stride *= own;
    }
    return at;
}

void reel_reference_map(double (*f)(const double *x, const void *attributes), const void *attributes,
                        const reel_reference_array *in, int inputs, reel_reference_array *out)
{
    double x[REEL_SAMPLE_INPUTS];
    for (int64_t i = 0; i < out->count; i++) {
        for (int j = 0; j < inputs && j < REEL_SAMPLE_INPUTS; j++)
            x[j] = in[j].value[reference_index(&in[j], out, i)];
        out->value[i] = f(x, attributes);
    }
}
