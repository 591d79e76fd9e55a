/* Option structs of other versions: a caller's shorter struct means what it says, with what it has not as 0, and a longer
 * one serves too. Behind the part that counts lies poison, which nobody may look at. */
#include <check.h>
#include <reel.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* A copy of `bytes` bytes of an option struct, in a block of its own, so that sanitizers see a read beyond it. */
static void *versions_of(const void *options, size_t size, size_t bytes)
{
    unsigned char *copy = malloc(bytes);
    memset(copy, 0xff, bytes);
    memcpy(copy, options, bytes < size ? bytes : size);
    memcpy(copy, &bytes, sizeof bytes);
    return copy;
}

START_TEST(versions_tape)
{
    const reel_tape_options options = {.threads = 2, .seed = 7};
    size_t before_seed = offsetof(reel_tape_options, seed);
    reel_tape_options *older = versions_of(&options, sizeof options, before_seed);
    reel_tape_options *newer = versions_of(&options, sizeof options, sizeof options + 16);
    reel_tape *without_seed = reel_tape_new_options(older), *with_seed = reel_tape_new_options(newer);
    ck_assert_int_eq(reel_tape_threads(without_seed), 2);
    ck_assert_int_eq(reel_tape_threads(with_seed), 2);
    double of_older, of_newer, of_zero, of_seven;
    reel_tape *zero = reel_tape_new_with(.seed = 0), *seven = reel_tape_new_with(.seed = 7);
    of_older = reel_item(reel_random_uniform(without_seed, REEL_SHAPE(), REEL_F64, 0, 1));
    of_newer = reel_item(reel_random_uniform(with_seed, REEL_SHAPE(), REEL_F64, 0, 1));
    of_zero = reel_item(reel_random_uniform(zero, REEL_SHAPE(), REEL_F64, 0, 1));
    of_seven = reel_item(reel_random_uniform(seven, REEL_SHAPE(), REEL_F64, 0, 1));
    ck_assert_double_eq(of_older, of_zero);
    ck_assert_double_eq(of_newer, of_seven);
    reel_tape_free(without_seed);
    reel_tape_free(with_seed);
    reel_tape_free(zero);
    reel_tape_free(seven);
    free(older);
    free(newer);
}
END_TEST

START_TEST(versions_loss)
{
    reel_tape *tape = reel_tape_new();
    reel_tensor logits = reel_variable(tape, REEL_SHAPE(2, 3), REEL_F32_VALUES(4, 2, 1, 0, 5, 1));
    reel_tensor labels = reel_variable(tape, REEL_SHAPE(2, 3), REEL_F32_VALUES(1, 0, 0, 0, .8f, .2f));
    reel_tensor classes = reel_constant(tape, REEL_SHAPE(2), REEL_I32_VALUES(0, 1));
    const reel_cross_entropy_v2 v2 = {.axis = -1, .labels = labels, .logits = logits, .sum_tolerance = 1};
    const reel_cross_entropy_v1 v1 = {.axis = REEL_NO_AXIS, .dim = -1, .labels = labels, .logits = logits};
    const reel_cross_entropy_sparse sparse = {.axis = -1, .labels = classes, .logits = logits,
                                              .ignore_index = REEL_NO_INDEX, .out_of_range = REEL_LABELS_NAN};
    const reel_cross_entropy_raw raw = {.features = logits, .labels = labels, .semantics = REEL_EXACT};
    void *older[] = {versions_of(&v2, sizeof v2, offsetof(reel_cross_entropy_v2, name)),
                     versions_of(&v1, sizeof v1, offsetof(reel_cross_entropy_v1, name)),
                     versions_of(&sparse, sizeof sparse, offsetof(reel_cross_entropy_sparse, out_of_range)),
                     versions_of(&raw, sizeof raw, offsetof(reel_cross_entropy_raw, name))};
    reel_tensor loss[] = {
        reel_softmax_cross_entropy_with_logits_at(REEL_HERE, older[0]),
        reel_softmax_cross_entropy_with_logits_v1_at(REEL_HERE, older[1]),
        reel_sparse_softmax_cross_entropy_with_logits_at(REEL_HERE, older[2]),
        reel_raw_softmax_cross_entropy_with_logits_at(REEL_HERE, older[3]).loss,
    };
    double of[4][2];
    for (int i = 0; i < 4; i++)
        ck_assert(reel_read_f64(loss[i], of[i], 2));
    for (int i = 0; i < 4; i++) {
        ck_assert_double_eq_tol(of[i][0], .1698460, 1e-6);
        ck_assert_double_eq_tol(of[i][1], i == 2 ? .0247449 : .8247449, 1e-6);
        free(older[i]);
    }
    ck_assert_msg(!reel_failed(tape), "%s", reel_error_message(tape));
    reel_tape_free(tape);
}
END_TEST

START_TEST(versions_wrap)
{
    reel_tape *tape = reel_tape_new();
    float numbers[] = {1, 2, 3};
    const reel_wrap_options options = {.tape = tape, .dtype = REEL_F32, .shape = REEL_SHAPE(3), .data = numbers,
                                       .strides = (const int64_t[]){0}};
    reel_wrap_options *older = versions_of(&options, sizeof options, offsetof(reel_wrap_options, strides));
    ck_assert_double_eq(reel_item(reel_sum(reel_wrap_at(REEL_HERE, older))), 6);
    free(older);
    reel_tape_free(tape);
}
END_TEST

Suite *reel_suite_versions(void)
{
    Suite *suite = suite_create("versions");
    TCase *c = tcase_create("versions");
    suite_add_tcase(suite, c);
    tcase_add_test(c, versions_tape);
    tcase_add_test(c, versions_loss);
    tcase_add_test(c, versions_wrap);
    return suite;
}
