/* Walks the table of ops through every check, and tests the checks themselves with ops that are wrong on
 * purpose: one that cannot fail would prove nothing.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/op_checks.h"

#include <math.h>
#include <string.h>

static const struct table_check {
    const char   *name;
    test_op_check check;
} table_checks[] = {
    {"record", test_op_record},
    {"error samples", test_op_errors},
    {"forward against reference", test_op_forward},
    {"NaN and infinities", test_op_special},
    {"gradient against differences", test_op_gradient},
    {"second order", test_op_second},
    {"the same tensor twice", test_op_same_twice},
    {"run again and on more threads", test_op_repeated},
    {"replayed", test_op_replayed},
    {"re-recorded in f64", test_op_promoted},
    {"through views", test_op_viewed},
    {"each allocation failing", test_op_memory},
};

enum { TABLE_CHECKS = sizeof table_checks / sizeof table_checks[0] };


/* ---- Reel's ops ---------------------------------------------------------------------------------- */

START_TEST(table_walk)
{
    const reel_op *op = reel_op_in_table((size_t)_i / TABLE_CHECKS);
    test_report report = {0};
    table_checks[_i % TABLE_CHECKS].check(op, &report);
    ck_assert_msg(report.failures == 0, "%s, %s: %d failures\n%s", op->name,
                  table_checks[_i % TABLE_CHECKS].name, report.failures, report.text);
}
END_TEST

START_TEST(table_is_sorted_and_closed)
{
    size_t count = reel_op_count();
    ck_assert_uint_gt(count, 20);
    for (size_t i = 1; i < count; i++)
        ck_assert_str_lt(reel_op_in_table(i - 1)->name, reel_op_in_table(i)->name);
    ck_assert_ptr_null(reel_op_in_table(count));
    ck_assert_ptr_null(reel_op_in_table((size_t)-1));
}
END_TEST


/* ---- A user's ops, right and wrong ---------------------------------------------------------------- */

/* y = scale a b, elementwise, in f32 and f64 and without broadcasting. */
typedef struct table_scale {
    double scale;
} table_scale;

static double table_get(const reel_array *array, int64_t i)
{
    test_buffer view = {.dtype = array->dtype, .shape = reel_make_shape(array->rank, array->shape),
                        .first = array->data};
    memcpy(view.strides, array->strides, (size_t)array->rank * sizeof view.strides[0]);
    return test_load(array->dtype, test_element(&view, i));
}

static void table_set(const reel_array *array, int64_t i, double value)
{
    test_store(array->dtype, (char *)array->data + (size_t)i * reel_dtype_size(array->dtype), value);
}

static bool table_product_shape(reel_call *call, reel_output *out)
{
    const reel_array *a = &call->in[0], *b = &call->in[1];
    if (a->dtype != b->dtype || (a->dtype != REEL_F32 && a->dtype != REEL_F64))
        return reel_call_error(call, "%s is not done here", reel_dtype_name(a->dtype));
    if (a->rank != b->rank || memcmp(a->shape, b->shape, (size_t)a->rank * sizeof a->shape[0]) != 0)
        return reel_call_error(call, "the shapes differ");
    out->dtype = a->dtype;
    out->shape = reel_make_shape(a->rank, a->shape);
    return true;
}

static bool table_product_with(const reel_call *call, double factor)
{
    double scale = ((const table_scale *)call->attributes)->scale * factor;
    for (int64_t i = 0; i < call->out[0].count; i++)
        table_set(&call->out[0], i, scale * table_get(&call->in[0], i) * table_get(&call->in[1], i));
    return true;
}

static bool table_product_forward(const reel_call *call)
{
    return table_product_with(call, 1);
}

static void table_product_vjp_with(const reel_call *call, reel_tensor dy, reel_tensor dx[],
                                   const bool wanted[], double factor)
{
    double scale = ((const table_scale *)call->attributes)->scale * factor;
    for (int i = 0; i < 2; i++)
        if (wanted[i])
            dx[i] = reel_affine(reel_mul(dy, call->input[1 - i]), scale, 0);
}

static void table_product_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[],
                              const bool wanted[])
{
    table_product_vjp_with(call, dy[0], dx, wanted, 1);
}

static void table_product_reference(const void *attributes, const reel_reference_array *in, int inputs,
                                    reel_reference_array *out, int outputs)
{
    (void)inputs;
    (void)outputs;
    for (int64_t i = 0; i < out[0].count; i++)
        out[0].value[i] = ((const table_scale *)attributes)->scale * in[0].value[i] * in[1].value[i];
}

static const table_scale table_two = {2};

#define TABLE_PAIR(rows, columns, how)                                                               \
    .in = { {.shape = {2, {rows, columns}}, .layout = how}, {.shape = {2, {rows, columns}}} },       \
    .attributes = &table_two

static const reel_sample table_product_samples[] = {
    {.note = "matrices", TABLE_PAIR(3, 4, REEL_CONTIGUOUS)},
    {.note = "scalars", .attributes = &table_two},
    {.note = "empty", TABLE_PAIR(0, 4, REEL_CONTIGUOUS)},
    {.note = "transposed", TABLE_PAIR(3, 4, REEL_TRANSPOSED)},
    {.note = "reversed", TABLE_PAIR(3, 4, REEL_REVERSED)},
    {.note = "stretched", TABLE_PAIR(3, 4, REEL_STRETCHED)},
    {.note = "every other", TABLE_PAIR(3, 4, REEL_EVERY_OTHER)},
    {.note = "shapes differ", .in = {{.shape = {1, {2}}}, {.shape = {1, {3}}}}, .attributes = &table_two,
     .error = "the shapes differ"},
};

static const reel_op table_product = {
    .size = sizeof(reel_op), .name = "product", .inputs = 2, .outputs = 1, .attributes = sizeof(table_scale),
    .shape = table_product_shape, .forward = table_product_forward,
    .vjp = table_product_vjp, .formula = "y = scale a b", .reference = table_product_reference,
    .samples = table_product_samples,
    .sample_count = sizeof table_product_samples / sizeof table_product_samples[0],
};

START_TEST(table_a_right_op_passes)
{
    test_report report = {0};
    table_checks[_i].check(&table_product, &report);
    test_assert_clean(&report);
}
END_TEST


/* ---- Ways to be wrong ------------------------------------------------------------------------------ */

/* Off by 16 units in the last place of f64; f32 alone would not show it. */
static bool table_forward_imprecise(const reel_call *call)
{
    return table_product_with(call, 1 + 0x1p-48);
}

/* Takes a transposed matrix for one that is laid out row by row. */
static bool table_forward_ignores_strides(const reel_call *call)
{
    reel_array in[2] = {call->in[0], call->in[1]};
    const int64_t by_rows[] = {in[0].rank == 2 ? in[0].shape[1] : 1, 1};
    if (in[0].rank == 2 && in[0].strides[0] == 1)
        in[0].strides = by_rows;
    reel_call wrong = *call;
    wrong.in = in;
    return table_product_with(&wrong, 1);
}

static bool table_forward_writes_input(const reel_call *call)
{
    bool done = table_product_with(call, 1);
    if (call->in[1].count)
        table_set(&call->in[1], 0, 0);
    return done;
}

static bool table_forward_loses_nan(const reel_call *call)
{
    table_product_with(call, 1);
    for (int64_t i = 0; i < call->out[0].count; i++)
        table_set(&call->out[0], i, fmin(table_get(&call->out[0], i), 1e300));
    return true;
}

static bool table_forward_forgets_nothing(const reel_call *call)
{
    static int calls;
    return table_product_with(call, calls++ < 3 ? 1 : 1 + 0x1p-20);
}

static bool table_forward_counts_threads(const reel_call *call)
{
    return table_product_with(call, reel_tape_threads(call->tape) == 3 ? 1 + 0x1p-20 : 1);
}

/* What the first number was when the call was recorded, which is not what a replay finds. */
static double table_peeked;

static double table_first_number(const reel_array *array)
{
    return array->count ? table_get(array, 0) : 0;
}

static bool table_shape_peeks(reel_call *call, reel_output *out)
{
    table_peeked = table_first_number(&call->in[0]);
    return table_product_shape(call, out);
}

static bool table_forward_uses_peeked(const reel_call *call)
{
    return table_product_with(call, table_first_number(&call->in[0]) == table_peeked ? 1 : 1 + 0x1p-20);
}

static bool table_shape_takes_all(reel_call *call, reel_output *out)
{
    out->dtype = call->in[0].dtype;
    out->shape = reel_make_shape(call->in[0].rank, call->in[0].shape);
    return true;
}

static bool table_shape_fails_silently(reel_call *call, reel_output *out)
{
    return call->in[0].rank != 1 && table_product_shape(call, out);
}

static void table_vjp_wrong_sign(const reel_call *call, const reel_tensor dy[], reel_tensor dx[],
                                 const bool wanted[])
{
    table_product_vjp_with(call, dy[0], dx, wanted, -1);
}

static void table_vjp_imprecise(const reel_call *call, const reel_tensor dy[], reel_tensor dx[],
                                const bool wanted[])
{
    table_product_vjp_with(call, dy[0], dx, wanted, 1 + 0x1p-30);
}

static void table_vjp_one_input(const reel_call *call, const reel_tensor dy[], reel_tensor dx[],
                                const bool wanted[])
{
    bool first[2] = {wanted[0], false};
    table_product_vjp_with(call, dy[0], dx, first, 1);
}

static void table_vjp_transposed(const reel_call *call, const reel_tensor dy[], reel_tensor dx[],
                                 const bool wanted[])
{
    for (int i = 0; i < 2; i++)
        if (wanted[i])
            dx[i] = reel_affine(reel_mul(dy[0], call->input[i]), 2, 0);
}

static void table_vjp_detached(const reel_call *call, const reel_tensor dy[], reel_tensor dx[],
                               const bool wanted[])
{
    for (int i = 0; i < 2; i++)
        if (wanted[i])
            dx[i] = reel_affine(reel_mul(dy[0], reel_stop_gradient(call->input[1 - i])), 2, 0);
}

static void table_vjp_dy_detached(const reel_call *call, const reel_tensor dy[], reel_tensor dx[],
                                  const bool wanted[])
{
    table_product_vjp_with(call, reel_stop_gradient(dy[0]), dx, wanted, 1);
}

static void table_vjp_mistakes_twins(const reel_call *call, const reel_tensor dy[], reel_tensor dx[],
                                     const bool wanted[])
{
    table_product_vjp_with(call, dy[0], dx, wanted, 1);
    if (call->input[0].node == call->input[1].node)
        dx[1] = REEL_NONE;
}

static void table_promote_wrongly(void *attributes)
{
    ((table_scale *)attributes)->scale *= 2;
}

static void table_reference_of_a_square(const void *attributes, const reel_reference_array *in, int inputs,
                                        reel_reference_array *out, int outputs)
{
    reel_reference_array same[2] = {in[0], in[0]};
    (void)inputs;
    table_product_reference(attributes, same, 2, out, outputs);
}

/* Puts one fault into a copy of the right op. */
typedef struct table_fault {
    const char   *what;
    test_op_check found_by;
    bool (*shape)(reel_call *call, reel_output *out);
    bool (*forward)(const reel_call *call);
    void (*vjp)(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[]);
    void (*promote)(void *attributes);
    reel_reference reference;
    unsigned       missing;                         /* 1: formula, 2: reference, 4: samples, 8: the error
                                                       sample, 16: VJP                             */
} table_fault;

static const table_fault table_faults[] = {
    {"no formula", test_op_record, .missing = 1},
    {"no reference", test_op_record, .missing = 2},
    {"no reference", test_op_forward, .missing = 2},
    {"no samples", test_op_record, .missing = 4},
    {"no samples", test_op_forward, .missing = 4},
    {"no error sample", test_op_record, .missing = 8},
    {"no VJP", test_op_record, .missing = 16},
    {"accepts what it must refuse", test_op_errors, .shape = table_shape_takes_all},
    {"refuses without a word", test_op_errors, .shape = table_shape_fails_silently},
    {"forward imprecise", test_op_forward, .forward = table_forward_imprecise},
    {"forward ignores strides", test_op_forward, .forward = table_forward_ignores_strides},
    {"forward writes its input", test_op_forward, .forward = table_forward_writes_input},
    {"another reference", test_op_forward, .reference = table_reference_of_a_square},
    {"NaN lost", test_op_special, .forward = table_forward_loses_nan},
    {"VJP of the wrong sign", test_op_gradient, .vjp = table_vjp_wrong_sign},
    {"VJP off in the ninth digit", test_op_gradient, .vjp = table_vjp_imprecise},
    {"VJP for one input of two", test_op_gradient, .vjp = table_vjp_one_input},
    {"VJP of the other input", test_op_gradient, .vjp = table_vjp_transposed},
    {"VJP detached from the inputs", test_op_second, .vjp = table_vjp_detached},
    {"VJP detached from the upstream", test_op_second, .vjp = table_vjp_dy_detached},
    {"VJP takes the same tensor for one", test_op_same_twice, .vjp = table_vjp_mistakes_twins},
    {"forward depends on history", test_op_repeated, .forward = table_forward_forgets_nothing},
    {"forward depends on threads", test_op_repeated, .forward = table_forward_counts_threads},
    {"data read by the shape rule", test_op_replayed, .shape = table_shape_peeks,
     .forward = table_forward_uses_peeked},
    {"promotion changes the meaning", test_op_promoted, .promote = table_promote_wrongly},
};

enum { TABLE_FAULTS = sizeof table_faults / sizeof table_faults[0] };

static reel_op table_faulty(const table_fault *fault)
{
    reel_op op = table_product;
    op.shape = fault->shape ? fault->shape : op.shape;
    op.forward = fault->forward ? fault->forward : op.forward;
    op.vjp = fault->missing & 16 ? NULL : fault->vjp ? fault->vjp : op.vjp;
    op.promote = fault->promote;
    op.reference = fault->missing & 2 ? NULL : fault->reference ? fault->reference : op.reference;
    op.formula = fault->missing & 1 ? NULL : op.formula;
    op.samples = fault->missing & 4 ? NULL : op.samples;
    op.sample_count = fault->missing & 4 ? 0 : op.sample_count - (fault->missing & 8 ? 1 : 0);
    return op;
}

START_TEST(table_a_wrong_op_is_caught)
{
    const table_fault *fault = &table_faults[_i];
    reel_op op = table_faulty(fault);
    test_report report = {0};
    fault->found_by(&op, &report);
    ck_assert_msg(report.failures > 0, "%s: not noticed", fault->what);
}
END_TEST

START_TEST(table_the_allocator_sees_misuse)
{
    test_memory memory = {0};
    test_report report = {0};
    unsigned char *bytes = test_allocate(&memory, NULL, 0, 10);
    ck_assert_uint_eq(bytes[9], 0xff);
    bytes = test_allocate(&memory, bytes, 10, 30);
    ck_assert_uint_eq(bytes[29], 0xff);
    test_memory_check(&memory, &report);
    ck_assert_int_eq(report.failures, 1);
    ck_assert_ptr_null(test_allocate(&memory, bytes, 29, 0));
    test_allocate(&memory, bytes, 30, 0);
    test_memory_check(&memory, &report);
    ck_assert_int_eq(report.failures, 2);
    ck_assert_uint_eq(memory.live, 0);
}
END_TEST

Suite *reel_suite_table(void);

Suite *reel_suite_table(void)
{
    Suite *suite = suite_create("table");
    TCase *walk = tcase_create("every op, every check"), *tester = tcase_create("the checks can fail");
    tcase_set_timeout(walk, 300);
    tcase_set_timeout(tester, 300);
    tcase_add_loop_test(walk, table_walk, 0, (int)reel_op_count() * TABLE_CHECKS);
    tcase_add_test(walk, table_is_sorted_and_closed);
    tcase_add_loop_test(tester, table_a_right_op_passes, 0, TABLE_CHECKS);
    tcase_add_loop_test(tester, table_a_wrong_op_is_caught, 0, TABLE_FAULTS);
    tcase_add_test(tester, table_the_allocator_sees_misuse);
    suite_add_tcase(suite, tester);
    suite_add_tcase(suite, walk);
    return suite;
}
