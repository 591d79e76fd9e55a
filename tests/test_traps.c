/* Traps that a tape once fell into: replays on values that are not computed, gradients that mix old values and new,
 * memory shared where it must not be. Each test is the shortest program that showed one.
 *
 * SPDX-License-Identifier: MIT
 */
#include <check.h>
#include <reel.h>

#include <math.h>
#include <string.h>

Suite *reel_suite_traps(void);

static reel_tape *traps_tape;

static void traps_open(void)
{
    traps_tape = reel_tape_new();
}

static void traps_close(void)
{
    reel_tape_free(traps_tape);
}

static reel_tensor traps_scalar(double x)
{
    return reel_variable(traps_tape, REEL_SHAPE(), reel_fill(REEL_F64, x));
}

static void traps_says(const char *words)
{
    ck_assert_msg(strstr(reel_error_message(traps_tape), words), "\"%s\" does not say \"%s\"",
                  reel_error_message(traps_tape), words);
}

static void traps_fine(void)
{
    ck_assert_msg(!reel_failed(traps_tape), "%s", reel_error_message(traps_tape));
}

/* ---- Replays ---------------------------------------------------------------------------------------------- */

/* A section that reads what a failed replay left uncomputed is not played, and writes nothing. */
START_TEST(traps_update_after_a_failed_replay)
{
    reel_tensor w = reel_variable(traps_tape, REEL_SHAPE(1, 3), REEL_F64_VALUES(1, 2, 3));
    reel_tensor labels = reel_constant(traps_tape, REEL_SHAPE(1), REEL_I32_VALUES(1)), gradient;
    reel_tensor rate = reel_constant(traps_tape, REEL_SHAPE(), REEL_F64_VALUES(.1));
    reel_mark start = reel_tape_mark(traps_tape);
    reel_tensor loss = reel_sparse_softmax_cross_entropy_with_logits(.labels = labels, .logits = w);
    reel_gradient(loss, REEL_TENSORS(w), &gradient);
    reel_mark middle = reel_tape_mark(traps_tape);
    reel_sgd(.parameters = REEL_TENSORS(w), .gradients = REEL_TENSORS(gradient), .learning_rate = rate);
    reel_section forward = reel_tape_section(start, middle);
    reel_section update = reel_tape_section(middle, reel_tape_mark(traps_tape));
    double before[3], after[3];
    reel_read_f64(w, before, 3);
    reel_write(labels, REEL_I32_VALUES(7));
    ck_assert(!reel_tape_replay(forward));
    ck_assert(!reel_tape_replay(update));
    ck_assert(reel_failed(traps_tape));
    reel_write(labels, REEL_I32_VALUES(1));
    ck_assert(reel_tape_replay(forward));
    traps_fine();
    reel_read_f64(w, after, 3);
    ck_assert_mem_eq(before, after, sizeof before);
}
END_TEST

/* Only the part that was to run is uncomputed, and only running it again mends the tape. */
START_TEST(traps_pruned_replay_fails)
{
    reel_tensor w = reel_variable(traps_tape, REEL_SHAPE(1, 3), REEL_F64_VALUES(1, 2, 3)), x = traps_scalar(1);
    reel_tensor labels = reel_constant(traps_tape, REEL_SHAPE(1), REEL_I32_VALUES(1));
    reel_mark start = reel_tape_mark(traps_tape);
    reel_tensor loss = reel_sparse_softmax_cross_entropy_with_logits(.labels = labels, .logits = w);
    reel_mark middle = reel_tape_mark(traps_tape);
    reel_tensor z = reel_exp(x);
    reel_mark end = reel_tape_mark(traps_tape);
    reel_section pruned = reel_section_prune(reel_tape_section(start, end), REEL_TENSORS(loss));
    reel_write(labels, REEL_I32_VALUES(9));
    ck_assert(!reel_tape_replay(pruned));
    ck_assert(!reel_tape_replay(reel_tape_section(end, end)));
    reel_write(labels, REEL_I32_VALUES(0));
    ck_assert(reel_tape_replay(pruned));
    ck_assert_double_eq_tol(reel_item(z), exp(1), 1e-15);
    traps_fine();
    (void)middle;
}
END_TEST

/* A write that fails while a replay is being mended is not forgotten. */
START_TEST(traps_failing_write_while_mending)
{
    reel_tensor w = reel_variable(traps_tape, REEL_SHAPE(1, 3), REEL_F64_VALUES(1, 2, 3));
    reel_tensor labels = reel_constant(traps_tape, REEL_SHAPE(1), REEL_I32_VALUES(1));
    reel_mark start = reel_tape_mark(traps_tape);
    reel_sparse_softmax_cross_entropy_with_logits(.labels = labels, .logits = w);
    reel_section section = reel_tape_section(start, reel_tape_mark(traps_tape));
    reel_write(labels, REEL_I32_VALUES(9));
    ck_assert(!reel_tape_replay(section));
    ck_assert(!reel_write(w, REEL_F64_VALUES(1, 2)));
    traps_says("2 values for 3 elements");
    ck_assert(!reel_tape_replay(section));
}
END_TEST

/* A section whose last node happens to be the note of another one is still itself. */
START_TEST(traps_note_at_the_end)
{
    reel_tensor x = traps_scalar(1);
    reel_mark start = reel_tape_mark(traps_tape);
    reel_tensor a = reel_affine(x, 10, 0), y = reel_mul(a, a);
    reel_section_prune(reel_tape_section(start, reel_tape_mark(traps_tape)), REEL_TENSORS(a));
    reel_section whole = reel_tape_section(start, reel_tape_mark(traps_tape));
    reel_write(x, REEL_F64_VALUES(2));
    ck_assert(reel_tape_replay(whole));
    ck_assert_double_eq(reel_item(y), 400);
}
END_TEST

/* ---- Gradients -------------------------------------------------------------------------------------------- */

START_TEST(traps_half_replayed)
{
    reel_tensor x = traps_scalar(1), gradient;
    reel_mark start = reel_tape_mark(traps_tape);
    reel_tensor a = reel_mul(x, x);
    reel_section first = reel_tape_section(start, reel_tape_mark(traps_tape));
    reel_tensor y = reel_mul(a, a);
    reel_write(x, REEL_F64_VALUES(3));
    reel_tape_replay(first);
    ck_assert(!reel_gradient(y, REEL_TENSORS(x), &gradient));
    traps_says("computed again since");
}
END_TEST

/* y = 2 (a + b), whose VJP gives one handle for both. */
static bool traps_pair_shape(reel_call *call, reel_output *out)
{
    out->dtype = call->in[0].dtype;
    out->shape = reel_make_shape(call->in[0].rank, call->in[0].shape);
    return true;
}

static bool traps_pair_forward(const reel_call *call)
{
    for (int64_t i = 0; i < call->out[0].count; i++)
        ((double *)call->out[0].data)[i] =
            2 * (((const double *)call->in[0].data)[i] + ((const double *)call->in[1].data)[i]);
    return true;
}

static void traps_pair_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    (void)call;
    (void)wanted;
    dx[0] = dx[1] = reel_affine(dy[0], 2, 0);
}

START_TEST(traps_one_handle_for_two_inputs)
{
    static const reel_op pair = {.size = sizeof(reel_op), .name = "pair", .inputs = 2, .outputs = 1,
                                 .flags = REEL_OUTPUT_UNREAD | REEL_INPUTS_UNREAD, .shape = traps_pair_shape,
                                 .forward = traps_pair_forward, .vjp = traps_pair_vjp};
    for (int final = 0; final < 2; final++) {
        reel_tensor a = traps_scalar(1), b = traps_scalar(2), y, gradient[2];
        reel_apply(&pair, REEL_TENSORS(a, b), NULL, &y, 1);
        reel_gradient(reel_add(y, a), REEL_TENSORS(a, b), gradient, .final = final);
        ck_assert_double_eq(reel_item(gradient[0]), 3);
        ck_assert_double_eq(reel_item(gradient[1]), 2);
    }
}
END_TEST

static void traps_frozen_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    (void)dy;
    (void)wanted;
    double x = reel_item(call->input[0]);
    dx[0] = reel_constant(call->tape, REEL_SHAPE(), reel_fill(REEL_F64, 3 * x * x));
}

START_TEST(traps_numbers_in_a_vjp)
{
    static const reel_op frozen = {.size = sizeof(reel_op), .name = "frozen", .inputs = 1, .outputs = 1,
                                   .shape = traps_pair_shape, .forward = traps_pair_forward, .vjp = traps_frozen_vjp};
    reel_tensor x = traps_scalar(2), y, gradient;
    reel_op twice = frozen;
    twice.inputs = 2;
    reel_apply(&twice, REEL_TENSORS(x, x), NULL, &y, 1);
    ck_assert(!reel_gradient(y, REEL_TENSORS(x), &gradient));
    traps_says("a VJP cannot read numbers");
}
END_TEST

/* A view is never stale by itself: one made below the mark outlives updates. */
START_TEST(traps_view_of_a_written_leaf)
{
    reel_tensor w = reel_variable(traps_tape, REEL_SHAPE(2, 3), reel_fill(REEL_F64, 1)), gradient;
    reel_tensor turned = reel_transpose(w);
    reel_mark step = reel_tape_mark(traps_tape);
    for (int i = 0; i < 3; i++) {
        reel_gradient(reel_sum(reel_mul(turned, turned)), REEL_TENSORS(w), &gradient);
        reel_write(w, reel_fill(REEL_F64, i));
        reel_tape_rewind(traps_tape, step);
        traps_fine();
    }
}
END_TEST

START_TEST(traps_f64_of_a_final_sweep)
{
    reel_tensor x = reel_variable(traps_tape, REEL_SHAPE(), REEL_F32_VALUES(2)), gradient, second;
    reel_mark start = reel_tape_mark(traps_tape);
    reel_tensor y = reel_add(reel_mul(x, x), reel_log(x));
    reel_gradient(y, REEL_TENSORS(x), &gradient, .final = true);
    reel_section copy = reel_section_in_f64(reel_tape_section(start, reel_tape_mark(traps_tape)));
    reel_gradient(reel_counterpart(copy, gradient), REEL_TENSORS(reel_counterpart(copy, x)), &second);
    ck_assert_double_eq_tol(reel_item(second), 1.75, 1e-15);
}
END_TEST

/* ---- Memory ------------------------------------------------------------------------------------------------- */

START_TEST(traps_shared_memory_in_an_update)
{
    reel_tensor w = traps_scalar(1), g = traps_scalar(1), rate = traps_scalar(1);
    reel_mark mark = reel_tape_mark(traps_tape);
    ck_assert(!reel_sgd(.parameters = REEL_TENSORS(w, w), .gradients = REEL_TENSORS(g, g), .learning_rate = rate));
    traps_says("shares memory with an input that is written");
    reel_tape_rewind(traps_tape, mark);
    reel_error_clear(traps_tape);
    ck_assert(!reel_sgd(.parameters = REEL_TENSORS(w, g), .gradients = REEL_TENSORS(g, w), .learning_rate = rate));
    reel_tape_rewind(traps_tape, mark);
    reel_error_clear(traps_tape);
    ck_assert_double_eq(reel_item(w), 1);
}
END_TEST

START_TEST(traps_overlap_made_later)
{
    double memory[4] = {1, 2, 3, 4}, other[2] = {5, 6};
    reel_tensor w = reel_wrap(traps_tape, .dtype = REEL_F64, .shape = REEL_SHAPE(2), .data = other, .variable = true);
    reel_tensor g = reel_variable(traps_tape, REEL_SHAPE(2), REEL_F64_VALUES(1, 1)), rate = traps_scalar(1);
    reel_wrap(traps_tape, .dtype = REEL_F64, .shape = REEL_SHAPE(4), .data = memory);
    reel_mark start = reel_tape_mark(traps_tape);
    reel_sgd(.parameters = REEL_TENSORS(w), .gradients = REEL_TENSORS(g), .learning_rate = rate);
    reel_section update = reel_tape_section(start, reel_tape_mark(traps_tape));
    ck_assert(reel_tape_replay(update));
    reel_point(w, memory + 1);
    ck_assert(!reel_tape_replay(update));
    traps_says("overlaps that of another leaf");
    ck_assert_double_eq(memory[1], 2);
}
END_TEST

START_TEST(traps_extreme_arguments)
{
    reel_tensor x = reel_variable(traps_tape, REEL_SHAPE(4), REEL_F64_VALUES(1, 2, 3, 4));
    reel_mark mark = reel_tape_mark(traps_tape);
    ck_assert(!reel_unslice(x, 0, 4, 0, (int64_t)0xAAAAAAAAAAAAAAABu).node);
    reel_tape_rewind(traps_tape, mark);
    reel_error_clear(traps_tape);
    ck_assert(!reel_sum_to(x, reel_make_shape(12, (const int64_t[12]){1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 4})).node);
    reel_tape_rewind(traps_tape, mark);
    reel_error_clear(traps_tape);
    reel_tensor wide = reel_variable(traps_tape, REEL_SHAPE(0, (int64_t)1 << 40, (int64_t)1 << 40), reel_fill(REEL_F32, 0));
    ck_assert_int_eq(reel_count(wide), 0);
    reel_values none = {.data = "", .count = 1, .from = (reel_dtype)99, .to = REEL_F64};
    ck_assert(!reel_constant(traps_tape, REEL_SHAPE(1), none).node);
    traps_says("of no dtype");
}
END_TEST

START_TEST(traps_random_numbers_stay_below)
{
    reel_tensor x = reel_random_uniform(traps_tape, REEL_SHAPE(100000), REEL_BF16, 0, 1);
    ck_assert(reel_item(reel_max(x)) < 1);
}
END_TEST

static bool traps_shape_of_one(reel_call *call, reel_output *out)
{
    out->dtype = call->in[0].dtype;
    return true;
}

/* An op without a forward would leave memory that nobody wrote; attributes without a size would not be kept. */
START_TEST(traps_ops_that_lack_a_part)
{
    static const reel_op idle = {.size = sizeof(reel_op), .name = "idle", .inputs = 1, .outputs = 1,
                                 .shape = traps_shape_of_one};
    reel_tape *tape = reel_tape_new();
    reel_tensor x = reel_variable(tape, REEL_SHAPE(), REEL_F32_VALUES(1)), y;
    reel_mark mark = reel_tape_mark(tape);
    ck_assert(!reel_apply(&idle, REEL_TENSORS(x), NULL, &y, 1));
    ck_assert_ptr_nonnull(strstr(reel_error_message(tape), "idle: an op needs a .forward or .kernels"));
    reel_tape_rewind(tape, mark);
    ck_assert(reel_error_clear(tape));
    ck_assert(!reel_apply(&idle, REEL_TENSORS(x), &(int){3}, &y, 1));
    ck_assert_msg(!!strstr(reel_error_message(tape), "idle: attributes are passed to an op whose .attributes is 0"), "%s", reel_error_message(tape));
    reel_tape_free(tape);
}
END_TEST

Suite *reel_suite_traps(void)
{
    Suite *suite = suite_create("traps");
    TCase *c = tcase_create("traps");
    tcase_add_checked_fixture(c, traps_open, traps_close);
    suite_add_tcase(suite, c);
    tcase_add_test(c, traps_ops_that_lack_a_part);
    tcase_add_test(c, traps_update_after_a_failed_replay);
    tcase_add_test(c, traps_pruned_replay_fails);
    tcase_add_test(c, traps_failing_write_while_mending);
    tcase_add_test(c, traps_note_at_the_end);
    tcase_add_test(c, traps_half_replayed);
    tcase_add_test(c, traps_one_handle_for_two_inputs);
    tcase_add_test(c, traps_numbers_in_a_vjp);
    tcase_add_test(c, traps_view_of_a_written_leaf);
    tcase_add_test(c, traps_f64_of_a_final_sweep);
    tcase_add_test(c, traps_shared_memory_in_an_update);
    tcase_add_test(c, traps_overlap_made_later);
    tcase_add_test(c, traps_extreme_arguments);
    tcase_add_test(c, traps_random_numbers_stay_below);
    return suite;
}
