/* Matrix products against a triple loop in long double, on every kind of layout; and the promise that the
 * bits of an element depend on its row of A and its column of B alone. Of the library, which has BLIS or not,
 * and of the micro-kernels of our own at every level that this CPU can run. */
#include "ops/kernels/gemm.h"

#include <check.h>
#include <float.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

Suite *reel_suite_gemm(void);

/* Of gemm_own.c. */
extern __typeof__(reel_gemm_f32) own_gemm_f32;
extern __typeof__(reel_gemm_f64) own_gemm_f64;

/* What multiplies: the library, or micro-kernels of our own. */
static bool gemm_own;
static reel_cpu_level gemm_level;

enum gemm_layout { GEMM_ROWS, GEMM_COLUMNS, GEMM_PADDED, GEMM_REVERSED, GEMM_SPREAD, GEMM_LAYOUTS };
enum { GEMM_SAME_ROWS = GEMM_LAYOUTS, GEMM_SAME_COLUMNS, GEMM_ALL_LAYOUTS };

/* A matrix in f32 or in f64, at `origin` in a buffer of its own that is NaN elsewhere. */
typedef struct gemm_operand {
    bool    wide;
    void   *memory;
    int64_t count, origin, row, col, rows, cols;    /* count: elements of the buffer               */
} gemm_operand;

static uint64_t gemm_random_state = 1;

/* Evenly from [-1, 1), in multiples of 2^-23, so that f32 holds it. */
static double gemm_random(void)
{
    gemm_random_state = gemm_random_state * 6364136223846793005u + 1442695040888963407u;
    return (double)(int64_t)(gemm_random_state >> 40) / (1 << 23) - 1;
}

static double gemm_get(gemm_operand x, int64_t i, int64_t j)
{
    int64_t at = x.origin + i * x.row + j * x.col;
    return x.wide ? ((double *)x.memory)[at] : (double)((float *)x.memory)[at];
}

static void gemm_set(gemm_operand x, int64_t i, int64_t j, double value)
{
    int64_t at = x.origin + i * x.row + j * x.col;
    if (x.wide)
        ((double *)x.memory)[at] = value;
    else
        ((float *)x.memory)[at] = (float)value;
}

static gemm_operand gemm_new(bool wide, int64_t rows, int64_t cols, int layout)
{
    gemm_operand x = {.wide = wide, .rows = rows, .cols = cols, .origin = 1, .row = cols, .col = 1};
    switch (layout) {
    case GEMM_COLUMNS:      x.row = 1, x.col = rows; break;
    case GEMM_PADDED:       x.row = cols + 3; break;
    case GEMM_SPREAD:       x.row = 3 * cols + 1, x.col = 3; break;
    case GEMM_SAME_ROWS:    x.row = 0; break;
    case GEMM_SAME_COLUMNS: x.row = 1, x.col = 0; break;
    case GEMM_REVERSED:     x.row = -cols, x.col = -1, x.origin = rows * cols + 1; break;
    default:                break;
    }
    x.count = (layout == GEMM_SPREAD ? 3 : 1) * (rows + 2) * (cols + 4);
    size_t bytes = (size_t)x.count * (wide ? sizeof(double) : sizeof(float));
    x.memory = malloc(bytes);
    ck_assert_ptr_nonnull(x.memory);
    memset(x.memory, 0xff, bytes);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++)
            gemm_set(x, i, j, gemm_random());
    return x;
}

/* Rows [from, from + m) of C. */
static void gemm_rows(gemm_operand a, gemm_operand b, double beta, gemm_operand c, int64_t from, int64_t m)
{
    int64_t at_a = a.origin + from * a.row, at_c = c.origin + from * c.row;
    __typeof__(&reel_gemm_f32) f32 = gemm_own ? own_gemm_f32 : reel_gemm_f32;
    __typeof__(&reel_gemm_f64) f64 = gemm_own ? own_gemm_f64 : reel_gemm_f64;
    bool ok = c.wide ? f64(gemm_level, m, c.cols, a.cols, (double *)a.memory + at_a, a.row, a.col,
                           (double *)b.memory + b.origin, b.row, b.col, beta, (double *)c.memory + at_c,
                           c.row, c.col)
                     : f32(gemm_level, m, c.cols, a.cols, (float *)a.memory + at_a, a.row, a.col,
                           (float *)b.memory + b.origin, b.row, b.col, (float)beta, (float *)c.memory + at_c,
                           c.row, c.col);
    ck_assert(ok);
}

static void gemm_multiply(gemm_operand a, gemm_operand b, double beta, gemm_operand c)
{
    gemm_rows(a, b, beta, c, 0, c.rows);
}

/* |computed - exact| <= (k + 2) u (|C| + sum |a b|), the textbook bound for any order of summation. */
static void gemm_verify(gemm_operand a, gemm_operand b, gemm_operand before, gemm_operand c)
{
    const long double unit = c.wide ? DBL_EPSILON / 2 : FLT_EPSILON / 2;
    for (int64_t i = 0; i < c.rows; i++)
        for (int64_t j = 0; j < c.cols; j++) {
            long double sum = before.memory ? gemm_get(before, i, j) : 0, size = fabsl(sum);
            for (int64_t p = 0; p < a.cols; p++) {
                long double term = (long double)gemm_get(a, i, p) * gemm_get(b, p, j);
                sum += term;
                size += fabsl(term);
            }
            long double error = fabsl(gemm_get(c, i, j) - sum), bound = (a.cols + 2) * unit * size;
            ck_assert_msg(error <= bound, "[%ld,%ld,%ld] element (%ld,%ld): error %Lg, bound %Lg",
                          (long)c.rows, (long)c.cols, (long)a.cols, (long)i, (long)j, error, bound);
        }
}

/* x again, in another layout. */
static gemm_operand gemm_relaid(gemm_operand x, int layout)
{
    gemm_operand y = gemm_new(x.wide, x.rows, x.cols, layout);
    for (int64_t i = 0; i < x.rows; i++)
        for (int64_t j = 0; j < x.cols; j++)
            gemm_set(y, i, j, gemm_get(x, i, j));
    return y;
}

static void gemm_assert_same_bits(gemm_operand x, gemm_operand y)
{
    for (int64_t i = 0; i < x.rows; i++)
        for (int64_t j = 0; j < x.cols; j++) {
            double u = gemm_get(x, i, j), v = gemm_get(y, i, j);
            ck_assert_msg(memcmp(&u, &v, sizeof u) == 0, "row %ld of %ld, column %ld: %.17g and %.17g",
                          (long)i, (long)x.rows, (long)j, u, v);
        }
}

/* What lies around and between the elements of C is NaN, and stays it. */
static void gemm_assert_gaps(gemm_operand c)
{
    for (int64_t i = 0; i < c.rows; i++)
        for (int64_t j = 0; j < c.cols; j++)
            gemm_set(c, i, j, NAN);
    for (int64_t at = 0; at < c.count; at++)
        ck_assert(isnan(c.wide ? ((double *)c.memory)[at] : (double)((float *)c.memory)[at]));
}

static void gemm_try(bool wide, int64_t m, int64_t n, int64_t k, int layout_a, int layout_b, int layout_c)
{
    gemm_operand a = gemm_new(wide, m, k, layout_a), b = gemm_new(wide, k, n, layout_b);
    gemm_operand c = gemm_new(wide, m, n, layout_c), none = {0};
    gemm_multiply(a, b, 0, c);
    gemm_verify(a, b, none, c);
    gemm_operand before = gemm_relaid(c, GEMM_ROWS);
    gemm_multiply(a, b, 1, c);
    gemm_verify(a, b, before, c);
    gemm_assert_gaps(c);
    free(a.memory);
    free(b.memory);
    free(c.memory);
    free(before.memory);
}

static const int64_t gemm_shapes[][3] = {
    {1, 1, 1},     {1, 7, 3},     {5, 1, 9},     {2, 3, 4},      {8, 8, 8},      {6, 16, 32},   {32, 12, 65},
    {33, 13, 255}, {31, 11, 256}, {14, 17, 257}, {10, 100, 20},  {100, 10, 300}, {1, 10, 513},  {10, 1, 1000},
    {64, 64, 64},  {65, 63, 66},  {128, 10, 70}, {300, 20, 30},  {20, 300, 30},  {515, 9, 8},   {9, 1030, 8},
};
enum { GEMM_SHAPES = sizeof gemm_shapes / sizeof *gemm_shapes };

START_TEST(gemm_equals_the_triple_loop)
{
    const int64_t *shape = gemm_shapes[_i / 2];
    for (int a = 0; a < GEMM_ALL_LAYOUTS; a++)
        for (int b = a % 2; b < GEMM_ALL_LAYOUTS; b += 2)
            gemm_try(_i % 2, shape[0], shape[1], shape[2], a, b, a / 2 % 2);
    for (int layout = 0; layout < GEMM_LAYOUTS; layout++)
        if (layout != GEMM_REVERSED)
            gemm_try(_i % 2, shape[0], shape[1], shape[2], GEMM_ROWS, GEMM_COLUMNS, layout);
}
END_TEST

START_TEST(gemm_every_small_shape)
{
    for (int64_t m = 1; m <= 35; m += 1 + m / 9)
        for (int64_t n = 1; n <= 35; n += 1 + n / 9)
            for (int64_t k = 1; k <= 9; k += 2)
                gemm_try(_i, m, n, k, (int)(m % GEMM_ALL_LAYOUTS), (int)(n % GEMM_ALL_LAYOUTS), (int)(k % 3));
}
END_TEST

static const int64_t gemm_cut_shapes[][3] = {{67, 10, 5000}, {200, 10, 300}, {130, 70, 300}, {40, 33, 64},
                                             {700, 3, 10},   {9, 300, 513},  {64, 12, 257},  {1100, 17, 260}};
enum { GEMM_CUT_SHAPES = sizeof gemm_cut_shapes / sizeof *gemm_cut_shapes };

/* What a test of bits compares: C = start + beta A B, computed whole. */
typedef struct gemm_bits {
    gemm_operand a, b, start, whole;
    double       beta;
} gemm_bits;

static gemm_bits gemm_bits_new(int which)
{
    const int64_t *shape = gemm_cut_shapes[which / 4];
    bool wide = which % 2;
    gemm_bits x = {.a = gemm_new(wide, shape[0], shape[2], GEMM_ROWS), .beta = which / 2 % 2};
    x.b = gemm_new(wide, shape[2], shape[1], GEMM_PADDED);
    x.start = gemm_new(wide, shape[0], shape[1], GEMM_ROWS);
    x.whole = gemm_relaid(x.start, GEMM_ROWS);
    gemm_multiply(x.a, x.b, x.beta, x.whole);
    return x;
}

static void gemm_bits_free(gemm_bits x)
{
    free(x.a.memory);
    free(x.b.memory);
    free(x.start.memory);
    free(x.whole.memory);
}

START_TEST(gemm_rows_alone_have_the_same_bits)
{
    static const int64_t pieces[] = {1, 3, 7, 16, 31, 33, 100};
    gemm_bits x = gemm_bits_new(_i);
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        gemm_operand c = gemm_relaid(x.start, GEMM_ROWS);
        for (int64_t from = 0; from < c.rows; from += pieces[i])
            gemm_rows(x.a, x.b, x.beta, c, from, c.rows - from < pieces[i] ? c.rows - from : pieces[i]);
        gemm_assert_same_bits(x.whole, c);
        free(c.memory);
    }
    gemm_bits_free(x);
}
END_TEST

START_TEST(gemm_columns_alone_have_the_same_bits)
{
    gemm_bits x = gemm_bits_new(_i);
    for (int64_t j = 0; j < x.b.cols; j += 1 + x.b.cols / 5) {
        gemm_operand b = x.b, c = x.start, expected = x.whole;
        b.origin += j * b.col, c.origin += j, expected.origin += j;
        b.cols = c.cols = expected.cols = 1;
        gemm_multiply(x.a, b, x.beta, c);
        gemm_assert_same_bits(expected, c);
    }
    gemm_bits_free(x);
}
END_TEST

START_TEST(gemm_layouts_have_the_same_bits)
{
    gemm_bits x = gemm_bits_new(_i);
    for (int layout = 0; layout < GEMM_LAYOUTS; layout++) {
        gemm_operand a = gemm_relaid(x.a, layout), b = gemm_relaid(x.b, layout);
        gemm_operand c = gemm_relaid(x.start, layout == GEMM_REVERSED ? GEMM_COLUMNS : layout);
        gemm_multiply(a, b, x.beta, c);
        gemm_assert_same_bits(x.whole, c);
        free(a.memory);
        free(b.memory);
        free(c.memory);
    }
    gemm_bits_free(x);
}
END_TEST

/* A NaN or an infinity reaches its own row or column, whatever it is multiplied with, and nothing else. */
START_TEST(gemm_special_values_stay_in_their_row)
{
    gemm_operand a = gemm_new(_i, 37, 300, GEMM_ROWS), b = gemm_new(_i, 300, 21, GEMM_ROWS);
    gemm_operand c = gemm_new(_i, 37, 21, GEMM_ROWS);
    gemm_set(a, 5, 299, NAN);
    gemm_set(a, 6, 3, INFINITY);
    gemm_set(b, 3, 2, 0);                            /* infinity times 0 is NaN                     */
    gemm_set(b, 8, 20, NAN);
    for (int64_t i = 0; i < 37; i++)
        for (int64_t j = 0; j < 21; j++)
            gemm_set(c, i, j, NAN);                  /* beta = 0 does not read it                   */
    gemm_multiply(a, b, 0, c);
    for (int64_t i = 0; i < 37; i++)
        for (int64_t j = 0; j < 21; j++) {
            bool nan = i == 5 || j == 20 || (i == 6 && j == 2), infinite = i == 6 && !nan;
            ck_assert_int_eq(nan, isnan(gemm_get(c, i, j)) != 0);
            ck_assert_int_eq(infinite, isinf(gemm_get(c, i, j)) != 0);
        }
    free(a.memory);
    free(b.memory);
    free(c.memory);
}
END_TEST

START_TEST(gemm_empty_sizes)
{
    gemm_operand a = gemm_new(_i, 3, 5, GEMM_ROWS), b = gemm_new(_i, 5, 4, GEMM_ROWS);
    gemm_operand c = gemm_new(_i, 3, 4, GEMM_PADDED), before = gemm_relaid(c, GEMM_ROWS);
    gemm_operand none = {.wide = _i, .memory = c.memory}, no_rows = c, no_columns = c;
    gemm_multiply(none, none, 1, c);                 /* k = 0: nothing to add                       */
    gemm_assert_same_bits(c, before);
    no_rows.rows = no_columns.cols = 0;
    gemm_multiply(a, b, 0, no_rows);
    gemm_multiply(a, b, 0, no_columns);
    gemm_assert_same_bits(c, before);
    gemm_set(c, 1, 1, NAN);
    gemm_multiply(none, none, 0, c);                 /* k = 0: the empty sum                        */
    for (int64_t i = 0; i < 3; i++)
        for (int64_t j = 0; j < 4; j++)
            ck_assert(gemm_get(c, i, j) == 0 && !signbit(gemm_get(c, i, j)));
    gemm_assert_gaps(c);
    free(a.memory);
    free(b.memory);
    free(c.memory);
    free(before.memory);
}
END_TEST

enum { GEMM_THREADS = 4, GEMM_ROUNDS = 8 };

/* A thread's rows of C, in a C of its own. */
typedef struct gemm_job {
    pthread_t    thread;
    gemm_operand a, b, c;
    int64_t      from, rows;
} gemm_job;

static void *gemm_work(void *argument)
{
    gemm_job *job = argument;
    for (int round = 0; round < GEMM_ROUNDS; round++)
        gemm_rows(job->a, job->b, 0, job->c, job->from, job->rows);
    return NULL;
}

/* Threads that multiply at once, the whole each, or a quarter of the rows of the same C. */
START_TEST(gemm_threads_have_the_same_bits)
{
    bool wide = _i % 2, shared = _i / 2;
    gemm_operand a = gemm_new(wide, 150, 600, GEMM_ROWS), b = gemm_new(wide, 600, 50, GEMM_COLUMNS);
    gemm_operand expected = gemm_new(wide, 150, 50, GEMM_ROWS), target = gemm_relaid(expected, GEMM_ROWS);
    gemm_job job[GEMM_THREADS];
    for (int t = 0; t < GEMM_THREADS; t++) {
        int64_t from = shared ? 150 * t / GEMM_THREADS : 0;
        int64_t to = shared ? 150 * (t + 1) / GEMM_THREADS : 150;
        job[t] = (gemm_job){.a = a, .b = b, .from = from, .rows = to - from};
        job[t].c = shared ? target : gemm_relaid(target, GEMM_ROWS);
        ck_assert_int_eq(pthread_create(&job[t].thread, NULL, gemm_work, &job[t]), 0);
    }
    gemm_multiply(a, b, 0, expected);
    for (int t = 0; t < GEMM_THREADS; t++)
        pthread_join(job[t].thread, NULL);
    for (int t = 0; t < GEMM_THREADS; t++) {
        gemm_assert_same_bits(expected, job[t].c);
        if (!shared)
            free(job[t].c.memory);
    }
    free(a.memory);
    free(b.memory);
    free(expected.memory);
    free(target.memory);
}
END_TEST

static void gemm_of_library(void)
{
    gemm_own = false;
    gemm_level = reel_cpu_detect();
}

static void gemm_of_level(reel_cpu_level level)
{
    gemm_own = true;
    gemm_level = level;
}

static void gemm_of_baseline(void) { gemm_of_level(REEL_CPU_BASELINE); }
static void gemm_of_avx2(void)     { gemm_of_level(REEL_CPU_AVX2); }
static void gemm_of_avx512(void)   { gemm_of_level(REEL_CPU_AVX512); }

/* x y + sum as the level computes it. */
static double gemm_term(bool wide, double x, double y, double sum)
{
    bool fused = gemm_level >= REEL_CPU_AVX2;
    if (wide)
        return fused ? fma(x, y, sum) : x * y + sum;
    return fused ? fmaf((float)x, (float)y, (float)sum) : (float)x * (float)y + (float)sum;
}

/* c[i, j] + the terms in ascending order, in sums of 256 each. */
static double gemm_promised(gemm_operand a, gemm_operand b, gemm_operand c, int64_t i, int64_t j)
{
    double total = gemm_get(c, i, j);
    for (int64_t p = 0; p < a.cols;) {
        double sum = 0;
        for (int64_t end = p + 256; p < a.cols && p < end; p++)
            sum = gemm_term(c.wide, gemm_get(a, i, p), gemm_get(b, p, j), sum);
        total = c.wide ? total + sum : (float)total + (float)sum;
    }
    return total;
}

START_TEST(gemm_own_bits_are_those_promised)
{
    gemm_bits x = gemm_bits_new(_i);
    gemm_operand expected = gemm_relaid(x.start, GEMM_ROWS);
    for (int64_t i = 0; i < expected.rows; i++)
        for (int64_t j = 0; j < expected.cols; j++) {
            if (x.beta == 0)
                gemm_set(expected, i, j, 0);
            gemm_set(expected, i, j, gemm_promised(x.a, x.b, expected, i, j));
        }
    gemm_assert_same_bits(expected, x.whole);
    free(expected.memory);
    gemm_bits_free(x);
}
END_TEST

static TCase *gemm_add_tests(Suite *suite, const char *name, void (*of)(void))
{
    TCase *tests = tcase_create(name);
    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, of, NULL);
    tcase_add_loop_test(tests, gemm_every_small_shape, 0, 2);
    tcase_add_loop_test(tests, gemm_rows_alone_have_the_same_bits, 0, 4 * GEMM_CUT_SHAPES);
    tcase_add_loop_test(tests, gemm_columns_alone_have_the_same_bits, 0, 4 * GEMM_CUT_SHAPES);
    tcase_add_loop_test(tests, gemm_layouts_have_the_same_bits, 0, 4 * GEMM_CUT_SHAPES);
    tcase_add_loop_test(tests, gemm_special_values_stay_in_their_row, 0, 2);
    tcase_add_loop_test(tests, gemm_empty_sizes, 0, 2);
    tcase_add_loop_test(tests, gemm_threads_have_the_same_bits, 0, 4);
    suite_add_tcase(suite, tests);
    return tests;
}

Suite *reel_suite_gemm(void)
{
    static void (*const of_level[])(void) = {gemm_of_baseline, gemm_of_avx2, gemm_of_avx512};
    static const char *const name[] = {"baseline", "avx2", "avx512"};
    Suite *suite = suite_create("gemm");
    TCase *library = gemm_add_tests(suite, "library", gemm_of_library);
    tcase_add_loop_test(library, gemm_equals_the_triple_loop, 0, 2 * GEMM_SHAPES);
    for (int level = 0; level <= (int)reel_cpu_detect(); level++) {
        TCase *own = gemm_add_tests(suite, name[level], of_level[level]);
        tcase_add_loop_test(own, gemm_own_bits_are_those_promised, 0, 4 * GEMM_CUT_SHAPES);
    }
    return suite;
}
