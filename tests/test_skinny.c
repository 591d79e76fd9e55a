/* Products by few columns at every level that this CPU can run: against a triple loop in long double, on odd
 * sizes, every layout, numbers and bytes; and the promise that an element's bits depend on its row of A and its
 * column of B alone.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/cpu.h"
#include "ops/kernels/skinny.h"

#include <check.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

Suite *reel_suite_skinny(void);

enum skinny_kind { SKINNY_F32, SKINNY_F64, SKINNY_U8 };
enum skinny_layout { SKINNY_ROW, SKINNY_COLUMN, SKINNY_PADDED, SKINNY_SPREAD, SKINNY_REVERSED, SKINNY_LAYOUTS };

/* A matrix in memory that is just large enough, so that tools see every read outside. */
typedef struct skinny_matrix {
    enum skinny_kind kind;
    int64_t          rows, cols, row, col, origin;
    void            *memory;
} skinny_matrix;

static size_t skinny_size(enum skinny_kind kind)
{
    return kind == SKINNY_F32 ? sizeof(float) : kind == SKINNY_F64 ? sizeof(double) : 1;
}

static double skinny_get(skinny_matrix x, int64_t i, int64_t j)
{
    int64_t at = x.origin + i * x.row + j * x.col;
    return x.kind == SKINNY_F32   ? (double)((float *)x.memory)[at]
           : x.kind == SKINNY_F64 ? ((double *)x.memory)[at]
                                  : ((uint8_t *)x.memory)[at];
}

static void skinny_set(skinny_matrix x, int64_t i, int64_t j, double value)
{
    int64_t at = x.origin + i * x.row + j * x.col;
    if (x.kind == SKINNY_F32)
        ((float *)x.memory)[at] = (float)value;
    else if (x.kind == SKINNY_F64)
        ((double *)x.memory)[at] = value;
    else
        ((uint8_t *)x.memory)[at] = (uint8_t)value;
}

/* Depends on the place alone, so that two layouts hold the same numbers. */
static double skinny_number(enum skinny_kind kind, int64_t i, int64_t j)
{
    uint64_t x = (uint64_t)(i * 7919 + j + 1) * 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 29) * 0xbf58476d1ce4e5b9u;
    return kind == SKINNY_U8 ? (double)(x >> 56) : (double)(x >> 40) / (1 << 23) - 1;
}

static skinny_matrix skinny_new(enum skinny_kind kind, int64_t rows, int64_t cols, enum skinny_layout layout)
{
    skinny_matrix x = {.kind = kind, .rows = rows, .cols = cols, .row = cols, .col = 1};
    if (layout == SKINNY_COLUMN)
        x.row = 1, x.col = rows;
    if (layout == SKINNY_PADDED)
        x.row = cols + 3;
    if (layout == SKINNY_SPREAD)
        x.row = 2 * cols + 1, x.col = 2;
    int64_t last = (rows - 1) * x.row + (cols - 1) * x.col;
    if (layout == SKINNY_REVERSED)
        x.row = -x.row, x.col = -1, x.origin = last;
    size_t bytes = (size_t)(last + 1) * skinny_size(kind);
    x.memory = malloc(bytes);
    ck_assert_ptr_nonnull(x.memory);
    memset(x.memory, 0xff, bytes);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++)
            skinny_set(x, i, j, skinny_number(kind, i, j));
    return x;
}

static void *skinny_at(skinny_matrix x, int64_t i, int64_t j)
{
    return (char *)x.memory + (size_t)(x.origin + i * x.row + j * x.col) * skinny_size(x.kind);
}

/* NULL where the level has none. */
static reel_skinny_kernel skinny_kernel_of(int level)
{
#ifdef __x86_64__
    const reel_skinny_kernel kernel[] = {reel_skinny_product_baseline, reel_skinny_product_avx2, reel_skinny_product_avx512};
#else
    const reel_skinny_kernel kernel[] = {reel_skinny_product_baseline};
#endif
    return kernel[level];
}

/* Rows [from, from + m) and columns [left, left + n) of C. */
static void skinny_run(int level, skinny_matrix a, skinny_matrix b, skinny_matrix c, int64_t from, int64_t m, int64_t left,
                       int64_t n)
{
    const reel_skinny product = {.m = m, .n = n, .k = a.cols, .a = skinny_at(a, from, 0), .a_row = a.row, .a_col = a.col,
                                 .b = skinny_at(b, 0, left), .b_row = b.row, .b_col = b.col,
                                 .c = skinny_at(c, from, left), .c_row = c.row, .c_col = c.col,
                                 .bytes = a.kind == SKINNY_U8, .wide = c.kind == SKINNY_F64};
    skinny_kernel_of(level)(&product);
}

/* |computed - exact| <= (k + 2) u sum |a b|, the textbook bound for any order of summation. */
static void skinny_verify(int level, skinny_matrix a, skinny_matrix b, skinny_matrix c)
{
    const long double unit = c.kind == SKINNY_F64 ? DBL_EPSILON / 2 : FLT_EPSILON / 2;
    for (int64_t i = 0; i < c.rows; i++)
        for (int64_t j = 0; j < c.cols; j++) {
            long double sum = 0, size = 0;
            for (int64_t p = 0; p < a.cols; p++) {
                long double term = (long double)skinny_get(a, i, p) * skinny_get(b, p, j);
                sum += term;
                size += fabsl(term);
            }
            ck_assert_msg(fabsl(skinny_get(c, i, j) - sum) <= (a.cols + 2) * unit * size,
                          "level %d, [%ld,%ld,%ld] element (%ld,%ld): %.17g, and not %.17Lg", level, (long)c.rows,
                          (long)c.cols, (long)a.cols, (long)i, (long)j, skinny_get(c, i, j), sum);
        }
}

/* Bit for bit. */
static void skinny_assert_same(skinny_matrix x, skinny_matrix y)
{
    for (int64_t i = 0; i < x.rows; i++)
        for (int64_t j = 0; j < x.cols; j++) {
            const double a = skinny_get(x, i, j), b = skinny_get(y, i, j);
            ck_assert_msg(memcmp(&a, &b, sizeof a) == 0, "row %ld of %ld, column %ld: %.17g and %.17g", (long)i,
                          (long)x.rows, (long)j, a, b);
        }
}

static const int64_t skinny_shapes[][3] = {
    {1, 1, 1},   {1, 16, 300},  {2, 10, 17},  {7, 3, 64},   {8, 10, 256},  {9, 11, 257}, {15, 2, 5},
    {16, 16, 1}, {31, 10, 100}, {32, 10, 70}, {33, 9, 520}, {65, 13, 255}, {100, 5, 40}, {130, 10, 770},
    {1, 10, 784}, {12, 10, 300}, {140, 10, 528}, {21, 16, 48},
};
enum { SKINNY_SHAPES = sizeof skinny_shapes / sizeof *skinny_shapes };

/* Every layout of A and of B; the bits are those of the first, and those of its rows and columns alone. */
static void skinny_try(int level, const int64_t shape[3], enum skinny_kind kind_a, enum skinny_kind kind)
{
    skinny_matrix first = skinny_new(kind, shape[0], shape[1], SKINNY_ROW);
    for (int layout = 0; layout < SKINNY_LAYOUTS * SKINNY_LAYOUTS; layout++) {
        skinny_matrix a = skinny_new(kind_a, shape[0], shape[2], (enum skinny_layout)(layout % SKINNY_LAYOUTS));
        skinny_matrix b = skinny_new(kind, shape[2], shape[1], (enum skinny_layout)(layout / SKINNY_LAYOUTS));
        skinny_matrix c = skinny_new(kind, shape[0], shape[1], (enum skinny_layout)(layout % SKINNY_SPREAD));
        for (int64_t i = 0; i < c.rows; i++)
            for (int64_t j = 0; j < c.cols; j++)
                skinny_set(c, i, j, NAN);            /* it is not read                              */
        skinny_run(level, a, b, c, 0, c.rows, 0, c.cols);
        if (layout == 0) {
            skinny_verify(level, a, b, c);
            memcpy(first.memory, c.memory, (size_t)(c.rows * c.cols) * skinny_size(kind));
        }
        skinny_assert_same(first, c);
        for (int64_t i = 0; i < c.rows; i += 5)
            for (int64_t j = 0; j < c.cols; j += 3)
                skinny_run(level, a, b, c, i, c.rows - i < 5 ? c.rows - i : 5, j, c.cols - j < 3 ? c.cols - j : 3);
        skinny_assert_same(first, c);
        free(a.memory);
        free(b.memory);
        free(c.memory);
    }
    free(first.memory);
}

START_TEST(skinny_equals_the_triple_loop)
{
    for (int level = 0; level <= (int)reel_cpu_detect(); level++) {
        if (!skinny_kernel_of(level))
            continue;
        skinny_try(level, skinny_shapes[_i], SKINNY_F32, SKINNY_F32);
        skinny_try(level, skinny_shapes[_i], SKINNY_F64, SKINNY_F64);
        skinny_try(level, skinny_shapes[_i], SKINNY_U8, SKINNY_F32);
    }
}
END_TEST

START_TEST(skinny_levels_have_the_same_bits)
{
    for (int level = REEL_CPU_AVX2 + 1; level <= (int)reel_cpu_detect() && skinny_kernel_of(level); level++)
        for (int layout = 0; layout < 2; layout++)
            for (int bytes = 0; bytes < 2; bytes++)
                for (int wide = 0; wide < 2 - bytes; wide++) {
                    const int64_t *shape = skinny_shapes[_i];
                    enum skinny_kind kind = wide ? SKINNY_F64 : SKINNY_F32;
                    skinny_matrix a = skinny_new(bytes ? SKINNY_U8 : kind, shape[0], shape[2], (enum skinny_layout)layout);
                    skinny_matrix b = skinny_new(kind, shape[2], shape[1], SKINNY_ROW);
                    skinny_matrix c = skinny_new(kind, shape[0], shape[1], SKINNY_ROW);
                    skinny_matrix expected = skinny_new(kind, shape[0], shape[1], SKINNY_ROW);
                    skinny_run(REEL_CPU_AVX2, a, b, expected, 0, c.rows, 0, c.cols);
                    skinny_run(level, a, b, c, 0, c.rows, 0, c.cols);
                    skinny_assert_same(expected, c);
                    free(a.memory);
                    free(b.memory);
                    free(c.memory);
                    free(expected.memory);
                }
}
END_TEST

/* A NaN or an infinity reaches its own row or column, whatever it is multiplied with, and nothing else. */
static void skinny_try_special_values(int level, enum skinny_kind kind_a, enum skinny_kind kind, enum skinny_layout layout)
{
    const bool bytes = kind_a == SKINNY_U8;
    skinny_matrix a = skinny_new(kind_a, 37, 300, layout), b = skinny_new(kind, 300, 11, SKINNY_ROW);
    skinny_matrix c = skinny_new(kind, 37, 11, SKINNY_ROW);
    for (int64_t i = 0; i < a.rows; i++)
        skinny_set(a, i, 299, 1);
    if (!bytes) {
        skinny_set(a, 5, 299, NAN);
        skinny_set(a, 6, 3, INFINITY);
    }
    skinny_set(b, 3, 2, 0);                          /* infinity times 0 is NaN,                    */
    skinny_set(b, 3, 4, 1);                          /* ... plus an infinity of its sign infinite   */
    skinny_set(b, 8, 10, NAN);
    skinny_set(b, 299, 4, INFINITY);
    skinny_run(level, a, b, c, 0, 37, 0, 11);
    for (int64_t i = 0; i < 37; i++)
        for (int64_t j = 0; j < 11; j++) {
            bool nan = j == 10 || (!bytes && (i == 5 || (i == 6 && j == 2)));
            bool infinite = !nan && (j == 4 || (!bytes && i == 6));
            ck_assert_int_eq(nan, isnan(skinny_get(c, i, j)) != 0);
            ck_assert_int_eq(infinite, isinf(skinny_get(c, i, j)) != 0);
        }
    free(a.memory);
    free(b.memory);
    free(c.memory);
}

START_TEST(skinny_special_values_stay_in_their_row)
{
    for (int level = 0; level <= (int)reel_cpu_detect(); level++) {
        if (!skinny_kernel_of(level))
            continue;
        skinny_try_special_values(level, SKINNY_F32, SKINNY_F32, (enum skinny_layout)_i);
        skinny_try_special_values(level, SKINNY_F64, SKINNY_F64, (enum skinny_layout)_i);
        skinny_try_special_values(level, SKINNY_U8, SKINNY_F32, (enum skinny_layout)_i);
    }
}
END_TEST

Suite *reel_suite_skinny(void)
{
    Suite *suite = suite_create("skinny");
    TCase *tests = tcase_create("skinny");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, skinny_equals_the_triple_loop, 0, SKINNY_SHAPES);
    tcase_add_loop_test(tests, skinny_levels_have_the_same_bits, 0, SKINNY_SHAPES);
    tcase_add_loop_test(tests, skinny_special_values_stay_in_their_row, 0, SKINNY_LAYOUTS);
    suite_add_tcase(suite, tests);
    return suite;
}
