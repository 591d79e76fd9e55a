/* dropout, and the draws that decide what is dropped.
 *
 *     random_draw    a key [seed, n] gives itself and becomes [seed, n + 1]
 *     dropout        y_i = x_i / (1 - rate) where word i of the draw is at least rate 2^32, else 0;
 *                    dx = dy dropped by the same draw
 *
 * Word i of draw [seed, n] is word i mod 4 of philox(seed; i / 4, n + 1), the elements counted with the
 * last dimension fastest. So a mask is a function of two integers alone: a replay moves the key on and
 * draws a fresh one, and whoever holds on to a draw, or sets a key back, gets the same mask again, in
 * whatever dtype. What is dropped is 0 even where x is NaN or infinite. */
#include "core/dtype.h"
#include "core/random.h"
#include "core/shape.h"
#include "ops/op.h"

enum { DROPOUT_BLOCK = 256, DROPOUT_GRAIN = 4096 };

/* ---- random_draw ----------------------------------------------------------------------------------- */

static bool draw_is_pair(reel_call *call, int input, const char *what)
{
    const reel_array *x = &call->in[input];
    return (x->dtype == REEL_I64 && x->rank == 1 && x->shape[0] == 2) ||
           reel_call_error(call, "%s is no %s, [2] i64", reel_describe(call->input[input]).text, what);
}

static bool draw_shape(reel_call *call, reel_output *out)
{
    out->dtype = REEL_I64;
    out->shape = (reel_shape){1, {2}};
    return draw_is_pair(call, 0, "random key");
}

static bool draw_writes(const void *attributes, int input)
{
    (void)attributes;
    return input == 0;
}

/* The two integers of a key or a draw. */
static int64_t *draw_number(const reel_array *x, int which)
{
    return (int64_t *)x->data + which * x->strides[0];
}

static bool draw_forward(const reel_call *call)
{
    for (int i = 0; i < 2; i++)
        *draw_number(&call->out[0], i) = *draw_number(&call->in[0], i);
    int64_t *n = draw_number(&call->in[0], 1);
    *n = (int64_t)((uint64_t)*n + 1);
    return true;
}

static void draw_reference(const void *attributes, const reel_reference_array *in, int inputs,
                           reel_reference_array *out, int outputs)
{
    (void)attributes;
    (void)inputs;
    for (int i = 0; i < outputs; i++) {
        out[i].value[0] = in->value[0];
        out[i].value[1] = in->value[1] + i;         /* output 1 is the key afterwards              */
    }
}

#define DRAW_PAIR(seed, n) {.shape = REEL_SIZES(2), .values = (const double[]){seed, n}, .dtype = REEL_I64}
static const reel_sample draw_samples[] = {
    {.note = "the first", .in = {DRAW_PAIR(42, 0)}},
    {.note = "a later one", .in = {DRAW_PAIR(-3, 1000)}},
    {.note = "strided", .in = {{.shape = REEL_SIZES(2), .dtype = REEL_I64, .layout = REEL_EVERY_OTHER}}},
    {.note = "no key", .in = {{.shape = REEL_SIZES(3), .dtype = REEL_I64}},
     .error = "[3] i64 is no random key"},
    {.note = "empty", .in = {{.shape = REEL_SIZES(0), .dtype = REEL_I64}}, .error = "is no random key"},
};

const reel_op reel_op_random_draw = {
    .size = sizeof(reel_op), .name = "random_draw", .inputs = 1, .outputs = 1, .flags = REEL_NO_GRADIENT,
    .writes = draw_writes, .shape = draw_shape, .forward = draw_forward,
    .formula = "y = key; key = [seed, n + 1]", REEL_TRUTH(draw_reference), REEL_SAMPLES(draw_samples),
};

reel_tensor reel_random_key_at(REEL_PLACE, reel_tape *tape, uint64_t seed)
{
    return reel_constant_at(file, line, tape, REEL_SHAPE(2), REEL_I64_VALUES((int64_t)seed, 0));
}

reel_tensor reel_random_draw_at(REEL_PLACE, reel_tensor key)
{
    return reel_apply_one(file, line, &reel_op_random_draw, REEL_TENSORS(key), NULL);
}

/* ---- dropout --------------------------------------------------------------------------------------- */

struct dropout {
    double rate;
};

struct dropout_run {
    const reel_array *y;
    reel_array        x;                            /* a contiguous one is seen as one row         */
    uint32_t          key[2];
    uint64_t          draw;
    uint64_t          threshold;                    /* words below it are dropped                  */
    double            scale;
};

static uint64_t dropout_threshold(double rate)
{
    return (uint64_t)(rate * 0x1p32 + .5);
}

static bool dropout_shape(reel_call *call, reel_output *out)
{
    double rate = ((const struct dropout *)call->attributes)->rate;
    if (!reel_check_dtype(call, 0, REEL_FLOATS) || !draw_is_pair(call, 1, "draw"))
        return false;
    if (!(rate >= 0 && rate < 1))
        return reel_call_error(call, "the rate is not in [0, 1)");
    out->dtype = call->in[0].dtype;
    out->shape = reel_make_shape(call->in[0].rank, call->in[0].shape);
    return true;
}

static void dropout_words(const uint32_t key[2], uint64_t draw, uint64_t block, uint32_t word[4])
{
    const uint32_t counter[4] = {(uint32_t)block, (uint32_t)(block >> 32), (uint32_t)draw,
                                 (uint32_t)(draw >> 32)};
    reel_philox(key, counter, word);
}

/* x[i] for n elements from element `first` on, the dropped ones 0. */
static void dropout_mask(const struct dropout_run *run, int64_t first, int64_t n, double *x)
{
    uint32_t word[4] = {0};
    for (int64_t i = 0; i < n; i++) {
        uint64_t element = (uint64_t)(first + i), block = element / 4;
        if (i == 0 || element % 4 == 0)
            dropout_words(run->key, run->draw, block, word);
        x[i] = word[element % 4] < run->threshold ? 0 : x[i] * run->scale;
    }
}

static void dropout_part(void *context, int64_t begin, int64_t end)
{
    const struct dropout_run *run = context;
    const reel_array *x = &run->x;
    int64_t size = (int64_t)reel_dtype_size(x->dtype), row = x->shape[x->rank - 1];
    double block[DROPOUT_BLOCK];
    for (int64_t at = begin, n; at < end; at += n) {
        int64_t rest = at, start = 0;
        for (int i = x->rank - 1; i >= 0; rest /= x->shape[i], i--)
            start += rest % x->shape[i] * x->strides[i];
        n = row - at % row;
        n = n < end - at ? n : end - at;
        n = n < DROPOUT_BLOCK ? n : DROPOUT_BLOCK;
        reel_convert_strided(REEL_F64, block, 1, x->dtype, (const char *)x->data + start * size,
                             x->strides[x->rank - 1], n);
        dropout_mask(run, at, n, block);
        reel_convert(x->dtype, (char *)run->y->data + at * size, REEL_F64, block, n);
    }
}

static bool dropout_forward(const reel_call *call)
{
    double rate = ((const struct dropout *)call->attributes)->rate;
    const reel_array *x = &call->in[0];
    uint64_t seed = (uint64_t)*draw_number(&call->in[1], 0);
    const int64_t step = 1;
    struct dropout_run run = {
        .y = &call->out[0], .x = *x, .key = {(uint32_t)seed, (uint32_t)(seed >> 32)},
        .draw = (uint64_t)*draw_number(&call->in[1], 1) + 1,
        .threshold = dropout_threshold(rate), .scale = 1 / (1 - rate),
    };
    if (reel_is_contiguous(x->rank, x->shape, x->strides)) {
        run.x.rank = 1;
        run.x.shape = &x->count;
        run.x.strides = &step;
    }
    reel_call_parallel(call, x->count, DROPOUT_GRAIN, dropout_part, &run);
    return true;
}

static void dropout_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    (void)wanted;
    dx[0] = reel_dropout(dy[0], ((const struct dropout *)call->attributes)->rate, call->input[1]);
}

static void dropout_reference(const void *attributes, const reel_reference_array *in, int inputs,
                              reel_reference_array *out, int outputs)
{
    (void)inputs;
    (void)outputs;
    double rate = ((const struct dropout *)attributes)->rate;
    uint64_t seed = (uint64_t)(int64_t)in[1].value[0], n = (uint64_t)(int64_t)in[1].value[1] + 1;
    for (int64_t i = 0; i < out->count; i++) {
        uint32_t word[4], key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
        uint32_t counter[4] = {(uint32_t)(i / 4), (uint32_t)((uint64_t)(i / 4) >> 32), (uint32_t)n,
                               (uint32_t)(n >> 32)};
        reel_philox(key, counter, word);
        out->value[i] = word[i % 4] * 0x1p-32 < rate ? 0 : in[0].value[i] / (1 - rate);
    }
}

static const struct dropout dropout_half = {.5}, dropout_none = {0}, dropout_most = {.9}, dropout_all = {1};
static const reel_sample dropout_samples[] = {
    {.note = "a matrix", .in = {{.shape = REEL_SIZES(3, 5)}, DRAW_PAIR(7, 0)}, .attributes = &dropout_half},
    {.note = "a later draw", .in = {{.shape = REEL_SIZES(3, 5)}, DRAW_PAIR(-7, 12)},
     .attributes = &dropout_half},
    {.note = "nothing dropped", .in = {{.shape = REEL_SIZES(6)}, DRAW_PAIR(7, 1)},
     .attributes = &dropout_none},
    {.note = "most dropped", .in = {{.shape = REEL_SIZES(2, 301)}, DRAW_PAIR(7, 2)},
     .attributes = &dropout_most},
    {.note = "a scalar", .in = {{.low = 1}, DRAW_PAIR(7, 3)}, .attributes = &dropout_half},
    {.note = "empty", .in = {{.shape = REEL_SIZES(0, 3)}, DRAW_PAIR(7, 3)}, .attributes = &dropout_half},
    {.note = "transposed", .in = {{.shape = REEL_SIZES(4, 3), .layout = REEL_TRANSPOSED}, DRAW_PAIR(7, 4)},
     .attributes = &dropout_half},
    {.note = "a rate of 1", .in = {{.shape = REEL_SIZES(2)}, DRAW_PAIR(7, 0)}, .attributes = &dropout_all,
     .error = "the rate is not in [0, 1)"},
    {.note = "no draw", .in = {{.shape = REEL_SIZES(2)}, {.shape = REEL_SIZES(2)}},
     .attributes = &dropout_half,
     .error = "[2] f32 is no draw"},
};

const reel_op reel_op_dropout = {
    .size = sizeof(reel_op), .name = "dropout", .inputs = 2, .outputs = 1,
    .attributes = sizeof(struct dropout),
    .flags = REEL_OUTPUT_UNREAD, .shape = dropout_shape, .forward = dropout_forward, .vjp = dropout_vjp,
    .example = "reel_dropout(a, .5, b)",
    .formula = "y = x / (1 - rate) or 0, by the draw; dx = dy / (1 - rate) or 0, by the same draw",
    REEL_TRUTH(dropout_reference), REEL_SAMPLES(dropout_samples),
};

reel_tensor reel_dropout_at(REEL_PLACE, reel_tensor x, double rate, reel_tensor draw)
{
    return reel_apply_one(file, line, &reel_op_dropout, REEL_TENSORS(x, draw), &(const struct dropout){rate});
}
