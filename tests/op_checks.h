/* What is checked of every op, Reel's own and a user's alike. Each check walks the op's samples in each
 * floating dtype and reports what is wrong.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef REEL_TESTS_OP_CHECKS_H
#define REEL_TESTS_OP_CHECKS_H

#include "tests/samples.h"

typedef void (*test_op_check)(const reel_op *op, test_report *report);

/* op_values.c: the record, its error samples, and the numbers that come out. */
void test_op_record(const reel_op *op, test_report *report);
void test_op_errors(const reel_op *op, test_report *report);
void test_op_forward(const reel_op *op, test_report *report);
void test_op_special(const reel_op *op, test_report *report);

/* op_gradients.c */
void test_op_gradient(const reel_op *op, test_report *report);
void test_op_second(const reel_op *op, test_report *report);
void test_op_same_twice(const reel_op *op, test_report *report);

/* op_runs.c: the same run in other ways must give the same bits. */
void test_op_repeated(const reel_op *op, test_report *report);
void test_op_replayed(const reel_op *op, test_report *report);
void test_op_promoted(const reel_op *op, test_report *report);
void test_op_viewed(const reel_op *op, test_report *report);
void test_op_memory(const reel_op *op, test_report *report);

/* Calls `check` with each good sample in each floating dtype that the op does. */
void test_each_case(const reel_op *op, test_report *report, void (*check)(test_case *c, test_report *report));

/* How far a result may be from the exact value. An elementwise forward, or any that rounds once:
 * `forward` ulps. Gradients, whose steps are ops that round each: `gradient` and `second` roundoffs of
 * the terms' magnitude. */
typedef struct test_tolerance {
    double forward, gradient, second;
} test_tolerance;
test_tolerance test_tolerance_of(reel_dtype dtype);

#endif
