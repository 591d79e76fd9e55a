/* Option structs of other versions: a caller's shorter struct means what it says, with what it has not as 0,
 * and a longer one serves too. Behind the part that counts lies poison, which nobody may look at. */
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

/* The elements and the rank as text; "" for what has failed. */
typedef struct versions_text {
    char text[512];
} versions_text;

static versions_text versions_text_of(reel_tensor x)
{
    versions_text t = {""};
    if (reel_is_valid(x))
        reel_format(x, t.text, sizeof t.text);
    return t;
}

#define VERSIONS_TEXT(call, options) versions_text_of(call(REEL_HERE, options)).text

/* The call with the options as they are, and with all from `member` on left out. An older caller, whose
 * struct ends before it, gets what zeros there give; a newer one, whose struct is longer, gets the same as we
 * do; who has left the size at 0 gets nothing. That the member matters is seen first. */
#define VERSIONS_CHECK(call, type, member, ...)                                                      \
    do {                                                                                             \
        const type whole = {.size = sizeof(type), __VA_ARGS__};                                      \
        type cut = whole, empty = whole;                                                             \
        memset((char *)&cut + offsetof(type, member), 0, sizeof cut - offsetof(type, member));       \
        empty.size = 0;                                                                              \
        type *older = versions_of(&whole, sizeof whole, offsetof(type, member));                     \
        type *newer = versions_of(&whole, sizeof whole, sizeof whole + 16);                          \
        ck_assert_str_ne(VERSIONS_TEXT(call, &cut), VERSIONS_TEXT(call, &whole));                    \
        ck_assert_str_eq(VERSIONS_TEXT(call, older), VERSIONS_TEXT(call, &cut));                     \
        ck_assert_str_eq(VERSIONS_TEXT(call, newer), VERSIONS_TEXT(call, &whole));                   \
        ck_assert_str_eq(VERSIONS_TEXT(call, &empty), "");                                           \
        ck_assert_str_ne(VERSIONS_TEXT(call, &whole), "");                                           \
        free(older);                                                                                 \
        free(newer);                                                                                 \
    } while (0)

static reel_tape *versions_tape;

static void versions_start(void)
{
    versions_tape = reel_tape_new();
}

static void versions_stop(void)
{
    ck_assert_msg(!reel_failed(versions_tape), "%s", reel_error_message(versions_tape));
    reel_tape_free(versions_tape);
}

/* ---- Tapes and leaves -------------------------------------------------------------------------- */

/* What a call gave that gives no tensor. */
static reel_tensor versions_number(double value)
{
    return reel_constant(versions_tape, REEL_SHAPE(), reel_fill(REEL_F64, value));
}

/* The threads, and a random number below 1. */
static reel_tensor versions_new_tape(REEL_PLACE, const reel_tape_options *options)
{
    reel_tape *tape = reel_tape_new_options(options);
    if (!tape)
        return REEL_NONE;
    reel_tensor random = reel_random_uniform_at(file, line, tape, REEL_SHAPE(), REEL_F64, 0, 1);
    reel_tensor sum = versions_number(reel_tape_threads(tape) + reel_item(random));
    reel_tape_free(tape);
    return sum;
}

START_TEST(versions_leaves)
{
    float numbers[] = {1, 2, 3};
    VERSIONS_CHECK(versions_new_tape, reel_tape_options, seed, .threads = 2, .seed = 7);
    VERSIONS_CHECK(reel_wrap_at, reel_wrap_options, strides, .tape = versions_tape, .dtype = REEL_F32,
                   .shape = REEL_SHAPE(3), .data = numbers, .strides = (const int64_t[]){0});
}
END_TEST

/* ---- Ops --------------------------------------------------------------------------------------- */

START_TEST(versions_reductions)
{
    reel_tensor x = reel_variable(versions_tape, REEL_SHAPE(2, 3), REEL_F32_VALUES(4, 2, 1, 0, 5, 1));
#define VERSIONS_REDUCE(call)                                                                        \
    VERSIONS_CHECK(call, reel_reduce_options, keepdims, .x = x, .axes = REEL_AXES(0), .keepdims = true)
    VERSIONS_REDUCE(reel_sum_at);
    VERSIONS_REDUCE(reel_mean_at);
    VERSIONS_REDUCE(reel_max_at);
    VERSIONS_REDUCE(reel_logsumexp_at);
    VERSIONS_REDUCE(reel_min_at);
    VERSIONS_REDUCE(reel_prod_at);
    VERSIONS_CHECK(reel_var_at, reel_var_options, correction, .x = x, .axes = REEL_AXES(0), .correction = 1);
}
END_TEST

START_TEST(versions_layers)
{
    reel_tensor x = reel_variable(versions_tape, REEL_SHAPE(1, 1, 2, 3), REEL_F32_VALUES(4, 2, 1, 0, 5, 1));
    reel_tensor kernel = reel_variable(versions_tape, REEL_SHAPE(1, 1, 1, 2), REEL_F32_VALUES(1, 2));
    reel_tensor bias = reel_variable(versions_tape, REEL_SHAPE(1), REEL_F32_VALUES(3));
    VERSIONS_CHECK(reel_pad_at, reel_pad_options, value, .x = x, .before = {0, 0, 1}, .value = 9);
    VERSIONS_CHECK(reel_layer_norm_at, reel_layer_norm_options, eps, .x = x, .dims = 2, .eps = 1);
    VERSIONS_CHECK(reel_conv2d_at, reel_conv2d_options, padding, .x = x, .weight = kernel, .bias = bias,
                   .stride = {2, 1}, .padding = {1, 1});
    VERSIONS_CHECK(reel_max_pool2d_at, reel_pool2d_options, stride, .x = x, .kernel = {1, 2},
                   .stride = {1, 1});
    VERSIONS_CHECK(reel_avg_pool2d_at, reel_pool2d_options, exclude_padding, .x = x, .kernel = {2, 2},
                   .padding = {1, 1}, .exclude_padding = true);
}
END_TEST

/* ---- Losses ------------------------------------------------------------------------------------ */

static reel_tensor versions_raw_backprop(REEL_PLACE, const reel_cross_entropy_raw *arguments)
{
    return reel_raw_softmax_cross_entropy_with_logits_at(file, line, arguments).backprop;
}

START_TEST(versions_cross_entropy)
{
    reel_tensor logits = reel_variable(versions_tape, REEL_SHAPE(2, 3), REEL_F32_VALUES(4, 2, 1, 0, 5, 1));
    reel_tensor labels = reel_variable(versions_tape, REEL_SHAPE(2, 3), REEL_F32_VALUES(1, 0, 0, 0, .8f, .3f));
    reel_tensor classes = reel_constant(versions_tape, REEL_SHAPE(2), REEL_I32_VALUES(0, 2));
    VERSIONS_CHECK(reel_softmax_cross_entropy_with_logits_at, reel_cross_entropy_v2, label_smoothing,
                   .axis = -1, .labels = labels, .logits = logits, .label_smoothing = .5);
    VERSIONS_CHECK(reel_softmax_cross_entropy_with_logits_v1_at, reel_cross_entropy_v1, reduction,
                   .axis = REEL_NO_AXIS, .dim = -1, .labels = labels, .logits = logits,
                   .reduction = REEL_REDUCTION_SUM);
    VERSIONS_CHECK(reel_softmax_cross_entropy_with_logits_v2_at, reel_cross_entropy_v1, reduction, .axis = 0,
                   .dim = 0, .labels = labels, .logits = logits, .reduction = REEL_REDUCTION_SUM);
    VERSIONS_CHECK(reel_sparse_softmax_cross_entropy_with_logits_at, reel_cross_entropy_sparse, reduction,
                   .axis = -1, .labels = classes, .logits = logits, .reduction = REEL_REDUCTION_SUM,
                   .ignore_index = REEL_NO_INDEX);
    VERSIONS_CHECK(versions_raw_backprop, reel_cross_entropy_raw, semantics, .features = logits,
                   .labels = labels, .semantics = REEL_EXACT);
}
END_TEST

START_TEST(versions_losses)
{
    reel_tensor p = reel_variable(versions_tape, REEL_SHAPE(3), REEL_F32_VALUES(4, 2, 1));
    reel_tensor t = reel_variable(versions_tape, REEL_SHAPE(3), REEL_F32_VALUES(1, 0, .5f));
    VERSIONS_CHECK(reel_mean_squared_error_at, reel_loss_options, reduction, .prediction = p, .target = t,
                   .reduction = REEL_REDUCTION_MEAN);
    VERSIONS_CHECK(reel_binary_cross_entropy_with_logits_at, reel_loss_options, reduction, .prediction = p,
                   .target = t, .reduction = REEL_REDUCTION_SUM);
    VERSIONS_CHECK(reel_huber_at, reel_huber_options, delta, .prediction = p, .target = t, .delta = 2);
}
END_TEST

/* ---- Gradients and their checks ---------------------------------------------------------------- */

static reel_tensor versions_gradient;

static reel_tensor versions_gradient_of(REEL_PLACE, const reel_gradient_options *options)
{
    return reel_gradient_at(file, line, options) ? versions_gradient : REEL_NONE;
}

static reel_tensor versions_directions(REEL_PLACE, const reel_gradcheck_options *options)
{
    reel_gradcheck_report report = reel_gradcheck_at(file, line, options);
    return report.verdict == REEL_PASS ? versions_number(report.directions) : REEL_NONE;
}

static reel_tensor versions_function_directions(REEL_PLACE, const reel_gradcheck_function_options *options)
{
    reel_gradcheck_report report = reel_gradcheck_function_at(file, line, options);
    return report.verdict == REEL_PASS ? versions_number(report.directions) : REEL_NONE;
}

static bool versions_square(void *user, const void *x, void *y)
{
    (void)user;
    *(double *)y = *(const double *)x * *(const double *)x;
    return true;
}

static bool versions_square_backward(void *user, const void *x, const void *dy, void *dx)
{
    (void)user;
    *(double *)dx = 2 * *(const double *)x * *(const double *)dy;
    return true;
}

START_TEST(versions_gradients)
{
    reel_tensor x = reel_variable(versions_tape, REEL_SHAPE(2), REEL_F64_VALUES(1, 2)), y = reel_mul(x, x);
    reel_tensor upstream = reel_constant(versions_tape, REEL_SHAPE(2), REEL_F64_VALUES(5, 7));
    const double three = 3;
    VERSIONS_CHECK(versions_gradient_of, reel_gradient_options, upstream, .y = y, .xs = REEL_TENSORS(x),
                   .gradients = &versions_gradient, .upstream = upstream);
    VERSIONS_CHECK(versions_directions, reel_gradcheck_options, directions, .y = y, .xs = REEL_TENSORS(x),
                   .directions = 2);
    VERSIONS_CHECK(versions_function_directions, reel_gradcheck_function_options, directions,
                   .forward = versions_square, .backward = versions_square_backward, .x = &three,
                   .directions = 2);
}
END_TEST

/* ---- Updates ----------------------------------------------------------------------------------- */

/* A parameter, its gradient, and what the optimiser remembers of it. */
static reel_tensor versions_w, versions_g, versions_state;

/* The parameter's new value; everything is set back. */
static reel_tensor versions_updated(bool done)
{
    reel_tensor w = done ? reel_affine(versions_w, 1, 0) : REEL_NONE;
    reel_write(versions_w, REEL_F32_VALUES(3));
    reel_write(versions_state, reel_fill(REEL_F32, 0));
    return w;
}

static reel_tensor versions_sgd(REEL_PLACE, const reel_sgd_options *options)
{
    return versions_updated(reel_sgd_at(file, line, options));
}

static reel_tensor versions_rmsprop(REEL_PLACE, const reel_rmsprop_options *options)
{
    return versions_updated(reel_rmsprop_at(file, line, options));
}

static reel_tensor versions_adam(REEL_PLACE, const reel_adam_options *options)
{
    return versions_updated(reel_adam_at(file, line, options));
}

static reel_tensor versions_adamw(REEL_PLACE, const reel_adam_options *options)
{
    return versions_updated(reel_adamw_at(file, line, options));
}

/* A new parameter, and the state of `parts` numbers and a count. */
static void versions_parameter(int64_t parts)
{
    versions_w = reel_variable(versions_tape, REEL_SHAPE(1), REEL_F32_VALUES(3));
    versions_g = reel_constant(versions_tape, REEL_SHAPE(1), REEL_F32_VALUES(.5f));
    versions_state = parts ? reel_optimiser_state(versions_w, (int)parts) : reel_zeros_like(versions_w);
}

START_TEST(versions_updates)
{
    reel_tensor rate = reel_constant(versions_tape, REEL_SHAPE(), REEL_F32_VALUES(.1f));
#define VERSIONS_UPDATE(call, type, ...)                                                             \
    VERSIONS_CHECK(call, type, weight_decay, .parameters = REEL_TENSORS(versions_w),                 \
                   .gradients = REEL_TENSORS(versions_g), .learning_rate = rate, .weight_decay = .5, \
                   __VA_ARGS__)
    versions_parameter(0);
    VERSIONS_UPDATE(versions_sgd, reel_sgd_options, .velocities = REEL_TENSORS(versions_state),
                    .momentum = .9);
    versions_parameter(1);
    VERSIONS_UPDATE(versions_rmsprop, reel_rmsprop_options, .states = REEL_TENSORS(versions_state),
                    .alpha = .99, .epsilon = 1);
    versions_parameter(2);
    VERSIONS_UPDATE(versions_adam, reel_adam_options, .states = REEL_TENSORS(versions_state),
                    .beta1 = .9, .beta2 = .999, .epsilon = 1);
    VERSIONS_UPDATE(versions_adamw, reel_adam_options, .states = REEL_TENSORS(versions_state),
                    .beta1 = .9, .beta2 = .999, .epsilon = 1);
}
END_TEST

/* ---- No options at all ------------------------------------------------------------------------- */

START_TEST(versions_of_nothing)
{
    ck_assert_ptr_null(reel_tape_new_options(NULL));
    ck_assert(!reel_is_valid(reel_wrap_at(REEL_HERE, NULL)));
    ck_assert(!reel_is_valid(reel_sum_at(REEL_HERE, NULL)));
    ck_assert(!reel_is_valid(reel_var_at(REEL_HERE, NULL)));
    ck_assert(!reel_is_valid(reel_pad_at(REEL_HERE, NULL)));
    ck_assert(!reel_is_valid(reel_layer_norm_at(REEL_HERE, NULL)));
    ck_assert(!reel_is_valid(reel_conv2d_at(REEL_HERE, NULL)));
    ck_assert(!reel_is_valid(reel_max_pool2d_at(REEL_HERE, NULL)));
    ck_assert(!reel_is_valid(reel_avg_pool2d_at(REEL_HERE, NULL)));
    ck_assert(!reel_is_valid(reel_softmax_cross_entropy_with_logits_at(REEL_HERE, NULL)));
    ck_assert(!reel_is_valid(reel_softmax_cross_entropy_with_logits_v1_at(REEL_HERE, NULL)));
    ck_assert(!reel_is_valid(reel_sparse_softmax_cross_entropy_with_logits_at(REEL_HERE, NULL)));
    ck_assert(!reel_is_valid(reel_raw_softmax_cross_entropy_with_logits_at(REEL_HERE, NULL).loss));
    ck_assert(!reel_is_valid(reel_mean_squared_error_at(REEL_HERE, NULL)));
    ck_assert(!reel_is_valid(reel_huber_at(REEL_HERE, NULL)));
    ck_assert(!reel_gradient_at(REEL_HERE, NULL));
    ck_assert(!reel_sgd_at(REEL_HERE, NULL));
    ck_assert(!reel_rmsprop_at(REEL_HERE, NULL));
    ck_assert(!reel_adam_at(REEL_HERE, NULL));
    ck_assert_int_eq(reel_gradcheck_at(REEL_HERE, NULL).verdict, REEL_NOT_CHECKED);
    ck_assert_int_eq(reel_gradcheck_function_at(REEL_HERE, NULL).verdict, REEL_NOT_CHECKED);
}
END_TEST

Suite *reel_suite_versions(void)
{
    Suite *suite = suite_create("versions");
    TCase *c = tcase_create("versions");
    suite_add_tcase(suite, c);
    tcase_add_checked_fixture(c, versions_start, versions_stop);
    tcase_add_test(c, versions_leaves);
    tcase_add_test(c, versions_reductions);
    tcase_add_test(c, versions_layers);
    tcase_add_test(c, versions_cross_entropy);
    tcase_add_test(c, versions_losses);
    tcase_add_test(c, versions_gradients);
    tcase_add_test(c, versions_updates);
    tcase_add_test(c, versions_of_nothing);
    return suite;
}
