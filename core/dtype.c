/* Dtypes: what they are, and conversion between all of them.
 *
 * One expression makes all the loops: the source is read as the C number that it is (DTYPE_READ), and
 * DTYPE_TO_<dtype> picks the conversion by the type of that number. Nothing passes through a type in the
 * middle that would round it a second time.
 */
#include "core/dtype.h"
#include "core/half.h"

#include <string.h>

static const struct {
    const char *name;
    size_t      size;
    bool        is_float;
} dtype_table[REEL_DTYPES] = {
    [REEL_NO_DTYPE] = {"none", 0, false},
    [REEL_F16]      = {"f16", 2, true},
    [REEL_BF16]     = {"bf16", 2, true},
    [REEL_F32]      = {"f32", 4, true},
    [REEL_F64]      = {"f64", 8, true},
    [REEL_I32]      = {"i32", 4, false},
    [REEL_I64]      = {"i64", 8, false},
    [REEL_U8]       = {"u8", 1, false},
};

static unsigned dtype_index(reel_dtype dtype)
{
    return (unsigned)dtype < REEL_DTYPES ? (unsigned)dtype : REEL_NO_DTYPE;
}

const char *reel_dtype_name(reel_dtype dtype)
{
    return dtype_table[dtype_index(dtype)].name;
}

size_t reel_dtype_size(reel_dtype dtype)
{
    return dtype_table[dtype_index(dtype)].size;
}

bool reel_dtype_is_float(reel_dtype dtype)
{
    return dtype_table[dtype_index(dtype)].is_float;
}


/* ---- One number -------------------------------------------------------------------------------- */

/* 2^20 is beyond the largest f16 and exact in f32. */
static inline uint16_t dtype_integer_to_f16(int64_t x)
{
    const int64_t limit = 1 << 20;
    return reel_f32_to_f16((float)(x > limit ? limit : x < -limit ? -limit : x));
}

/* An integer beyond 2^53 may round on its way to f64, onto a midpoint of two bf16 perhaps. Its low 11 bits,
 * replaced by a single one if any is set, make it exact in f64 and leave it on its side of each midpoint,
 * these being multiples of 2^45. */
static inline uint16_t dtype_integer_to_bf16(int64_t x)
{
    const int64_t exact = (int64_t)1 << 53, low = 0x7ff;
    int64_t sticky = (x & ~low) | ((x & low) != 0 ? 0x400 : 0);
    return reel_f64_to_bf16((double)(x >= exact || x <= -exact ? sticky : x));
}

/* Clamped before the cast, since C leaves undefined what does not fit; a NaN fails every comparison. */
#define DTYPE_CLAMPED(x, low, high) ((x) > (low) ? (x) < (high) ? (x) : (high) : (x) <= (low) ? (low) : 0)

static inline int32_t dtype_real_to_i32(double x)
{
    return (int32_t)DTYPE_CLAMPED(x, (double)INT32_MIN, (double)INT32_MAX);
}

static inline uint8_t dtype_real_to_u8(double x)
{
    double positive = x > 0 ? x : 0;                /* 0 for a NaN, too                            */
    return (uint8_t)(int32_t)(positive < 255 ? positive : 255);
}

/* INT64_MAX is no double: the next one above is 2^63. */
static inline int64_t dtype_real_to_i64(double x)
{
    return x >= 0x1p63 ? INT64_MAX : (int64_t)DTYPE_CLAMPED(x, -0x1p63, 0x1p63);
}

static inline int32_t dtype_integer_to_i32(int64_t x)
{
    return (int32_t)DTYPE_CLAMPED(x, INT32_MIN, INT32_MAX);
}

static inline uint8_t dtype_integer_to_u8(int64_t x)
{
    return (uint8_t)DTYPE_CLAMPED(x, 0, 255);
}

static inline int64_t dtype_integer_to_i64(int64_t x)
{
    return x;
}


/* ---- A run of numbers -------------------------------------------------------------------------- */

typedef uint16_t dtype_F16, dtype_BF16;
typedef float    dtype_F32;
typedef double   dtype_F64;
typedef int32_t  dtype_I32;
typedef int64_t  dtype_I64;
typedef uint8_t  dtype_U8;

#define DTYPE_READ_F16(x)  reel_f16_to_f32(x)
#define DTYPE_READ_BF16(x) reel_bf16_to_f32(x)
#define DTYPE_READ_F32(x)  (x)
#define DTYPE_READ_F64(x)  (x)
#define DTYPE_READ_I32(x)  (x)
#define DTYPE_READ_I64(x)  (x)
#define DTYPE_READ_U8(x)   (x)

#define DTYPE_PICK(x, from_f32, from_f64, from_integer)                                              \
    _Generic((x), float: from_f32, double: from_f64, default: from_integer)(x)

#define DTYPE_TO_F16(x)  DTYPE_PICK(x, reel_f32_to_f16, reel_f64_to_f16, dtype_integer_to_f16)
#define DTYPE_TO_BF16(x) DTYPE_PICK(x, reel_f32_to_bf16, reel_f64_to_bf16, dtype_integer_to_bf16)
#define DTYPE_TO_F32(x)  ((float)(x))
#define DTYPE_TO_F64(x)  ((double)(x))
#define DTYPE_TO_I32(x)  DTYPE_PICK(x, dtype_real_to_i32, dtype_real_to_i32, dtype_integer_to_i32)
#define DTYPE_TO_I64(x)  DTYPE_PICK(x, dtype_real_to_i64, dtype_real_to_i64, dtype_integer_to_i64)
#define DTYPE_TO_U8(x)   DTYPE_PICK(x, dtype_real_to_u8, dtype_real_to_u8, dtype_integer_to_u8)

/* The loop of one pair. */
#define DTYPE_HEAD(to, from)                                                                         \
    static void dtype_##from##_to_##to(void *dst, int64_t dst_stride, const void *src, int64_t src_stride, int64_t n)
#define DTYPE_LOOP(to, from)                                                                         \
    DTYPE_HEAD(to, from)                                                                             \
    {                                                                                                \
        dtype_##to *y = dst;                                                                         \
        const dtype_##from *x = src;                                                                 \
        for (; n > 0; n--, y += dst_stride, x += src_stride)                                         \
            *y = DTYPE_TO_##to(DTYPE_READ_##from(*x));                                               \
    }

/* ... with the contiguous case apart, which becomes vectors. */
#define DTYPE_FAST_LOOP(to, from)                                                                    \
    DTYPE_HEAD(to, from)                                                                             \
    {                                                                                                \
        dtype_##to *y = dst;                                                                         \
        const dtype_##from *x = src;                                                                 \
        if (dst_stride == 1 && src_stride == 1)                                                      \
            _Pragma("omp simd")                                                                      \
            for (int64_t i = 0; i < n; i++)                                                          \
                y[i] = DTYPE_TO_##to(DTYPE_READ_##from(x[i]));                                       \
        else                                                                                         \
            for (; n > 0; n--, y += dst_stride, x += src_stride)                                     \
                *y = DTYPE_TO_##to(DTYPE_READ_##from(*x));                                           \
    }

/* Numbers of one dtype, by their size: all bits are kept. */
#define DTYPE_COPY(to)                                                                               \
    DTYPE_HEAD(to, to)                                                                               \
    {                                                                                                \
        enum { SIZE = sizeof(dtype_##to) };                                                          \
        if (dst_stride == 1 && src_stride == 1)                                                      \
            memcpy(dst, src, (size_t)n * SIZE);                                                      \
        else                                                                                         \
            for (int64_t i = 0; i < n; i++)                                                          \
                memcpy((char *)dst + i * dst_stride * SIZE, (const char *)src + i * src_stride * SIZE, SIZE); \
    }

DTYPE_COPY(F16)
DTYPE_COPY(F32)
DTYPE_COPY(F64)
DTYPE_COPY(U8)

/* Pairs with a loop of their own. The others go by way of f64, which holds every number of f16, bf16, i32 and u8. */
#define DTYPE_FAST_PAIRS(PAIR)                                                                       \
    PAIR(F16, F32) PAIR(F16, F64) PAIR(BF16, F32) PAIR(BF16, F64) PAIR(F32, F16) PAIR(F32, BF16)     \
    PAIR(F32, F64) PAIR(F32, U8) PAIR(F64, F16) PAIR(F64, BF16) PAIR(F64, F32) PAIR(U8, F32)
#define DTYPE_OTHER_PAIRS(PAIR)                                                                      \
    PAIR(F16, I64) PAIR(BF16, I64) PAIR(F32, I32) PAIR(F32, I64) PAIR(F64, I32) PAIR(F64, I64)       \
    PAIR(F64, U8) PAIR(I32, F32) PAIR(I32, F64) PAIR(I32, I64) PAIR(I64, F32) PAIR(I64, F64)         \
    PAIR(I64, I32) PAIR(U8, F64) PAIR(U8, I64)

DTYPE_FAST_PAIRS(DTYPE_FAST_LOOP)
DTYPE_OTHER_PAIRS(DTYPE_LOOP)

typedef void dtype_loop(void *dst, int64_t dst_stride, const void *src, int64_t src_stride, int64_t n);

#define DTYPE_ENTRY(to, from)        [REEL_##to][REEL_##from] = dtype_##from##_to_##to,
#define DTYPE_COPY_ENTRY(dtype, as)  [REEL_##dtype][REEL_##dtype] = dtype_##as##_to_##as

static dtype_loop *const dtype_loops[REEL_DTYPES][REEL_DTYPES] = {
    DTYPE_FAST_PAIRS(DTYPE_ENTRY)
    DTYPE_OTHER_PAIRS(DTYPE_ENTRY)
    DTYPE_COPY_ENTRY(F16, F16), DTYPE_COPY_ENTRY(BF16, F16), DTYPE_COPY_ENTRY(F32, F32), DTYPE_COPY_ENTRY(F64, F64),
    DTYPE_COPY_ENTRY(I32, F32), DTYPE_COPY_ENTRY(I64, F64), DTYPE_COPY_ENTRY(U8, U8),
};

/* By way of f64, a block at a time. */
static void dtype_by_way(reel_dtype to, char *dst, int64_t dst_stride, reel_dtype from, const char *src,
                         int64_t src_stride, int64_t count)
{
    enum { BLOCK = 64 };
    double block[BLOCK];
    const int64_t dst_step = dst_stride * (int64_t)reel_dtype_size(to);
    const int64_t src_step = src_stride * (int64_t)reel_dtype_size(from);
    for (int64_t i = 0; i < count; i += BLOCK) {
        const int64_t n = count - i < BLOCK ? count - i : BLOCK;
        reel_convert_strided(REEL_F64, block, 1, from, src + i * src_step, src_stride, n);
        reel_convert_strided(to, dst + i * dst_step, dst_stride, REEL_F64, block, 1, n);
    }
}

void reel_convert_strided(reel_dtype to, void *dst, int64_t dst_stride, reel_dtype from, const void *src,
                          int64_t src_stride, int64_t count)
{
    dtype_loop *loop = dtype_loops[dtype_index(to)][dtype_index(from)];
    if (count <= 0)
        return;
    if (loop != NULL)
        loop(dst, dst_stride, src, src_stride, count);
    else if (reel_dtype_size(to) != 0 && reel_dtype_size(from) != 0)
        dtype_by_way(to, dst, dst_stride, from, src, src_stride, count);
}

void reel_convert(reel_dtype to, void *dst, reel_dtype from, const void *src, int64_t count)
{
    reel_convert_strided(to, dst, 1, from, src, 1, count);
}


/* ---- Values to fill a tensor with --------------------------------------------------------------- */

reel_values reel_values_of(reel_dtype dtype, const void *data, size_t count)
{
    return (reel_values){.data = data, .count = count, .from = dtype, .to = dtype};
}

reel_values reel_fill(reel_dtype dtype, double value)
{
    return (reel_values){.count = REEL_REPEAT, .from = REEL_F64, .to = dtype, .repeat = value};
}

reel_values reel_values_from_f64(reel_dtype dtype, const double *data, size_t count)
{
    return (reel_values){.data = data, .count = count, .from = REEL_F64, .to = dtype};
}

/* Converted once and then copied, so that filling costs no more than a copy does. */
static void dtype_fill(reel_dtype to, void *dst, double value, int64_t count)
{
    double element;                                 /* memory for one element of any dtype         */
    reel_convert(to, &element, REEL_F64, &value, 1);
    reel_convert_strided(to, dst, 1, to, &element, 0, count);
}

bool reel_values_copy(const reel_values *values, void *dst, int64_t count)
{
    if (reel_dtype_size(values->to) == 0 || reel_dtype_size(values->from) == 0 || count < 0)
        return false;
    if (values->count == REEL_REPEAT) {
        dtype_fill(values->to, dst, values->repeat, count);
        return true;
    }
    if (values->count != (size_t)count || (values->data == NULL && count > 0))
        return false;
    reel_convert(values->to, dst, values->from, values->data, count);
    return true;
}
