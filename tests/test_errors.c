/* Bad input: one clear error each, which names the place, the op and the tensors, and nothing lost.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/harness.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Each test starts with a tape that has a value worth keeping. */
static reel_tape *errors_tape;
static reel_tensor errors_kept;
static reel_mark errors_start;

static void errors_setup(void)
{
    errors_tape = reel_tape_new();
    errors_kept = reel_variable(errors_tape, REEL_SHAPE(2, 3), REEL_F32_VALUES(1, 2, 3, 4, 5, 6));
    errors_start = reel_tape_mark(errors_tape);
}

static void errors_teardown(void)
{
    reel_tape_free(errors_tape);
}

/* After the error: a rewind and a clear make the tape what it was. */
static void errors_recover(void)
{
    float kept[6];
    ck_assert(!reel_read(errors_kept, kept, sizeof kept));
    ck_assert(!reel_error_clear(errors_tape));
    ck_assert(reel_tape_rewind(errors_tape, errors_start));
    ck_assert(reel_failed(errors_tape));
    ck_assert(reel_error_clear(errors_tape));
    ck_assert(!reel_failed(errors_tape));
    ck_assert_str_eq(reel_error_message(errors_tape), "");
    ck_assert(reel_read(errors_kept, kept, sizeof kept));
    for (int i = 0; i < 6; i++)
        ck_assert_float_eq(kept[i], (float)(i + 1));
    ck_assert_double_eq(reel_item(reel_sum(errors_kept)), 21);
    ck_assert(reel_tape_rewind(errors_tape, errors_start));
}

/* The tape has an error from this file's `line` with all of these texts (closed with NULL) in it. */
static void errors_expect(int line, ...)
{
    char place[40];
    snprintf(place, sizeof place, "test_errors.c:%d: ", line);
    const char *message = reel_error_message(errors_tape), *wanted = place;
    ck_assert_msg(reel_failed(errors_tape), "line %d: no error", line);
    va_list list;
    va_start(list, line);
    for (; wanted; wanted = va_arg(list, const char *))
        ck_assert_msg(strstr(message, wanted), "line %d: \"%s\" does not say \"%s\"", line, message, wanted);
    va_end(list);
    ck_assert_ptr_null(strchr(message, '\n'));
    errors_recover();
}

/* The line of the call that is to fail, which stands on the same line. */
static int errors_line;
#define ERRORS_AT (errors_line = __LINE__)

static reel_tensor errors_floats(const char *name, reel_shape shape)
{
    return reel_name(reel_variable(errors_tape, shape, reel_fill(REEL_F32, .5)), name);
}


/* ---- Shapes and dtypes --------------------------------------------------------------------------- */

START_TEST(errors_shapes_do_not_broadcast)
{
    reel_tensor left = errors_floats("left", REEL_SHAPE(2, 3)), right = errors_floats("right", REEL_SHAPE(4));
    ERRORS_AT; reel_tensor sum = reel_add(left, right);
    ck_assert(!reel_is_valid(sum));
    ck_assert(sum.tape == errors_tape);
    errors_expect(errors_line, "add: ", "\"left\" [2,3] f32", "\"right\" [4] f32", "do not broadcast", NULL);

    reel_tensor a = errors_floats("a", REEL_SHAPE(2, 3)), b = errors_floats("b", REEL_SHAPE(2, 3));
    ERRORS_AT; reel_matmul(a, b);
    errors_expect(errors_line, "matmul: ", "\"a\" [2,3] f32", "\"b\" [2,3] f32", NULL);

    reel_tensor truth = errors_floats("truth", REEL_SHAPE(4, 2)),
                logits = errors_floats("z", REEL_SHAPE(4, 3));
    ERRORS_AT; reel_softmax_cross_entropy_with_logits(.labels = truth, .logits = logits);
    errors_expect(errors_line, "softmax_cross_entropy_with_logits: ", "\"truth\" [4,2] f32",
                  "\"z\" [4,3] f32", "broadcast", NULL);

    reel_tensor x = errors_floats("x", REEL_SHAPE(2, 3));
    ERRORS_AT; reel_reshape(x, REEL_SHAPE(4, 2));
    errors_expect(errors_line, "reshape: ", "\"x\" [2,3] f32", "[4,2]", NULL);

    x = errors_floats("x", REEL_SHAPE(2, 3));
    ERRORS_AT; reel_broadcast(x, REEL_SHAPE(2, 4));
    errors_expect(errors_line, "broadcast: ", "\"x\" [2,3] f32", "[2,4]", NULL);
}
END_TEST

START_TEST(errors_dtypes_differ)
{
    reel_tensor single = errors_floats("single", REEL_SHAPE(3));
    reel_tensor twice =
        reel_name(reel_variable(errors_tape, REEL_SHAPE(3), REEL_F64_VALUES(1, 2, 3)), "twice");
    ERRORS_AT; reel_mul(single, twice);
    errors_expect(errors_line, "mul: ", "\"single\" [3] f32", "\"twice\" [3] f64", NULL);

    single = errors_floats("single", REEL_SHAPE(1, 3));
    twice = reel_name(reel_variable(errors_tape, REEL_SHAPE(1, 3), REEL_F64_VALUES(1, 0, 0)), "twice");
    ERRORS_AT; reel_softmax_cross_entropy_with_logits(.labels = twice, .logits = single);
    errors_expect(errors_line, "softmax_cross_entropy_with_logits: ", "\"twice\" [1,3] f64",
                  "\"single\" [1,3] f32", NULL);
}
END_TEST

START_TEST(errors_logits_are_integers)
{
    reel_tensor counts = reel_constant(errors_tape, REEL_SHAPE(2, 3), REEL_I32_VALUES(1, 2, 3, 4, 5, 6));
    reel_name(counts, "counts");
    ERRORS_AT; reel_softmax_cross_entropy_with_logits(.labels = counts, .logits = counts);
    errors_expect(errors_line, "softmax_cross_entropy_with_logits: ", "\"counts\" [2,3] i32", NULL);

    counts = reel_name(reel_constant(errors_tape, REEL_SHAPE(3), REEL_I64_VALUES(1, 2, 3)), "counts");
    ERRORS_AT; reel_softmax(counts, -1);
    errors_expect(errors_line, "softmax: ", "\"counts\" [3] i64", NULL);

    counts = reel_name(reel_constant(errors_tape, REEL_SHAPE(3), REEL_U8_VALUES(1, 2, 3)), "counts");
    ERRORS_AT; reel_exp(counts);
    errors_expect(errors_line, "exp: ", "\"counts\" [3] u8", NULL);
}
END_TEST

START_TEST(errors_logits_are_a_scalar)
{
    reel_tensor one = errors_floats("one", REEL_SHAPE());
    ERRORS_AT; reel_softmax_cross_entropy_with_logits(.labels = one, .logits = one);
    errors_expect(errors_line, "softmax_cross_entropy_with_logits: ", "\"one\" [] f32", NULL);

    one = errors_floats("one", REEL_SHAPE());
    reel_tensor label = reel_constant(errors_tape, REEL_SHAPE(), REEL_I32_VALUES(0));
    ERRORS_AT; reel_sparse_softmax_cross_entropy_with_logits(.labels = label, .logits = one);
    errors_expect(errors_line, "sparse_softmax_cross_entropy_with_logits: ", "\"one\" [] f32", NULL);
}
END_TEST

START_TEST(errors_axis_out_of_range)
{
    reel_tensor x = errors_floats("x", REEL_SHAPE(2, 3));
    ERRORS_AT; reel_sum(x, .axes = REEL_AXES(2));
    errors_expect(errors_line, "sum: ", "\"x\" [2,3] f32", "axis 2", "[-2, 2)", NULL);

    x = errors_floats("x", REEL_SHAPE(2, 3));
    ERRORS_AT; reel_log_softmax(x, -3);
    errors_expect(errors_line, "log_softmax: ", "\"x\" [2,3] f32", "axis -3", NULL);

    x = errors_floats("x", REEL_SHAPE(2, 3));
    ERRORS_AT; reel_softmax_cross_entropy_with_logits(.labels = x, .logits = x, .axis = 5);
    errors_expect(errors_line, "softmax_cross_entropy_with_logits: ", "\"x\" [2,3] f32", "axis 5", NULL);

    x = errors_floats("x", REEL_SHAPE(2, 3));
    ERRORS_AT; reel_softmax_cross_entropy_with_logits_v1(.labels = x, .logits = x, .dim = 0, .axis = 1);
    errors_expect(errors_line, "softmax_cross_entropy_with_logits", "dim", "axis", NULL);

    x = errors_floats("x", REEL_SHAPE(2, 3));
    ERRORS_AT; reel_max(x, .axes = REEL_AXES(1, -1));
    errors_expect(errors_line, "max: ", "\"x\" [2,3] f32", "twice", NULL);

    x = errors_floats("x", REEL_SHAPE(2, 3));
    ERRORS_AT; reel_slice(x, 2, 0, 1, 1);
    errors_expect(errors_line, "slice: ", "\"x\" [2,3] f32", "axis 2", NULL);

    x = errors_floats("x", REEL_SHAPE(2, 3));
    ERRORS_AT; reel_slice(x, 1, 0, 1, 0);
    errors_expect(errors_line, "slice: ", "\"x\" [2,3] f32", "step", NULL);

    x = errors_floats("x", REEL_SHAPE(2, 3));
    ERRORS_AT; reel_permute(x, REEL_AXES(0, 0));
    errors_expect(errors_line, "permute: ", "\"x\" [2,3] f32", NULL);
}
END_TEST

START_TEST(errors_nothing_to_choose_from)
{
    reel_tensor empty = errors_floats("empty", REEL_SHAPE(4, 0));
    ERRORS_AT; reel_softmax_cross_entropy_with_logits(.labels = empty, .logits = empty);
    errors_expect(errors_line, "softmax_cross_entropy_with_logits: ", "\"empty\" [4,0] f32", NULL);

    empty = errors_floats("empty", REEL_SHAPE(4, 0));
    reel_tensor labels = reel_constant(errors_tape, REEL_SHAPE(4), reel_fill(REEL_I64, 0));
    ERRORS_AT; reel_sparse_softmax_cross_entropy_with_logits(.labels = labels, .logits = empty);
    errors_expect(errors_line, "sparse_softmax_cross_entropy_with_logits: ", "\"empty\" [4,0] f32", NULL);

    empty = errors_floats("empty", REEL_SHAPE(4, 0));
    ERRORS_AT; reel_max(empty, .axes = REEL_AXES(1));
    errors_expect(errors_line, "max: ", "\"empty\" [4,0] f32", NULL);
}
END_TEST


/* ---- Handles ------------------------------------------------------------------------------------- */

START_TEST(errors_none_handle)
{
    reel_tensor x = errors_floats("x", REEL_SHAPE(2, 3));
    ERRORS_AT; reel_add(x, REEL_NONE);
    errors_expect(errors_line, "add: ", "none", NULL);

    x = errors_floats("x", REEL_SHAPE(2, 3));
    ERRORS_AT; reel_softmax_cross_entropy_with_logits(.logits = x);
    errors_expect(errors_line, "softmax_cross_entropy_with_logits: ", "labels", "logits", NULL);

    reel_tensor y = reel_exp(REEL_NONE), gradient;
    ck_assert(!reel_is_valid(y));
    ck_assert(!reel_gradient(REEL_NONE, REEL_TENSORS(errors_kept), &gradient));
    ck_assert(!reel_is_valid(gradient));
    ck_assert(reel_failed(y.tape));
    ck_assert_str_ne(reel_error_message(y.tape), "");
    ck_assert(isnan(reel_item(REEL_NONE)));
    ck_assert(!reel_failed(errors_tape));
}
END_TEST

START_TEST(errors_another_tape)
{
    reel_tape *other = reel_tape_new();
    reel_tensor guest = reel_variable(other, REEL_SHAPE(2, 3), reel_fill(REEL_F32, 1));
    ERRORS_AT; reel_add(errors_kept, guest);
    errors_expect(errors_line, "add: ", "another tape", NULL);
    ck_assert(!reel_failed(other));
    ck_assert(reel_is_valid(guest));

    reel_tensor y = reel_sum(errors_kept), gradient;
    ERRORS_AT; reel_gradient(y, REEL_TENSORS(guest), &gradient);
    errors_expect(errors_line, "gradient: ", "another tape", NULL);
    ck_assert(!reel_tape_rewind(errors_tape, reel_tape_mark(other)));
    ck_assert(reel_failed(errors_tape) && !reel_failed(other));
    reel_tape_free(other);
}
END_TEST

START_TEST(errors_rewound_past)
{
    reel_tensor gone = reel_exp(errors_kept);
    reel_tape_rewind(errors_tape, errors_start);
    reel_tensor here = reel_neg(errors_kept);
    ck_assert_uint_eq(gone.node, here.node);
    ck_assert(reel_is_valid(here) && !reel_is_valid(gone));
    ERRORS_AT; reel_add(here, gone);
    errors_expect(errors_line, "add: ", "rewound", NULL);

    gone = reel_exp(errors_kept);
    reel_tape_rewind(errors_tape, errors_start);
    ERRORS_AT; reel_item(gone);
    errors_expect(errors_line, "rewound", NULL);
}
END_TEST

START_TEST(errors_first_error_stays)
{
    reel_tensor bad = reel_constant(errors_tape, REEL_SHAPE(4), reel_fill(REEL_F32, 0));
    ERRORS_AT; reel_tensor first = reel_add(errors_kept, bad);
    char message[512];
    snprintf(message, sizeof message, "%s", reel_error_message(errors_tape));
    reel_tensor gradient, next = reel_exp(first);
    ck_assert(!reel_is_valid(next) && next.tape == errors_tape);
    ck_assert(!reel_is_valid(reel_variable(errors_tape, REEL_SHAPE(2), REEL_F32_VALUES(1, 2))));
    ck_assert(!reel_gradient(next, REEL_TENSORS(errors_kept), &gradient));
    ck_assert(!reel_is_valid(gradient));
    ck_assert(!reel_write(errors_kept, reel_fill(REEL_F32, 9)));
    ck_assert(!reel_sgd(.parameters = REEL_TENSORS(errors_kept), .gradients = REEL_TENSORS(errors_kept),
                        .learning_rate = next));
    reel_error_set(errors_tape, "a later error");
    ck_assert_str_eq(reel_error_message(errors_tape), message);
    errors_expect(errors_line, "add: ", "[2,3] f32", "[4] f32", NULL);
}
END_TEST

START_TEST(errors_of_the_caller)
{
    ERRORS_AT; reel_error_set(errors_tape, "record %d of %s is cut", 7, "data_batch_1.bin");
    errors_expect(errors_line, "record 7 of data_batch_1.bin is cut", NULL);
}
END_TEST


/* ---- Gradients ----------------------------------------------------------------------------------- */

START_TEST(errors_gradient_through_overwritten_value)
{
    reel_tensor w = errors_floats("w", REEL_SHAPE(3)), gradient;
    char reader[40], writer[40];
    snprintf(reader, sizeof reader, "test_errors.c:%d", __LINE__ + 1);
    reel_tensor y = reel_mul(w, w);
    snprintf(writer, sizeof writer, "test_errors.c:%d", __LINE__ + 1);
    ck_assert(reel_write(w, reel_fill(REEL_F32, 2)));
    ERRORS_AT; bool done = reel_gradient(y, REEL_TENSORS(w), &gradient);
    ck_assert(!done && !reel_is_valid(gradient));
    errors_expect(errors_line, "gradient: ", "mul", "\"w\" [3] f32", reader, writer, NULL);

    w = errors_floats("w", REEL_SHAPE(3));
    reel_tensor rate = reel_constant(errors_tape, REEL_SHAPE(), REEL_F32_VALUES(.5f));
    y = reel_exp(reel_mul(w, w));
    ck_assert(reel_gradient(y, REEL_TENSORS(w), &gradient));
    reel_tensors written = REEL_TENSORS(w), gradients = REEL_TENSORS(gradient);
    snprintf(writer, sizeof writer, "test_errors.c:%d", __LINE__ + 1);
    ck_assert(reel_sgd(.parameters = written, .gradients = gradients, .learning_rate = rate));
    ERRORS_AT; reel_gradient(y, REEL_TENSORS(w), &gradient);
    errors_expect(errors_line, "gradient: ", "\"w\" [3] f32", writer, NULL);
}
END_TEST

START_TEST(errors_gradient_arguments)
{
    reel_tensor x = errors_floats("x", REEL_SHAPE(3)), gradient;
    reel_tensor fixed = reel_name(reel_constant(errors_tape, REEL_SHAPE(3), reel_fill(REEL_F32, 1)), "fixed");
    reel_tensor y = reel_mul(x, fixed);
    ERRORS_AT; reel_gradient(y, REEL_TENSORS(fixed), &gradient);
    errors_expect(errors_line, "gradient: ", "\"fixed\" [3] f32", "variable", NULL);

    x = errors_floats("x", REEL_SHAPE(3));
    y = reel_name(reel_cast(x, REEL_I32), "y");
    ERRORS_AT; reel_gradient(y, REEL_TENSORS(x), &gradient);
    errors_expect(errors_line, "gradient: ", "\"y\" [3] i32", NULL);

    x = errors_floats("x", REEL_SHAPE(3));
    y = reel_name(reel_exp(x), "y");
    reel_tensor wide = errors_floats("wide", REEL_SHAPE(4));
    ERRORS_AT; reel_gradient(y, REEL_TENSORS(x), &gradient, .upstream = wide);
    errors_expect(errors_line, "gradient: ", "\"wide\" [4] f32", "\"y\" [3] f32", NULL);

    x = errors_floats("x", REEL_SHAPE(3));
    y = reel_exp(x);
    ck_assert(reel_gradient(y, REEL_TENSORS(x), &gradient, .final = true));
    reel_tensor second;
    ERRORS_AT; reel_gradient(reel_sum(reel_mul(gradient, gradient)), REEL_TENSORS(x), &second);
    errors_expect(errors_line, "gradient: ", "final", NULL);
}
END_TEST


/* ---- Labels -------------------------------------------------------------------------------------- */

START_TEST(errors_label_out_of_range)
{
    for (int wide = 0; wide <= 1; wide++) {
        reel_tensor logits = errors_floats("z", REEL_SHAPE(4, 3));
        reel_values values = wide ? REEL_I64_VALUES(0, 2, 5000000000, 1) : REEL_I32_VALUES(0, 2, 7, -1);
        reel_tensor labels = reel_name(reel_constant(errors_tape, REEL_SHAPE(4), values), "truth");
        ERRORS_AT; reel_sparse_softmax_cross_entropy_with_logits(.labels = labels, .logits = logits);
        errors_expect(errors_line, "sparse_softmax_cross_entropy_with_logits: ", "row 2",
                      wide ? "5000000000" : "7", "[0, 3)", NULL);
    }
}
END_TEST

START_TEST(errors_label_out_of_range_on_replay)
{
    int32_t good[] = {0, 2, 1}, bad[] = {0, 2, -3};
    reel_tensor logits = errors_floats("z", REEL_SHAPE(3, 3));
    reel_tensor labels =
        reel_wrap(errors_tape, .dtype = REEL_I32, .shape = REEL_SHAPE(3), .data = good);
    reel_name(labels, "truth");
    reel_mark from = reel_tape_mark(errors_tape);
    reel_tensor before = reel_neg(logits), loss;
    ERRORS_AT; loss = reel_sparse_softmax_cross_entropy_with_logits(.labels = labels, .logits = logits);
    reel_tensor after = reel_mean(loss);
    reel_section section = reel_tape_section(from, reel_tape_mark(errors_tape));
    double first = reel_item(after);

    ck_assert(reel_point(labels, bad));
    ck_assert(!reel_tape_replay(section));
    char message[512], place[40];
    snprintf(message, sizeof message, "%s", reel_error_message(errors_tape));
    snprintf(place, sizeof place, "test_errors.c:%d: ", errors_line);
    ck_assert_msg(strstr(message, place) && strstr(message, "row 2") && strstr(message, "-3") &&
                  strstr(message, "[0, 3)"), "%s", message);

    ck_assert(reel_point(labels, good));
    ck_assert(reel_tape_replay(section));
    ck_assert(!reel_failed(errors_tape));
    ck_assert_double_eq(reel_item(after), first);
    ck_assert_double_eq(reel_item(reel_sum(before)), -4.5);
}
END_TEST


/* ---- Values and memory --------------------------------------------------------------------------- */

START_TEST(errors_wrong_number_of_values)
{
    ERRORS_AT; reel_variable(errors_tape, REEL_SHAPE(2, 3), REEL_F32_VALUES(1, 2, 3));
    errors_expect(errors_line, "variable: ", "3 values", "6", NULL);
    ERRORS_AT; reel_constant(errors_tape, REEL_SHAPE(2), REEL_I32_VALUES(1, 2, 3));
    errors_expect(errors_line, "constant: ", "3 values", "2", NULL);

    reel_tensor x = errors_floats("x", REEL_SHAPE(2, 3));
    ERRORS_AT; reel_write(x, REEL_F32_VALUES(1, 2, 3, 4));
    errors_expect(errors_line, "write: ", "4 values", "6", NULL);
    x = errors_floats("x", REEL_SHAPE(2, 3));
    ERRORS_AT; reel_write(x, REEL_F64_VALUES(1, 2, 3, 4, 5, 6));
    errors_expect(errors_line, "write: ", "\"x\" [2,3] f32", "f64", NULL);

    char room[100];
    double numbers[7];
    x = errors_floats("x", REEL_SHAPE(2, 3));
    ERRORS_AT; bool read = reel_read(x, room, 23);
    ck_assert(!read);
    errors_expect(errors_line, "read: ", "\"x\" [2,3] f32", "23", "24", NULL);
    x = errors_floats("x", REEL_SHAPE(2, 3));
    ERRORS_AT; reel_read_f64(x, numbers, 7);
    errors_expect(errors_line, "\"x\" [2,3] f32", "7", NULL);
    x = errors_floats("x", REEL_SHAPE(2, 3));
    ERRORS_AT; double item = reel_item(x);
    ck_assert(isnan(item));
    errors_expect(errors_line, "item: ", "\"x\" [2,3] f32", NULL);
}
END_TEST

START_TEST(errors_shapes_that_make_no_sense)
{
    ERRORS_AT; reel_constant(errors_tape, REEL_SHAPE(1, 1, 1, 1, 1, 1, 1, 1, 1), reel_fill(REEL_F32, 0));
    errors_expect(errors_line, "constant: ", "rank 9", NULL);
    ERRORS_AT; reel_constant(errors_tape, REEL_SHAPE(2, -3), reel_fill(REEL_F32, 0));
    errors_expect(errors_line, "constant: ", "-3", NULL);
    ERRORS_AT; reel_constant(errors_tape, REEL_SHAPE(INT64_MAX, 2), reel_fill(REEL_F32, 0));
    errors_expect(errors_line, "constant: ", "too many", NULL);
    ERRORS_AT; reel_constant(errors_tape, REEL_SHAPE(2), reel_fill((reel_dtype)99, 0));
    errors_expect(errors_line, "constant: ", "dtype", NULL);
    ERRORS_AT; reel_variable(errors_tape, REEL_SHAPE(2), REEL_I32_VALUES(1, 2));
    errors_expect(errors_line, "variable: ", "i32", NULL);
    reel_tensor x = errors_floats("x", REEL_SHAPE(1 << 20, 1));
    ERRORS_AT; reel_broadcast(x, REEL_SHAPE(1 << 30, 1 << 20, 1 << 30));
    errors_expect(errors_line, "broadcast: ", "too many", NULL);
}
END_TEST

START_TEST(errors_borrowed_memory)
{
    _Alignas(8) char memory[64] = {0};
    float numbers[12] = {0};
    ERRORS_AT; reel_wrap(errors_tape, .dtype = REEL_F32, .shape = REEL_SHAPE(2), .data = memory + 2);
    errors_expect(errors_line, "wrap: ", "aligned", "f32", NULL);
    ERRORS_AT; reel_wrap(errors_tape, .dtype = REEL_F32, .shape = REEL_SHAPE(2));
    errors_expect(errors_line, "wrap: ", "NULL", NULL);

    reel_tensor x = reel_wrap(errors_tape, .dtype = REEL_F64, .shape = REEL_SHAPE(2), .data = memory);
    reel_name(x, "x");
    ERRORS_AT; reel_point(x, memory + 4);
    errors_expect(errors_line, "point: ", "aligned", "f64", NULL);
    ERRORS_AT; reel_point(errors_kept, numbers);
    errors_expect(errors_line, "point: ", "[2,3] f32", NULL);

    const int64_t overlapping[] = {1, 1}, repeated[] = {0, 1};
    x = reel_wrap(errors_tape, .dtype = REEL_F32, .shape = REEL_SHAPE(3, 3), .data = numbers,
                  .strides = overlapping);
    reel_name(x, "x");
    ERRORS_AT; reel_write(x, reel_fill(REEL_F32, 1));
    errors_expect(errors_line, "write: ", "\"x\" [3,3] f32", "overlap", NULL);

    reel_tensor rate = reel_constant(errors_tape, REEL_SHAPE(), REEL_F32_VALUES(1));
    x = reel_wrap(errors_tape, .dtype = REEL_F32, .shape = REEL_SHAPE(2, 3), .data = numbers,
                  .strides = repeated, .variable = true);
    reel_name(x, "x");
    reel_tensors written = REEL_TENSORS(x), gradients = REEL_TENSORS(errors_kept);
    ERRORS_AT; reel_sgd(.parameters = written, .gradients = gradients, .learning_rate = rate);
    errors_expect(errors_line, "sgd: ", "\"x\" [2,3] f32", "overlap", NULL);
    for (int i = 0; i < 12; i++)
        ck_assert_float_eq(numbers[i], 0);

    reel_tensor a =
        reel_wrap(errors_tape, .dtype = REEL_F32, .shape = REEL_SHAPE(6), .data = numbers);
    reel_tensor b =
        reel_wrap(errors_tape, .dtype = REEL_F32, .shape = REEL_SHAPE(6), .data = numbers + 5);
    reel_name(b, "b");
    ck_assert(reel_is_valid(a));
    ERRORS_AT; reel_write(b, reel_fill(REEL_F32, 1));
    errors_expect(errors_line, "write: ", "\"b\" [6] f32", "overlap", NULL);
}
END_TEST

START_TEST(errors_writing_where_it_is_not_allowed)
{
    reel_tensor y = reel_name(reel_exp(errors_kept), "y");
    ERRORS_AT; reel_write(y, reel_fill(REEL_F32, 1));
    errors_expect(errors_line, "write: ", "\"y\" [2,3] f32", "leaf", NULL);

    y = reel_name(reel_exp(errors_kept), "y");
    reel_tensor rate = reel_constant(errors_tape, REEL_SHAPE(), REEL_F32_VALUES(1));
    reel_tensors written = REEL_TENSORS(y), gradients = REEL_TENSORS(errors_kept);
    ERRORS_AT; reel_sgd(.parameters = written, .gradients = gradients, .learning_rate = rate);
    errors_expect(errors_line, "sgd: ", "\"y\" [2,3] f32", "leaf", NULL);
}
END_TEST

START_TEST(errors_update_is_all_or_nothing)
{
    reel_tensor w[2] = {errors_floats("first", REEL_SHAPE(2)), errors_floats("second", REEL_SHAPE(3))};
    reel_tensor g[2] = {errors_floats("g1", REEL_SHAPE(2)), errors_floats("g2", REEL_SHAPE(4))};
    reel_tensor rate = reel_constant(errors_tape, REEL_SHAPE(), REEL_F32_VALUES(1));
    const float *first = reel_data(w[0]);
    reel_tensors written = reel_tensors_of(w, 2), gradients = reel_tensors_of(g, 2);
    ERRORS_AT; reel_sgd(.parameters = written, .gradients = gradients, .learning_rate = rate);
    ck_assert_float_eq(first[0], .5f);
    errors_expect(errors_line, "sgd: ", "\"second\" [3] f32", "\"g2\" [4] f32", NULL);
}
END_TEST

START_TEST(errors_nonsense_in_an_update)
{
    reel_tensor rate = reel_constant(errors_tape, REEL_SHAPE(), REEL_F32_VALUES(1)),
                wide = errors_floats("wide", REEL_SHAPE(2));
    reel_tensors one = REEL_TENSORS(errors_kept);
    ERRORS_AT; reel_sgd(.parameters = one, .gradients = one, .learning_rate = rate, .momentum = .9);
    errors_expect(errors_line, "sgd: ", "velocity", NULL);
    rate = reel_constant(errors_tape, REEL_SHAPE(), REEL_F32_VALUES(1));
    ERRORS_AT; reel_sgd(.parameters = one, .gradients = one, .learning_rate = rate, .momentum = NAN);
    errors_expect(errors_line, "sgd: ", "momentum", NULL);
    rate = reel_constant(errors_tape, REEL_SHAPE(), REEL_F32_VALUES(1));
    ERRORS_AT; reel_sgd(.parameters = one, .gradients = one, .learning_rate = rate, .weight_decay = -1);
    errors_expect(errors_line, "sgd: ", "weight_decay", NULL);
    rate = reel_constant(errors_tape, REEL_SHAPE(), REEL_F32_VALUES(1));
    ERRORS_AT; reel_sgd(.parameters = {NULL, 0}, .gradients = one, .learning_rate = rate);
    errors_expect(errors_line, "sgd: ", "parameters", NULL);
    wide = errors_floats("wide", REEL_SHAPE(2));
    reel_tensors other = REEL_TENSORS(reel_zeros_like(errors_kept));
    ERRORS_AT; reel_sgd(.parameters = one, .gradients = other, .learning_rate = wide);
    errors_expect(errors_line, "sgd: ", "\"wide\" [2] f32", NULL);
}
END_TEST

START_TEST(errors_options_that_make_no_sense)
{
    reel_io io = *reel_io_standard();
    io.size = 8;
    ck_assert_ptr_null(reel_tape_new_with(.threads = -1));
    ck_assert_ptr_null(reel_tape_new_with(.threads = 257));
    ck_assert_ptr_null(reel_tape_new_options(&(const reel_tape_options){.size = 3}));
    ck_assert_ptr_null(reel_tape_new_with(.io = &io));
    ck_assert_ptr_null(reel_tape_new_with(.memory_cap = 16));
    ck_assert_ptr_null(reel_tape_new_options(NULL));
    ck_assert(reel_failed(NULL));
    reel_tape_free(NULL);
}
END_TEST

static void *errors_no_memory(void *user, void *pointer, size_t old_size, size_t new_size)
{
    (void)user, (void)pointer, (void)old_size, (void)new_size;
    return NULL;
}

START_TEST(errors_reasons_for_no_tape)
{
    const char *why = NULL;
    reel_io io = *reel_io_standard();
    io.size = 8;
    ck_assert_ptr_null(reel_tape_new_with(.threads = 257, .why = &why));
    ck_assert_ptr_nonnull(strstr(why, "threads must be 1 to 256"));
    ck_assert_ptr_null(reel_tape_new_with(.io = &io, .why = &why));
    ck_assert_ptr_nonnull(strstr(why, "sizeof(reel_io)"));
    ck_assert_ptr_null(reel_tape_new_with(.memory_cap = 16, .why = &why));
    ck_assert_ptr_nonnull(strstr(why, "memory cap"));
    ck_assert_ptr_null(reel_tape_new_with(.allocator = errors_no_memory, .why = &why));
    ck_assert_str_eq(why, "out of memory");
    reel_tape *tape = reel_tape_new_with(.why = &why);
    ck_assert_ptr_nonnull(tape);
    ck_assert_str_eq(why, "");
    reel_tape_free(tape);
}
END_TEST

/* The ops that stand behind a call of another name speak in that name. */
START_TEST(errors_of_lookups_name_the_call)
{
    reel_tensor table = errors_floats("table", REEL_SHAPE(4, 2));
    reel_tensor far = reel_constant(errors_tape, REEL_SHAPE(3), REEL_I64_VALUES(0, 9, 1));
    ERRORS_AT; reel_embedding(table, far);
    errors_expect(errors_line, "embedding: ", "element 1 of the indices is 9", NULL);
    table = errors_floats("table", REEL_SHAPE(4, 2));
    ERRORS_AT; reel_embedding(table, table);
    errors_expect(errors_line, "embedding: ", "\"table\" [4,2] f32 are not integers", NULL);
    table = errors_floats("table", REEL_SHAPE(4, 2));
    ERRORS_AT; reel_take(table, table, 5);
    errors_expect(errors_line, "take: ", "axis 5", NULL);
}
END_TEST

START_TEST(errors_memory_cap_in_the_middle_of_a_step)
{
    reel_tape_free(errors_tape);
    errors_tape = reel_tape_new_with(.memory_cap = 2 << 20);
    errors_kept = reel_variable(errors_tape, REEL_SHAPE(2, 3), REEL_F32_VALUES(1, 2, 3, 4, 5, 6));
    errors_start = reel_tape_mark(errors_tape);
    for (int round = 0; round < 3; round++) {
        reel_tensor x = reel_broadcast(reel_sum(errors_kept), REEL_SHAPE(200, 200));
        ERRORS_AT; for (int i = 0; i < 100 && !reel_failed(errors_tape); i++) x = reel_exp(x);
        ck_assert(!reel_is_valid(x));
        ck_assert_uint_le(reel_tape_statistics(errors_tape).bytes_peak, 2 << 20);
        errors_expect(errors_line, "exp: ", "memory cap of 2097152", NULL);
    }
    ERRORS_AT; reel_constant(errors_tape, REEL_SHAPE(INT64_MAX / 64), reel_fill(REEL_F64, 0));
    errors_expect(errors_line, "constant: ", "memory cap of 2097152", NULL);
}
END_TEST


/* ---- Marks --------------------------------------------------------------------------------------- */

START_TEST(errors_mark_of_a_failed_tape)
{
    reel_tensor bad =
        reel_add(errors_kept, reel_constant(errors_tape, REEL_SHAPE(4), reel_fill(REEL_F32, 0)));
    ck_assert(!reel_is_valid(bad));
    size_t nodes = reel_tape_statistics(errors_tape).nodes;
    reel_mark mark = reel_tape_mark(errors_tape);
    ck_assert(!reel_tape_rewind(errors_tape, mark));
    ck_assert_uint_eq(reel_tape_statistics(errors_tape).nodes, nodes);
    ck_assert(!reel_error_clear(errors_tape));
    ck_assert(reel_failed(errors_tape));
    errors_recover();

    ERRORS_AT; reel_tape_rewind(errors_tape, mark);
    errors_expect(errors_line, "rewind: ", "mark", NULL);
}
END_TEST

START_TEST(errors_sections)
{
    reel_mark from = reel_tape_mark(errors_tape);
    reel_exp(errors_kept);
    reel_mark to = reel_tape_mark(errors_tape);
    ERRORS_AT; reel_tape_section(to, from);
    errors_expect(errors_line, "section: ", NULL);

    from = reel_tape_mark(errors_tape);
    reel_exp(errors_kept);
    reel_section section = reel_tape_section(from, reel_tape_mark(errors_tape));
    reel_tape_rewind(errors_tape, errors_start);
    ERRORS_AT; bool done = reel_tape_replay(section);
    ck_assert(!done);
    errors_expect(errors_line, "replay: ", "rewound", NULL);
    ERRORS_AT; reel_section_prune(section, REEL_TENSORS(errors_kept));
    errors_expect(errors_line, "prune: ", "rewound", NULL);
    ERRORS_AT; reel_section_in_f64(section);
    errors_expect(errors_line, "section_in_f64: ", "rewound", NULL);

    from = reel_tape_mark(errors_tape);
    reel_tensor x = reel_exp(errors_kept),
                outside = reel_name(errors_floats("outside", REEL_SHAPE(2)), "outside");
    section = reel_section_in_f64(reel_tape_section(from, reel_tape_mark(errors_tape)));
    ck_assert(reel_is_valid(reel_counterpart(section, x)));
    outside = reel_name(reel_neg(outside), "outside");
    ERRORS_AT; reel_counterpart(section, outside);
    errors_expect(errors_line, "counterpart: ", "\"outside\" [2] f32", NULL);
}
END_TEST

Suite *reel_suite_errors(void);

Suite *reel_suite_errors(void)
{
    Suite *suite = suite_create("errors");
    TCase *c = tcase_create("bad input");
    tcase_add_checked_fixture(c, errors_setup, errors_teardown);
    tcase_set_timeout(c, 60);
    tcase_add_test(c, errors_shapes_do_not_broadcast);
    tcase_add_test(c, errors_dtypes_differ);
    tcase_add_test(c, errors_logits_are_integers);
    tcase_add_test(c, errors_logits_are_a_scalar);
    tcase_add_test(c, errors_axis_out_of_range);
    tcase_add_test(c, errors_nothing_to_choose_from);
    tcase_add_test(c, errors_none_handle);
    tcase_add_test(c, errors_another_tape);
    tcase_add_test(c, errors_rewound_past);
    tcase_add_test(c, errors_first_error_stays);
    tcase_add_test(c, errors_of_the_caller);
    tcase_add_test(c, errors_gradient_through_overwritten_value);
    tcase_add_test(c, errors_gradient_arguments);
    tcase_add_test(c, errors_label_out_of_range);
    tcase_add_test(c, errors_label_out_of_range_on_replay);
    tcase_add_test(c, errors_wrong_number_of_values);
    tcase_add_test(c, errors_shapes_that_make_no_sense);
    tcase_add_test(c, errors_borrowed_memory);
    tcase_add_test(c, errors_writing_where_it_is_not_allowed);
    tcase_add_test(c, errors_update_is_all_or_nothing);
    tcase_add_test(c, errors_nonsense_in_an_update);
    tcase_add_test(c, errors_options_that_make_no_sense);
    tcase_add_test(c, errors_reasons_for_no_tape);
    tcase_add_test(c, errors_of_lookups_name_the_call);
    tcase_add_test(c, errors_memory_cap_in_the_middle_of_a_step);
    tcase_add_test(c, errors_mark_of_a_failed_tape);
    tcase_add_test(c, errors_sections);
    suite_add_tcase(suite, c);
    return suite;
}
