/* Tests of the softmax cross-entropy family: the values that tell the two semantics apart, every edge, every
 * option, and every error with its message.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/harness.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

Suite *reel_suite_cross_entropy(void);

static reel_tape *ce_tape;

static void ce_start(void)
{
    ce_tape = reel_tape_new();
}

static void ce_end(void)
{
    reel_tape_free(ce_tape);
}

/* Every number of x within `ulps` units in the last place, at max(|value|, scale), of those listed. */
static void ce_check(reel_tensor x, double ulps, double scale, const double *want, size_t count, int line)
{
    double got[64];
    ck_assert_msg(!reel_failed(ce_tape), "line %d: %s", line, reel_error_message(ce_tape));
    ck_assert_msg((size_t)reel_count(x) == count, "line %d: %lld numbers", line, (long long)reel_count(x));
    ck_assert(reel_read_f64(x, got, count));
    for (size_t i = 0; i < count; i++) {
        double size = fmax(fabs(want[i]), scale),
               allowed = ulps * test_ulp(reel_dtype_of(x), isfinite(size) ? size : 0);
        ck_assert_msg(test_close(reel_dtype_of(x), got[i], want[i], allowed),
                      "line %d: number %zu is %.17g, not %.17g", line, i, got[i], want[i]);
    }
}

#define CE_LIST(...) (const double[]){__VA_ARGS__}, sizeof((const double[]){__VA_ARGS__}) / sizeof(double)
#define ce_near(x, ulps, scale, ...) ce_check(x, ulps, scale, CE_LIST(__VA_ARGS__), __LINE__)
#define ce_is(x, ...)                ce_check(x, 0, 0, CE_LIST(__VA_ARGS__), __LINE__)

/* The message says all of these, and names the place of the call: its line or, where it has several and
 * compilers differ, a near one. */
static void ce_check_error(const char *const words[], size_t count, int line)
{
    const char *message = reel_error_message(ce_tape), *place = strstr(message, "test_cross_entropy.c:");
    ck_assert_msg(reel_failed(ce_tape), "line %d: no error", line);
    ck_assert_msg(place && abs(atoi(strchr(place, ':') + 1) - line) <= 6,
                  "line %d: the place is not in: %s", line, message);
    for (size_t i = 0; i < count; i++)
        ck_assert_msg(strstr(message, words[i]) != NULL, "line %d: \"%s\" is not in: %s", line, words[i],
                      message);
}

#define CE_WORDS(...)                                                                                        \
    (const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)

/* ce_fails(call, words...) */
#define ce_fails(call, ...)                                                                          \
    do {                                                                                             \
        (void)(call);                                                                                \
        ce_check_error(CE_WORDS(__VA_ARGS__), __LINE__);                                             \
    } while (0)

#define ce_matrix(rows, columns, ...)                                                                        \
    reel_variable(ce_tape, REEL_SHAPE(rows, columns), REEL_F32_VALUES(__VA_ARGS__))
#define ce_matrix64(rows, columns, ...)                                                              \
    reel_variable(ce_tape, REEL_SHAPE(rows, columns), REEL_F64_VALUES(__VA_ARGS__))

static reel_tensor ce_one_gradient(reel_tensor y, reel_tensor x)
{
    reel_tensor gradient = REEL_NONE;
    reel_gradient(y, REEL_TENSORS(x), &gradient);
    return gradient;
}


/* ---- The two semantics --------------------------------------------------------------------------- */

static const double ce_softmax[] = {0.032058603280084995, 0.08714431874203257, 0.23688281808991013,
                                    0.6439142598879724};
static const double ce_surprise[] = {3.4401896985611953, 2.4401896985611953, 1.4401896985611953,
                                     0.4401896985611953};

START_TEST(labels_of_zero)
{
    reel_tensor z = ce_matrix(1, 4, 1, 2, 3, 4), y = ce_matrix(1, 4, 0, 0, 0, 0);
    reel_tensor exact = reel_softmax_cross_entropy_with_logits(.labels = y, .logits = z);
    reel_tensor tensorflow =
        reel_softmax_cross_entropy_with_logits(.labels = y, .logits = z, .semantics = REEL_TENSORFLOW);
    ce_is(exact, 0);
    ce_is(tensorflow, 0);
    ce_is(ce_one_gradient(exact, z), 0, 0, 0, 0);
    ce_check(ce_one_gradient(tensorflow, z), 1.5, 0, ce_softmax, 4, __LINE__);
}
END_TEST

START_TEST(labels_that_sum_to_8)
{
    reel_tensor z = ce_matrix(1, 4, 1, 2, 3, 4), y = ce_matrix(1, 4, 2, 2, 2, 2);
    reel_tensor exact = reel_softmax_cross_entropy_with_logits(.labels = y, .logits = z);
    reel_tensor tensorflow =
        reel_softmax_cross_entropy_with_logits(.labels = y, .logits = z, .semantics = REEL_TENSORFLOW);
    ce_near(exact, 1, 8, 15.521517588489562);
    ce_near(tensorflow, 1, 8, 15.521517588489562);
    ce_near(ce_one_gradient(exact, z), 1.5, 8, -1.7435311737593201, -1.3028454500637395, -0.10493745528071894,
            3.1513140791037785);
    ce_near(ce_one_gradient(tensorflow, z), 1.5, 8, -1.9679413967199150, -1.9128556812579674,
            -1.7631171819100899, -1.3560857401120277);
    ce_check(ce_one_gradient(exact, y), 1.5, 1, ce_surprise, 4, __LINE__);
    ce_check(ce_one_gradient(tensorflow, y), 1.5, 1, ce_surprise, 4, __LINE__);
}
END_TEST

START_TEST(one_class)
{
    reel_tensor z = ce_matrix(4, 1, 3, -7, 1e30f, 0), y = ce_matrix(4, 1, -1, 0, 1, 1);
    reel_tensor exact = reel_softmax_cross_entropy_with_logits(.labels = y, .logits = z);
    reel_tensor tensorflow =
        reel_softmax_cross_entropy_with_logits(.labels = y, .logits = z, .semantics = REEL_TENSORFLOW);
    ce_is(exact, 0, 0, 0, 0);
    ce_is(tensorflow, 0, 0, 0, 0);
    ce_is(ce_one_gradient(exact, z), 0, 0, 0, 0);
    ce_is(ce_one_gradient(tensorflow, z), 2, 1, 0, 0);
    ce_is(ce_one_gradient(exact, y), 0, 0, 0, 0);
}
END_TEST

/* d/dlogits of v . dL/dlogits is S p (v - p.v); d/dlabels of it p.v - v, or -v of TensorFlow's formula. */
START_TEST(mixed_second_derivative)
{
    reel_semantics semantics[] = {REEL_EXACT, REEL_TENSORFLOW};
    reel_tensor z = ce_matrix64(1, 3, .1, .7, -.4), y = ce_matrix64(1, 3, .2, .3, .5),
                v = ce_matrix64(1, 3, 1, 2, 4);
    for (int i = 0; i < 2; i++) {
        reel_tensor loss =
            reel_softmax_cross_entropy_with_logits(.labels = y, .logits = z, .semantics = semantics[i]);
        reel_tensor second[2];
        reel_gradient(ce_one_gradient(loss, z), REEL_TENSORS(z, y), second, .upstream = v);
        ce_near(second[0], 1.5, 4, -0.30978421180171135, -0.03302441473729464, 0.34280862653900599);
        if (semantics[i] == REEL_EXACT)
            ce_near(second[1], 4, 4, 1.0621414705424151, 0.06214147054241509, -1.9378585294575849);
        else
            ce_near(second[1], 1, 4, -1, -2, -4);
    }
}
END_TEST

/* Where p of the label rounds to 1 the gradient is the sum of the other classes, and not 0. */
START_TEST(the_tail_is_kept)
{
    reel_tensor z = ce_matrix64(1, 2, 37.42994775023705, 0), y = ce_matrix64(1, 2, 1, 0);
    reel_tensor loss = reel_softmax_cross_entropy_with_logits(.labels = y, .logits = z);
    reel_tensor index = reel_constant(ce_tape, REEL_SHAPE(1), REEL_I32_VALUES(0));
    reel_tensor sparse = reel_sparse_softmax_cross_entropy_with_logits(.labels = index, .logits = z);
    double tail = 5.5511151231257758e-17;           /* e^-37.42994775023705                        */
    ce_near(loss, 4, 0, tail);
    ce_near(sparse, 4, 0, tail);
    ce_near(ce_one_gradient(loss, z), 4, 0, -tail, tail);
    ce_near(ce_one_gradient(sparse, z), 4, 0, -tail, tail);
}
END_TEST

/* The loss of a row that is sure of its class, and the gradient there, wherever that class is: 1 - p, with all digits. */
START_TEST(the_largest_logit_may_lie_anywhere)
{
    enum { CLASSES = 140 };
    double logits[CLASSES * CLASSES], loss[CLASSES], gradient[CLASSES * CLASSES];
    int32_t label[CLASSES];
    for (int classes = 2; classes <= CLASSES; classes++) {
        reel_mark start = reel_tape_mark(ce_tape);
        const double others = (classes - 1) * exp(-20), want = log1p(others), into = -others / (1 + others);
        for (int row = 0; row < classes; row++)
            for (int c = 0; c < classes; c++)
                logits[row * classes + c] = c == row ? 20 : 0;
        for (int row = 0; row < classes; row++)
            label[row] = row;
        const size_t count = (size_t)classes * (size_t)classes;
        reel_tensor z = reel_variable(ce_tape, REEL_SHAPE(classes, classes), reel_values_from_f64(REEL_F32, logits, count));
        reel_tensor y = reel_constant(ce_tape, REEL_SHAPE(classes), reel_values_of(REEL_I32, label, (size_t)classes));
        reel_tensor l = reel_sparse_softmax_cross_entropy_with_logits(.labels = y, .logits = z);
        ck_assert(reel_read_f64(ce_one_gradient(l, z), gradient, count) && reel_read_f64(l, loss, (size_t)classes));
        for (int row = 0; row < classes; row++) {
            ck_assert_double_eq_tol(loss[row], want, 0x1p-23 * want);
            ck_assert_double_eq_tol(gradient[row * classes + row], into, 0x1p-22 * -into);
        }
        reel_tape_rewind(ce_tape, start);
    }
}
END_TEST

START_TEST(semantics_by_default)
{
    reel_tensor z = ce_matrix(1, 2, 0, 0), y = ce_matrix(1, 2, 2, 2);
    reel_tensor loss[] = {
        reel_softmax_cross_entropy_with_logits(.labels = y, .logits = z),
        reel_softmax_cross_entropy_with_logits_v1(.labels = y, .logits = z),
        reel_softmax_cross_entropy_with_logits_v2(.labels = y, .logits = z),
    };
    for (int i = 0; i < 3; i++)
        ce_is(ce_one_gradient(loss[i], z), 0, 0);
    reel_loss_and_backprop raw = reel_raw_softmax_cross_entropy_with_logits(.features = z, .labels = y);
    reel_loss_and_backprop exact =
        reel_raw_softmax_cross_entropy_with_logits(.features = z, .labels = y, .semantics = REEL_EXACT);
    ce_is(raw.backprop, -1.5, -1.5);
    ce_is(ce_one_gradient(raw.loss, z), -1.5, -1.5);
    ce_is(exact.backprop, 0, 0);
    ce_is(ce_one_gradient(exact.loss, z), 0, 0);
}
END_TEST


/* ---- Higher orders ------------------------------------------------------------------------------- */

/* For labels that sum to S the loss is S logsumexp(z) - y.z, so its derivatives from the second on are S
 * times the cumulants of p: with a = v - p.v and b = w - p.w the third, along v and w, is
 * S p (a b - p.(a b)). */
START_TEST(orders_one_to_three)
{
    double p[3], v[] = {1, -2, .5}, w[] = {.25, 1, -3}, y[] = {.5, .25, 1}, sum = 1.75;
    double mean_v = 0, mean_w = 0, both = 0, first[3], second[3], third[3];
    double total = exp(.1) + exp(.7) + exp(-.4);
    for (int i = 0; i < 3; i++) {
        p[i] = exp((double[]){.1, .7, -.4}[i]) / total;
        mean_v += p[i] * v[i];
        mean_w += p[i] * w[i];
    }
    for (int i = 0; i < 3; i++)
        both += p[i] * (v[i] - mean_v) * (w[i] - mean_w);
    for (int i = 0; i < 3; i++) {
        first[i] = sum * p[i] - y[i];
        second[i] = sum * p[i] * (v[i] - mean_v);
        third[i] = sum * p[i] * ((v[i] - mean_v) * (w[i] - mean_w) - both);
    }
    reel_tensor logits = ce_matrix64(1, 3, .1, .7, -.4), labels = ce_matrix64(1, 3, .5, .25, 1), g[3];
    reel_tensor loss = reel_softmax_cross_entropy_with_logits(.labels = labels, .logits = logits);
    reel_gradient(loss, REEL_TENSORS(logits), &g[0]);
    reel_gradient(g[0], REEL_TENSORS(logits), &g[1], .upstream = ce_matrix64(1, 3, 1, -2, .5));
    reel_gradient(g[1], REEL_TENSORS(logits), &g[2], .upstream = ce_matrix64(1, 3, .25, 1, -3));
    ce_check(g[0], 4, 2, first, 3, __LINE__);
    ce_check(g[1], 8, 4, second, 3, __LINE__);
    ce_check(g[2], 16, 8, third, 3, __LINE__);
}
END_TEST

/* The second derivative along v, S p (v - p.v), depends on the labels through S alone; where S is 0, too. */
START_TEST(third_order_into_labels)
{
    double labels[][2] = {{1, 2}, {0, 0}, {1, -1}}, sum = labels[_i][0] + labels[_i][1];
    reel_tensor z = ce_matrix64(1, 2, 0, 0), y = ce_matrix64(1, 2, labels[_i][0], labels[_i][1]), g[2];
    reel_tensor loss = reel_softmax_cross_entropy_with_logits(.labels = y, .logits = z);
    reel_tensor v = ce_matrix64(1, 2, 1, 0), w = ce_matrix64(1, 2, 0, 1), into_labels;
    reel_gradient(loss, REEL_TENSORS(z), &g[0]);
    reel_gradient(g[0], REEL_TENSORS(z), &g[1], .upstream = v);
    reel_gradient(g[1], REEL_TENSORS(y), &into_labels, .upstream = w);
    ce_near(g[1], 2, 1, .25 * sum, -.25 * sum);
    ce_near(into_labels, 4, 1, -.25, -.25);         /* w.(p (v - p.v)) for each label              */
}
END_TEST

/* All is linear in the upstream gradient, and what it is multiplied by does not vanish where it is 0. */
START_TEST(third_order_into_an_upstream_of_0)
{
    reel_tensor z = ce_matrix64(1, 2, 0, 0), y = ce_matrix64(1, 2, 1, 2), g[2], into;
    reel_tensor u = reel_variable(ce_tape, REEL_SHAPE(1), REEL_F64_VALUES(0));
    reel_tensor loss = reel_softmax_cross_entropy_with_logits(.labels = y, .logits = z);
    reel_tensor v = ce_matrix64(1, 2, 1, 0), w = ce_matrix64(1, 2, 0, 1);
    reel_gradient(loss, REEL_TENSORS(z), &g[0], .upstream = u);
    reel_gradient(g[0], REEL_TENSORS(z), &g[1], .upstream = v);
    reel_gradient(g[1], REEL_TENSORS(u), &into, .upstream = w);
    ce_is(g[1], 0, 0);
    ce_near(into, 4, 1, -.75);
}
END_TEST

/* With z = 0, so that p = 1/2, and along a direction t for the labels: the mixed derivative u (p.v - v), or
 * -u v, is differentiated by logits, v and u. */
START_TEST(third_order_of_the_mixed_derivative)
{
    reel_tensor z = ce_matrix64(1, 2, 0, 0), y = ce_matrix64(1, 2, 1, 2), g, mixed, third[3];
    reel_tensor u = reel_variable(ce_tape, REEL_SHAPE(1), REEL_F64_VALUES(2));
    reel_tensor v = ce_matrix64(1, 2, 3, -1), t = ce_matrix64(1, 2, 4, 1);
    reel_semantics semantics = _i ? REEL_TENSORFLOW : REEL_EXACT;
    reel_tensor loss =
        reel_softmax_cross_entropy_with_logits(.labels = y, .logits = z, .semantics = semantics);
    reel_gradient(loss, REEL_TENSORS(z), &g, .upstream = u);
    reel_gradient(g, REEL_TENSORS(y), &mixed, .upstream = v);
    reel_gradient(mixed, REEL_TENSORS(z, v, u), third, .upstream = t);
    if (_i) {
        ce_is(mixed, -6, 2);
        ce_is(third[0], 0, 0);
        ce_is(third[1], -8, -2);                    /* -u t                                        */
        ce_is(third[2], -11);                       /* -v.t                                        */
    } else {
        ce_is(mixed, -4, 4);
        ce_is(third[0], 10, -10);                   /* u (sum t) p (v - p.v)                       */
        ce_is(third[1], -3, 3);                     /* u ((sum t) p - t)                           */
        ce_is(third[2], -6);                        /* (sum t) p.v - v.t                           */
    }
}
END_TEST

/* The other way round: the labels' gradient -u log p, along t, by the logits is u ((sum t) p - t). */
START_TEST(mixed_second_derivative_from_the_labels)
{
    reel_tensor z = ce_matrix64(1, 2, 0, 0), y = ce_matrix64(1, 2, 1, 2), g, mixed[2];
    reel_tensor u = reel_variable(ce_tape, REEL_SHAPE(1), REEL_F64_VALUES(2)), t = ce_matrix64(1, 2, 4, 1);
    reel_semantics semantics = _i ? REEL_TENSORFLOW : REEL_EXACT;
    reel_tensor loss =
        reel_softmax_cross_entropy_with_logits(.labels = y, .logits = z, .semantics = semantics);
    reel_gradient(loss, REEL_TENSORS(y), &g, .upstream = u);
    reel_gradient(g, REEL_TENSORS(z, u), mixed, .upstream = t);
    ce_is(mixed[0], -3, 3);
    ce_near(mixed[1], 1, 1, 5 * 0.6931471805599453);
}
END_TEST

START_TEST(both_raw_outputs_are_differentiable)
{
    reel_tensor z = ce_matrix64(1, 3, .1, .7, -.4), y = ce_matrix64(1, 3, .2, .3, .5),
                v = ce_matrix64(1, 3, 1, 2, 4);
    reel_tensor into[2];
    reel_loss_and_backprop raw = reel_raw_softmax_cross_entropy_with_logits(.features = z, .labels = y);
    reel_gradient(raw.backprop, REEL_TENSORS(z, y), into, .upstream = v);
    ce_near(into[0], 1.5, 4, -0.30978421180171135, -0.03302441473729464, 0.34280862653900599);
    ce_is(into[1], -1, -2, -4);
    reel_loss_and_backprop exact =
        reel_raw_softmax_cross_entropy_with_logits(.features = z, .labels = y, .semantics = REEL_EXACT);
    reel_gradient(exact.backprop, REEL_TENSORS(z, y), into, .upstream = v);
    ce_near(into[0], 1.5, 4, -0.30978421180171135, -0.03302441473729464, 0.34280862653900599);
    ce_near(into[1], 4, 4, 1.0621414705424151, 0.06214147054241509, -1.9378585294575849);
    reel_tensor index = reel_constant(ce_tape, REEL_SHAPE(1), REEL_I64_VALUES(2));
    reel_loss_and_backprop sparse =
        reel_raw_sparse_softmax_cross_entropy_with_logits(.features = z, .labels = index);
    reel_gradient(sparse.backprop, REEL_TENSORS(z), into, .upstream = v);
    ce_near(into[0], 1.5, 4, -0.30978421180171135, -0.03302441473729464, 0.34280862653900599);
}
END_TEST


/* ---- Edges --------------------------------------------------------------------------------------- */

START_TEST(masked_class_adds_nothing)
{
    reel_tensor z = ce_matrix(1, 3, 0, -INFINITY, 0), y = ce_matrix(1, 3, 1, 0, 0), g[2];
    reel_tensor loss = reel_softmax_cross_entropy_with_logits(.labels = y, .logits = z);
    ce_near(loss, 1, 1, 0.6931471805599453);
    reel_gradient(loss, REEL_TENSORS(z, y), g);
    ce_is(g[0], -.5, 0, .5);
    ce_near(g[1], 1.5, 1, 0.6931471805599453, INFINITY, 0.6931471805599453);
}
END_TEST

START_TEST(masked_class_is_nan_in_tensorflow)
{
    reel_tensor z = ce_matrix(1, 3, 0, -INFINITY, 0), y = ce_matrix(1, 3, 1, 0, 0);
    reel_tensor loss =
        reel_softmax_cross_entropy_with_logits(.labels = y, .logits = z, .semantics = REEL_TENSORFLOW);
    ce_is(loss, NAN);
    ce_is(ce_one_gradient(loss, z), -.5, 0, .5);
}
END_TEST

START_TEST(masked_label_is_infinite)
{
    reel_tensor z = ce_matrix(1, 3, 0, -INFINITY, 0), y = ce_matrix(1, 3, 0, 1, 0);
    reel_tensor index = reel_constant(ce_tape, REEL_SHAPE(1), REEL_I32_VALUES(1));
    reel_tensor dense = reel_softmax_cross_entropy_with_logits(.labels = y, .logits = z);
    reel_tensor sparse = reel_sparse_softmax_cross_entropy_with_logits(.labels = index, .logits = z);
    ce_is(dense, INFINITY);
    ce_is(sparse, INFINITY);
    ce_is(ce_one_gradient(dense, z), .5, -1, .5);
    ce_is(ce_one_gradient(sparse, z), .5, -1, .5);
}
END_TEST

/* The difference of the two logits is beyond the dtype, and has a label of 0. */
START_TEST(overflowing_difference)
{
    static const struct { reel_dtype dtype; double large; } sample[] = {
        {REEL_F16, 65504}, {REEL_BF16, 3e38}, {REEL_F32, 3e38}, {REEL_F64, 1.7e308},
    };
    reel_semantics semantics = _i < 4 ? REEL_EXACT : REEL_TENSORFLOW;
    reel_dtype dtype = sample[_i % 4].dtype;
    double large = sample[_i % 4].large, logits[] = {large, -large, large, large, -large, 0},
           labels[] = {1, 0, 0, .5, 0, .5};
    reel_tensor z = reel_variable(ce_tape, REEL_SHAPE(2, 3), reel_values_from_f64(dtype, logits, 6));
    reel_tensor y = reel_variable(ce_tape, REEL_SHAPE(2, 3), reel_values_from_f64(dtype, labels, 6));
    reel_tensor loss =
        reel_softmax_cross_entropy_with_logits(.labels = y, .logits = z, .semantics = semantics);
    double stored[6];
    ck_assert(reel_read_f64(z, stored, 6));
    ce_near(loss, 1, 1, 0.6931471805599453, stored[3] / 2);
    ce_is(ce_one_gradient(loss, z), -.5, 0, .5, .5, 0, -.5);
}
END_TEST

static void ce_bad_row(double bad, double worse)
{
    double logits[] = {1, 2, 3, 1, bad, worse, -1, 0, 2}, labels[] = {0, 0, 1, 1, 0, 0, .5, .25, .25};
    reel_tensor y = reel_variable(ce_tape, REEL_SHAPE(3, 3), reel_values_from_f64(REEL_F32, labels, 9));
    float loss[2][3], gradient[2][9], into_labels[2][9];
    for (int i = 0; i < 2; i++) {
        reel_tensor z = reel_variable(ce_tape, REEL_SHAPE(3, 3), reel_values_from_f64(REEL_F32, logits, 9)),
                    g[2];
        reel_tensor l = reel_softmax_cross_entropy_with_logits(.labels = y, .logits = z);
        reel_gradient(l, REEL_TENSORS(z, y), g);
        reel_read(l, loss[i], sizeof loss[i]);
        reel_read(g[0], gradient[i], sizeof gradient[i]);
        reel_read(g[1], into_labels[i], sizeof into_labels[i]);
        logits[3] = logits[4] = logits[5] = 0;      /* the second time all rows are good           */
    }
    ck_assert(!reel_failed(ce_tape));
    ck_assert(isnan(loss[0][1]) && loss[0][0] == loss[1][0] && loss[0][2] == loss[1][2]);
    for (int i = 0; i < 9; i++) {
        bool in_row = i >= 3 && i < 6;
        ck_assert(in_row ? isnan(gradient[0][i]) : gradient[0][i] == gradient[1][i]);
        ck_assert(in_row ? isnan(into_labels[0][i]) : into_labels[0][i] == into_labels[1][i]);
    }
}

START_TEST(plus_infinity_makes_its_row_nan)
{
    ce_bad_row(2, INFINITY);
    ce_bad_row(INFINITY, INFINITY);
}
END_TEST

START_TEST(nan_makes_its_row_nan)
{
    ce_bad_row(NAN, 2);
    ce_bad_row(2, -NAN);
}
END_TEST

START_TEST(all_minus_infinity_makes_its_row_nan)
{
    double logits[] = {-INFINITY, -INFINITY, 1, 2}, labels[] = {1, 0, 0, 1};
    reel_tensor z = reel_variable(ce_tape, REEL_SHAPE(2, 2), reel_values_from_f64(REEL_F32, logits, 4));
    reel_tensor y = reel_variable(ce_tape, REEL_SHAPE(2, 2), reel_values_from_f64(REEL_F32, labels, 4)), g[2];
    reel_tensor loss = reel_softmax_cross_entropy_with_logits(.labels = y, .logits = z);
    reel_gradient(loss, REEL_TENSORS(z, y), g);
    ce_near(loss, 1, 1, NAN, 0.3132616875182228);
    ce_near(g[0], 1.5, 1, NAN, NAN, 0.2689414213699951, -0.2689414213699951);
    ce_near(g[1], 1.5, 1, NAN, NAN, 1.3132616875182228, 0.3132616875182228);
}
END_TEST

START_TEST(subnormal_results_are_kept)
{
    reel_tensor z = ce_matrix(2, 2, 0, -95, 0, -103), y = ce_matrix(2, 2, 1, 0, 1, 0);
    reel_tensor loss = reel_softmax_cross_entropy_with_logits(.labels = y, .logits = z);
    double tail[] = {5.5210822770285327e-42, 1.8521167695179755e-45};
    ce_near(loss, 1, 0, tail[0], tail[1]);
    ce_near(ce_one_gradient(loss, z), 1, 0, -tail[0], tail[0], -tail[1], tail[1]);
}
END_TEST

START_TEST(empty_batch)
{
    reel_tensor z = reel_variable(ce_tape, REEL_SHAPE(0, 3), reel_fill(REEL_F32, 0));
    reel_tensor y = reel_variable(ce_tape, REEL_SHAPE(0, 3), reel_fill(REEL_F32, 0)), g[2];
    reel_tensor index = reel_constant(ce_tape, REEL_SHAPE(0), reel_fill(REEL_I32, 0)), counted;
    reel_tensor dense = reel_softmax_cross_entropy_with_logits(.labels = y, .logits = z);
    reel_tensor sparse = reel_sparse_softmax_cross_entropy_with_logits(.labels = index, .logits = z);
    reel_gradient(dense, REEL_TENSORS(z, y), g);
    ck_assert_msg(!reel_failed(ce_tape), "%s", reel_error_message(ce_tape));
    ck_assert(reel_shape_of(dense).rank == 1 && reel_count(dense) == 0 && reel_count(sparse) == 0);
    ck_assert(reel_shape_of(g[0]).size[0] == 0 && reel_shape_of(g[0]).size[1] == 3 && reel_count(g[1]) == 0);
    reel_tensor mean = reel_softmax_cross_entropy_with_logits(.labels = y, .logits = z, .counted = &counted,
                                                              .reduction = REEL_REDUCTION_MEAN);
    ce_is(mean, 0);
    ce_is(counted, 0);
}
END_TEST

START_TEST(huge_equal_logits)
{
    reel_tensor z = ce_matrix(2, 3, 3e38f, 3e38f, 3e38f, -3e38f, -3e38f, -3e38f),
                y = ce_matrix(1, 3, 0, 1, 0);
    reel_tensor loss = reel_softmax_cross_entropy_with_logits(.labels = y, .logits = z);
    double third = 1. / 3;
    ce_near(loss, 1, 1, 1.0986122886681098, 1.0986122886681098);
    ce_near(ce_one_gradient(loss, z), 1.5, 1, third, third - 1, third, third, third - 1, third);
}
END_TEST

START_TEST(negative_labels)
{
    reel_tensor z = ce_matrix(1, 2, 0, 0), y = ce_matrix(1, 2, -1, 3);
    reel_tensor loss = reel_softmax_cross_entropy_with_logits(.labels = y, .logits = z);
    ce_near(loss, 1, 4, 2 * 0.6931471805599453);
    ce_near(ce_one_gradient(loss, z), 1.5, 4, 2, -2);
}
END_TEST

/* The last sixteen are not whole. */
START_TEST(two_hundred_thousand_classes)
{
    enum { CLASSES = 200003 };
    double total = 0;
    float *logits = malloc(CLASSES * sizeof *logits);
    for (int i = 0; i < CLASSES; i++)
        logits[i] = (float)(i % 17) * .25f;
    for (int i = 0; i < CLASSES; i++)
        total += exp(logits[i]);
    reel_tensor z = reel_variable(ce_tape, REEL_SHAPE(1, CLASSES), reel_values_of(REEL_F32, logits, CLASSES));
    reel_tensor index = reel_constant(ce_tape, REEL_SHAPE(1), REEL_I32_VALUES(CLASSES - 1));
    reel_tensor loss = reel_sparse_softmax_cross_entropy_with_logits(.labels = index, .logits = z);
    ce_near(loss, 1.5, 1, log(total) - logits[CLASSES - 1]);
    ck_assert(reel_read(ce_one_gradient(loss, z), logits, CLASSES * sizeof *logits));
    for (int i = 0; i < CLASSES - 1; i++)
        ck_assert_double_eq_tol(logits[i], exp(i % 17 * .25) / total, 1e-7 * exp(i % 17 * .25) / total);
    ck_assert_double_eq_tol(logits[CLASSES - 1], exp(.25 * ((CLASSES - 1) % 17)) / total - 1, 1e-7);
    free(logits);
}
END_TEST


/* ---- Ranks, axes, strides, broadcasting ---------------------------------------------------------- */

/* Rank _i, every axis, positive and negative: the same numbers as with the class axis moved last. */
START_TEST(every_axis_of_every_rank)
{
    int64_t size[] = {3, 2, 2, 3, 1, 2, 2, 3}, count = 1;
    uint64_t state = 7;
    double logits[3 * 2 * 2 * 3 * 2 * 2 * 3], labels[3 * 2 * 2 * 3 * 2 * 2 * 3];
    reel_shape shape = reel_make_shape(_i, size);
    for (int i = 0; i < _i; i++)
        count *= size[i];
    for (int64_t i = 0; i < count; i++) {
        logits[i] = test_uniform(&state, -4, 4);
        labels[i] = test_uniform(&state, 0, 1);
    }
    reel_tensor z = reel_variable(ce_tape, shape, reel_values_from_f64(REEL_F64, logits, (size_t)count));
    reel_tensor y = reel_variable(ce_tape, shape, reel_values_from_f64(REEL_F64, labels, (size_t)count)),
                g[2][2];
    for (int axis = -_i; axis < _i; axis++) {
        int order[REEL_MAX_RANK], class_axis = axis < 0 ? axis + _i : axis, k = 0;
        for (int i = 0; i < _i; i++)
            if (i != class_axis)
                order[k++] = i;
        order[k] = class_axis;
        reel_axes axes = reel_make_axes(_i, order);
        reel_tensor there = reel_softmax_cross_entropy_with_logits(.labels = y, .logits = z, .axis = axis);
        reel_tensor last =
            reel_softmax_cross_entropy_with_logits(.labels = reel_contiguous(reel_permute(y, axes)),
                                                   .logits = reel_contiguous(reel_permute(z, axes)));
        reel_gradient(there, REEL_TENSORS(z, y), g[0]);
        reel_gradient(last, REEL_TENSORS(z, y), g[1]);
        double a[432], b[432];
        for (int q = 0; q < 3; q++) {
            reel_tensor x = q ? g[0][q - 1] : there, w = q ? g[1][q - 1] : last;
            int64_t numbers = reel_count(x);
            ck_assert(reel_read_f64(x, a, (size_t)numbers) && reel_read_f64(w, b, (size_t)numbers));
            for (int64_t i = 0; i < numbers; i++)
                ck_assert_double_eq_tol(a[i], b[i], 3 * test_ulp(REEL_F64, fmax(4, fabs(b[i]))));
        }
    }
    ck_assert_msg(!reel_failed(ce_tape), "%s", reel_error_message(ce_tape));
}
END_TEST

/* The class axis lies across memory, and the loss needs far less room than another copy of the logits. */
START_TEST(no_transposed_copy)
{
    enum { ROWS = 1000, CLASSES = 100 };
    reel_tensor z = reel_constant(ce_tape, REEL_SHAPE(CLASSES, ROWS), reel_fill(REEL_F32, 1));
    reel_tensor index = reel_constant(ce_tape, REEL_SHAPE(ROWS), reel_fill(REEL_I32, 3));
    size_t before = reel_tape_statistics(ce_tape).bytes_used;
    reel_tensor loss = reel_sparse_softmax_cross_entropy_with_logits(.labels = index, .logits = z, .axis = 0);
    size_t used = reel_tape_statistics(ce_tape).bytes_used - before;
    ck_assert(!reel_failed(ce_tape) && reel_count(loss) == ROWS);
    ck_assert_msg(used < ROWS * CLASSES * sizeof(float) / 4, "%zu bytes", used);
}
END_TEST

START_TEST(labels_broadcast)
{
    reel_tensor z = ce_matrix(2, 3, 1, 2, 3, 3, 2, 1), y = ce_matrix(1, 3, 0, 0, 1), g[2];
    reel_tensor row = reel_reshape(y, REEL_SHAPE(3)), h[2];
    reel_tensor loss = reel_softmax_cross_entropy_with_logits(.labels = y, .logits = z);
    reel_tensor same = reel_softmax_cross_entropy_with_logits(.labels = row, .logits = z);
    ce_near(loss, 1, 1, 0.4076059644443803, 2.4076059644443803);
    ce_near(same, 1, 1, 0.4076059644443803, 2.4076059644443803);
    reel_gradient(loss, REEL_TENSORS(z, y), g);
    reel_gradient(same, REEL_TENSORS(z, row), h);
    ck_assert(reel_shape_of(g[1]).rank == 2 && reel_shape_of(h[1]).rank == 1);
    ce_near(g[1], 1.5, 4, 2.8152119288887606, 2.8152119288887606, 2.8152119288887606);
    ce_near(h[1], 1.5, 4, 2.8152119288887606, 2.8152119288887606, 2.8152119288887606);
}
END_TEST

START_TEST(logits_broadcast)
{
    reel_tensor z = ce_matrix(1, 3, 1, 2, 3), y = ce_matrix(2, 3, 1, 0, 0, 0, 0, 1), g[2];
    reel_tensor loss = reel_softmax_cross_entropy_with_logits(.labels = y, .logits = z);
    ce_near(loss, 1, 1, 2.4076059644443803, 0.4076059644443803);
    reel_gradient(loss, REEL_TENSORS(z, y), g);
    ck_assert(reel_shape_of(g[0]).size[0] == 1 && reel_shape_of(g[1]).size[0] == 2);
    ce_near(g[0], 1.5, 2, 2 * 0.09003057317038046 - 1, 2 * 0.24472847105479765, 2 * 0.6652409557748219 - 1);
}
END_TEST

/* One logit a row, stretched over the classes: softmax is 1/C, and the gradient S - S = 0. */
START_TEST(classes_broadcast)
{
    reel_tensor z = ce_matrix(2, 1, 5, -3), y = ce_matrix(2, 3, 1, 0, 0, 1, 1, 1);
    reel_tensor loss = reel_softmax_cross_entropy_with_logits(.labels = y, .logits = z);
    ce_near(loss, 1, 3, 1.0986122886681098, 3 * 1.0986122886681098);
    ce_near(ce_one_gradient(loss, z), 1.5, 3, 0, 0);
    ce_near(ce_one_gradient(loss, y), 1.5, 1, 1.0986122886681098, 1.0986122886681098, 1.0986122886681098,
            1.0986122886681098, 1.0986122886681098, 1.0986122886681098);
}
END_TEST

START_TEST(sparse_labels_on_any_axis)
{
    reel_tensor z = ce_matrix(3, 2, 1, 3, 2, 2, 3, 1);
    reel_tensor index = reel_constant(ce_tape, REEL_SHAPE(2), REEL_I64_VALUES(2, 2));
    reel_tensor loss = reel_sparse_softmax_cross_entropy_with_logits(.labels = index, .logits = z, .axis = 0);
    reel_tensor from_end =
        reel_sparse_softmax_cross_entropy_with_logits(.labels = index, .logits = z, .axis = -2);
    ce_near(loss, 1, 1, 0.4076059644443803, 2.4076059644443803);
    ce_near(from_end, 1, 1, 0.4076059644443803, 2.4076059644443803);
}
END_TEST


/* ---- Calls and options --------------------------------------------------------------------------- */

START_TEST(v1_stops_at_the_labels)
{
    char why[200];
    reel_tensor z = ce_matrix(1, 2, 0, 0), y = ce_matrix(1, 2, 1, 0), g[2];
    reel_tensor loss = reel_softmax_cross_entropy_with_logits_v1(.labels = y, .logits = z);
    reel_gradient(loss, REEL_TENSORS(z, y), g);
    ce_is(g[0], -.5, .5);
    ce_is(g[1], 0, 0);
    reel_why_no_gradient(loss, y, why, sizeof why);
    ck_assert_msg(strstr(why, "stop_gradient") != NULL, "%s", why);
}
END_TEST

START_TEST(dim_is_axis)
{
    reel_tensor z = ce_matrix(3, 2, 1, 3, 2, 2, 3, 1), y = ce_matrix(3, 2, 0, 0, 0, 0, 1, 1);
    reel_tensor loss[] = {
        reel_softmax_cross_entropy_with_logits(.labels = y, .logits = z, .axis = 0),
        reel_softmax_cross_entropy_with_logits_v2(.labels = y, .logits = z, .dim = 0),
        reel_softmax_cross_entropy_with_logits_v2(.labels = y, .logits = z, .axis = -2),
        reel_softmax_cross_entropy_with_logits_v1(.labels = y, .logits = z, .dim = 0),
        reel_softmax_cross_entropy_with_logits_v1(.labels = y, .logits = z, .axis = 0, .dim = 0),
    };
    for (int i = 0; i < 5; i++)
        ce_near(loss[i], 1, 1, 0.4076059644443803, 2.4076059644443803);
}
END_TEST

START_TEST(reductions)
{
    reel_tensor z = ce_matrix(2, 2, 0, 0, 0, 1.0986123f), y = ce_matrix(2, 2, 1, 0, 0, 1), counted;
    double a = 0.6931471805599453, b = 0.28768206749325907;
    reel_tensor sum =
        reel_softmax_cross_entropy_with_logits(.labels = y, .logits = z, .reduction = REEL_REDUCTION_SUM);
    reel_tensor mean = reel_softmax_cross_entropy_with_logits(.labels = y, .logits = z, .counted = &counted,
                                                              .reduction = REEL_REDUCTION_MEAN);
    ck_assert(reel_shape_of(sum).rank == 0 && reel_shape_of(mean).rank == 0);
    ce_near(sum, 1.5, 1, a + b);
    ce_near(mean, 1.5, 1, (a + b) / 2);
    ce_is(counted, 2);
    ce_near(ce_one_gradient(mean, z), 1.5, 1, -.25, .25, .125, -.125);
}
END_TEST

START_TEST(label_smoothing)
{
    reel_tensor z = ce_matrix64(1, 2, 0, 1.0986122886681098), y = ce_matrix64(1, 2, 1, 0), g[2];
    reel_tensor index = reel_constant(ce_tape, REEL_SHAPE(1), REEL_I32_VALUES(0));
    reel_tensor dense =
        reel_softmax_cross_entropy_with_logits(.labels = y, .logits = z, .label_smoothing = .2);
    reel_tensor sparse =
        reel_sparse_softmax_cross_entropy_with_logits(.labels = index, .logits = z, .label_smoothing = .2);
    double loss = .9 * log(4) + .1 * log(4. / 3);   /* y' = 0.9, 0.1; p = 1/4, 3/4                 */
    ce_near(dense, 2, 1, loss);
    ce_near(sparse, 2, 1, loss);
    reel_gradient(dense, REEL_TENSORS(z, y), g);
    ce_near(g[0], 2, 1, -.65, .65);
    ce_near(g[1], 2, 1, .8 * log(4), .8 * log(4. / 3));
    ce_near(ce_one_gradient(sparse, z), 2, 1, -.65, .65);
}
END_TEST

/* Integer labels: the mean's weight is that of the labels' classes. Dense ones: the number of rows. */
START_TEST(class_weights)
{
    double values[] = {3, .5}, log2 = 0.6931471805599453;
    reel_tensor w = reel_constant(ce_tape, REEL_SHAPE(2), reel_values_from_f64(REEL_F64, values, 2)), counted;
    reel_tensor z = ce_matrix64(2, 2, 0, 0, 0, 0), y = ce_matrix64(2, 2, 1, 0, 0, 1);
    reel_tensor index = reel_constant(ce_tape, REEL_SHAPE(2), REEL_I32_VALUES(0, 1));
    ce_near(reel_softmax_cross_entropy_with_logits(.labels = y, .logits = z, .class_weights = w), 1.5, 1,
            3 * log2, .5 * log2);
    ce_near(reel_softmax_cross_entropy_with_logits(.labels = y, .logits = z, .class_weights = w,
                                                   .reduction = REEL_REDUCTION_MEAN), 1.5, 1, 1.75 * log2);
    ce_near(reel_sparse_softmax_cross_entropy_with_logits(.labels = index, .logits = z, .class_weights = w,
                                                          .counted = &counted,
                                                          .reduction = REEL_REDUCTION_MEAN),
            1.5, 1, log2);
    ce_is(counted, 2);
}
END_TEST

START_TEST(row_weights)
{
    reel_tensor r = reel_constant(ce_tape, REEL_SHAPE(2), REEL_F64_VALUES(3, 1));
    reel_tensor z = ce_matrix64(2, 2, 0, 0, 0, 1.0986122886681098), y = ce_matrix64(2, 2, 1, 0, 0, 1);
    double a = 0.6931471805599453, b = 0.28768207245178085;
    ce_near(reel_softmax_cross_entropy_with_logits(.labels = y, .logits = z, .row_weights = r), 2, 1, 3 * a,
            b);
    ce_near(reel_softmax_cross_entropy_with_logits(.labels = y, .logits = z, .row_weights = r,
                                                   .reduction = REEL_REDUCTION_SUM), 2, 1, 3 * a + b);
    ce_near(reel_softmax_cross_entropy_with_logits(.labels = y, .logits = z, .row_weights = r,
                                                   .reduction = REEL_REDUCTION_MEAN), 2, 1, (3 * a + b) / 4);
}
END_TEST

/* A weight of 0 takes its row out, whatever it holds; in TENSORFLOW semantics 0 times NaN is NaN. */
START_TEST(row_weight_of_0)
{
    reel_tensor r = reel_constant(ce_tape, REEL_SHAPE(2), REEL_F32_VALUES(0, 2)), g[2];
    reel_tensor z = ce_matrix(2, 2, NAN, 0, 0, 0), y = ce_matrix(2, 2, 1, 0, 0, 1);
    reel_tensor exact = reel_softmax_cross_entropy_with_logits(.labels = y, .logits = z, .row_weights = r);
    reel_tensor tensorflow = reel_softmax_cross_entropy_with_logits(
        .labels = y, .logits = z, .row_weights = r, .semantics = REEL_TENSORFLOW);
    ce_near(exact, 1, 1, 0, 1.3862943611198906);
    reel_gradient(exact, REEL_TENSORS(z, y), g);
    ce_is(g[0], 0, 0, 1, -1);
    ce_near(g[1], 1, 1, 0, 0, 1.3862943611198906, 1.3862943611198906);
    ce_near(tensorflow, 1, 1, NAN, 1.3862943611198906);
    ce_is(ce_one_gradient(tensorflow, z), NAN, NAN, 1, -1);
}
END_TEST

START_TEST(mean_whose_weights_sum_to_0)
{
    reel_tensor r = reel_constant(ce_tape, REEL_SHAPE(2), REEL_F32_VALUES(1, -1));
    reel_tensor z = ce_matrix(2, 2, 1, 0, 0, 0), y = ce_matrix(2, 2, 1, 0, 0, 1);
    reel_tensor mean = reel_softmax_cross_entropy_with_logits(.labels = y, .logits = z, .row_weights = r,
                                                              .reduction = REEL_REDUCTION_MEAN);
    ce_is(mean, 0);
    ce_is(ce_one_gradient(mean, z), 0, 0, 0, 0);
}
END_TEST

START_TEST(ignored_rows)
{
    reel_tensor z = ce_matrix(3, 2, 0, 0, NAN, 0, 0, 0), counted;
    reel_tensor index = reel_constant(ce_tape, REEL_SHAPE(3), REEL_I32_VALUES(0, -100, 1));
    reel_tensor loss =
        reel_sparse_softmax_cross_entropy_with_logits(.labels = index, .logits = z, .ignore_index = -100);
    reel_tensor mean =
        reel_sparse_softmax_cross_entropy_with_logits(.labels = index, .logits = z, .ignore_index = -100,
                                                      .reduction = REEL_REDUCTION_MEAN, .counted = &counted);
    ce_near(loss, 1, 1, 0.6931471805599453, 0, 0.6931471805599453);
    ce_near(mean, 1, 1, 0.6931471805599453);
    ce_is(counted, 2);
    ce_is(ce_one_gradient(mean, z), -.25, .25, 0, 0, .25, -.25);
}
END_TEST

START_TEST(mean_over_nothing_is_0)
{
    reel_tensor z = ce_matrix(2, 2, 1, 2, 3, 4), counted;
    reel_tensor index = reel_constant(ce_tape, REEL_SHAPE(2), REEL_I32_VALUES(1, 1));
    reel_tensor mean =
        reel_sparse_softmax_cross_entropy_with_logits(.labels = index, .logits = z, .ignore_index = 1,
                                                      .reduction = REEL_REDUCTION_MEAN, .counted = &counted);
    ce_is(mean, 0);
    ce_is(counted, 0);
    ce_is(ce_one_gradient(mean, z), 0, 0, 0, 0);
}
END_TEST

/* The same on each dtype, and where the class axis lies across memory. */
START_TEST(out_of_range_policies)
{
    static const reel_dtype dtypes[] = {REEL_F16, REEL_BF16, REEL_F32, REEL_F64};
    reel_tensor index = reel_constant(ce_tape, REEL_SHAPE(3), REEL_I64_VALUES(0, -1, 4294967296)), counted;
    for (int axis = 0; axis < 2; axis++) {
        reel_tensor z =
            reel_variable(ce_tape, axis ? REEL_SHAPE(3, 2) : REEL_SHAPE(2, 3), reel_fill(dtypes[_i], 0));
        reel_tensor nan =
            reel_sparse_softmax_cross_entropy_with_logits(.labels = index, .logits = z, .axis = axis,
                                                          .out_of_range = REEL_LABELS_NAN);
        reel_tensor out =
            reel_sparse_softmax_cross_entropy_with_logits(.labels = index, .logits = z, .axis = axis,
                                                          .out_of_range = REEL_LABELS_IGNORE,
                                                          .counted = &counted);
        ce_near(nan, .55, 0, 0.6931471805599453, NAN, NAN);
        ce_near(out, .55, 0, 0.6931471805599453, 0, 0);
        ce_is(counted, 1);
        if (axis) {
            ce_is(ce_one_gradient(nan, z), -.5, .5, NAN, NAN, NAN, NAN);
            ce_is(ce_one_gradient(out, z), -.5, .5, 0, 0, 0, 0);
        } else {
            ce_is(ce_one_gradient(nan, z), -.5, NAN, NAN, .5, NAN, NAN);
            ce_is(ce_one_gradient(out, z), -.5, 0, 0, .5, 0, 0);
        }
    }
}
END_TEST

/* The one label of many that is no class: they are looked through several at a time, and those that lie apart one by one. */
START_TEST(one_wrong_label)
{
    enum { ROWS = 21, CLASSES = 3 };
    static const int32_t wrong[] = {-1, CLASSES, INT32_MIN, INT32_MAX};
    const int64_t apart = _i;
    int32_t label[2 * ROWS];
    for (int row = 0; row < 2 * ROWS; row++)
        label[row] = apart == 2 && row % 2 ? CLASSES : row % CLASSES;
    reel_tensor z = reel_variable(ce_tape, REEL_SHAPE(ROWS, CLASSES), reel_fill(REEL_F32, 0));
    reel_tensor index = reel_wrap(ce_tape, .dtype = REEL_I32, .shape = REEL_SHAPE(ROWS), .data = label,
                                  .strides = &apart);
    for (int i = 0; i < ROWS * 4; i++) {
        int32_t *one = &label[i / 4 * apart], right = *one;
        double want[ROWS];
        for (int row = 0; row < ROWS; row++)
            want[row] = row == i / 4 ? NAN : log(CLASSES);
        *one = wrong[i % 4];
        ce_check(reel_sparse_softmax_cross_entropy_with_logits(.labels = index, .logits = z,
                                                               .out_of_range = REEL_LABELS_NAN),
                 1, 1, want, ROWS, __LINE__);
        *one = right;
    }
}
END_TEST

START_TEST(valid_labels_pass)
{
    reel_tensor z = ce_matrix(2, 3, 1, 2, 3, 1, 2, 3), y = ce_matrix(2, 3, .2f, .3f, .5f, 0, 1, 0);
    reel_tensor loss = reel_softmax_cross_entropy_with_logits(.labels = y, .logits = z, .validate = true);
    reel_tensor loose = reel_softmax_cross_entropy_with_logits(.labels = reel_affine(y, 1.05, 0), .logits = z,
                                                               .validate = true, .sum_tolerance = .1);
    ck_assert_msg(!reel_failed(ce_tape), "%s", reel_error_message(ce_tape));
    ck_assert(reel_is_valid(loss) && reel_is_valid(loose));
}
END_TEST


/* ---- Wrong use ----------------------------------------------------------------------------------- */

START_TEST(error_shapes_do_not_broadcast)
{
    reel_tensor z = ce_matrix(4, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
                y = ce_matrix(2, 3, 0, 0, 1, 0, 0, 1);
    reel_name(y, "truth");
    ce_fails(reel_softmax_cross_entropy_with_logits(.labels = y, .logits = z),
             "softmax_cross_entropy_with_logits", "logits and labels must be broadcastable", "[4,3]", "[2,3]",
             "truth");
}
END_TEST

START_TEST(error_as_many_rows_is_not_enough)
{
    reel_tensor z = reel_variable(ce_tape, REEL_SHAPE(2, 4, 3), reel_fill(REEL_F32, 0));
    reel_tensor y = reel_variable(ce_tape, REEL_SHAPE(8, 3), reel_fill(REEL_F32, 0));
    ce_fails(reel_softmax_cross_entropy_with_logits(.labels = y, .logits = z), "must be broadcastable",
             "[2,4,3]", "[8,3]");
}
END_TEST

START_TEST(error_dtypes_differ)
{
    reel_tensor z = ce_matrix(1, 2, 0, 0), y = ce_matrix64(1, 2, 0, 1);
    ce_fails(reel_softmax_cross_entropy_with_logits(.labels = y, .logits = z), "f32", "f64", "labels",
             "cast");
}
END_TEST

START_TEST(error_integer_logits)
{
    reel_tensor z = reel_constant(ce_tape, REEL_SHAPE(1, 2), REEL_I32_VALUES(0, 1)),
                y = ce_matrix(1, 2, 0, 1);
    ce_fails(reel_softmax_cross_entropy_with_logits(.labels = y, .logits = z), "logits", "i32");
}
END_TEST

START_TEST(error_scalar_logits)
{
    reel_tensor z = reel_variable(ce_tape, REEL_SHAPE(), REEL_F32_VALUES(1)), y = ce_matrix(1, 1, 1);
    (void)y;
    ce_fails(reel_softmax_cross_entropy_with_logits(.labels = z, .logits = z), "logits", "scalar");
}
END_TEST

START_TEST(error_scalar_logits_sparse)
{
    reel_tensor z = reel_variable(ce_tape, REEL_SHAPE(), REEL_F32_VALUES(1));
    reel_tensor y = reel_constant(ce_tape, REEL_SHAPE(), REEL_I32_VALUES(0));
    ce_fails(reel_sparse_softmax_cross_entropy_with_logits(.labels = y, .logits = z), "logits",
             "cannot be a scalar");
}
END_TEST

START_TEST(error_axis)
{
    reel_tensor z = ce_matrix(1, 2, 0, 0);
    int axis = (int[]){2, -3}[_i];
    ce_fails(reel_softmax_cross_entropy_with_logits(.labels = z, .logits = z, .axis = axis),
             _i ? "axis -3" : "axis 2", "[-2, 2)", "[1,2]");
}
END_TEST

START_TEST(error_axis_and_dim)
{
    reel_tensor z = ce_matrix(1, 2, 0, 0);
    ce_fails(reel_softmax_cross_entropy_with_logits_v1(.labels = z, .logits = z, .axis = 0, .dim = 1), "axis",
             "dim", "0", "1");
}
END_TEST

START_TEST(error_zero_classes)
{
    reel_tensor z = reel_variable(ce_tape, REEL_SHAPE(2, 0), reel_fill(REEL_F32, 0));
    ce_fails(reel_softmax_cross_entropy_with_logits(.labels = z, .logits = z), "at least one class", "[2,0]");
}
END_TEST

START_TEST(error_zero_classes_sparse)
{
    reel_tensor z = reel_variable(ce_tape, REEL_SHAPE(2, 0), reel_fill(REEL_F32, 0));
    reel_tensor y = reel_constant(ce_tape, REEL_SHAPE(2), REEL_I32_VALUES(0, 0));
    ce_fails(reel_sparse_softmax_cross_entropy_with_logits(.labels = y, .logits = z), "at least one class",
             "[2,0]");
}
END_TEST

START_TEST(error_zero_classes_without_rows)
{
    reel_tensor z = reel_variable(ce_tape, REEL_SHAPE(0, 0), reel_fill(REEL_F32, 0));
    ce_fails(reel_softmax_cross_entropy_with_logits(.labels = z, .logits = z), "at least one class", "[0,0]");
}
END_TEST

START_TEST(error_arguments_missing)
{
    reel_tensor z = ce_matrix(1, 2, 0, 0);
    if (_i)
        ce_fails(reel_softmax_cross_entropy_with_logits(.logits = z), "labels", "logits", "must be provided");
    else
        ce_fails(reel_softmax_cross_entropy_with_logits(.labels = z), "labels", "logits", "must be provided");
}
END_TEST

START_TEST(error_another_tape)
{
    reel_tape *other = reel_tape_new();
    reel_tensor z = ce_matrix(1, 2, 0, 0), y = reel_constant(other, REEL_SHAPE(1, 2), REEL_F32_VALUES(0, 1));
    ce_fails(reel_softmax_cross_entropy_with_logits(.labels = y, .logits = z), "another tape");
    reel_tape_free(other);
}
END_TEST

START_TEST(error_sparse_float_labels)
{
    reel_tensor z = ce_matrix(1, 2, 0, 0), y = reel_constant(ce_tape, REEL_SHAPE(1), REEL_F32_VALUES(1));
    ce_fails(reel_sparse_softmax_cross_entropy_with_logits(.labels = y, .logits = z), "labels", "f32", "i32",
             "i64");
}
END_TEST

START_TEST(error_sparse_rank)
{
    reel_tensor z = ce_matrix(2, 2, 0, 0, 0, 0),
                y = reel_constant(ce_tape, REEL_SHAPE(2, 1), REEL_I32_VALUES(1, 1));
    ce_fails(reel_sparse_softmax_cross_entropy_with_logits(.labels = y, .logits = z), "labels", "rank",
             "[2,1]", "[2,2]");
}
END_TEST

START_TEST(error_sparse_shape)
{
    reel_tensor z = ce_matrix(2, 2, 0, 0, 0, 0),
                y = reel_constant(ce_tape, REEL_SHAPE(3), REEL_I32_VALUES(1, 1, 1));
    ce_fails(reel_sparse_softmax_cross_entropy_with_logits(.labels = y, .logits = z), "labels", "[3]",
             "[2,2]");
}
END_TEST

/* The first bad row is named, whatever the other values are. */
START_TEST(error_label_out_of_range)
{
    static const reel_dtype dtypes[] = {REEL_F16, REEL_BF16, REEL_F32, REEL_F64};
    reel_tensor z = reel_variable(ce_tape, REEL_SHAPE(4, 3), reel_fill(dtypes[_i % 4], 0));
    reel_tensor y = reel_constant(ce_tape, REEL_SHAPE(4), REEL_I32_VALUES(0, 2, 3, -1));
    if (_i < 4)
        ce_fails(reel_sparse_softmax_cross_entropy_with_logits(.labels = y, .logits = z), "row 2",
                 "Received a label value of 3 which is outside the valid range of [0, 3)");
    else
        ce_fails(reel_raw_sparse_softmax_cross_entropy_with_logits(.features = z, .labels = y).loss, "row 2",
                 "Received a label value of 3 which is outside the valid range of [0, 3)");
}
END_TEST

START_TEST(error_label_beyond_32_bits)
{
    reel_tensor z = ce_matrix(2, 3, 0, 0, 0, 0, 0, 0);
    reel_tensor y = reel_constant(ce_tape, REEL_SHAPE(2), REEL_I64_VALUES(0, 4294967296));
    ce_fails(reel_sparse_softmax_cross_entropy_with_logits(.labels = y, .logits = z),
             "label value of 4294967296", "row 1");
}
END_TEST

START_TEST(error_smoothing)
{
    reel_tensor z = ce_matrix(1, 2, 0, 0);
    double amount = (double[]){-.1, 1.5, NAN}[_i];
    ce_fails(reel_softmax_cross_entropy_with_logits(.labels = z, .logits = z, .label_smoothing = amount),
             "label_smoothing",
             _i == 0   ? "-0.1"
             : _i == 1 ? "1.5"
                       : "nan");
}
END_TEST

START_TEST(error_class_weights)
{
    reel_tensor z = ce_matrix(1, 2, 0, 0),
                w = reel_constant(ce_tape, REEL_SHAPE(3), REEL_F32_VALUES(1, 1, 1));
    reel_tensor wide = reel_constant(ce_tape, REEL_SHAPE(2), REEL_F64_VALUES(1, 1));
    if (_i)
        ce_fails(reel_softmax_cross_entropy_with_logits(.labels = z, .logits = z, .class_weights = wide),
                 "class_weights", "f64");
    else
        ce_fails(reel_softmax_cross_entropy_with_logits(.labels = z, .logits = z, .class_weights = w),
                 "class_weights", "[3]");
}
END_TEST

START_TEST(error_row_weights)
{
    reel_tensor z = ce_matrix(1, 2, 0, 0), w = reel_constant(ce_tape, REEL_SHAPE(2), REEL_F32_VALUES(1, 1));
    ce_fails(reel_softmax_cross_entropy_with_logits(.labels = z, .logits = z, .row_weights = w),
             "row_weights", "[2]");
}
END_TEST

START_TEST(error_invalid_labels)
{
    static const struct { float row[3]; const char *word;
    } sample[] = {
        {{.5f, NAN, .5f}, "finite"},
        {{.5f, INFINITY, .5f}, "finite"},
        {{1.5f, -.5f, 0}, "negative"},
        {{.5f, .3f, .3f}, "sum"},
    };
    const float *r = sample[_i].row;
    reel_tensor z = ce_matrix(3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0),
                y = ce_matrix(3, 3, 0, 1, 0, r[0], r[1], r[2], 0, 0, 2);
    ce_fails(reel_softmax_cross_entropy_with_logits(.labels = y, .logits = z, .validate = true), "labels",
             "row 1", sample[_i].word);
}
END_TEST

/* Along another axis, where it is the second column that is wrong, and on a view. */
START_TEST(error_invalid_labels_across)
{
    reel_tensor z = ce_matrix(3, 2, 0, 0, 0, 0, 0, 0), y = ce_matrix(3, 2, 0, .5f, 1, .25f, 0, .5f);
    reel_tensor view = reel_transpose(ce_matrix(2, 3, 0, 1, 0, .5f, .25f, .5f));
    ce_fails(reel_softmax_cross_entropy_with_logits(.labels = _i ? view : y, .logits = z, .axis = 0,
                                                    .validate = true), "row 1", "sums to 1.25");
}
END_TEST

START_TEST(error_raw_rank)
{
    reel_tensor z = reel_variable(ce_tape, REEL_SHAPE(2, 4, 3), reel_fill(REEL_F32, 0));
    reel_tensor row = reel_variable(ce_tape, REEL_SHAPE(3), reel_fill(REEL_F32, 0));
    if (_i)
        ce_fails(reel_raw_softmax_cross_entropy_with_logits(.features = row, .labels = row).loss, "[3]",
                 "must be either 2-dimensional, or broadcasted to be 2-dimensional");
    else
        ce_fails(reel_raw_softmax_cross_entropy_with_logits(.features = z, .labels = z).loss, "[2,4,3]",
                 "must be either 2-dimensional, or broadcasted to be 2-dimensional");
}
END_TEST

START_TEST(error_raw_sparse_shapes)
{
    reel_tensor z = ce_matrix(2, 3, 0, 0, 0, 0, 0, 0), row = reel_reshape(z, REEL_SHAPE(6));
    reel_tensor y = reel_constant(ce_tape, REEL_SHAPE(3), REEL_I32_VALUES(0, 0, 0)),
                y2 = reel_reshape(y, REEL_SHAPE(1, 3));
    if (_i == 0)
        ce_fails(reel_raw_sparse_softmax_cross_entropy_with_logits(.features = row, .labels = y).loss,
                 "must be 2-D", "[6]");
    else if (_i == 1)
        ce_fails(reel_raw_sparse_softmax_cross_entropy_with_logits(.features = z, .labels = y2).loss,
                 "must be 1-D", "[1,3]");
    else
        ce_fails(reel_raw_sparse_softmax_cross_entropy_with_logits(.features = z, .labels = y).loss,
                 "same first dimension", "[2,3]", "[3]");
}
END_TEST

START_TEST(error_shows_the_name)
{
    reel_tensor z = ce_matrix(1, 2, 0, 0), y = ce_matrix64(1, 2, 0, 1);
    ce_fails(reel_softmax_cross_entropy_with_logits(.labels = y, .logits = z, .name = "last layer"),
             "last layer");
}
END_TEST

START_TEST(name_shows_in_the_result)
{
    reel_tensor z = ce_matrix(1, 2, 0, 0);
    reel_tensor loss = reel_softmax_cross_entropy_with_logits(.labels = z, .logits = z, .name = "last layer");
    ck_assert_str_eq(reel_name_of(loss), "last layer");
}
END_TEST

START_TEST(a_failed_call_fails_the_next)
{
    reel_tensor z = ce_matrix(1, 2, 0, 0);
    reel_tensor loss = reel_softmax_cross_entropy_with_logits(.labels = z, .logits = z, .axis = 5);
    char message[300];
    snprintf(message, sizeof message, "%s", reel_error_message(ce_tape));
    reel_loss_and_backprop raw = reel_raw_softmax_cross_entropy_with_logits(.features = loss, .labels = z);
    ck_assert(!reel_is_valid(loss) && !reel_is_valid(raw.loss) && !reel_is_valid(raw.backprop));
    ck_assert_str_eq(reel_error_message(ce_tape), message);
}
END_TEST


static TCase *ce_case(Suite *suite, const char *name)
{
    TCase *tests = tcase_create(name);
    tcase_add_checked_fixture(tests, ce_start, ce_end);
    tcase_set_timeout(tests, 60);
    suite_add_tcase(suite, tests);
    return tests;
}

static void ce_add_edges(Suite *suite)
{
    TCase *edges = ce_case(suite, "edges");
    tcase_add_test(edges, masked_class_adds_nothing);
    tcase_add_test(edges, masked_class_is_nan_in_tensorflow);
    tcase_add_test(edges, masked_label_is_infinite);
    tcase_add_loop_test(edges, overflowing_difference, 0, 8);
    tcase_add_test(edges, plus_infinity_makes_its_row_nan);
    tcase_add_test(edges, nan_makes_its_row_nan);
    tcase_add_test(edges, all_minus_infinity_makes_its_row_nan);
    tcase_add_test(edges, subnormal_results_are_kept);
    tcase_add_test(edges, empty_batch);
    tcase_add_test(edges, huge_equal_logits);
    tcase_add_test(edges, negative_labels);
    tcase_add_test(edges, two_hundred_thousand_classes);
}

static void ce_add_options(Suite *suite)
{
    TCase *options = ce_case(suite, "calls and options");
    tcase_add_test(options, v1_stops_at_the_labels);
    tcase_add_test(options, dim_is_axis);
    tcase_add_test(options, reductions);
    tcase_add_test(options, label_smoothing);
    tcase_add_test(options, class_weights);
    tcase_add_test(options, row_weights);
    tcase_add_test(options, row_weight_of_0);
    tcase_add_test(options, mean_whose_weights_sum_to_0);
    tcase_add_test(options, ignored_rows);
    tcase_add_test(options, mean_over_nothing_is_0);
    tcase_add_loop_test(options, out_of_range_policies, 0, 4);
    tcase_add_loop_test(options, one_wrong_label, 1, 3);
    tcase_add_test(options, valid_labels_pass);
    tcase_add_test(options, name_shows_in_the_result);
}

static void ce_add_errors(Suite *suite)
{
    TCase *errors = ce_case(suite, "wrong use");
    tcase_add_test(errors, error_shapes_do_not_broadcast);
    tcase_add_test(errors, error_as_many_rows_is_not_enough);
    tcase_add_test(errors, error_dtypes_differ);
    tcase_add_test(errors, error_integer_logits);
    tcase_add_test(errors, error_scalar_logits);
    tcase_add_test(errors, error_scalar_logits_sparse);
    tcase_add_loop_test(errors, error_axis, 0, 2);
    tcase_add_test(errors, error_axis_and_dim);
    tcase_add_test(errors, error_zero_classes);
    tcase_add_test(errors, error_zero_classes_sparse);
    tcase_add_test(errors, error_zero_classes_without_rows);
    tcase_add_loop_test(errors, error_arguments_missing, 0, 2);
    tcase_add_test(errors, error_another_tape);
    tcase_add_test(errors, error_sparse_float_labels);
    tcase_add_test(errors, error_sparse_rank);
    tcase_add_test(errors, error_sparse_shape);
    tcase_add_loop_test(errors, error_label_out_of_range, 0, 8);
    tcase_add_test(errors, error_label_beyond_32_bits);
    tcase_add_loop_test(errors, error_smoothing, 0, 3);
    tcase_add_loop_test(errors, error_class_weights, 0, 2);
    tcase_add_test(errors, error_row_weights);
    tcase_add_loop_test(errors, error_invalid_labels, 0, 4);
    tcase_add_loop_test(errors, error_invalid_labels_across, 0, 2);
    tcase_add_loop_test(errors, error_raw_rank, 0, 2);
    tcase_add_loop_test(errors, error_raw_sparse_shapes, 0, 3);
    tcase_add_test(errors, error_shows_the_name);
    tcase_add_test(errors, a_failed_call_fails_the_next);
}

Suite *reel_suite_cross_entropy(void)
{
    Suite *suite = suite_create("cross_entropy");
    TCase *semantics = ce_case(suite, "semantics");
    tcase_add_test(semantics, labels_of_zero);
    tcase_add_test(semantics, labels_that_sum_to_8);
    tcase_add_test(semantics, one_class);
    tcase_add_test(semantics, mixed_second_derivative);
    tcase_add_test(semantics, the_tail_is_kept);
    tcase_add_test(semantics, the_largest_logit_may_lie_anywhere);
    tcase_add_test(semantics, semantics_by_default);
    tcase_add_test(semantics, orders_one_to_three);
    tcase_add_loop_test(semantics, third_order_into_labels, 0, 3);
    tcase_add_test(semantics, third_order_into_an_upstream_of_0);
    tcase_add_loop_test(semantics, third_order_of_the_mixed_derivative, 0, 2);
    tcase_add_loop_test(semantics, mixed_second_derivative_from_the_labels, 0, 2);
    tcase_add_test(semantics, both_raw_outputs_are_differentiable);

    TCase *shapes = ce_case(suite, "shapes");
    tcase_add_loop_test(shapes, every_axis_of_every_rank, 1, 9);
    tcase_add_test(shapes, no_transposed_copy);
    tcase_add_test(shapes, labels_broadcast);
    tcase_add_test(shapes, logits_broadcast);
    tcase_add_test(shapes, classes_broadcast);
    tcase_add_test(shapes, sparse_labels_on_any_axis);
    ce_add_edges(suite);
    ce_add_options(suite);
    ce_add_errors(suite);
    return suite;
}
