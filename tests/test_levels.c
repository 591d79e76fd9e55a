/* Levels: every kernel that this CPU can execute gives the same bits as the baseline's.
 *
 * SPDX-License-Identifier: MIT
 */
#include "autograd/tape.h"

#include <check.h>
#include <math.h>
#include <string.h>

Suite *reel_suite_levels(void);

enum { LEVELS_MOST = 4096, LEVELS_RESULTS = 4 };

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

static reel_tensor levels_leaf(reel_tape *tape, reel_dtype dtype, int rows, int classes, double scale, uint64_t seed)
{
    double values[LEVELS_MOST];
    for (int i = 0; i < rows * classes; i++)
        values[i] = scale * levels_random(&seed);
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

START_TEST(levels_give_the_same_bits)
{
    static const int size[][2] = {{1, 1}, {3, 10}, {9, 17}, {40, 3}, {2, 1000}, {17, 200}};
    static struct levels_answer baseline, answer;
    const reel_dtype dtype[] = {REEL_F16, REEL_BF16, REEL_F32, REEL_F64};
    for (int level = REEL_CPU_AVX2; level <= (int)reel_cpu_detect(); level++)
        for (size_t i = 0; i < sizeof size / sizeof *size; i++)
            for (int d = 0; d < 4; d++)
                for (int axis = 0; axis < 2; axis++)
                    for (double scale = 1; scale < 2000; scale *= 30) {
                        levels_run(REEL_CPU_BASELINE, dtype[d], size[i][0], size[i][1], axis, scale, &baseline);
                        levels_run((reel_cpu_level)level, dtype[d], size[i][0], size[i][1], axis, scale, &answer);
                        for (int r = 0; r < LEVELS_RESULTS; r++)
                            ck_assert_msg(!memcmp(baseline.data[r], answer.data[r], baseline.bytes[r]),
                                          "level %d, [%d,%d] %s, axis %d, scale %g: result %d differs", level,
                                          size[i][0], size[i][1], reel_dtype_name(dtype[d]), axis, scale, r);
                    }
}
END_TEST

Suite *reel_suite_levels(void)
{
    Suite *suite = suite_create("levels");
    TCase *c = tcase_create("levels");
    suite_add_tcase(suite, c);
    tcase_add_test(c, levels_give_the_same_bits);
    return suite;
}
