/* Tests of the numeric parts of core/: half floats, dtypes, random numbers, threads, text.
 *
 * Conversions are compared with a slow reference that shares nothing with the code under test: the values
 * of a format come from its definition, and the nearest of them is found by bisection.
 */
#include "core/cpu.h"
#include "core/dtype.h"
#include "core/half.h"
#include "core/random.h"
#include "core/text.h"
#include "core/threads.h"

#include <check.h>
#include <float.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

Suite *reel_suite_core(void);

/* ck_assert() notes each call in a file, which takes longer than what most of these loops check. */
#define core_require(condition, ...)                                                                 \
    do {                                                                                             \
        if (!(condition))                                                                            \
            ck_abort_msg(__VA_ARGS__);                                                               \
    } while (0)


/* ---- The reference ------------------------------------------------------------------------------- */

/* An exact value: `low` is 0, or what is left of an i64 rounded to `high`. */
typedef struct core_value {
    double high, low;
} core_value;

typedef struct core_format {
    const char *name;
    int         fraction, bias;                     /* bits of the fraction; exponent bias         */
    uint32_t    infinity;
    float       (*to_f32)(uint16_t);
    uint16_t    (*from_f32)(float);
    uint16_t    (*from_f64)(double);
} core_format;

static const core_format core_formats[] = {
    {"f16", 10, 15, 0x7c00, reel_f16_to_f32, reel_f32_to_f16, reel_f64_to_f16},
    {"bf16", 7, 127, 0x7f80, reel_bf16_to_f32, reel_f32_to_bf16, reel_f64_to_bf16},
    {"f32", 23, 127, 0x7f800000, NULL, NULL, NULL},
};

/* The value of a magnitude; for that of infinity, the power of two that would follow the largest. */
static double core_magnitude(const core_format *f, uint32_t magnitude)
{
    int exponent = (int)(magnitude >> f->fraction);
    uint32_t fraction = magnitude & ((1u << f->fraction) - 1);
    uint32_t hidden = exponent > 0 ? 1u << f->fraction : 0;
    return ldexp(hidden + fraction, (exponent > 0 ? exponent : 1) - f->bias - f->fraction);
}

static double core_midpoint(const core_format *f, uint32_t magnitude)
{
    return (core_magnitude(f, magnitude) + core_magnitude(f, magnitude + 1)) / 2;
}

/* The magnitude that x >= 0 rounds to. */
static uint32_t core_nearest(const core_format *f, core_value x)
{
    uint32_t below = 0, above = f->infinity;
    while (above - below > 1) {
        uint32_t middle = (below + above) / 2;
        double value = core_magnitude(f, middle);
        if (value < x.high || (value == x.high && x.low >= 0))
            below = middle;
        else
            above = middle;
    }
    double midpoint = core_midpoint(f, below);
    bool exactly = x.high == midpoint && x.low == 0;
    bool beyond = x.high > midpoint || (x.high == midpoint && x.low > 0);
    return below + (beyond || (exactly && below % 2 == 1));
}

static core_value core_negated(core_value x)
{
    return (core_value){-x.high, -x.low};
}

static uint16_t core_half_of(const core_format *f, core_value x)
{
    return (uint16_t)(signbit(x.high) ? 0x8000 | core_nearest(f, core_negated(x)) : core_nearest(f, x));
}


/* A small generator for test data: xorshift64* (Vigna 2016). */
static uint64_t core_bits(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545F4914F6CDD1D;
}


/* ---- Half floats --------------------------------------------------------------------------------- */

START_TEST(halves_widen_exactly_and_return)
{
    const core_format *f = &core_formats[_i];
    for (int bits = 0; bits < 65536; bits++) {
        int magnitude = bits & 0x7fff;
        float x = f->to_f32((uint16_t)bits);
        core_require(!!signbit(x) == bits >> 15, "%s %04x", f->name, (unsigned)bits);
        if (magnitude > (int)f->infinity) {
            int quiet = bits | 1 << (f->fraction - 1);
            core_require(isnan(x) && (reel_f32_bits(x) & 0x400000) != 0 && f->from_f32(x) == quiet &&
                             f->from_f64(x) == quiet,
                         "%s %04x", f->name, (unsigned)bits);
            continue;
        }
        double value = core_magnitude(f, (uint32_t)magnitude);
        if (magnitude == (int)f->infinity)
            value = (double)INFINITY;
        bool same = f->from_f32(x) == bits && f->from_f64(x) == bits;
        core_require(fabsf(x) == value && same, "%s %04x", f->name, (unsigned)bits);
    }
}
END_TEST

static void core_check_narrowing(const core_format *f, double x)
{
    for (int sign = 0; sign < 2; sign++, x = -x) {
        unsigned wanted = core_half_of(f, (core_value){x, 0});
        core_require(f->from_f64(x) == wanted, "f64 %a -> %s", x, f->name);
        if ((float)x == x)
            core_require(f->from_f32((float)x) == wanted, "f32 %a -> %s", x, f->name);
    }
}

/* Each half value and each midpoint, with its neighbours in f32 and in f64. */
START_TEST(halves_round_at_every_boundary)
{
    const core_format *f = &core_formats[_i];
    for (uint32_t magnitude = 0; magnitude < f->infinity; magnitude++) {
        const double places[] = {core_magnitude(f, magnitude), core_midpoint(f, magnitude)};
        for (int i = 0; i < 2; i++) {
            double x = places[i];
            core_check_narrowing(f, x);
            core_check_narrowing(f, nextafter(x, 0));
            core_check_narrowing(f, nextafter(x, INFINITY));
            core_check_narrowing(f, nextafterf((float)x, 0));
            core_check_narrowing(f, nextafterf((float)x, INFINITY));
        }
    }
}
END_TEST

START_TEST(halves_round_random_and_extreme_numbers)
{
    const core_format *f = &core_formats[_i];
    const double extremes[] = {0x1p-1074, 0x1p-149, 0x1.8p-149, 0x1p-150, FLT_MAX, FLT_MIN, DBL_MAX, DBL_MIN,
                               65519.999, 65520, 0x1p16, 0x1p128, 0x1.fep127, 0x1.ffp127, 0x1.feffffp127};
    for (size_t i = 0; i < sizeof extremes / sizeof *extremes; i++)
        core_check_narrowing(f, extremes[i]);
    uint64_t state = 1;
    for (int i = 0; i < 100000; i++) {
        float x = reel_f32_of_bits((uint32_t)(core_bits(&state) >> 32));
        double y = reel_f64_of_bits(core_bits(&state));
        double z = ldexp((double)core_bits(&state), (int)(core_bits(&state) % 320) - 224);
        if (!isnan(x))
            core_check_narrowing(f, x);
        if (!isnan(y))
            core_check_narrowing(f, y);
        core_check_narrowing(f, z);
    }
}
END_TEST

START_TEST(halves_keep_nan_quiet_with_its_sign)
{
    const core_format *f = &core_formats[_i];
    const uint32_t payloads[] = {1, 0x200000, 0x3fffff, 0x400000, 0x400001, 0x7fffff};
    for (size_t i = 0; i < sizeof payloads / sizeof *payloads; i++)
        for (uint32_t sign = 0; sign < 2; sign++) {
            float x = reel_f32_of_bits(sign << 31 | 0x7f800000 | payloads[i]);
            double y = reel_f64_of_bits((uint64_t)sign << 63 | 0x7ff0000000000000 | payloads[i]);
            unsigned quiet = f->infinity | 1u << (f->fraction - 1);
            ck_assert_uint_eq(f->from_f32(x) & quiet, quiet);
            ck_assert_uint_eq(f->from_f64(y) & quiet, quiet);
            ck_assert_uint_eq(f->from_f32(x) >> 15, sign);
            ck_assert_uint_eq(f->from_f64(y) >> 15, sign);
        }
}
END_TEST

START_TEST(halves_in_runs_are_the_same)
{
    static uint16_t half[65536], back[65536];
    static float wide[65536];
    for (int i = 0; i < 65536; i++)
        half[i] = (uint16_t)i;
    reel_convert(REEL_F32, wide, REEL_F16, half, 65536);
    reel_convert(REEL_F16, back, REEL_F32, wide, 65536);
    for (int i = 0; i < 65536; i++)
        core_require(back[i] == reel_f32_to_f16(reel_f16_to_f32((uint16_t)i)), "f16 %04x", (unsigned)i);
    reel_convert(REEL_F32, wide, REEL_BF16, half, 65536);
    reel_convert(REEL_BF16, back, REEL_F32, wide, 65536);
    for (int i = 0; i < 65536; i++)
        core_require(back[i] == reel_f32_to_bf16(reel_bf16_to_f32((uint16_t)i)), "bf16 %04x", (unsigned)i);
}
END_TEST


/* ---- Dtypes -------------------------------------------------------------------------------------- */

START_TEST(dtypes_have_names_sizes_and_kinds)
{
    static const struct {
        const char *name;
        size_t      size;
        bool        is_float;
    } wanted[] = {{"none", 0, false}, {"f16", 2, true}, {"bf16", 2, true}, {"f32", 4, true},
                  {"f64", 8, true},   {"i32", 4, false}, {"i64", 8, false}, {"u8", 1, false},
                  {"none", 0, false}};
    for (int i = 0; i <= REEL_DTYPES; i++) {
        ck_assert_str_eq(reel_dtype_name((reel_dtype)i), wanted[i].name);
        ck_assert_uint_eq(reel_dtype_size((reel_dtype)i), wanted[i].size);
        ck_assert_int_eq(reel_dtype_is_float((reel_dtype)i), wanted[i].is_float);
    }
    volatile int outside = -1;
    ck_assert_str_eq(reel_dtype_name((reel_dtype)outside), "none");
    ck_assert_uint_eq(reel_dtype_size((reel_dtype)outside), 0);
    ck_assert(!reel_dtype_is_float((reel_dtype)outside));
}
END_TEST

typedef union core_element {
    uint16_t half;
    float    f32;
    double   f64;
    int32_t  i32;
    int64_t  i64;
    uint32_t u32;
    uint8_t  u8;
    uint64_t bits;
} core_element;

static int64_t core_clamp(core_value x, int64_t least, int64_t most)
{
    int64_t i;
    if (isnan(x.high))
        return 0;
    if (x.high >= 0x1p63)
        i = x.low < 0 ? INT64_MAX + (int64_t)x.low + 1 : INT64_MAX;
    else
        i = x.high < -0x1p63 ? INT64_MIN : (int64_t)x.high + (int64_t)x.low;
    return i < least ? least : i > most ? most : i;
}

static core_element core_element_of(reel_dtype dtype, core_value x)
{
    core_element e = {.bits = 0};
    switch (dtype) {
    case REEL_F16:
    case REEL_BF16:
        e.half = isnan(x.high) ? 0x7fc0 : core_half_of(&core_formats[dtype - REEL_F16], x);
        break;
    case REEL_F32:
        e.u32 = core_nearest(&core_formats[2], signbit(x.high) ? core_negated(x) : x);
        e.u32 = isnan(x.high) ? 0x7fc00000 : e.u32 | (signbit(x.high) ? 0x80000000 : 0);
        break;
    case REEL_F64:
        e.f64 = x.high;
        break;
    case REEL_I32:
        e.i32 = (int32_t)core_clamp(x, INT32_MIN, INT32_MAX);
        break;
    case REEL_I64:
        e.i64 = core_clamp(x, INT64_MIN, INT64_MAX);
        break;
    default:
        e.u8 = (uint8_t)core_clamp(x, 0, UINT8_MAX);
    }
    return e;
}

static core_value core_value_of_i64(int64_t i)
{
    double high = (double)i;
    uint64_t subtracted = high >= 0x1p63 ? (uint64_t)1 << 63 : (uint64_t)(int64_t)high;
    return (core_value){high, (double)(int64_t)((uint64_t)i - subtracted)};
}

static core_value core_value_of(reel_dtype dtype, core_element e)
{
    switch (dtype) {
    case REEL_F16:
        return (core_value){reel_f16_to_f32(e.half), 0};
    case REEL_BF16:
        return (core_value){reel_bf16_to_f32(e.half), 0};
    case REEL_F32:
        return (core_value){e.f32, 0};
    case REEL_F64:
        return (core_value){e.f64, 0};
    case REEL_I32:
        return (core_value){e.i32, 0};
    case REEL_I64:
        return core_value_of_i64(e.i64);
    default:
        return (core_value){e.u8, 0};
    }
}

/* Edge values of every dtype, and their negatives: each pair of dtypes converts what its source dtype makes
 * of them. */
static const core_value core_edges[] = {
    {0, 0},           {0.3, 0},          {0.5, 0},          {0.99999, 0},      {1, 0},
    {1.5, 0},         {2.5, 0},          {127.5, 0},        {254.99, 0},       {255, 0},
    {255.5, 0},       {256, 0},          {257, 0},          {2049, 0},         {2051, 0},
    {65503, 0},       {65504, 0},        {65519, 0},        {65520, 0},        {65521, 0},
    {65536, 0},       {1048575, 0},      {1048577, 0},      {16777217, 0},     {16777219, 0},
    {2147483647, 0},  {2147483647.5, 0}, {2147483648, 0},   {2147483649, 0},   {0x1p53, 1},
    {0x1p53, 2},      {0x1.01p62, 0},    {0x1.01p62, 1},    {0x1.01p62, -1},   {0x1.03p62, 0},
    {0x1.03p62, 1},   {0x1.03p62, -1},   {0x1.000001p62, 0}, {0x1.000001p62, 1}, {0x1.000001p62, -1},
    {0x1.fffffep62, 0}, {0x1p63, -1},    {0x1p63, 0},       {0x1p64, 0},       {1e30, 0},
    {0x1p-24, 0},     {0x1p-25, 0},      {0x1.8p-25, 0},    {0x1p-133, 0},     {0x1p-134, 0},
    {0x1p-149, 0},    {0x1p-150, 0},     {0x1p-1074, 0},    {FLT_MAX, 0},      {0x1.ffffffp127, 0},
    {DBL_MAX, 0},     {(double)INFINITY, 0}, {(double)NAN, 0},
};

enum { CORE_EDGES = 2 * sizeof core_edges / sizeof *core_edges };

static core_element core_load(reel_dtype dtype, const void *array, int64_t i)
{
    core_element e = {.bits = 0};
    size_t size = reel_dtype_size(dtype);
    memcpy(&e, (const char *)array + i * (int64_t)size, size);
    return e;
}

static void core_store(reel_dtype dtype, void *array, int64_t i, core_element e)
{
    size_t size = reel_dtype_size(dtype);
    memcpy((char *)array + i * (int64_t)size, &e, size);
}

/* Valgrind does the instruction that converts i64 to f32 in two steps. */
static bool core_machine_rounds_twice(void)
{
    volatile int64_t above_midpoint = ((int64_t)1 << 62) + ((int64_t)1 << 38) + 1;
    return (float)above_midpoint != 0x1.000002p62f;
}

static void core_check_element(reel_dtype to, core_element got, reel_dtype from, core_element source)
{
    core_value x = core_value_of(from, source);
    bool nan_kept = isnan(x.high) && reel_dtype_is_float(to) && isnan(core_value_of(to, got).high);
    bool excused = from == REEL_I64 && to == REEL_F32 && core_machine_rounds_twice();
    core_require(nan_kept || excused || got.bits == core_element_of(to, x).bits, "%s -> %s: %a + %g",
                 reel_dtype_name(from), reel_dtype_name(to), x.high, x.low);
}

START_TEST(every_pair_of_dtypes_converts)
{
    uint64_t src[CORE_EDGES], dst[CORE_EDGES], spread[3 * CORE_EDGES];
    for (reel_dtype from = REEL_F16; from < REEL_DTYPES; from++) {
        for (int64_t i = 0; i < CORE_EDGES; i++) {
            core_value x = core_edges[i / 2];
            core_store(from, src, i, core_element_of(from, i % 2 == 0 ? x : core_negated(x)));
        }
        for (reel_dtype to = REEL_F16; to < REEL_DTYPES; to++) {
            const char *last = (const char *)src + (CORE_EDGES - 1) * reel_dtype_size(from);
            reel_convert(to, dst, from, src, CORE_EDGES);
            reel_convert_strided(to, spread, 3, from, last, -1, CORE_EDGES);
            for (int64_t i = 0; i < CORE_EDGES; i++) {
                core_element source = core_load(from, src, i), got = core_load(to, dst, i);
                core_check_element(to, got, from, source);
                core_require(core_load(to, spread, 3 * (CORE_EDGES - 1 - i)).bits == got.bits, "strided");
                core_require(to != from || got.bits == source.bits, "a copy");
            }
        }
    }
}
END_TEST

START_TEST(random_integers_round_once)
{
    uint64_t state = 7;
    for (int i = 0; i < 200000; i++) {
        int64_t x = (int64_t)core_bits(&state) >> core_bits(&state) % 60;
        if (i % 2 == 0) {                           /* next to a midpoint of bf16                  */
            x = (int64_t)((core_bits(&state) | (uint64_t)1 << 63) >> 55 << 54);
            x += (int64_t)(core_bits(&state) % 3) - 1;
        }
        for (reel_dtype to = REEL_F16; to <= REEL_F64; to++) {
            core_element got = {.bits = 0};
            reel_convert(to, &got, REEL_I64, &x, 1);
            core_check_element(to, got, REEL_I64, (core_element){.i64 = x});
        }
    }
}
END_TEST

START_TEST(converting_nothing_changes_nothing)
{
    float src[2] = {1, 2}, dst[2] = {3, 4};
    reel_convert(REEL_F32, dst, REEL_F32, src, 0);
    reel_convert(REEL_F32, dst, REEL_F32, src, -1);
    reel_convert(REEL_NO_DTYPE, dst, REEL_F32, src, 2);
    reel_convert(REEL_F32, dst, REEL_DTYPES, src, 2);
    ck_assert(dst[0] == 3 && dst[1] == 4);
}
END_TEST

START_TEST(a_copy_keeps_signalling_nans)
{
    const uint16_t src[3] = {0x7c01, 0xfc01, 0x3c00};
    uint16_t dst[3];
    for (int64_t stride = 1; stride >= -1; stride -= 2) {
        reel_convert_strided(REEL_F16, dst, 1, REEL_F16, stride > 0 ? src : src + 2, stride, 3);
        for (int i = 0; i < 3; i++)
            ck_assert_uint_eq(dst[i], src[stride > 0 ? i : 2 - i]);
    }
}
END_TEST

START_TEST(values_fill_and_copy)
{
    int32_t integers[3];
    reel_values repeat = reel_fill(REEL_I32, -2.9);
    ck_assert(reel_values_copy(&repeat, integers, 3));
    ck_assert(integers[0] == -2 && integers[1] == -2 && integers[2] == -2);

    uint16_t halves[2];
    reel_values list = REEL_F16_VALUES(1 + 0x1p-11 + 0x1p-30, 65520);   /* twice rounded: 0x3c00 */
    ck_assert(reel_values_copy(&list, halves, 2));
    ck_assert(halves[0] == 0x3c01 && halves[1] == 0x7c00);

    float floats[3] = {0};
    list = REEL_F32_VALUES(1, 2, 3);
    ck_assert(!reel_values_copy(&list, floats, 2) && !reel_values_copy(&list, floats, 4));
    ck_assert(floats[0] == 0);
    ck_assert(reel_values_copy(&list, floats, 3) && floats[2] == 3);
}
END_TEST

START_TEST(values_that_make_no_sense_are_refused)
{
    float floats[2] = {0};
    reel_values missing = reel_values_of(REEL_F32, NULL, 2), empty = reel_values_of(REEL_F32, NULL, 0);
    reel_values strange = reel_values_of(REEL_DTYPES, floats, 2), none = reel_fill(REEL_NO_DTYPE, 1);
    ck_assert(!reel_values_copy(&missing, floats, 2));
    ck_assert(!reel_values_copy(&strange, floats, 2));
    ck_assert(!reel_values_copy(&none, floats, 2));
    ck_assert(reel_values_copy(&empty, floats, 0));
    ck_assert(!reel_values_copy(&empty, floats, -1));
}
END_TEST


/* ---- Random numbers ------------------------------------------------------------------------------ */

/* From the file kat_vectors of the Random123 library. */
START_TEST(philox_gives_the_published_numbers)
{
    static const struct {
        uint32_t counter[4], key[2], out[4];
    } vectors[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        uint32_t out[4];
        reel_philox(vectors[i].key, vectors[i].counter, out);
        ck_assert_mem_eq(out, vectors[i].out, sizeof out);
    }
}
END_TEST

START_TEST(random_numbers_depend_on_seed_and_position_alone)
{
    reel_random a = {42, 0}, b = {42, 0}, other = {43, 0};
    double first = reel_random_uniform01(&a);
    ck_assert(first == reel_random_uniform01(&b) && first != reel_random_uniform01(&other));
    for (int i = 0; i < 10; i++)
        reel_random_normal01(&a);
    ck_assert_uint_eq(a.position, 11);
    b.position = 10;
    a.position = 10;
    ck_assert(reel_random_normal01(&a) == reel_random_normal01(&b));
    a = (reel_random){0, 0};                        /* the first published block: words 0 and 1    */
    ck_assert(reel_random_uniform01(&a) == (double)(0xe169c58d6627e8d5 >> 11) * 0x1p-53);
}
END_TEST

/* With 200,000 draws the standard deviation of the mean is 0.00065 (uniform) and 0.0022 (normal). */
START_TEST(random_numbers_are_spread_as_they_should)
{
    enum { DRAWS = 200000 };
    reel_random random = {2011, 0};
    double uniform[2] = {0}, normal[4] = {0};
    int bins[10] = {0};
    for (int i = 0; i < DRAWS; i++) {
        double u = reel_random_uniform01(&random), n = reel_random_normal01(&random);
        core_require(u >= 0 && u < 1 && fabs(n) < 8.6, "draw %d: %g, %g", i, u, n);
        uniform[0] += u, uniform[1] += u * u;
        normal[0] += n, normal[1] += n * n, normal[2] += n * n * n, normal[3] += n * n * n * n;
        bins[reel_random_below(&random, 10)]++;
    }
    ck_assert_double_eq_tol(uniform[0] / DRAWS, 0.5, 0.004);
    ck_assert_double_eq_tol(uniform[1] / DRAWS, 1.0 / 3, 0.004);
    ck_assert_double_eq_tol(normal[0] / DRAWS, 0, 0.012);
    ck_assert_double_eq_tol(normal[1] / DRAWS, 1, 0.02);
    ck_assert_double_eq_tol(normal[2] / DRAWS, 0, 0.05);
    ck_assert_double_eq_tol(normal[3] / DRAWS, 3, 0.15);
    for (int i = 0; i < 10; i++)
        ck_assert_int_lt(abs(bins[i] - DRAWS / 10), 800);
}
END_TEST

START_TEST(random_below_stays_below)
{
    const uint64_t limits[] = {1, 2, 3, 1000003, (uint64_t)1 << 63, ((uint64_t)1 << 63) + 1, UINT64_MAX};
    reel_random random = {5, 0};
    ck_assert_uint_eq(reel_random_below(&random, 0), 0);
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        for (int draw = 0; draw < 1000; draw++)
            core_require(reel_random_below(&random, limits[i]) < limits[i], "limit %d", (int)i);
}
END_TEST

/* Below 3 2^62, a plain x mod n would fall into the first third as often as into the others together. */
START_TEST(random_below_is_even_handed)
{
    reel_random random = {6, 0};
    int third[3] = {0};
    for (int i = 0; i < 30000; i++)
        third[reel_random_below(&random, (uint64_t)3 << 62) >> 62]++;
    for (int i = 0; i < 3; i++)
        ck_assert_int_lt(abs(third[i] - 10000), 500);
}
END_TEST


/* ---- CPU features -------------------------------------------------------------------------------- */

START_TEST(the_cpu_level_agrees_with_the_compiler)
{
    reel_cpu_level level = reel_cpu_detect();
    ck_assert(level >= REEL_CPU_BASELINE && level <= REEL_CPU_AVX512);
#if defined(__x86_64__)
    bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                  __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    ck_assert(level < REEL_CPU_AVX512 || avx512);
    ck_assert(level < REEL_CPU_AVX2 || avx2);
    ck_assert(level == REEL_CPU_AVX512 || !(avx512 && avx2));
#endif
}
END_TEST


/* ---- Threads ------------------------------------------------------------------------------------- */

static reel_pool *core_pool(int threads)
{
    reel_pool *pool = malloc(reel_pool_bytes(threads));
    ck_assert_ptr_nonnull(pool);
    ck_assert(reel_pool_start(pool, threads));
    ck_assert_int_eq(reel_pool_threads(pool), threads);
    return pool;
}

static void core_pool_free(reel_pool *pool)
{
    reel_pool_stop(pool);
    free(pool);
}

enum { CORE_ITEMS = 5000 };

typedef struct core_job {
    reel_pool *pool;
    int        visits[CORE_ITEMS];
    int64_t    length[CORE_ITEMS];                  /* of the piece that an item was in            */
} core_job;

static void core_visit(void *context, int64_t begin, int64_t end)
{
    core_job *job = context;
    for (int64_t i = begin; i < end; i++) {
        job->visits[i]++;
        job->length[i] = end - begin;
    }
}

static void core_check_visits(core_job *job, int64_t count, int64_t grain, int threads)
{
    for (int64_t i = 0; i < CORE_ITEMS; i++)
        core_require(job->visits[i] == (i < count), "item %d: %d visits", (int)i, job->visits[i]);
    int64_t pieces = 0;
    for (int64_t i = 0; i < count; i += job->length[i], pieces++)
        core_require(job->length[i] >= (grain < count ? grain : count), "a piece of %d", (int)job->length[i]);
    int64_t most = grain > 0 ? count / grain : count;
    ck_assert_int_eq(pieces, count == 0 ? 0 : most < 1 ? 1 : most < threads ? most : threads);
}

START_TEST(a_pool_visits_every_item_once)
{
    const int64_t counts[] = {0, 1, 2, 3, 4, 5, 7, 8, 63, 64, 100, 1000, CORE_ITEMS};
    const int64_t grains[] = {-1, 0, 1, 2, 3, 64, 999, INT64_MAX};
    const int threads[] = {1, 2, 3, 5, 8};
    for (size_t t = 0; t < sizeof threads / sizeof *threads; t++) {
        reel_pool *pool = core_pool(threads[t]);
        for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
            for (size_t g = 0; g < sizeof grains / sizeof *grains; g++) {
                core_job job = {.pool = pool};
                reel_pool_run(pool, counts[c], grains[g], core_visit, &job);
                core_check_visits(&job, counts[c], grains[g], threads[t]);
            }
        core_pool_free(pool);
    }
}
END_TEST

/* Close together the workers spin, further apart they sleep. */
START_TEST(a_pool_runs_again_and_again)
{
    reel_pool *pool = core_pool(3);
    for (int run = 0; run < 300; run++) {
        core_job job = {.pool = pool};
        if (run % 10 == 0)
            usleep(200);
        reel_pool_run(pool, 300, 1, core_visit, &job);
        core_check_visits(&job, 300, 1, 3);
    }
    core_pool_free(pool);
}
END_TEST

START_TEST(no_pool_runs_in_the_caller)
{
    core_job job = {.pool = NULL};
    reel_pool_run(NULL, 100, 1, core_visit, &job);
    core_check_visits(&job, 100, 1, 1);
    ck_assert_int_eq(reel_pool_threads(NULL), 1);
    reel_pool_stop(NULL);
    ck_assert_uint_eq(reel_pool_bytes(-3), reel_pool_bytes(1));
    ck_assert_uint_eq(reel_pool_bytes(100000), reel_pool_bytes(REEL_MAX_THREADS));
}
END_TEST

static void core_remember_piece(void *context, int64_t begin, int64_t end)
{
    int64_t *pieces = context;
    pieces[0] += begin == 0 && end == 10;
    pieces[1]++;
}

static void core_nest(void *context, int64_t begin, int64_t end)
{
    core_job *job = context;
    int64_t pieces[2] = {0};
    reel_pool_run(job->pool, 10, 1, core_remember_piece, pieces);
    for (int64_t i = begin; i < end; i++)
        job->visits[i] += pieces[0] == 1 && pieces[1] == 1;
}

START_TEST(nested_runs_are_serial)
{
    reel_pool *pool = core_pool(4);
    for (int run = 0; run < 50; run++) {
        core_job job = {.pool = pool};
        reel_pool_run(pool, 100, 1, core_nest, &job);
        for (int i = 0; i < 100; i++)
            ck_assert_int_eq(job.visits[i], 1);
    }
    core_pool_free(pool);
}
END_TEST

START_TEST(a_forked_child_runs_alone)
{
    reel_pool *pool = core_pool(3);
    core_job job = {.pool = pool};
    reel_pool_run(pool, 100, 1, core_visit, &job);
    pid_t child = fork();
    ck_assert(child >= 0);
    if (child == 0) {
        core_job own = {.pool = pool};
        reel_pool_run(pool, 100, 1, core_visit, &own);
        bool alone = reel_pool_threads(pool) == 1 && own.length[0] == 100 && own.visits[99] == 1;
        reel_pool_stop(pool);
        _exit(alone ? 0 : 1);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    core_pool_free(pool);
}
END_TEST

static void core_read_mask(void *context, int64_t begin, int64_t end)
{
    sigset_t *masks = context;
    for (int64_t i = begin; i < end; i++)
        pthread_sigmask(SIG_SETMASK, NULL, &masks[i]);
}

START_TEST(workers_block_signals_and_the_caller_does_not)
{
    sigset_t masks[3];
    reel_pool *pool = core_pool(3);
    reel_pool_run(pool, 3, 1, core_read_mask, masks);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(sigismember(&masks[i], SIGUSR1) && sigismember(&masks[i], SIGINT), i > 0);
    core_pool_free(pool);
}
END_TEST


/* ---- Text ---------------------------------------------------------------------------------------- */

START_TEST(text_is_cut_and_still_counted)
{
    char buffer[8] = "xxxxxxx";
    reel_text text = reel_text_in(buffer, 6);
    ck_assert_str_eq(buffer, "");
    reel_text_add(&text, "%s", "ab");
    reel_text_char(&text, 'c');
    ck_assert_str_eq(buffer, "abc");
    reel_text_add(&text, "%d-%d", 123, 4);
    ck_assert_str_eq(buffer, "abc12");
    reel_text_char(&text, 'z');
    reel_text_add(&text, "%s", "more");
    ck_assert_str_eq(buffer, "abc12");
    ck_assert_uint_eq(text.length, 13);
    ck_assert_int_eq(buffer[6], 'x');
}
END_TEST

START_TEST(text_is_measured_without_a_buffer)
{
    char byte = 'x';
    reel_text nowhere[] = {reel_text_in(NULL, 10), reel_text_in(&byte, 0), {NULL, 0, 0}};
    for (int i = 0; i < 3; i++) {
        reel_text_add(&nowhere[i], "%d", 12345);
        reel_text_char(&nowhere[i], '.');
        reel_text_number(&nowhere[i], REEL_F64, 0.5);
        ck_assert_uint_eq(nowhere[i].length, 9);
    }
    ck_assert_int_eq(byte, 'x');
}
END_TEST

static const char *core_number(char *buffer, reel_dtype dtype, double value)
{
    reel_text text = reel_text_in(buffer, 64);
    reel_text_number(&text, dtype, value);
    core_require(text.length == strlen(buffer), "%s", buffer);
    return buffer;
}

START_TEST(numbers_look_like_numpy_s)
{
    static const struct {
        reel_dtype  dtype;
        double      value;
        const char *text;
    } cases[] = {
        {REEL_F32, 0.16984601, "0.16984601"},       {REEL_F32, 0.8247449, "0.8247449"},
        {REEL_F32, 1, "1."},                        {REEL_F32, -0.0, "-0."},
        {REEL_F32, 0, "0."},                        {REEL_F32, (double)NAN, "nan"},
        {REEL_F64, -(double)NAN, "nan"},            {REEL_F16, (double)INFINITY, "inf"},
        {REEL_BF16, -(double)INFINITY, "-inf"},     {REEL_F64, 0.1, "0.1"},
        {REEL_F32, 0.1, "0.1"},                     {REEL_F16, 0.1, "0.1"},
        {REEL_BF16, 0.1, "0.1"},                    {REEL_F64, 1.0 / 3, "0.3333333333333333"},
        {REEL_F32, 1.0 / 3, "0.33333334"},          {REEL_F16, 1.0 / 3, "0.3333"},
        {REEL_BF16, 1.0 / 3, "0.334"},              {REEL_F64, 1e-10, "1e-10"},
        {REEL_F64, 1.5e-7, "1.5e-07"},              {REEL_F64, 1e-4, "0.0001"},
        {REEL_F64, 9.9e-5, "9.9e-05"},              {REEL_F64, 1e16, "1e+16"},
        {REEL_F64, 9999999999999998, "9999999999999998."}, {REEL_F64, 1e15, "1000000000000000."},
        {REEL_F64, 1e22, "1e+22"},                  {REEL_F64, 1e23, "1e+23"},
        {REEL_F64, 9007199254740993.0, "9007199254740992."}, {REEL_F64, 5e-324, "5e-324"},
        {REEL_F64, DBL_MAX, "1.7976931348623157e+308"}, {REEL_F64, DBL_MIN, "2.2250738585072014e-308"},
        {REEL_F64, 123456.789, "123456.789"},       {REEL_F64, 0x1p-44, "5.684341886080802e-14"},
        {REEL_F32, FLT_MAX, "3.4028235e+38"},       {REEL_F32, 0x1p-149, "1e-45"},
        {REEL_F32, 16777216, "16777216."},          {REEL_F32, 33554432, "33554432."},
        {REEL_F16, 65504, "65500."},                {REEL_F16, 0x1p-24, "6e-08"},
        {REEL_F16, 70000, "inf"},                   {REEL_BF16, 3.3895313892515355e38, "3.39e+38"},
        {REEL_F16, 256.25, "256.2"},                {REEL_F16, 256.75, "256.8"},
        {REEL_I32, -12.9, "-12"},                   {REEL_U8, 255, "255"},
        {REEL_I64, -9007199254740992.0, "-9007199254740992"}, {REEL_NO_DTYPE, 1, ""},
    };
    char buffer[64];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ck_assert_str_eq(core_number(buffer, cases[i].dtype, cases[i].value), cases[i].text);
}
END_TEST

START_TEST(elements_of_i64_keep_every_digit)
{
    char buffer[32];
    const int64_t least = INT64_MIN, most = INT64_MAX;
    reel_text text = reel_text_in(buffer, sizeof buffer);
    reel_text_element(&text, REEL_I64, &least);
    ck_assert_str_eq(buffer, "-9223372036854775808");
    text = reel_text_in(buffer, sizeof buffer);
    reel_text_element(&text, REEL_I64, &most);
    ck_assert_str_eq(buffer, "9223372036854775807");
}
END_TEST

static int core_digit_count(const char *text)
{
    int digits = 0, zeros = 0;
    for (const char *c = text; *c != 0 && *c != 'e'; c++) {
        if (*c < '0' || *c > '9' || (digits == 0 && *c == '0'))
            continue;
        digits++;
        zeros = *c == '0' ? zeros + 1 : 0;
    }
    return digits - zeros;
}

static double core_round_to(reel_dtype dtype, double x)
{
    core_element e;
    double back;
    reel_convert(dtype, &e, REEL_F64, &x, 1);
    reel_convert(REEL_F64, &back, dtype, &e, 1);
    return back;
}

static double core_read_back(reel_dtype dtype, const char *text)
{
    return dtype == REEL_F32 ? (double)strtof(text, NULL) : core_round_to(dtype, strtod(text, NULL));
}

static void core_check_reads_back(reel_dtype dtype, double x)
{
    char buffer[64];
    core_number(buffer, dtype, x);
    double back = core_read_back(dtype, buffer);
    core_require(back == x && signbit(back) == signbit(x), "%s %a: %s", reel_dtype_name(dtype), x, buffer);
    bool below_one = fabs(x) >= 1e-4 && fabs(x) < 1;
    core_require((buffer[signbit(x) != 0] == '0') == (below_one || x == 0), "%a: %s", x, buffer);
}

/* printf's digits are the nearest of their number: one digit fewer must miss, as many must not be nearer. */
static void core_check_shortest(reel_dtype dtype, double x)
{
    char buffer[64], other[64];
    int digits = core_digit_count(core_number(buffer, dtype, x));
    if (digits > 1) {
        snprintf(other, sizeof other, "%.*e", digits - 2, x);
        core_require(core_read_back(dtype, other) != x, "%a: %s is longer than %s", x, buffer, other);
    }
    snprintf(other, sizeof other, "%.*e", digits - 1, x);
    if (core_read_back(dtype, other) == x) {
        bool nearest = fabs(strtod(buffer, NULL) - x) <= fabs(strtod(other, NULL) - x);
        core_require(nearest, "%a: %s is less near than %s", x, buffer, other);
    }
}

START_TEST(every_half_reads_back)
{
    const core_format *f = &core_formats[_i];
    for (int bits = 0; bits < 65536; bits++) {
        double x = f->to_f32((uint16_t)bits);
        if (isnan(x))
            continue;
        core_check_reads_back(_i == 0 ? REEL_F16 : REEL_BF16, x);
        if (x != 0 && !isinf(x) && bits < 32768)
            core_check_shortest(_i == 0 ? REEL_F16 : REEL_BF16, x);
    }
}
END_TEST

START_TEST(random_f32_reads_back)
{
    uint64_t state = 3;
    for (int i = 0; i < 750000; i++) {
        float x = reel_f32_of_bits((uint32_t)(core_bits(&state) >> 32));
        if (isnan(x) || isinf(x))
            continue;
        core_check_reads_back(REEL_F32, x);
        if (i % 20 == 0 && x != 0)
            core_check_shortest(REEL_F32, x);
    }
}
END_TEST

/* Half of them from all of f64, half between 1e-9 and 1e9; then all powers of two and their neighbours. */
START_TEST(random_f64_reads_back)
{
    uint64_t state = 4;
    for (int i = 0; i < 250000; i++) {
        uint64_t bits = core_bits(&state);
        double x = i % 2 == 0 ? reel_f64_of_bits(bits)
                              : ldexp((double)bits, -64 - 30 + (int)(core_bits(&state) % 60));
        if (isnan(x) || isinf(x))
            continue;
        core_check_reads_back(REEL_F64, x);
        if (i % 20 < 2 && x != 0)
            core_check_shortest(REEL_F64, x);
    }
    for (int e = -1074; e < 1024; e++) {
        double x = ldexp(1, e);
        core_check_reads_back(REEL_F64, x);
        core_check_shortest(REEL_F64, x);
        core_check_reads_back(REEL_F64, nextafter(x, 0));
        core_check_reads_back(REEL_F64, nextafter(x, 2 * x));
    }
}
END_TEST

START_TEST(numbers_do_not_follow_the_locale)
{
    const char *locales[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "de_DE"};
    for (size_t i = 0; i < sizeof locales / sizeof *locales; i++)
        if (setlocale(LC_ALL, locales[i]) != NULL)
            break;
    char buffer[64];
    ck_assert_str_eq(core_number(buffer, REEL_F64, 1234567.5), "1234567.5");
    ck_assert_str_eq(core_number(buffer, REEL_F64, 1.5e300), "1.5e+300");
    setlocale(LC_ALL, "C");
}
END_TEST


static void core_add_case(Suite *suite, const char *name, const TTest *const *tests, size_t count, int times)
{
    TCase *tcase = tcase_create(name);
    tcase_set_timeout(tcase, 60);
    for (size_t i = 0; i < count; i++)
        tcase_add_loop_test(tcase, tests[i], 0, times);
    suite_add_tcase(suite, tcase);
}

#define CORE_CASE(suite, name, times, ...)                                                           \
    core_add_case(suite, name, (const TTest *const[]){__VA_ARGS__},                                  \
                  sizeof((const TTest *const[]){__VA_ARGS__}) / sizeof(const TTest *), times)

Suite *reel_suite_core(void)
{
    Suite *suite = suite_create("core: numbers");
    CORE_CASE(suite, "half", 2, halves_widen_exactly_and_return, halves_round_at_every_boundary,
              halves_round_random_and_extreme_numbers, halves_keep_nan_quiet_with_its_sign);
    CORE_CASE(suite, "half runs", 1, halves_in_runs_are_the_same);
    CORE_CASE(suite, "dtype", 1, dtypes_have_names_sizes_and_kinds, every_pair_of_dtypes_converts,
              random_integers_round_once, converting_nothing_changes_nothing, a_copy_keeps_signalling_nans,
              values_fill_and_copy, values_that_make_no_sense_are_refused);
    CORE_CASE(suite, "random", 1, philox_gives_the_published_numbers,
              random_numbers_depend_on_seed_and_position_alone, random_numbers_are_spread_as_they_should,
              random_below_stays_below, random_below_is_even_handed);
    CORE_CASE(suite, "cpu", 1, the_cpu_level_agrees_with_the_compiler);
    CORE_CASE(suite, "threads", 1, a_pool_visits_every_item_once, a_pool_runs_again_and_again,
              no_pool_runs_in_the_caller, nested_runs_are_serial, a_forked_child_runs_alone,
              workers_block_signals_and_the_caller_does_not);
    CORE_CASE(suite, "text", 1, text_is_cut_and_still_counted, text_is_measured_without_a_buffer,
              numbers_look_like_numpy_s, elements_of_i64_keep_every_digit, random_f32_reads_back,
              random_f64_reads_back, numbers_do_not_follow_the_locale);
    CORE_CASE(suite, "text of halves", 2, every_half_reads_back);
    return suite;
}
