/* Levels: every kernel that this CPU can execute gives the same bits as the others that have fused multiply-add. The
 * baseline, which has none, is within a unit in the last place of them, or of the largest number of its result.
 *
 * SPDX-License-Identifier: MIT
 */
#include "autograd/tape.h"
#include "core/dtype.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

Suite *reel_suite_levels(void);

enum { LEVELS_MOST = 32768, LEVELS_RESULTS = 4 };

/* Loss, both gradients and a Hessian-vector product of one problem on one level, as bytes. */
struct levels_answer {
    size_t bytes[LEVELS_RESULTS];
    double data[LEVELS_RESULTS][LEVELS_MOST];
};

static double levels_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (double)(*state >> 33) / (double)(1u << 30) - 1;
}

/* Whether the leaves are views of their own transposes in memory. */
static bool levels_lie_turned;

static reel_tensor levels_leaf(reel_tape *tape, reel_dtype dtype, int rows, int classes, double scale, uint64_t seed)
{
    static double values[LEVELS_MOST];
    for (int i = 0; i < rows * classes; i++)
        values[levels_lie_turned ? i % classes * rows + i / classes : i] = scale * levels_random(&seed);
    if (levels_lie_turned)
        return reel_transpose(reel_variable(tape, REEL_SHAPE(classes, rows),
                                            reel_values_from_f64(dtype, values, (size_t)rows * (size_t)classes)));
    return reel_variable(tape, REEL_SHAPE(rows, classes),
                         reel_values_from_f64(dtype, values, (size_t)rows * (size_t)classes));
}

static void levels_keep(struct levels_answer *answer, int which, reel_tensor x)
{
    answer->bytes[which] = (size_t)reel_count(x) * reel_dtype_size(reel_dtype_of(x));
    ck_assert(answer->bytes[which] <= sizeof answer->data[which]);
    ck_assert(reel_read(x, answer->data[which], answer->bytes[which]));
}

static void levels_run(reel_cpu_level level, reel_dtype dtype, int rows, int classes, int axis, double scale,
                       struct levels_answer *answer)
{
    reel_tape *tape = reel_tape_new();
    tape->cpu = level;
    reel_tensor logits = levels_leaf(tape, dtype, rows, classes, scale, 1);
    reel_tensor labels = levels_leaf(tape, dtype, rows, classes, 1, 2);
    reel_tensor direction = levels_leaf(tape, dtype, rows, classes, 1, 3), gradient[2], product;
    reel_tensor loss = reel_softmax_cross_entropy_with_logits(.labels = labels, .logits = logits, .axis = axis);
    reel_gradient(loss, REEL_TENSORS(logits, labels), gradient);
    reel_gradient(gradient[0], REEL_TENSORS(logits), &product, .upstream = direction);
    ck_assert_msg(!reel_failed(tape), "%s", reel_error_message(tape));
    levels_keep(answer, 0, loss);
    levels_keep(answer, 1, gradient[0]);
    levels_keep(answer, 2, gradient[1]);
    levels_keep(answer, 3, product);
    reel_tape_free(tape);
}

typedef void (*levels_judge)(const struct levels_answer *a, const struct levels_answer *b, reel_dtype dtype,
                             const char *where);

static void levels_same_bits(const struct levels_answer *a, const struct levels_answer *b, reel_dtype dtype,
                             const char *where)
{
    (void)dtype;
    for (int r = 0; r < LEVELS_RESULTS; r++)
        ck_assert_msg(!memcmp(a->data[r], b->data[r], a->bytes[r]), "%s: result %d differs", where, r);
}

/* Within a unit in the last place of the largest that is finite; of the second derivative, a product of two factors that
 * are rounded themselves, each is within one of the exact value. */
static void levels_close(const struct levels_answer *a, const struct levels_answer *b, reel_dtype dtype,
                         const char *where)
{
    static const double unit[REEL_DTYPES] = {
        [REEL_F16] = 0x1p-10, [REEL_BF16] = 0x1p-7, [REEL_F32] = 0x1p-23, [REEL_F64] = 0x1p-52};
    for (int r = 0; r < LEVELS_RESULTS; r++) {
        static double x[LEVELS_MOST], y[LEVELS_MOST];
        int64_t count = (int64_t)(a->bytes[r] / reel_dtype_size(dtype));
        double largest = 0, allowed = r == 3 ? 2 : 1;
        reel_convert(REEL_F64, x, dtype, a->data[r], count);
        reel_convert(REEL_F64, y, dtype, b->data[r], count);
        for (int64_t i = 0; i < count; i++)
            largest = isfinite(x[i]) ? fmax(largest, fabs(x[i])) : largest;
        for (int64_t i = 0; i < count; i++)
            ck_assert_msg(x[i] == y[i] || fabs(x[i] - y[i]) <= allowed * unit[dtype] * largest,
                          "%s: result %d: %.17g and %.17g", where, r, x[i], y[i]);
    }
}

/* The answers of two levels to problems of all dtypes, both axes, many sizes and scales. */
static void levels_compare(reel_cpu_level one, reel_cpu_level other, levels_judge judge)
{
    static const int size[][2] = {{1, 1}, {3, 10}, {9, 17}, {40, 3}, {2, 1000}, {17, 200}, {1, 3000},
                                 {9, 1000}, {3, 8207}};
    static struct levels_answer a, b;
    const reel_dtype dtype[] = {REEL_F16, REEL_BF16, REEL_F32, REEL_F64};
    for (size_t i = 0; i < sizeof size / sizeof *size; i++)
        for (int d = 0; d < 4; d++)
            for (int axis = 0; axis < 2; axis++)
                for (double scale = 1; scale < 2000; scale *= 30) {
                    char where[128];
                    snprintf(where, sizeof where, "levels %d and %d, [%d,%d] %s, axis %d, scale %g", (int)one,
                             (int)other, size[i][0], size[i][1], reel_dtype_name(dtype[d]), axis, scale);
                    levels_run(one, dtype[d], size[i][0], size[i][1], axis, scale, &a);
                    levels_run(other, dtype[d], size[i][0], size[i][1], axis, scale, &b);
                    judge(&a, &b, dtype[d], where);
                }
}

START_TEST(levels_with_fused_multiply_add_give_the_same_bits)
{
    for (int level = REEL_CPU_AVX2 + 1; level <= (int)reel_cpu_detect(); level++)
        levels_compare(REEL_CPU_AVX2, (reel_cpu_level)level, levels_same_bits);
}
END_TEST

START_TEST(levels_of_the_baseline_are_close)
{
    levels_compare(REEL_CPU_BASELINE, reel_cpu_detect(), levels_close);
}
END_TEST

/* Rows whose classes lie side by side are read straight from memory, others through tiles. */
START_TEST(levels_give_rows_the_same_bits_wherever_they_lie)
{
    static const reel_dtype dtypes[] = {REEL_F32, REEL_F64, REEL_F16, REEL_BF16};
    static const int size[][2] = {{1, 1}, {3, 10}, {9, 17}, {40, 3}, {2, 1000}, {17, 64}, {17, 65}, {1, 3000},
                                 {9, 1000}, {1, 8193}, {3, 8207}};
    for (int level = 0; level <= (int)reel_cpu_detect(); level++)
        for (size_t i = 0; i < sizeof size / sizeof *size; i++)
            for (size_t d = 0; d < sizeof dtypes / sizeof *dtypes; d++) {
                static struct levels_answer along, across;
                reel_dtype dtype = dtypes[d];
                levels_lie_turned = false;
                levels_run((reel_cpu_level)level, dtype, size[i][0], size[i][1], 1, 5, &along);
                levels_lie_turned = true;
                levels_run((reel_cpu_level)level, dtype, size[i][0], size[i][1], 1, 5, &across);
                levels_lie_turned = false;
                levels_same_bits(&along, &across, dtype, "rows that lie otherwise");
            }
}
END_TEST

/* ---- The first logit, with which a row's exponentials begin ------------------------------------ */

/* Far below the largest, at 12, too far to be seen, or no ordinary number at all. */
static const double levels_first[] = {-30, -31, -33, -110, -140, -1000, -262143, -262145, -3e38, -INFINITY};
enum { LEVELS_FIRST = sizeof levels_first / sizeof *levels_first, LEVELS_CLASSES = 3000 };
_Static_assert(LEVELS_FIRST * LEVELS_CLASSES <= LEVELS_MOST, "an answer has the room");

/* Loss, gradient and Hessian-vector product of rows that differ in nothing else. */
static void levels_run_from(reel_cpu_level level, int classes, struct levels_answer *answer)
{
    static double logits[LEVELS_MOST], direction[LEVELS_MOST];
    const size_t count = (size_t)LEVELS_FIRST * (size_t)classes;
    uint64_t state = 4;
    for (int c = 0; c < classes; c++) {
        logits[c] = c == classes - 2 ? 12 : 5 * levels_random(&state);
        direction[c] = levels_random(&state);
    }
    for (int row = LEVELS_FIRST - 1; row >= 0; row--) {
        memcpy(logits + row * classes, logits, (size_t)classes * sizeof *logits);
        memcpy(direction + row * classes, direction, (size_t)classes * sizeof *direction);
        logits[row * classes] = levels_first[row];
    }
    reel_tape *tape = reel_tape_new();
    tape->cpu = level;
    reel_tensor z = reel_variable(tape, REEL_SHAPE(LEVELS_FIRST, classes), reel_values_from_f64(REEL_F32, logits, count));
    reel_tensor v = reel_constant(tape, REEL_SHAPE(LEVELS_FIRST, classes), reel_values_from_f64(REEL_F32, direction, count));
    reel_tensor labels = reel_broadcast(reel_constant(tape, REEL_SHAPE(1), REEL_I32_VALUES(classes - 1)),
                                        REEL_SHAPE(LEVELS_FIRST));
    reel_tensor loss = reel_sparse_softmax_cross_entropy_with_logits(.labels = labels, .logits = z), gradient, product;
    reel_gradient(loss, REEL_TENSORS(z), &gradient);
    reel_gradient(gradient, REEL_TENSORS(z), &product, .upstream = v);
    ck_assert_msg(!reel_failed(tape), "%s", reel_error_message(tape));
    levels_keep(answer, 0, loss);
    levels_keep(answer, 1, gradient);
    levels_keep(answer, 2, product);
    reel_tape_free(tape);
}

START_TEST(levels_do_not_see_how_far_below_the_first_logit_lies)
{
    static const int classes[] = {10, 64, 65, 1000, LEVELS_CLASSES};
    static struct levels_answer answer;
    for (int level = 0; level <= (int)reel_cpu_detect(); level++)
        for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
            levels_run_from((reel_cpu_level)level, classes[i], &answer);
            const float *loss = (const void *)answer.data[0];
            for (int row = 1; row < LEVELS_FIRST; row++) {
                ck_assert_msg(loss[row] == loss[0], "level %d, %d classes, row %d: %a and %a", level, classes[i], row,
                              (double)loss[row], (double)loss[0]);
                for (int c = 1; c < classes[i]; c++)
                    for (int result = 1; result < 3; result++) {
                        const float *x = (const void *)answer.data[result];
                        ck_assert_msg(x[row * classes[i] + c] == x[c], "level %d, %d classes, result %d, row %d", level,
                                      classes[i], result, row);
                    }
            }
        }
}
END_TEST

/* Also where the largest lies so far above the first that the exponentials are found again. */
START_TEST(levels_find_a_largest_logit_that_comes_late)
{
    enum { LEVELS_LATE = 90000 };
    static double z[LEVELS_LATE], gradient[LEVELS_LATE];
    for (int level = 0; level <= (int)reel_cpu_detect(); level++)
        for (int classes = 10; classes <= LEVELS_LATE; classes *= classes == 10 ? 10 : 30)
            for (double above = 20; above < 1e5; above = above < 50 ? above + .5 : 10 * above) {
                double loss;
                memset(z, 0, sizeof z);
                z[classes - 3] = above;
                z[classes - 2] = above - 1;
                reel_tape *tape = reel_tape_new();
                tape->cpu = (reel_cpu_level)level;
                reel_tensor logits = reel_variable(tape, REEL_SHAPE(1, classes),
                                                   reel_values_from_f64(REEL_F32, z, (size_t)classes)), into;
                reel_tensor label = reel_constant(tape, REEL_SHAPE(1), REEL_I32_VALUES(classes - 2));
                reel_tensor y = reel_sparse_softmax_cross_entropy_with_logits(.labels = label, .logits = logits);
                reel_gradient(y, REEL_TENSORS(logits), &into);
                const double sum = 1 + exp(-1) + (classes - 2) * exp(-above);
                ck_assert(reel_read_f64(y, &loss, 1) && reel_read_f64(into, gradient, (size_t)classes));
                ck_assert_double_eq_tol(loss, 1 + log(sum), 0x1p-23);
                ck_assert_double_eq_tol(gradient[classes - 3], 1 / sum, 0x1p-24);
                ck_assert_double_eq_tol(gradient[classes - 2], exp(-1) / sum - 1, 0x1p-24);
                ck_assert_double_eq_tol(gradient[0], exp(-above) / sum, 0x1p-23 * exp(-above) + 0x1p-149);
                reel_tape_free(tape);
            }
}
END_TEST

Suite *reel_suite_levels(void)
{
    Suite *suite = suite_create("levels");
    TCase *c = tcase_create("levels");
    suite_add_tcase(suite, c);
    tcase_set_timeout(c, 120);
    tcase_add_test(c, levels_with_fused_multiply_add_give_the_same_bits);
    tcase_add_test(c, levels_of_the_baseline_are_close);
    tcase_add_test(c, levels_give_rows_the_same_bits_wherever_they_lie);
    tcase_add_test(c, levels_do_not_see_how_far_below_the_first_logit_lies);
    tcase_add_test(c, levels_find_a_largest_logit_that_comes_late);
    return suite;
}
