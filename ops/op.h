/* What the ops share: shape rules, the elementwise driver, references and samples. */
#ifndef REEL_OPS_OP_H
#define REEL_OPS_OP_H

#include <reel.h>
#include "autograd/apply.h"

/* ---- Public functions of ops --------------------------------------------------------------------------- */

#define REEL_DEFINE_UNARY(name)                                                                      \
    reel_tensor reel_##name##_at(REEL_PLACE, reel_tensor x)                                          \
    {                                                                                                \
        return reel_apply_unary(file, line, x, &reel_op_##name);                                     \
    }
#define REEL_DEFINE_BINARY(name)                                                                     \
    reel_tensor reel_##name##_at(REEL_PLACE, reel_tensor a, reel_tensor b)                           \
    {                                                                                                \
        return reel_apply_binary(file, line, a, b, &reel_op_##name);                                 \
    }

/* ---- Shape rules ----------------------------------------------------------------------------------------- */

enum { REEL_FLOATS = 1 << REEL_F16 | 1 << REEL_BF16 | 1 << REEL_F32 | 1 << REEL_F64,
       REEL_INTEGERS = 1 << REEL_I32 | 1 << REEL_I64 | 1 << REEL_U8 };

/* reel_call_error() for an input of a dtype that the op does not take. */
bool reel_check_dtype(reel_call *call, int input, unsigned allowed);

/* An axis counted from the front, or an error that names it. */
bool reel_check_axis(reel_call *call, int input, int axis, int *normal);

/* The output is input 0's memory with the given sizes and strides. */
void reel_view_output(const reel_call *call, reel_output *out);

/* ---- Elementwise ops ------------------------------------------------------------------------------------- */

/* A kernel called NAME over elements of TYPE, with the inputs called a, b and c. Vectors for floating elements alone:
 * they would double the room of all the others. These begin where a CPU begins to fetch, as calls for one number are
 * over so soon that this can be felt. */
#define REEL_VECTORS_float  _Pragma("omp simd")
#define REEL_VECTORS_double _Pragma("omp simd")
#define REEL_VECTORS_int32_t
#define REEL_VECTORS_int64_t
#define REEL_VECTORS_uint8_t
/* Loops of many operations make vectors of f32 alone: those of two f64 take more room than they are worth. */
#define REEL_LONG_VECTORS_float  REEL_VECTORS_float
#define REEL_LONG_VECTORS_double
#define REEL_ALIGNED_float  __attribute__((aligned(32)))
#define REEL_ALIGNED_double __attribute__((aligned(32)))
#define REEL_ALIGNED_int32_t
#define REEL_ALIGNED_int64_t
#define REEL_ALIGNED_uint8_t
#define REEL_KERNEL(NAME, TYPE, INPUTS, EXPRESSION)                                                  \
    REEL_ALIGNED_##TYPE                                                                              \
    static void NAME(int64_t n, const void *const in[], void *out, const void *attributes)           \
    {                                                                                                \
        (void)attributes;                                                                            \
        TYPE *y = (TYPE *)out;                                                                       \
        const TYPE *a_ = in[0], *b_ = in[INPUTS > 1 ? 1 : 0], *c_ = in[INPUTS > 2 ? 2 : 0];           \
        REEL_VECTORS_##TYPE                                                                          \
        for (int64_t i = 0; i < n; i++) {                                                            \
            TYPE a = a_[i], b = b_[i], c = c_[i];                                                    \
            (void)b;                                                                                 \
            (void)c;                                                                                 \
            y[i] = (TYPE)(EXPRESSION);                                                               \
        }                                                                                            \
    }

/* The kernels of an op for the floating dtypes alone, and for all of them, called PREFIX_f32 and so on. */
#define REEL_FLOAT_KERNELS(PREFIX)                                                                   \
    static const reel_kernels PREFIX##_kernels = {                                                   \
        .of[REEL_F32] = PREFIX##_f32, .of[REEL_F64] = PREFIX##_f64};
#define REEL_ALL_KERNELS(PREFIX)                                                                     \
    static const reel_kernels PREFIX##_kernels = {                                                   \
        .of[REEL_F32] = PREFIX##_f32, .of[REEL_F64] = PREFIX##_f64, .of[REEL_I32] = PREFIX##_i32,    \
        .of[REEL_I64] = PREFIX##_i64, .of[REEL_U8] = PREFIX##_u8};

/* An elementwise op of one input without attributes: kernels from C expressions in `a`, and the public function. */
#define REEL_UNARY_KERNELS(NAME, F32, F64)                                                           \
    REEL_KERNEL(NAME##_f32, float, 1, F32)                                                           \
    REEL_KERNEL(NAME##_f64, double, 1, F64)                                                          \
    REEL_FLOAT_KERNELS(NAME)

/* ---- References and samples ------------------------------------------------------------------------------ */

/* out[i] = f(the inputs that broadcast to it). */
void reel_reference_map(double (*f)(const double *x, const void *attributes), const void *attributes,
                        const reel_reference_array *in, int inputs, reel_reference_array *out);

#define REEL_REFERENCE(NAME, EXPRESSION)                                                             \
    static double NAME##_one(const double *x, const void *attributes)                                \
    {                                                                                                \
        (void)attributes;                                                                            \
        return EXPRESSION;                                                                           \
    }                                                                                                \
    static void NAME(const void *attributes, const reel_reference_array *in, int inputs,             \
                     reel_reference_array *out, int outputs)                                         \
    {                                                                                                \
        (void)outputs;                                                                               \
        reel_reference_map(NAME##_one, attributes, in, inputs, out);                                 \
    }

#define REEL_SIZES(...)                                                                              \
    {                                                                                                \
        .rank = (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), .size = { __VA_ARGS__ }   \
    }

/* What only tests and reel-gradcheck look at: a reference, and samples. The library that is installed leaves them
 * out, which is half its size; the one that they are linked with is built with REEL_WITH_SAMPLES. The compiler
 * sees them either way, and drops what nobody refers to. */
#ifdef REEL_WITH_SAMPLES
#define REEL_FOR_TESTS(value) value
#else
#define REEL_FOR_TESTS(value) (1 ? 0 : value)
#endif
#define REEL_TRUTH(function) .reference = REEL_FOR_TESTS(function)
#define REEL_COUNTED_SAMPLES(array, count)                                                           \
    .samples = REEL_FOR_TESTS(array), .sample_count = REEL_FOR_TESTS(count)
#define REEL_SAMPLES(array) REEL_COUNTED_SAMPLES(array, sizeof(array) / sizeof(array[0]))

/* What every op of one input, elementwise, is tried on. */
#define REEL_UNARY_SAMPLES(from, to)                                                                 \
    {.note = "matrix", .in = {{.shape = REEL_SIZES(2, 3), .low = from, .high = to}}},                \
    {.note = "scalar", .in = {{.low = from, .high = to}}},                                           \
    {.note = "empty", .in = {{.shape = REEL_SIZES(0, 5), .low = from, .high = to}}},                 \
    {.note = "longer than a block", .in = {{.shape = REEL_SIZES(3, 201), .low = from, .high = to}}}, \
    {.note = "transposed",                                                                           \
     .in = {{.shape = REEL_SIZES(4, 3), .low = from, .high = to, .layout = REEL_TRANSPOSED}}},       \
    {.note = "every other",                                                                          \
     .in = {{.shape = REEL_SIZES(5), .low = from, .high = to, .layout = REEL_EVERY_OTHER}}},         \
    {.note = "reversed",                                                                             \
     .in = {{.shape = REEL_SIZES(2, 4), .low = from, .high = to, .layout = REEL_REVERSED}}},         \
    {.note = "stretched",                                                                            \
     .in = {{.shape = REEL_SIZES(3, 2), .low = from, .high = to, .layout = REEL_STRETCHED}}}

/* Where an op is of floating dtypes alone. */
#define REEL_INTEGERS_REFUSED                                                                        \
    {.note = "integers", .in = {{.shape = REEL_SIZES(2), .dtype = REEL_I32}}, .error = "does not take"}

/* ... and of two. */
#define REEL_PAIR(a, b, from, to)                                                                    \
    .in = { {.shape = a, .low = from, .high = to}, {.shape = b, .low = from, .high = to} }
#define REEL_BINARY_SAMPLES(from, to)                                                                \
    {.note = "same shapes", REEL_PAIR(REEL_SIZES(2, 3), REEL_SIZES(2, 3), from, to)},                \
    {.note = "scalars", .in = {{.low = from, .high = to}, {.low = from, .high = to}}},               \
    {.note = "a row", REEL_PAIR(REEL_SIZES(4, 3), REEL_SIZES(3), from, to)},                         \
    {.note = "both stretch", REEL_PAIR(REEL_SIZES(3, 1), REEL_SIZES(2, 1, 4), from, to)},            \
    {.note = "with a scalar", .in = {{.low = from, .high = to},                                      \
                                     {.shape = REEL_SIZES(2, 2), .low = from, .high = to}}},         \
    {.note = "empty", REEL_PAIR(REEL_SIZES(0, 3), REEL_SIZES(3), from, to)},                         \
    {.note = "longer than a block", REEL_PAIR(REEL_SIZES(2, 300), REEL_SIZES(2, 300), from, to)},    \
    {.note = "transposed and reversed",                                                              \
     .in = {{.shape = REEL_SIZES(3, 4), .low = from, .high = to, .layout = REEL_TRANSPOSED},         \
            {.shape = REEL_SIZES(3, 4), .low = from, .high = to, .layout = REEL_REVERSED}}},         \
    {.note = "do not broadcast", REEL_PAIR(REEL_SIZES(2, 3), REEL_SIZES(2, 4), from, to),            \
     .error = "[2,3] f32 and [2,4] f32 do not broadcast"},                                           \
    {.note = "dtypes differ",                                                                        \
     .in = {{.shape = REEL_SIZES(2), .dtype = REEL_F32}, {.shape = REEL_SIZES(2), .dtype = REEL_F64}},\
     .error = "dtypes differ"}

#endif
