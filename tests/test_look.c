/* Looking at what is there: tensors as NumPy prints them, tapes as tables and drawings, sweeps step by step.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/harness.h"

#include <reel_train.h>

#include <math.h>
#include <string.h>

enum { LOOK_TEXT = 8192 };

static reel_tape *look_tape;
static test_files look_files;

static void look_setup(void)
{
    test_files_start(&look_files);
    look_tape = reel_tape_new_with(.io = &look_files.io);
}

static void look_teardown(void)
{
    reel_tape_free(look_tape);
    test_files_end(&look_files);
}

static const char *look_printed(void)
{
    return test_files_text(&look_files, "stdout");
}

static void look_has(const char *text, const char *wanted)
{
    ck_assert_msg(strstr(text, wanted) != NULL, "there is no \"%s\" in\n%s", wanted, text);
}

static void look_has_not(const char *text, const char *unwanted)
{
    ck_assert_msg(strstr(text, unwanted) == NULL, "there is \"%s\" in\n%s", unwanted, text);
}

static const char *look_at_tape(void)
{
    static char text[LOOK_TEXT];
    size_t length = reel_format_tape(look_tape, text, sizeof text);
    ck_assert_uint_lt(length, sizeof text);
    ck_assert_uint_eq(length, strlen(text));
    return text;
}

static const char *look_at_section(reel_section section)
{
    static char text[LOOK_TEXT];
    ck_assert_uint_lt(reel_format_section(section, text, sizeof text), sizeof text);
    return text;
}

static const char *look_at_drawing(reel_section section)
{
    static char text[LOOK_TEXT];
    ck_assert_uint_lt(reel_format_drawing(section, text, sizeof text), sizeof text);
    return text;
}


/* ---- Tensors ------------------------------------------------------------------------------------- */

/* What NumPy 2.4 prints with np.printoptions(floatmode="unique"), but for the blanks before a bracket. */
static const struct layout_case {
    reel_dtype  dtype;
    reel_shape  shape;
    double      value[12];
    const char *text;
} layout_cases[] = {
    {REEL_F32, {1, {2}}, {.16984601318836212, .8247448801994324}, "[0.16984601 0.8247449]"},
    {REEL_F32, {2, {2, 3}}, {1, -2.5, .125, 10, 0, -0.}, "[[ 1.    -2.5    0.125]\n [10.     0.    -0.]]"},
    {REEL_F32, {1, {3}}, {1e-5, 1, 3e7}, "[1.e-05 1.e+00 3.e+07]"},
    {REEL_F64, {1, {3}}, {1e-5, -1, 3e7}, "[ 1.e-05 -1.e+00  3.e+07]"},
    {REEL_F64, {1, {2}}, {1e-120, 1}, "[1.e-120 1.e+000]"},
    {REEL_F64, {1, {3}}, {.1, .001, 2000}, "[1.e-01 1.e-03 2.e+03]"},
    {REEL_F64, {1, {2}}, {12345, 0}, "[12345.     0.]"},
    {REEL_F32, {1, {1}}, {1000000}, "[1.e+06]"},
    {REEL_F32, {1, {1}}, {999999}, "[999999.]"},
    {REEL_F16, {1, {1}}, {1000}, "[1.e+03]"},
    {REEL_F32, {1, {2}}, {.001, 1}, "[0.001 1.]"},
    {REEL_F32, {1, {2}}, {.000999, 1}, "[9.99e-04 1.00e+00]"},
    {REEL_F32, {1, {1}}, {1e-4}, "[0.0001]"},
    {REEL_F32, {1, {3}}, {NAN, 1.5, INFINITY}, "[nan 1.5 inf]"},
    {REEL_F32, {1, {3}}, {NAN, -INFINITY, 2}, "[ nan -inf   2.]"},
    {REEL_F64, {1, {1}}, {NAN}, "[nan]"},
    {REEL_I32, {1, {3}}, {-1, 20, 300}, "[ -1  20 300]"},
    {REEL_F64, {3, {2, 2, 2}}, {0, 1, 2, 3, 4, 5, 6, 7}, "[[[0. 1.]\n  [2. 3.]]\n\n [[4. 5.]\n  [6. 7.]]]"},
    {REEL_F64, {2, {0, 3}}, {0}, "[]"},
    {REEL_F64, {0, {0}}, {2}, "2.0"},
    {REEL_F64, {0, {0}}, {1e-7}, "1e-07"},
    {REEL_I64, {0, {0}}, {-7}, "-7"},
};

START_TEST(look_layouts)
{
    const struct layout_case *c = &layout_cases[_i];
    char text[256];
    reel_values values = reel_values_from_f64(c->dtype, c->value, (size_t)test_count(c->shape));
    reel_tensor x = reel_constant(look_tape, c->shape, values);
    ck_assert_uint_eq(reel_format(x, text, sizeof text), strlen(c->text));
    ck_assert_str_eq(text, c->text);
    ck_assert(reel_print(x));
    ck_assert_int_eq(strncmp(look_printed(), c->text, strlen(c->text)), 0);
    ck_assert_str_eq(look_printed() + strlen(c->text), "\n");
}
END_TEST

static reel_tensor look_counting(reel_dtype dtype, reel_shape shape, double from, double step)
{
    static double value[2002];
    int64_t count = test_count(shape);
    for (int64_t i = 0; i < count; i++)
        value[i] = from + step * (double)i;
    return reel_constant(look_tape, shape, reel_values_from_f64(dtype, value, (size_t)count));
}

START_TEST(look_long_lines_wrap)
{
    char text[1000];
    reel_format(look_counting(REEL_F64, REEL_SHAPE(12), .125, 1.0 / 7), text, sizeof text);
    ck_assert_str_eq(text, "[0.125               0.26785714285714285 0.4107142857142857\n"
                           " 0.5535714285714286  0.6964285714285714  0.8392857142857142\n"
                           " 0.9821428571428571  1.125               1.2678571428571428\n"
                           " 1.4107142857142856  1.5535714285714284  1.6964285714285714]");
}
END_TEST

START_TEST(look_many_elements_are_left_out)
{
    char text[1000];
    reel_format(look_counting(REEL_I64, REEL_SHAPE(1001), 0, 1), text, sizeof text);
    ck_assert_str_eq(text, "[   0    1    2 ...  998  999 1000]");
    reel_format(look_counting(REEL_I32, REEL_SHAPE(2, 1001), 0, 1), text, sizeof text);
    ck_assert_str_eq(text, "[[   0    1    2 ...  998  999 1000]\n [1001 1002 1003 ... 1999 2000 2001]]");
    reel_format(look_counting(REEL_I32, REEL_SHAPE(7, 150), 0, 1), text, sizeof text);
    ck_assert_str_eq(text, "[[   0    1    2 ...  147  148  149]\n"
                           " [ 150  151  152 ...  297  298  299]\n"
                           " [ 300  301  302 ...  447  448  449]\n"
                           " ...\n"
                           " [ 600  601  602 ...  747  748  749]\n"
                           " [ 750  751  752 ...  897  898  899]\n"
                           " [ 900  901  902 ... 1047 1048 1049]]");
}
END_TEST

START_TEST(look_views_print_what_they_show)
{
    char text[200];
    reel_tensor x = look_counting(REEL_I32, REEL_SHAPE(2, 3), 1, 1);
    reel_format(reel_transpose(x), text, sizeof text);
    ck_assert_str_eq(text, "[[1 4]\n [2 5]\n [3 6]]");
    reel_format(reel_slice(x, 1, REEL_END, REEL_END, -2), text, sizeof text);
    ck_assert_str_eq(text, "[[3 1]\n [6 4]]");
    ck_assert_uint_eq(reel_format(x, text, 5), strlen("[[1 2 3]\n [4 5 6]]"));
    ck_assert_str_eq(text, "[[1 ");
}
END_TEST


/* ---- Tapes as tables ----------------------------------------------------------------------------- */

/* loss = mean of (w x)^2, with a variable that nothing uses. */
typedef struct look_model {
    reel_tensor w, idle, x, product, loss;
    reel_mark   from, to;
} look_model;

static look_model look_record(void)
{
    look_model m = {.w = reel_name(reel_variable(look_tape, REEL_SHAPE(2), REEL_F32_VALUES(1, -2)), "w")};
    m.idle = reel_variable(look_tape, REEL_SHAPE(), REEL_F64_VALUES(1.0 / 3));
    m.from = reel_tape_mark(look_tape);
    m.x = reel_constant(look_tape, REEL_SHAPE(2), REEL_F32_VALUES(3, .5));
    m.product = reel_mul(m.w, m.x);
    m.loss = reel_name(reel_mean(reel_mul(m.product, m.product)), "loss");
    m.to = reel_tape_mark(look_tape);
    return m;
}

/* A text with each place in this file as "here", and runs of blanks as they are or as one blank. */
static const char *look_plain(const char *text, bool squeezed)
{
    static char plain[LOOK_TEXT];
    size_t used = 0;
    while (*text) {
        size_t word = strcspn(text, " \n"), blanks = strspn(text + word, " \n");
        const char *place = strstr(text, "test_look.c:");
        bool here = place && place < text + word;
        memcpy(plain + used, here ? "here" : text, here ? 4 : word);
        used += here ? 4 : word;
        memcpy(plain + used, text + word, blanks);
        used += squeezed && blanks && text[word] == ' ' ? 1 : blanks;
        text += word + blanks;
    }
    plain[used] = 0;
    return plain;
}

static void look_has_line(const char *table, const char *wanted)
{
    look_has(look_plain(table, true), wanted);
}

START_TEST(look_table)
{
    look_model m = look_record();
    reel_tensor gradient[2];
    reel_gradient(m.loss, REEL_TENSORS(m.w, m.idle), gradient);
    ck_assert_str_eq(look_plain(look_at_section(reel_tape_section(m.from, m.to)), false),
        "node  name    op        inputs  type     values                    gradient                  bytes  recorded at\n"
        "   3          constant          f32 [2]  0.5 .. 3                  -                             8  here\n"
        "   4          mul       1 3     f32 [2]  -1 .. 3                   -1 .. 3                       8  here\n"
        "   5          mul       4 4     f32 [2]  1 .. 9                    0.5                           8  here\n"
        "   6  \"loss\"  mean      5       f32 []   5                         1                             4  here\n"
        "4 nodes, 28 bytes of values\n");
    const char *whole = look_at_tape();
    look_has_line(whole, " 1 \"w\" variable f32 [2] -2 .. 1 -0.5 .. 9 ");
    look_has_line(whole, " 2 variable f64 [] 0.3333 none arrived ");
    ck_assert(reel_print_tape(look_tape));
    ck_assert_str_eq(look_printed(), look_at_tape());
}
END_TEST

START_TEST(look_values_in_few_words)
{
    reel_constant(look_tape, REEL_SHAPE(4), REEL_F64_VALUES(NAN, 1.23456e-7, INFINITY, -3));
    look_has(look_at_tape(), " -3 .. inf, 1 nan ");
    reel_constant(look_tape, REEL_SHAPE(2), REEL_F16_VALUES(NAN, NAN));
    look_has_line(look_at_tape(), "f16 [2] nan ");
    reel_constant(look_tape, REEL_SHAPE(0, 2), reel_fill(REEL_U8, 1));
    look_has_line(look_at_tape(), "u8 [0,2] empty ");
    reel_constant(look_tape, REEL_SHAPE(2), REEL_I64_VALUES(-1234567, 12345678));
    look_has(look_at_tape(), "-1234567 .. 12345678 ");
    reel_constant(look_tape, REEL_SHAPE(2), REEL_F64_VALUES(-123456.7, 12345678));
    look_has(look_at_tape(), "-123500 .. 1.235e7 ");
    reel_constant(look_tape, REEL_SHAPE(2), REEL_F64_VALUES(.000123456, 9.9999));
    look_has(look_at_tape(), "0.0001235 .. 10 ");
    float theirs[4] = {1, 9, 2, 9};
    reel_wrap(look_tape, .dtype = REEL_F32, .shape = REEL_SHAPE(2), .data = theirs,
              .strides = (int64_t[]){2});
    look_has(look_at_tape(), "1 .. 2 ");
    look_has(look_at_tape(), " wrapped ");
    look_has(look_at_tape(), "7 nodes, ");
}
END_TEST

START_TEST(look_views_and_updates)
{
    look_model m = look_record();
    reel_tensor gradient, rate = reel_constant(look_tape, REEL_SHAPE(), REEL_F32_VALUES(.5));
    reel_gradient(m.loss, REEL_TENSORS(m.w), &gradient, .final = true);
    reel_tensor row = reel_reshape(m.w, REEL_SHAPE(1, 2));
    reel_sgd(.parameters = REEL_TENSORS(m.w), .gradients = REEL_TENSORS(gradient), .learning_rate = rate);
    const char *text = look_at_tape();
    look_has(text, " view ");
    look_has(text, "memory used again");
    look_has(text, "sgd ");
    ck_assert(reel_is_valid(row));
    ck_assert_msg(!reel_failed(look_tape), "%s", reel_error_message(look_tape));
}
END_TEST

/* d(x 2 + x 3) = 3 + 2: the 3 lends its memory to the sum, and the 2 has no more use for its own. */
START_TEST(look_lent_memory)
{
    reel_tensor x = reel_variable(look_tape, REEL_SHAPE(), reel_fill(REEL_F64, 1)), gradient;
    reel_tensor two = reel_constant(look_tape, REEL_SHAPE(), reel_fill(REEL_F64, 2));
    reel_tensor three = reel_constant(look_tape, REEL_SHAPE(), reel_fill(REEL_F64, 3));
    reel_gradient(reel_add(reel_mul(x, two), reel_mul(x, three)), REEL_TENSORS(x), &gradient);
    ck_assert(reel_item(gradient) == 5);
    const char *at = strstr(look_at_tape(), "memory used again");
    ck_assert(at && (at = strstr(at + 1, "memory used again")) && !strstr(at + 1, "memory used again"));
}
END_TEST

static bool look_two_shape(reel_call *call, reel_output *out)
{
    out[0].dtype = out[1].dtype = call->in->dtype;
    return true;
}

static bool look_two_forward(const reel_call *call)
{
    *(double *)call->out[0].data = *(const double *)call->in->data;
    *(double *)call->out[1].data = -*(const double *)call->in->data;
    return true;
}

static void look_two_vjp(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[])
{
    (void)wanted;
    (void)call;
    dx[0] = dy[0].tape ? dy[0] : reel_neg(dy[1]);
}

static const reel_op look_two = {
    .size = sizeof(reel_op), .name = "two", .inputs = 1, .outputs = 2, .shape = look_two_shape,
    .forward = look_two_forward, .vjp = look_two_vjp,
};

START_TEST(look_outputs_are_numbered)
{
    reel_tensor x = reel_variable(look_tape, REEL_SHAPE(), REEL_F64_VALUES(2)), both[2];
    reel_apply(&look_two, REEL_TENSORS(x), NULL, both, 2);
    look_has_line(look_at_tape(), "two:0 1 f64 [] 2 ");
    look_has_line(look_at_tape(), "two:1 1 f64 [] -2 ");
}
END_TEST

START_TEST(look_gradients_are_known_until_rewound)
{
    look_model m = look_record();
    look_has(look_at_tape(), "not computed");
    reel_tensor gradient;
    reel_gradient(m.loss, REEL_TENSORS(m.product), &gradient);
    look_has_line(look_at_tape(), " 4 mul 1 3 f32 [2] -1 .. 3 -1 .. 3 ");
    look_has_line(look_at_tape(), " 1 \"w\" variable f32 [2] -2 .. 1 not computed ");
    reel_tape_rewind(look_tape, m.to);
    look_has_line(look_at_tape(), " 4 mul 1 3 f32 [2] -1 .. 3 not computed ");
    for (int i = 0; i < 20; i++)
        reel_constant(look_tape, REEL_SHAPE(2), reel_fill(REEL_F32, 77));
    look_has_line(look_at_tape(), " 4 mul 1 3 f32 [2] -1 .. 3 not computed ");
}
END_TEST

START_TEST(look_pruned_sections_show_what_is_kept)
{
    look_model m = look_record();
    reel_tensor aside = reel_exp(m.product);
    reel_section whole = reel_tape_section(m.from, reel_tape_mark(look_tape));
    const char *text = look_at_section(reel_section_prune(whole, REEL_TENSORS(aside)));
    look_has(text, " exp ");
    look_has_not(text, " mean ");
    look_has(text, "3 nodes, ");
}
END_TEST

/* x / y where a division by 0 is an error, so that a replay can fail. */
static bool look_picky_forward(const reel_call *call)
{
    if (*(const double *)call->in->data == 0)
        return reel_call_error(call, "x is 0");
    *(double *)call->out->data = 1 / *(const double *)call->in->data;
    return true;
}

static bool look_picky_shape(reel_call *call, reel_output *out)
{
    out->dtype = call->in->dtype;
    return true;
}

static const reel_op look_picky = {
    .size = sizeof(reel_op), .name = "picky", .inputs = 1, .outputs = 1, .shape = look_picky_shape,
    .forward = look_picky_forward,
};

START_TEST(look_after_a_failure)
{
    reel_tensor x = reel_variable(look_tape, REEL_SHAPE(), REEL_F64_VALUES(2)), y;
    reel_mark from = reel_tape_mark(look_tape);
    reel_apply(&look_picky, REEL_TENSORS(x), NULL, &y, 1);
    reel_exp(y);
    reel_section section = reel_tape_section(from, reel_tape_mark(look_tape));
    reel_write(x, REEL_F64_VALUES(0));
    ck_assert(!reel_tape_replay(section));
    look_has_line(look_at_section(section), "picky 1 f64 [] not computed ");
    look_has_line(look_at_section(section), "exp 2 f64 [] not computed ");
    look_has_line(look_at_tape(), "variable f64 [] 0 ");
    look_has(look_at_drawing(section), "n2 [label=\"picky [] f64\\lnot computed\\l"
                                       "gradient: not computed\\l\", color=red");
    ck_assert(reel_print_section(section) && reel_print_tape(look_tape));
    ck_assert(reel_draw_section(section, "drawing"));
    ck_assert(reel_failed(look_tape));
    look_has(look_printed(), "not computed");
}
END_TEST


/* ---- Drawings ------------------------------------------------------------------------------------ */

START_TEST(look_drawing)
{
    look_model m = look_record();
    reel_tensor gradient;
    reel_gradient(m.loss, REEL_TENSORS(m.w), &gradient);
    reel_section section = reel_tape_section(m.from, m.to);
    const char *want =
        "digraph tape {\n"
        "    node [shape=box, style=filled, fontname=\"monospace\", fontsize=10];\n"
        "    edge [color=\"#505050\", fontname=\"monospace\", fontsize=8, labeldistance=1.5];\n"
        "    n3 [label=\"constant [2] f32\\l[3.  0.5]\\l\", fillcolor=\"#f5f0dc\"];\n"
        "    n1 [label=\"\\\"w\\\"\\lvariable [2] f32\\l[ 1. -2.]\\lgradient\\l[ 9.  -0.5]\\l\", "
        "fillcolor=\"#e6e6e6\"];\n"
        "    n4 [label=\"mul [2] f32\\l[ 3. -1.]\\lgradient\\l[ 3. -1.]\\l\", fillcolor=white];\n"
        "    n1 -> n4 [headlabel=\"1\"];\n"
        "    n3 -> n4 [headlabel=\"2\"];\n"
        "    n5 [label=\"mul [2] f32\\l[9. 1.]\\lgradient\\l[0.5 0.5]\\l\", fillcolor=white];\n"
        "    n4 -> n5 [headlabel=\"1\"];\n"
        "    n4 -> n5 [headlabel=\"2\"];\n"
        "    n6 [label=\"\\\"loss\\\"\\lmean [] f32\\l5.0\\lgradient\\l1.0\\l\", fillcolor=white];\n"
        "    n5 -> n6;\n"
        "}\n";
    ck_assert_str_eq(look_at_drawing(section), want);
    ck_assert(reel_draw_section(section, "step.dot"));
    ck_assert_str_eq(test_files_text(&look_files, "step.dot"), want);
    look_has_line(look_at_section(section), "-1 .. 3 -1 .. 3 ");
}
END_TEST

START_TEST(look_drawing_of_odd_things)
{
    reel_mark from = reel_tape_mark(look_tape);
    reel_tensor w = reel_name(reel_variable(look_tape, REEL_SHAPE(100), reel_fill(REEL_F32, .5)), "a \"b\\c");
    reel_tensor rate = reel_constant(look_tape, REEL_SHAPE(), REEL_F32_VALUES(.5));
    reel_tensor g = reel_constant(look_tape, REEL_SHAPE(100), reel_fill(REEL_F32, .5));
    reel_sgd(.parameters = REEL_TENSORS(w), .gradients = REEL_TENSORS(g), .learning_rate = rate);
    const char *text = look_at_drawing(reel_tape_section(from, reel_tape_mark(look_tape)));
    look_has(text, "n1 [label=\"\\\"a \\\"b\\\\c\\\"\\lvariable [100] f32\\l0.25\\l"
                   "gradient: not computed\\l\"");
    look_has(text, "n4 -> n1 [style=dashed, constraint=false];\n");
    look_has(text, "n4 [label=\"sgd\\l\"");
}
END_TEST

START_TEST(look_drawing_where_files_fail)
{
    look_model m = look_record();
    reel_section section = reel_tape_section(m.from, m.to);
    reel_draw_section(section, "step.dot");
    uint64_t calls = look_files.calls;
    reel_mark mark = reel_tape_mark(look_tape);
    for (uint64_t call = 1; call <= calls; call++) {
        look_files.calls = 0;
        look_files.fail_at = call;
        ck_assert(!reel_draw_section(section, "step.dot"));
        look_has(reel_error_message(look_tape), "test_look.c");
        look_has(reel_error_message(look_tape), "draw: step.dot cannot be written");
        ck_assert_int_eq(look_files.open, 0);
        ck_assert(reel_tape_rewind(look_tape, mark) && reel_error_clear(look_tape));
    }
    look_files.fail_at = 0;
    ck_assert(!reel_draw_section(section, NULL));
}
END_TEST


/* ---- Step by step -------------------------------------------------------------------------------- */

START_TEST(look_steps_as_text)
{
    look_model m = look_record();
    reel_tensor gradient;
    reel_watch(look_tape, reel_print_step, NULL);
    ck_assert(reel_gradient(m.loss, REEL_TENSORS(m.w), &gradient));
    ck_assert_str_eq(look_plain(look_printed(), false),
        "step 1: mean, recorded at here\n"
        "    y = sum x / n; dx = dy / n, stretched\n"
        "    the gradient of \"loss\" is\n"
        "        1.0\n"
        "    it begins the gradient of %5 (mul) with\n"
        "        [0.5 0.5]\n"
        "step 2: mul, recorded at here\n"
        "    y = a b; da = dy b, db = dy a\n"
        "    the gradient of %5 (mul) is\n"
        "        [0.5 0.5]\n"
        "    it begins the gradient of %4 (mul) with\n"
        "        [ 1.5 -0.5]\n"
        "    it adds to the gradient of %4 (mul)\n"
        "        [ 1.5 -0.5]\n"
        "step 3: mul, recorded at here\n"
        "    y = a b; da = dy b, db = dy a\n"
        "    the gradient of %4 (mul) is\n"
        "        [ 3. -1.]\n"
        "    it begins the gradient of \"w\" with\n"
        "        [ 9.  -0.5]\n");
    reel_watch(look_tape, NULL, NULL);
    size_t length = strlen(look_printed());
    ck_assert(reel_gradient(m.loss, REEL_TENSORS(m.w), &gradient));
    ck_assert_uint_eq(strlen(look_printed()), length);
}
END_TEST

START_TEST(look_steps_of_two_outputs)
{
    reel_tensor x = reel_variable(look_tape, REEL_SHAPE(), REEL_F64_VALUES(2)), both[2], gradient;
    reel_apply(&look_two, REEL_TENSORS(x), NULL, both, 2);
    reel_watch(look_tape, reel_print_step, NULL);
    ck_assert(reel_gradient(both[1], REEL_TENSORS(x), &gradient));
    look_has(look_printed(), "    the gradient of %2 (two:0) is zero\n"
                             "    the gradient of %3 (two:1) is\n        1.0\n"
                             "    it begins the gradient of %1 (variable) with\n        -1.0\n");
}
END_TEST

/* Counts the calls, checks their order, and stops at one of them. */
typedef struct look_watched {
    int calls, stop_at;
    int wrong;
} look_watched;

static bool look_watcher(void *user, const reel_step *step)
{
    look_watched *w = user;
    w->wrong += step->number != w->calls / 2 + 1 || (step->added != NULL) != w->calls % 2;
    w->wrong += !step->incoming[0].node || !step->file || step->inputs != (int)strlen(step->op->name) - 2;
    for (int i = 0; step->added && i < step->inputs; i++)
        w->wrong += step->added[i].node && reel_count(step->added[i]) != reel_count(step->input[i]);
    return ++w->calls != w->stop_at;
}

START_TEST(look_watchers)
{
    reel_tensor x = reel_variable(look_tape, REEL_SHAPE(3), reel_fill(REEL_F64, 1)), gradient;
    reel_tensor y = reel_tanh(reel_exp(x));
    look_watched w = {.stop_at = -1};
    (void)y;
    reel_tensor z = reel_exp(reel_neg(x));
    reel_watch(look_tape, look_watcher, &w);
    ck_assert(reel_gradient(z, REEL_TENSORS(x), &gradient));
    ck_assert_int_eq(w.calls, 4);
    ck_assert_int_eq(w.wrong, 0);
    for (int stop = 1; stop <= 4; stop++) {
        w = (look_watched){.stop_at = stop};
        reel_mark mark = reel_tape_mark(look_tape);
        ck_assert(!reel_gradient(z, REEL_TENSORS(x), &gradient));
        ck_assert(!reel_is_valid(gradient));
        ck_assert_int_eq(w.calls, stop);
        look_has(reel_error_message(look_tape), stop > 2 ? "gradient: the watcher stopped it at neg at"
                                                         : "gradient: the watcher stopped it at exp at");
        ck_assert(reel_tape_rewind(look_tape, mark) && reel_error_clear(look_tape));
        ck_assert_uint_eq(reel_tape_mark(look_tape).nodes, mark.nodes);
    }
}
END_TEST


/* ---- Plots --------------------------------------------------------------------------------------- */

static const double look_x[] = {1, 10, 100, 1000, 1e4}, look_y[] = {.5, NAN, 2, -3, 2};

static reel_plot look_plot(const reel_plot_series *series)
{
    return (reel_plot){.title = "a < b & c", .x = {.label = "x", .logarithmic = true}, .y = {.label = "y"},
                       .series = series, .count = 1};
}

static const char *look_drawn(reel_plot *plot)
{
    ck_assert_msg(reel_plot_svg(plot, "plot.svg", &look_files.io), "%s", plot->error);
    ck_assert_str_eq(plot->error, "");
    ck_assert_int_eq(look_files.open, 0);
    return test_files_text(&look_files, "plot.svg");
}

static int look_count(const char *text, const char *wanted)
{
    int count = 0;
    for (; (text = strstr(text, wanted)); text++)
        count++;
    return count;
}

START_TEST(look_plot_breaks_lines)
{
    reel_plot_series series = {.name = "one", .x = look_x, .y = look_y, .count = 5,
                               .style = REEL_PLOT_LINE_AND_DOTS};
    reel_plot plot = look_plot(&series);
    const char *text = look_drawn(&plot);
    look_has(text, "a &lt; b &amp; c");
    look_has(text, ">one</text>");
    look_has(text, "10<tspan dy=\"-6\" font-size=\"11\">4</tspan>");
    ck_assert_int_eq(look_count(text, "<polyline"), 2);
    ck_assert_int_eq(look_count(text, "<circle"), 4 + 1);      /* one in the legend */
    plot.y.logarithmic = true;
    text = look_drawn(&plot);
    ck_assert_int_eq(look_count(text, "<polyline"), 3);
    ck_assert_int_eq(look_count(text, "<circle"), 3 + 1);
    ck_assert_int_eq(look_count(text, "<svg"), look_count(text, "</svg>"));
    ck_assert_int_eq(look_count(text, "<text"), look_count(text, "</text>"));
}
END_TEST

START_TEST(look_plot_names_and_ranges)
{
    static const char *const name[] = {"first", "second", "third"};
    const double at[] = {0, 1, 2}, huge[] = {-1e300, 5e-7, 1e300};
    reel_plot_series series = {.x = at, .y = huge, .count = 3};
    reel_plot plot = look_plot(&series);
    plot.x = (reel_plot_axis){.names = name, .name_count = 3};
    plot.y = (reel_plot_axis){.low = 0, .high = 1e-6};
    const char *text = look_drawn(&plot);
    look_has(text, ">second</text>");
    look_has(text, ">2e-7</text>");
    look_has(text, ">0</text>");
    look_has_not(text, "nan");
    look_has_not(text, "inf");
}
END_TEST

/* Nothing, one point, the same value over and over: there is still a picture. */
START_TEST(look_plot_of_little)
{
    const double same[] = {7, 7, 7}, odd[] = {NAN, INFINITY, -1};
    reel_plot_series series = {.x = same, .y = same, .count = 3};
    reel_plot plot = {.series = &series, .count = 1};
    look_has(look_drawn(&plot), "<polyline");
    series.count = 0;
    look_has(look_drawn(&plot), "</svg>");
    plot.count = 0;
    look_has_not(look_drawn(&plot), "nan");
    series = (reel_plot_series){.x = odd, .y = odd, .count = 3};
    plot.count = 1;
    plot.y.logarithmic = true;
    look_has_not(look_drawn(&plot), "nan");
}
END_TEST

START_TEST(look_plot_where_files_fail)
{
    reel_plot_series series = {.x = look_x, .y = look_y, .count = 5};
    reel_plot plot = look_plot(&series);
    look_drawn(&plot);
    uint64_t calls = look_files.calls;
    ck_assert_uint_ge(calls, 3);
    for (uint64_t call = 1; call <= calls; call++) {
        test_files_end(&look_files);
        test_files_start(&look_files);
        look_files.fail_at = call;
        ck_assert(!reel_plot_svg(&plot, "plot.svg", &look_files.io));
        look_has(plot.error, "plot.svg: ");
        ck_assert_int_eq(look_files.open, 0);
    }
    ck_assert(!reel_plot_svg(&plot, NULL, NULL));
    ck_assert(!reel_plot_svg(&plot, "/there/is/no/such/folder/plot.svg", NULL));
}
END_TEST


/* ---- Limits -------------------------------------------------------------------------------------- */

START_TEST(look_at_nothing)
{
    ck_assert_str_eq(look_plain(look_at_tape(), false),
        "node  name  op  inputs  type  values                    gradient                  bytes  recorded at\n"
        "0 nodes, 0 bytes of values\n");
    reel_mark mark = reel_tape_mark(look_tape);
    look_has(look_at_drawing(reel_tape_section(mark, mark)), "digraph tape {");
    ck_assert(!reel_print_tape(NULL));
    ck_assert_uint_eq(reel_format_tape(NULL, NULL, 0), 0);
    reel_watch(NULL, look_watcher, NULL);
    reel_exp(reel_variable(look_tape, REEL_SHAPE(), REEL_F32_VALUES(1)));
    reel_section gone = reel_tape_section(mark, reel_tape_mark(look_tape));
    reel_tape_rewind(look_tape, mark);
    ck_assert(!reel_print_section(gone));
    look_has(reel_error_message(look_tape), "print: the section is not on the tape");
}
END_TEST

START_TEST(look_without_memory)
{
    test_memory memory = {0};
    test_report report = {0};
    reel_tape *tape = test_tape_on(&memory, .io = &look_files.io);
    reel_tensor x = reel_variable(tape, REEL_SHAPE(500), reel_fill(REEL_F64, 1.0 / 3));
    reel_mark mark = reel_tape_mark(tape);
    memory.fail_at = memory.requests + 1;
    memory.fail_on = true;
    ck_assert(!reel_print(x) && !reel_print_tape(tape));
    look_has(reel_error_message(tape), "print: out of memory");
    ck_assert(reel_tape_rewind(tape, mark) && reel_error_clear(tape));
    memory.fail_at = 0;
    ck_assert(reel_print(x) && reel_print_tape(tape));
    reel_tape_free(tape);
    test_memory_check(&memory, &report);
    test_assert_clean(&report);
}
END_TEST

static TCase *look_case(Suite *suite, const char *name)
{
    TCase *c = tcase_create(name);
    tcase_add_checked_fixture(c, look_setup, look_teardown);
    tcase_set_timeout(c, 60);
    suite_add_tcase(suite, c);
    return c;
}

Suite *reel_suite_look(void);

Suite *reel_suite_look(void)
{
    Suite *suite = suite_create("look");
    TCase *c = look_case(suite, "tensors");
    tcase_add_loop_test(c, look_layouts, 0, (int)(sizeof layout_cases / sizeof *layout_cases));
    tcase_add_test(c, look_long_lines_wrap);
    tcase_add_test(c, look_many_elements_are_left_out);
    tcase_add_test(c, look_views_print_what_they_show);
    c = look_case(suite, "tables");
    tcase_add_test(c, look_table);
    tcase_add_test(c, look_values_in_few_words);
    tcase_add_test(c, look_views_and_updates);
    tcase_add_test(c, look_lent_memory);
    tcase_add_test(c, look_outputs_are_numbered);
    tcase_add_test(c, look_gradients_are_known_until_rewound);
    tcase_add_test(c, look_pruned_sections_show_what_is_kept);
    tcase_add_test(c, look_after_a_failure);
    c = look_case(suite, "drawings");
    tcase_add_test(c, look_drawing);
    tcase_add_test(c, look_drawing_of_odd_things);
    tcase_add_test(c, look_drawing_where_files_fail);
    c = look_case(suite, "steps");
    tcase_add_test(c, look_steps_as_text);
    tcase_add_test(c, look_steps_of_two_outputs);
    tcase_add_test(c, look_watchers);
    c = look_case(suite, "plots");
    tcase_add_test(c, look_plot_breaks_lines);
    tcase_add_test(c, look_plot_names_and_ranges);
    tcase_add_test(c, look_plot_of_little);
    tcase_add_test(c, look_plot_where_files_fail);
    c = look_case(suite, "limits");
    tcase_add_test(c, look_at_nothing);
    tcase_add_test(c, look_without_memory);
    return suite;
}
