/* The loss and its gradients, which a replay computes in one go (autograd/joint.c): the same bits as of a fresh
 * recording, and nobody who looks on can tell.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/harness.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum joint_call { JOINT_V1, JOINT_V2, JOINT_SPARSE, JOINT_CALLS };

typedef struct joint_case {
    enum joint_call call;
    reel_dtype      dtype;
    int64_t         rows, classes;
    reel_reduction  reduction;
    bool            weights, smoothing, final;
} joint_case;

static const joint_case joint_cases[] = {
    {JOINT_V1, REEL_F32, 37, 10, REEL_REDUCTION_MEAN, false, false, true},
    {JOINT_V2, REEL_F32, 37, 10, REEL_REDUCTION_MEAN, false, false, true},
    {JOINT_V2, REEL_F32, 37, 10, REEL_REDUCTION_NONE, false, false, false},
    {JOINT_SPARSE, REEL_F32, 37, 10, REEL_REDUCTION_MEAN, false, false, true},
    {JOINT_SPARSE, REEL_F32, 700, 3, REEL_REDUCTION_SUM, false, false, false},
    {JOINT_V1, REEL_F32, 9, 1003, REEL_REDUCTION_MEAN, false, false, false},
    {JOINT_V2, REEL_F32, 9, 1003, REEL_REDUCTION_SUM, false, false, true},
    {JOINT_SPARSE, REEL_F32, 3, 5000, REEL_REDUCTION_NONE, false, false, true},
    {JOINT_V2, REEL_F32, 21, 12, REEL_REDUCTION_MEAN, true, false, false},
    {JOINT_V2, REEL_F32, 21, 70, REEL_REDUCTION_MEAN, true, true, true},
    {JOINT_SPARSE, REEL_F32, 21, 70, REEL_REDUCTION_MEAN, true, true, true},
    {JOINT_V1, REEL_F64, 37, 10, REEL_REDUCTION_MEAN, false, false, true},
    {JOINT_V2, REEL_F64, 11, 300, REEL_REDUCTION_SUM, false, false, false},
    {JOINT_SPARSE, REEL_F64, 37, 10, REEL_REDUCTION_NONE, true, true, false},
    {JOINT_V2, REEL_F16, 37, 10, REEL_REDUCTION_MEAN, false, false, true},
    {JOINT_V1, REEL_BF16, 11, 100, REEL_REDUCTION_SUM, false, true, true},
};

enum { JOINT_CASES = sizeof joint_cases / sizeof joint_cases[0] };

static void *joint_memory(size_t bytes)
{
    void *memory = malloc(bytes);
    ck_assert_ptr_nonnull(memory);
    return memory;
}

/* A loss and its gradients, recorded. */
typedef struct joint_step {
    reel_tape   *tape;
    reel_tensor  logits, labels, loss, gradient[2];
    int          gradients;
    reel_section section;
} joint_step;

static reel_tensor joint_leaf(reel_tape *tape, const joint_case *c, bool integers)
{
    if (integers)
        return reel_constant(tape, REEL_SHAPE(c->rows), reel_fill(REEL_I32, 0));
    return reel_variable(tape, REEL_SHAPE(c->rows, c->classes), reel_fill(c->dtype, 0));
}

/* Numbers of round `round`; in the last of them a logit is infinite, one NaN, and a row of labels 0. */
static void joint_set(const joint_step *s, const joint_case *c, int round)
{
    size_t count = (size_t)(c->rows * c->classes);
    double *z = joint_memory(count * sizeof *z), *y = joint_memory(count * sizeof *y);
    int32_t *label = joint_memory((size_t)c->rows * sizeof *label);
    for (size_t i = 0; i < count; i++) {
        z[i] = (double)(i * 7919 % 1009) / (100 + round) - 5;
        y[i] = (double)((i + (size_t)round) * 104729 % 97) / 97;
    }
    for (int64_t i = 0; i < c->rows; i++)
        label[i] = (int32_t)((i * 31 + round) % c->classes);
    if (round == 2) {
        z[3] = INFINITY;
        z[(size_t)c->classes + 1] = NAN;
        memset(y + 2 * c->classes, 0, (size_t)c->classes * sizeof *y);
    }
    ck_assert(reel_write(s->logits, reel_values_from_f64(c->dtype, z, count)));
    if (c->call == JOINT_SPARSE)
        ck_assert(reel_write(s->labels, reel_values_of(REEL_I32, label, (size_t)c->rows)));
    else
        ck_assert(reel_write(s->labels, reel_values_from_f64(c->dtype, y, count)));
    free(z);
    free(y);
    free(label);
}

static reel_tensor joint_loss(const joint_step *s, const joint_case *c)
{
    reel_tensor weights = REEL_NONE;
    if (c->weights)
        weights = reel_constant(s->tape, REEL_SHAPE(c->classes), reel_fill(c->dtype, .5));
    double smoothing = c->smoothing ? .125 : 0;
    if (c->call == JOINT_SPARSE)
        return reel_sparse_softmax_cross_entropy_with_logits(.labels = s->labels, .logits = s->logits,
                                                             .reduction = c->reduction, .class_weights = weights,
                                                             .label_smoothing = smoothing);
    if (c->call == JOINT_V1)
        return reel_softmax_cross_entropy_with_logits_v1(.labels = s->labels, .logits = s->logits,
                                                         .reduction = c->reduction, .class_weights = weights,
                                                         .label_smoothing = smoothing);
    return reel_softmax_cross_entropy_with_logits(.labels = s->labels, .logits = s->logits, .reduction = c->reduction,
                                                  .class_weights = weights, .label_smoothing = smoothing);
}

static joint_step joint_record(const joint_case *c, int round)
{
    joint_step s = {.tape = reel_tape_new()};
    s.logits = joint_leaf(s.tape, c, false);
    s.labels = joint_leaf(s.tape, c, c->call == JOINT_SPARSE);
    joint_set(&s, c, round);
    reel_mark from = reel_tape_mark(s.tape);
    s.loss = joint_loss(&s, c);
    s.gradients = c->call == JOINT_V2 ? 2 : 1;
    reel_tensor x[] = {s.logits, s.labels};
    ck_assert_msg(reel_gradient(s.loss, reel_tensors_of(x, (size_t)s.gradients), s.gradient, .final = c->final), "%s",
                  reel_error_message(s.tape));
    s.section = reel_tape_section(from, reel_tape_mark(s.tape));
    return s;
}

static void joint_compare(reel_tensor got, reel_tensor want)
{
    size_t bytes = (size_t)reel_count(want) * reel_dtype_size(reel_dtype_of(want));
    void *a = joint_memory(bytes), *b = joint_memory(bytes);
    ck_assert_msg(reel_read(got, a, bytes), "%s", reel_error_message(got.tape));
    ck_assert(reel_read(want, b, bytes));
    ck_assert_mem_eq(a, b, bytes);
    free(a);
    free(b);
}

/* The first result of a step that is wanted, in bits: 1 the loss, 2 and 4 its gradients. */
static void joint_compare_all(const joint_step *got, const joint_step *want, unsigned which)
{
    if (which & 1)
        joint_compare(got->loss, want->loss);
    for (int i = 0; i < want->gradients; i++)
        if (which & 2u << i)
            joint_compare(got->gradient[i], want->gradient[i]);
}

/* Replayed with other numbers: the whole, and pruned to each choice of results. */
START_TEST(joint_replays_have_the_bits_of_recordings)
{
    const joint_case *c = &joint_cases[_i];
    joint_step s = joint_record(c, 0);
    for (int round = 1; round < 3; round++) {
        joint_step fresh = joint_record(c, round);
        for (unsigned which = 0; which < 2u << fresh.gradients; which++) {
            reel_tensor wanted[3];
            size_t count = 0;
            if (which & 1)
                wanted[count++] = s.loss;
            for (int i = 0; i < s.gradients; i++)
                if (which & 2u << i)
                    wanted[count++] = s.gradient[i];
            joint_set(&s, c, which % 2 ? 0 : round);
            ck_assert(reel_tape_replay(s.section));
            joint_set(&s, c, round);
            reel_section part = which ? reel_section_prune(s.section, reel_tensors_of(wanted, count)) : s.section;
            ck_assert_msg(reel_tape_replay(part), "%s", reel_error_message(s.tape));
            joint_compare_all(&s, &fresh, which ? which : 7);
        }
        reel_tape_free(fresh.tape);
    }
    reel_tape_free(s.tape);
}
END_TEST

/* The loss is read before its gradient is computed, which is by a factor made of it. */
START_TEST(joint_losses_are_there_for_readers)
{
    reel_tape *tape = reel_tape_new();
    reel_tensor z = reel_variable(tape, REEL_SHAPE(2, 3), REEL_F32_VALUES(1, 2, 3, 3, 2, 1)), gradient;
    reel_tensor labels = reel_constant(tape, REEL_SHAPE(2), REEL_I32_VALUES(0, 2));
    reel_mark from = reel_tape_mark(tape);
    reel_tensor loss = reel_sparse_softmax_cross_entropy_with_logits(.labels = labels, .logits = z);
    ck_assert(reel_gradient(reel_mul(loss, loss), REEL_TENSORS(z), &gradient));
    reel_section section = reel_tape_section(from, reel_tape_mark(tape));
    float first[6], again[6];
    ck_assert(reel_read(gradient, first, sizeof first));
    ck_assert(reel_write(z, reel_fill(REEL_F32, 0)));
    ck_assert(reel_tape_replay(section));
    ck_assert(reel_write(z, REEL_F32_VALUES(1, 2, 3, 3, 2, 1)));
    ck_assert(reel_tape_replay(section));
    ck_assert(reel_read(gradient, again, sizeof again));
    ck_assert_mem_eq(first, again, sizeof first);
    reel_tape_free(tape);
}
END_TEST

/* A gradient that was rewound past is forgotten, and what stands in its place now does not compute the loss. */
START_TEST(joint_gradients_may_be_rewound_past)
{
    reel_tape *tape = reel_tape_new();
    reel_tensor z = reel_variable(tape, REEL_SHAPE(1, 2), REEL_F32_VALUES(0, 0)), gradient;
    reel_tensor labels = reel_constant(tape, REEL_SHAPE(1), REEL_I32_VALUES(0));
    reel_mark from = reel_tape_mark(tape);
    reel_tensor loss = reel_sparse_softmax_cross_entropy_with_logits(.labels = labels, .logits = z);
    reel_mark behind = reel_tape_mark(tape);
    ck_assert(reel_gradient(loss, REEL_TENSORS(z), &gradient));
    ck_assert(reel_tape_rewind(tape, behind));
    for (int i = 0; i < 4; i++)
        reel_exp(z);
    reel_section section = reel_tape_section(from, reel_tape_mark(tape));
    ck_assert(reel_write(z, REEL_F32_VALUES(100, 0)));
    ck_assert(reel_tape_replay(section));
    ck_assert_double_eq_tol(reel_item(loss), 0, 1e-30);
    reel_tape_free(tape);
}
END_TEST

/* The error is the loss's; the section that has failed can be replayed with better labels. */
START_TEST(joint_errors_are_the_losses)
{
    reel_tape *tape = reel_tape_new();
    reel_tensor z = reel_variable(tape, REEL_SHAPE(1, 2), REEL_F32_VALUES(0, 0)), gradient;
    reel_tensor labels = reel_constant(tape, REEL_SHAPE(1), REEL_I32_VALUES(0));
    reel_mark from = reel_tape_mark(tape);
    reel_tensor loss = reel_sparse_softmax_cross_entropy_with_logits(.labels = labels, .logits = z);
    int line = __LINE__ - 1;
    ck_assert(reel_gradient(loss, REEL_TENSORS(z), &gradient));
    reel_section section = reel_tape_section(from, reel_tape_mark(tape)), half;
    half = reel_section_prune(section, REEL_TENSORS(gradient));
    ck_assert(reel_write(labels, REEL_I32_VALUES(2)));
    ck_assert(!reel_tape_replay(section));
    char place[160];
    snprintf(place, sizeof place,
             "test_joint.c:%d: sparse_softmax_cross_entropy_with_logits: Received a label value of 2", line);
    ck_assert_msg(strstr(reel_error_message(tape), place), "%s", reel_error_message(tape));
    ck_assert(reel_write(labels, REEL_I32_VALUES(1)));
    ck_assert(!reel_tape_replay(half));             /* does not run the loss, which has failed     */
    ck_assert(reel_tape_replay(section));
    ck_assert_double_eq_tol(reel_item(loss), .69314718, 1e-7);
    reel_tape_free(tape);
}
END_TEST

Suite *reel_suite_joint(void)
{
    Suite *suite = suite_create("joint");
    TCase *tests = tcase_create("joint");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, joint_replays_have_the_bits_of_recordings, 0, JOINT_CASES);
    tcase_add_test(tests, joint_losses_are_there_for_readers);
    tcase_add_test(tests, joint_gradients_may_be_rewound_past);
    tcase_add_test(tests, joint_errors_are_the_losses);
    suite_add_tcase(suite, tests);
    return suite;
}
