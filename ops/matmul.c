/* matmul: y = a b, [m, k] [k, n] -> [m, n].
 *
 *     da = dy b'     db = a' dy
 *
 * BLIS multiplies, reading transposed and strided operands where they lie. Rows of the result are divided among
 * the tape's threads, which changes no bit. The half types are widened to f32 in scratch memory, multiplied
 * there and rounded once. */
#include "ops/op.h"
#include "core/dtype.h"
#include "core/shape.h"
#include "ops/kernels/gemm.h"

enum { MATMUL_GRAIN_FLOPS = 1 << 20 };

/* An operand as the product reads it. */
struct matmul_operand {
    const char *data;
    int64_t     row, column;                        /* strides                                     */
};

struct matmul_run {
    int64_t               m, n, k;
    struct matmul_operand a, b;
    char                 *y;
    bool                  wide;                     /* f64, else f32                               */
    bool                  failed;
};

static reel_dtype matmul_works_in(reel_dtype dtype)
{
    return dtype == REEL_F64 ? REEL_F64 : REEL_F32;
}

static bool matmul_widens(reel_dtype dtype)
{
    return dtype != matmul_works_in(dtype);
}

/* Of the f32 copy of a half operand, in bytes. */
static size_t matmul_room(int64_t count)
{
    return ((size_t)count * sizeof(float) + 63) & ~(size_t)63;
}

static bool matmul_shape(reel_call *call, reel_output *out)
{
    const reel_array *a = &call->in[0], *b = &call->in[1];
    if (!reel_check_dtype(call, 0, REEL_FLOATS))
        return false;
    if (a->dtype != b->dtype)
        return reel_call_error(call, "dtypes differ: %s and %s", reel_describe(call->input[0]).text,
                               reel_describe(call->input[1]).text);
    if (a->rank != 2 || b->rank != 2 || a->shape[1] != b->shape[0])
        return reel_call_error(call, "%s and %s are not matrices [m,k] and [k,n]",
                               reel_describe(call->input[0]).text, reel_describe(call->input[1]).text);
    out->dtype = a->dtype;
    out->shape = (reel_shape){2, {a->shape[0], b->shape[1]}};
    if (matmul_widens(a->dtype))
        call->scratch_bytes =
            matmul_room(a->count) + matmul_room(b->count) + matmul_room(a->shape[0] * b->shape[1]);
    return true;
}

/* The operand, where it lies or widened row by row into scratch, which moves on. */
static struct matmul_operand matmul_operand(const reel_array *x, char **scratch)
{
    if (!matmul_widens(x->dtype))
        return (struct matmul_operand){x->data, x->strides[0], x->strides[1]};
    int64_t rows = x->shape[0], columns = x->shape[1], size = (int64_t)reel_dtype_size(x->dtype);
    float *wide = (float *)*scratch;
    for (int64_t i = 0; i < rows; i++)
        reel_convert_strided(REEL_F32, wide + i * columns, 1, x->dtype,
                             (const char *)x->data + i * x->strides[0] * size, x->strides[1], columns);
    *scratch += matmul_room(x->count);
    return (struct matmul_operand){(const char *)wide, columns, 1};
}

static void matmul_rows(void *context, int64_t first, int64_t last)
{
    struct matmul_run *r = context;
    bool done;
    if (r->wide)
        done = reel_gemm_f64(last - first, r->n, r->k, (const double *)r->a.data + first * r->a.row, r->a.row,
                             r->a.column, (const double *)r->b.data, r->b.row, r->b.column, 0,
                             (double *)r->y + first * r->n, r->n, 1);
    else
        done = reel_gemm_f32(last - first, r->n, r->k, (const float *)r->a.data + first * r->a.row, r->a.row,
                             r->a.column, (const float *)r->b.data, r->b.row, r->b.column, 0,
                             (float *)r->y + first * r->n, r->n, 1);
    if (!done)
        __atomic_store_n(&r->failed, true, __ATOMIC_RELAXED);
}

static bool matmul_forward(const reel_call *call)
{
    const reel_array *a = &call->in[0], *b = &call->in[1], *y = &call->out[0];
    char *scratch = call->scratch;
    struct matmul_run r = {
        .m = y->shape[0], .n = y->shape[1], .k = a->shape[1],
        .a = matmul_operand(a, &scratch), .b = matmul_operand(b, &scratch),
        .wide = y->dtype == REEL_F64,
    };
    r.y = matmul_widens(y->dtype) ? scratch : y->data;
    if (y->count == 0)
        return true;
    int64_t flops = 2 * r.n * (r.k > 0 ? r.k : 1);      /* of one row */
    reel_call_parallel(call, r.m, MATMUL_GRAIN_FLOPS / flops + 1, matmul_rows, &r);
    if (r.failed)
        return reel_call_error(call, "BLIS has no memory to start with");
    if (matmul_widens(y->dtype))
        reel_convert(y->dtype, y->data, REEL_F32, r.y, y->count);
    return true;
}

static void matmul_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    if (wanted[0])
        dx[0] = reel_matmul(dy[0], reel_transpose(call->input[1]));
    if (wanted[1])
        dx[1] = reel_matmul(reel_transpose(call->input[0]), dy[0]);
}

static void matmul_reference(const void *attributes, const reel_reference_array *in, int inputs,
                             reel_reference_array *out, int outputs)
{
    (void)attributes;
    (void)inputs;
    (void)outputs;
    int64_t m = in[0].shape[0], k = in[0].shape[1], n = in[1].shape[1];
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            long double sum = 0;
            for (int64_t l = 0; l < k; l++)
                sum += (long double)in[0].value[i * k + l] * in[1].value[l * n + j];
            out->value[i * n + j] = (double)sum;
        }
}

static const reel_sample matmul_samples[] = {
    {.note = "small", .in = {{.shape = REEL_SIZES(2, 3)}, {.shape = REEL_SIZES(3, 4)}}},
    {.note = "one by one", .in = {{.shape = REEL_SIZES(1, 1)}, {.shape = REEL_SIZES(1, 1)}}},
    {.note = "an odd size", .in = {{.shape = REEL_SIZES(7, 5)}, {.shape = REEL_SIZES(5, 9)}}},
    {.note = "transposed", .in = {{.shape = REEL_SIZES(4, 3), .layout = REEL_TRANSPOSED},
                                  {.shape = REEL_SIZES(3, 5), .layout = REEL_TRANSPOSED}}},
    {.note = "every other and reversed", .in = {{.shape = REEL_SIZES(3, 4), .layout = REEL_EVERY_OTHER},
                                                {.shape = REEL_SIZES(4, 2), .layout = REEL_REVERSED}}},
    {.note = "stretched", .in = {{.shape = REEL_SIZES(3, 4), .layout = REEL_STRETCHED}, {.shape = REEL_SIZES(4, 2)}}},
    {.note = "no rows", .in = {{.shape = REEL_SIZES(0, 3)}, {.shape = REEL_SIZES(3, 2)}}},
    {.note = "nothing to sum", .in = {{.shape = REEL_SIZES(2, 0)}, {.shape = REEL_SIZES(0, 3)}}},
    {.note = "inner sizes differ", .in = {{.shape = REEL_SIZES(2, 3)}, {.shape = REEL_SIZES(4, 2)}},
     .error = "[2,3] f32 and [4,2] f32 are not matrices"},
    {.note = "a vector", .in = {{.shape = REEL_SIZES(3)}, {.shape = REEL_SIZES(3, 2)}}, .error = "are not matrices"},
};

const reel_op reel_op_matmul = {
    .size = sizeof(reel_op), .name = "matmul", .inputs = 2, .outputs = 1, .flags = REEL_OUTPUT_UNREAD,
    .shape = matmul_shape, .forward = matmul_forward, .vjp = matmul_vjp,
    .formula = "y = a b; da = dy b', db = a' dy", .reference = matmul_reference, REEL_SAMPLES(matmul_samples),
};

reel_tensor reel_matmul_at(REEL_PLACE, reel_tensor a, reel_tensor b)
{
    return reel_apply_one(file, line, &reel_op_matmul, REEL_TENSORS(a, b), NULL);
}
