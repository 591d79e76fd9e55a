/* matmul: y = a b, [..., m, k] [..., k, n] -> [..., m, n], the leading dimensions broadcast.
 *
 *     da = dy b'     db = a' dy     each summed over the leading dimensions that it was stretched along
 *
 * Transposed and strided operands are read where they lie, by BLIS or kernels of our own
 * (ops/kernels/gemm.h), and where b has few columns by one made for that (ops/kernels/skinny.h). Rows or
 * columns of the results are divided among the tape's threads, which changes no bit. The half types are
 * widened to f32 in scratch memory, multiplied there and rounded once. So are bytes, save for the skinny
 * products, which read them as they are unless they are to be f64. */
#include "ops/op.h"
#include "autograd/tape.h"
#include "core/dtype.h"
#include "core/shape.h"
#include "ops/kernels/gemm.h"
#include "ops/kernels/skinny.h"

enum {
    MATMUL_GRAIN_FLOPS = 1 << 20,
    MATMUL_STRIPE = 32                              /* columns: whole tiles of a micro-kernel      */
};

/* An operand as the product reads it. */
struct matmul_operand {
    const char *data;
    int64_t     row, column;                        /* strides, in elements                        */
    int64_t     batch[REEL_MAX_RANK];               /* ... of the leading dimensions; 0: stretched */
};


struct matmul_run {
    reel_shape            leading;                  /* of y                                        */
    int64_t               m, n, k;
    struct matmul_operand a, b;
    char                 *y;
    bool                  wide;                     /* f64, else f32                               */
    bool                  bytes;                    /* a is read as u8                             */
    reel_skinny_kernel    skinny;                   /* NULL: gemm.h                                */
    reel_cpu_level        cpu;
    bool                  failed;
};

static reel_dtype matmul_works_in(reel_dtype dtype)
{
    return dtype == REEL_F64 ? REEL_F64 : REEL_F32;
}

/* Where there is but one level, it is the baseline's. */
static reel_skinny_kernel matmul_level(reel_cpu_level cpu)
{
#ifdef __x86_64__
    return cpu == REEL_CPU_AVX512 ? reel_skinny_product_avx512
           : cpu == REEL_CPU_AVX2 ? reel_skinny_product_avx2
                                  : reel_skinny_product_baseline;
#else
    (void)cpu;
    return reel_skinny_product_baseline;
#endif
}

/* Where a meets so few columns that it is best read where it lies, bytes or numbers; else NULL. */
static reel_skinny_kernel matmul_skinny(const reel_call *call)
{
    const reel_array *b = &call->in[1];
    bool few = b->shape[b->rank - 2] > 0 && b->shape[b->rank - 1] <= REEL_SKINNY_MOST;
    return few ? matmul_level(call->tape->cpu) : NULL;
}

static bool matmul_reads_bytes(const reel_call *call)
{
    return call->in[0].dtype == REEL_U8 && call->in[1].dtype != REEL_F64 && matmul_skinny(call);
}

/* Of an operand's or the result's copy in the dtype of the arithmetic, in bytes; 0 where it needs none. */
static size_t matmul_room(reel_dtype dtype, reel_dtype works_in, int64_t count)
{
    return dtype == works_in ? 0 : ((size_t)count * reel_dtype_size(works_in) + 63) & ~(size_t)63;
}

static bool matmul_shape(reel_call *call, reel_output *out)
{
    const reel_array *a = &call->in[0], *b = &call->in[1];
    if (!reel_check_dtype(call, 0, REEL_FLOATS | 1 << REEL_U8) || !reel_check_dtype(call, 1, REEL_FLOATS))
        return false;
    if (a->dtype != b->dtype && a->dtype != REEL_U8)
        return reel_call_error(call, "dtypes differ: %s and %s", reel_describe(call->input[0]).text,
                               reel_describe(call->input[1]).text);
    if (a->rank < 2 || b->rank < 2 || a->shape[a->rank - 1] != b->shape[b->rank - 2])
        return reel_call_error(call, "%s and %s are not matrices [m,k] and [k,n]",
                               reel_describe(call->input[0]).text, reel_describe(call->input[1]).text);
    if (!reel_broadcast_shapes(a->rank - 2, a->shape, b->rank - 2, b->shape, &out->shape))
        return reel_call_error(call, "the leading dimensions of %s and %s do not broadcast",
                               reel_describe(call->input[0]).text, reel_describe(call->input[1]).text);
    out->dtype = b->dtype;
    out->shape.size[out->shape.rank++] = a->shape[a->rank - 2];
    out->shape.size[out->shape.rank++] = b->shape[b->rank - 1];
    int64_t count = reel_shape_count(out->shape.rank, out->shape.size);
    if (count < 0 || count > INT64_MAX / 16)
        return reel_call_error(call, "the result has too many elements");
    reel_dtype works_in = matmul_works_in(b->dtype);
    call->scratch_bytes = matmul_room(b->dtype, works_in, b->count) + matmul_room(b->dtype, works_in, count);
    if (!matmul_reads_bytes(call))
        call->scratch_bytes += matmul_room(a->dtype, works_in, a->count);
    return true;
}

/* The operand where it lies, or widened into scratch, which moves on. */
static struct matmul_operand matmul_operand(const reel_array *x, reel_dtype works_in, const reel_shape *leading,
                                            char **scratch)
{
    int64_t plain[REEL_MAX_RANK];
    const int64_t *strides = x->strides;
    struct matmul_operand operand = {.data = x->data};
    if (x->dtype != works_in) {
        const int64_t *from[] = {x->strides};
        int64_t size = (int64_t)reel_dtype_size(x->dtype);
        char *wide = *scratch;
        reel_walk walk;
        for (reel_walk_start(&walk, x->rank, x->shape, 1, from); walk.more; reel_walk_next(&walk)) {
            reel_convert_strided(works_in, wide, 1, x->dtype, (const char *)x->data + walk.offset[0] * size,
                                 walk.step[0], walk.length);
            wide += (size_t)walk.length * reel_dtype_size(works_in);
        }
        operand.data = *scratch;
        *scratch += matmul_room(x->dtype, works_in, x->count);
        reel_contiguous_strides(x->rank, x->shape, plain);
        strides = plain;
    }
    operand.row = strides[x->rank - 2];
    operand.column = strides[x->rank - 1];
    reel_broadcast_strides(x->rank - 2, x->shape, strides, leading, operand.batch);
    return operand;
}

/* Where an operand's matrix number `batch` begins, in elements. */
static int64_t matmul_start(const reel_shape *leading, const int64_t *strides, int64_t batch)
{
    int64_t start = 0;
    for (int i = leading->rank - 1; i >= 0; i--) {
        start += batch % leading->size[i] * strides[i];
        batch /= leading->size[i];
    }
    return start;
}

/* A block of a matrix of the result: rows and columns. */
struct matmul_block {
    int64_t row, rows, column, columns;
};

static void matmul_multiply(struct matmul_run *r, int64_t batch, struct matmul_block c)
{
    int64_t a = matmul_start(&r->leading, r->a.batch, batch) + c.row * r->a.row;
    int64_t b = matmul_start(&r->leading, r->b.batch, batch) + c.column * r->b.column;
    int64_t y = (batch * r->m + c.row) * r->n + c.column;
    if (r->skinny) {
        int64_t size = r->wide ? sizeof(double) : sizeof(float);
        r->skinny(&(reel_skinny){.m = c.rows, .n = c.columns, .k = r->k, .bytes = r->bytes, .wide = r->wide,
                                 .a = r->a.data + a * (r->bytes ? 1 : size), .b = r->b.data + b * size,
                                 .a_row = r->a.row, .a_col = r->a.column, .b_row = r->b.row,
                                 .b_col = r->b.column, .c = r->y + y * size, .c_row = r->n, .c_col = 1});
        return;
    }
    bool done = r->wide ? reel_gemm_f64(r->cpu, c.rows, c.columns, r->k, (const double *)r->a.data + a, r->a.row,
                                        r->a.column, (const double *)r->b.data + b, r->b.row, r->b.column, 0,
                                        (double *)r->y + y, r->n, 1)
                        : reel_gemm_f32(r->cpu, c.rows, c.columns, r->k, (const float *)r->a.data + a, r->a.row,
                                        r->a.column, (const float *)r->b.data + b, r->b.row, r->b.column, 0,
                                        (float *)r->y + y, r->n, 1);
    if (!done)
        __atomic_store_n(&r->failed, true, __ATOMIC_RELAXED);
}

/* Rows [begin, end) of all matrices, one below the other. */
static void matmul_rows(void *context, int64_t begin, int64_t end)
{
    struct matmul_run *r = context;
    while (begin < end) {
        int64_t batch = begin / r->m, first = begin % r->m, rows = r->m - first;
        if (rows > end - begin)
            rows = end - begin;
        matmul_multiply(r, batch, (struct matmul_block){first, rows, 0, r->n});
        begin += rows;
    }
}

/* Columns of the only matrix, from stripe to stripe. */
static void matmul_stripes(void *context, int64_t begin, int64_t end)
{
    struct matmul_run *r = context;
    int64_t first = begin * MATMUL_STRIPE, last = end * MATMUL_STRIPE;
    matmul_multiply(r, 0, (struct matmul_block){0, r->m, first, (last < r->n ? last : r->n) - first});
}

/* The threads divide rows or, if there are stripes enough, columns. Each of them copies all of b, or else all of a
 * (gemm.c): the smaller one it shall be. */
static void matmul_divide(const reel_call *call, struct matmul_run *r, int64_t rows)
{
    int64_t grain = MATMUL_GRAIN_FLOPS / 2 / (r->k > 0 ? r->k : 1);     /* columns of a row        */
    int64_t stripes = (r->n + MATMUL_STRIPE - 1) / MATMUL_STRIPE;
    if (r->leading.rank == 0 && !r->skinny && r->n > r->m && stripes >= call->tape->threads)
        reel_call_parallel(call, stripes, grain / MATMUL_STRIPE / r->m + 1, matmul_stripes, r);
    else
        reel_call_parallel(call, rows, grain / r->n + 1, matmul_rows, r);
}

/* Where b is one matrix and a's matrices lie one below the other, they are one tall matrix. */
static void matmul_join(struct matmul_run *r)
{
    int64_t rows = r->m;
    for (int i = r->leading.rank - 1; i >= 0; i--) {
        if (r->leading.size[i] != 1 && (r->b.batch[i] != 0 || r->a.batch[i] != rows * r->a.row))
            return;
        rows *= r->leading.size[i];
    }
    r->m = rows;
    r->leading.rank = 0;
}

static bool matmul_forward(const reel_call *call)
{
    const reel_array *a = &call->in[0], *b = &call->in[1], *y = &call->out[0];
    reel_dtype works_in = matmul_works_in(y->dtype);
    reel_shape leading = reel_make_shape(y->rank - 2, y->shape);
    char *scratch = call->scratch;
    if (y->count == 0)
        return true;
    struct matmul_run r = {
        .leading = leading, .wide = y->dtype == REEL_F64, .cpu = call->tape->cpu,
        .m = y->shape[y->rank - 2], .n = y->shape[y->rank - 1], .k = a->shape[a->rank - 1],
    };
    r.bytes = matmul_reads_bytes(call);
    r.a = matmul_operand(a, r.bytes ? REEL_U8 : works_in, &leading, &scratch);
    r.b = matmul_operand(b, works_in, &leading, &scratch);
    r.y = y->dtype == works_in ? y->data : scratch;
    r.skinny = matmul_skinny(call);
    matmul_join(&r);
    matmul_divide(call, &r, y->count / r.n);
    if (r.failed)
        return reel_call_error(call, "BLIS has no memory to start with");
    if (y->dtype != works_in)
        reel_convert(y->dtype, y->data, works_in, r.y, y->count);
    return true;
}

/* All matrices one below the other, as one. */
static reel_tensor matmul_flat(reel_tensor x)
{
    reel_shape shape = reel_shape_of(x);
    int64_t rows = 1;
    for (int i = 0; i < shape.rank - 1; i++)
        rows *= shape.size[i];
    return shape.rank == 2 ? x : reel_reshape(x, REEL_SHAPE(rows, shape.size[shape.rank - 1]));
}

static void matmul_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    reel_tensor a = call->input[0], b = call->input[1];
    if (wanted[0])
        dx[0] = reel_sum_like(reel_matmul(dy[0], reel_transpose(b)), a);
    if (!wanted[1])
        return;
    if (reel_shape_of(b).rank == 2)                 /* the product sums over the leading dimensions */
        dx[1] = reel_matmul(reel_transpose(matmul_flat(a)), matmul_flat(dy[0]));
    else
        dx[1] = reel_sum_like(reel_matmul(reel_transpose(a), dy[0]), b);
}

/* Where matrix number `batch` of the result finds its operand. */
static const double *matmul_reference_matrix(const reel_reference_array *x, const reel_reference_array *y,
                                             int64_t batch)
{
    int64_t at = 0, stride = x->shape[x->rank - 2] * x->shape[x->rank - 1];
    for (int i = 3; i <= y->rank; i++) {
        int64_t position = batch % y->shape[y->rank - i];
        batch /= y->shape[y->rank - i];
        if (i > x->rank)
            continue;
        at += x->shape[x->rank - i] == 1 ? 0 : position * stride;
        stride *= x->shape[x->rank - i];
    }
    return x->value + at;
}

static void matmul_reference(const void *attributes, const reel_reference_array *in, int inputs,
                             reel_reference_array *out, int outputs)
{
    (void)attributes;
    (void)inputs;
    (void)outputs;
    int64_t m = out->shape[out->rank - 2], k = in[0].shape[in[0].rank - 1], n = out->shape[out->rank - 1];
    for (int64_t i = 0; i < out->count; i++) {
        const double *a = matmul_reference_matrix(&in[0], out, i / (m * n)) + i / n % m * k;
        const double *b = matmul_reference_matrix(&in[1], out, i / (m * n)) + i % n;
        long double sum = 0;
        for (int64_t l = 0; l < k; l++)
            sum += (long double)a[l] * b[l * n];
        out->value[i] = (double)sum;
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
    {.note = "stretched", .in = {{.shape = REEL_SIZES(3, 4), .layout = REEL_STRETCHED},
     {.shape = REEL_SIZES(4, 2)}}},
    {.note = "no rows", .in = {{.shape = REEL_SIZES(0, 3)}, {.shape = REEL_SIZES(3, 2)}}},
    {.note = "nothing to sum", .in = {{.shape = REEL_SIZES(2, 0)}, {.shape = REEL_SIZES(0, 3)}}},
    {.note = "batches", .in = {{.shape = REEL_SIZES(3, 2, 4)}, {.shape = REEL_SIZES(3, 4, 2)}}},
    {.note = "one matrix for all", .in = {{.shape = REEL_SIZES(2, 3, 4)}, {.shape = REEL_SIZES(4, 2)}}},
    {.note = "one matrix for all, transposed", .in = {{.shape = REEL_SIZES(2, 2, 3),
     .layout = REEL_TRANSPOSED},
                                                      {.shape = REEL_SIZES(3, 2),
                                                      .layout = REEL_TRANSPOSED}}},
    {.note = "batches of wide results", .in = {{.shape = REEL_SIZES(3, 2, 4)}, {.shape = REEL_SIZES(3, 4, 20)}}},
    {.note = "both stretch", .in = {{.shape = REEL_SIZES(2, 1, 2, 3)}, {.shape = REEL_SIZES(3, 3, 2)}}},
    {.note = "no batches", .in = {{.shape = REEL_SIZES(0, 2, 3)}, {.shape = REEL_SIZES(1, 3, 2)}}},
    {.note = "batches stretched and reversed", .in = {{.shape = REEL_SIZES(2, 2, 3),
     .layout = REEL_STRETCHED},
                                                      {.shape = REEL_SIZES(2, 3, 2),
                                                      .layout = REEL_REVERSED}}},
    {.note = "ten columns", .in = {{.shape = REEL_SIZES(5, 37)}, {.shape = REEL_SIZES(37, 10)}}},
    {.note = "seventeen columns", .in = {{.shape = REEL_SIZES(5, 7)}, {.shape = REEL_SIZES(7, 17)}}},
    {.note = "bytes", .in = {{.shape = REEL_SIZES(3, 35), .dtype = REEL_U8}, {.shape = REEL_SIZES(35, 4)}}},
    {.note = "bytes, transposed", .in = {{.shape = REEL_SIZES(3, 4), .dtype = REEL_U8,
     .layout = REEL_TRANSPOSED}, {.shape = REEL_SIZES(4, 2)}}},
    {.note = "bytes, every other", .in = {{.shape = REEL_SIZES(3, 4), .dtype = REEL_U8,
     .layout = REEL_EVERY_OTHER}, {.shape = REEL_SIZES(4, 2)}}},
    {.note = "bytes and many columns", .in = {{.shape = REEL_SIZES(2, 3, 4), .dtype = REEL_U8},
     {.shape = REEL_SIZES(4, 18)}}},
    {.note = "bytes on the right", .in = {{.shape = REEL_SIZES(2, 3)}, {.shape = REEL_SIZES(3, 2),
     .dtype = REEL_U8}}, .error = "does not take"},
    {.note = "batches differ", .in = {{.shape = REEL_SIZES(2, 2, 3)}, {.shape = REEL_SIZES(3, 3, 2)}},
     .error = "the leading dimensions of [2,2,3] f32 and [3,3,2] f32 do not broadcast"},
    {.note = "inner sizes differ", .in = {{.shape = REEL_SIZES(2, 3)}, {.shape = REEL_SIZES(4, 2)}},
     .error = "[2,3] f32 and [4,2] f32 are not matrices"},
    {.note = "a vector", .in = {{.shape = REEL_SIZES(3)}, {.shape = REEL_SIZES(3, 2)}},
     .error = "are not matrices"},
};

const reel_op reel_op_matmul = {
    .size = sizeof(reel_op), .name = "matmul", .inputs = 2, .outputs = 1, .flags = REEL_OUTPUT_UNREAD,
    .shape = matmul_shape, .forward = matmul_forward, .vjp = matmul_vjp,
    .formula = "y = a b; da = dy b', db = a' dy", REEL_TRUTH(matmul_reference), REEL_SAMPLES(matmul_samples),
};

reel_tensor reel_matmul_at(REEL_PLACE, reel_tensor a, reel_tensor b)
{
    return reel_apply_one(file, line, &reel_op_matmul, REEL_TENSORS(a, b), NULL);
}
