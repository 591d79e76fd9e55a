/* A model's parameters by name, saved and loaded, and training that goes on from a file.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/files.h"

#include <stdio.h>
#include <string.h>

typedef struct parameters_model {
    reel_tape      *tape;
    reel_parameters parameters;
    reel_tensor     w, b, step, rate;
    float           strided[12];
} parameters_model;

/* w is strided, so that it does not lie as it will in the file. */
static void parameters_model_open(parameters_model *m, double value)
{
    *m = (parameters_model){.tape = reel_tape_new(), .parameters = TEST_FILES_OBJECT()};
    for (int i = 0; i < 12; i++)
        m->strided[i] = (float)(value + i);
    m->w = reel_parameters_add(&m->parameters, "layer.w",
                               reel_wrap(m->tape, .dtype = REEL_F32, .shape = REEL_SHAPE(3, 2),
                                         .data = m->strided, .strides = (int64_t[]){1, 6}, .variable = true));
    m->b = reel_parameters_add(&m->parameters, "layer.b",
                               reel_variable(m->tape, REEL_SHAPE(2), reel_fill(REEL_BF16, value)));
    m->step = reel_parameters_add_state(&m->parameters, "step",
                                        reel_constant(m->tape, REEL_SHAPE(), reel_fill(REEL_I64, value)));
    ck_assert_msg(!reel_failed(m->tape), "%s", reel_error_message(m->tape));
}

static void parameters_model_close(parameters_model *m)
{
    reel_parameters_free(&m->parameters);
    reel_tape_free(m->tape);
}

START_TEST(parameters_are_listed)
{
    parameters_model m;
    parameters_model_open(&m, 1);
    ck_assert_uint_eq(m.parameters.count, 3);
    ck_assert_uint_eq(m.parameters.trained.count, 2);
    ck_assert_int_eq(reel_parameters_elements(&m.parameters), 8);
    ck_assert_uint_eq(reel_parameters_find(&m.parameters, "layer.b").node, m.b.node);
    ck_assert_ptr_null(reel_parameters_find(&m.parameters, "layer").tape);
    ck_assert_str_eq(reel_name_of(m.w), "layer.w");
    ck_assert_uint_eq(reel_parameters_freeze(&m.parameters, "layer.w", true), 1);
    ck_assert_int_eq(reel_parameters_elements(&m.parameters), 2);
    ck_assert_uint_eq(m.parameters.trained.tensor[0].node, m.b.node);
    test_files out;
    test_files_start(&out);
    ck_assert(reel_parameters_print(&m.parameters, &out.io));
    ck_assert_str_eq(test_files_text(&out, "stdout"),
                     "\"layer.w\" [3,2] f32  6  frozen\n\"layer.b\" [2] bf16  2\n"
                     "\"step\" [] i64  1  state\n");
    test_files_end(&out);
    ck_assert_uint_eq(reel_parameters_freeze(&m.parameters, "", false), 3);
    ck_assert_int_eq(reel_parameters_elements(&m.parameters), 8);
    for (int i = 0; i < 40; i++) {
        char name[16];
        snprintf(name, sizeof name, "more.%d", i);
        reel_parameters_add(&m.parameters, name, reel_init_zeros(m.tape, REEL_SHAPE(i), REEL_F32));
    }
    ck_assert_int_eq(reel_parameters_elements(&m.parameters), 8 + 39 * 40 / 2);
    parameters_model_close(&m);
}
END_TEST

START_TEST(parameters_refuse_bad_names)
{
    char long_name[REEL_PARAMETER_NAME + 1];
    memset(long_name, 'x', REEL_PARAMETER_NAME);
    long_name[REEL_PARAMETER_NAME] = 0;
    const char *bad[] = {"layer.w", "", "\xff", long_name};
    for (int i = 0; i < 5; i++) {
        parameters_model m;
        parameters_model_open(&m, 1);
        reel_tensor x = i < 4 ? reel_init_zeros(m.tape, REEL_SHAPE(2), REEL_F32) : REEL_NONE;
        ck_assert(!reel_is_valid(reel_parameters_add(&m.parameters, i < 4 ? bad[i] : "none", x)));
        ck_assert_str_ne(m.parameters.error, "");
        ck_assert(i == 4 || strstr(reel_error_message(m.tape), "files_parameters.c:"));
        ck_assert_uint_eq(m.parameters.count, 3);
        parameters_model_close(&m);
    }
}
END_TEST

START_TEST(parameters_are_saved_and_loaded)
{
    parameters_model m, n;
    const char *path = test_folder_path("model.safetensors");
    parameters_model_open(&m, 1);
    parameters_model_open(&n, 100);
    ck_assert_msg(reel_parameters_save(&m.parameters, path, NULL), "%s", m.parameters.error);
    ck_assert_msg(reel_parameters_load(&n.parameters, path, NULL), "%s", n.parameters.error);
    double want[6], got[6];
    ck_assert(reel_read_f64(m.w, want, 6) && reel_read_f64(n.w, got, 6));
    ck_assert_mem_eq(got, want, sizeof want);
    ck_assert(got[1] == 7 && got[2] == 2);
    ck_assert(n.strided[0] == 1 && n.strided[3] == 103);
    ck_assert(reel_item(n.step) == 1 && reel_read_f64(n.b, got, 2) && got[1] == 1);
    parameters_model_close(&m);
    parameters_model_close(&n);
}
END_TEST

static void parameters_expect(parameters_model *m, const char *path, const char *text)
{
    double w[6];
    ck_assert(!reel_parameters_load(&m->parameters, path, NULL));
    ck_assert_msg(strstr(m->parameters.error, text) && strstr(m->parameters.error, path),
                  "\"%s\" does not say \"%s\"", m->parameters.error, text);
    ck_assert(reel_read_f64(m->w, w, 6) && w[0] == 100 && reel_item(m->step) == 100);
}

START_TEST(parameters_must_be_those_of_the_file)
{
    parameters_model m, n;
    const char *path = test_folder_path("model.safetensors");
    parameters_model_open(&m, 1);
    parameters_model_open(&n, 100);
    ck_assert(reel_parameters_save(&m.parameters, path, NULL));
    reel_parameters_add(&n.parameters, "more", reel_init_zeros(n.tape, REEL_SHAPE(2), REEL_F32));
    parameters_expect(&n, path, "there is no \"more\" in it");
    n.parameters.partial = true;
    ck_assert(reel_parameters_load(&n.parameters, path, NULL));
    ck_assert_double_eq(reel_item(n.step), 1);
    reel_write(n.step, reel_fill(REEL_I64, 100));
    reel_write(n.w, reel_fill(REEL_F32, 100));
    n.parameters.partial = false;
    reel_parameters_add(&m.parameters, "more", reel_init_zeros(m.tape, REEL_SHAPE(2, 1), REEL_F32));
    ck_assert(reel_parameters_save(&m.parameters, path, NULL));
    parameters_expect(&n, path, "its \"more\" has another dtype (f32) or shape than \"more\" [2] f32");
    parameters_model_close(&n);
    parameters_model_open(&n, 100);
    parameters_expect(&n, path, "\"more\" is not among the parameters");
    parameters_expect(&n, test_folder_path("missing"), "cannot be opened: no such file or folder");
    n.parameters.partial = true;
    ck_assert(reel_parameters_load(&n.parameters, path, NULL));
    parameters_model_close(&n);
    parameters_model_close(&m);
}
END_TEST

/* Training from step `from` to step 10, through a file at step 5 where there is one. */
static void parameters_train(const char *load, const char *save, float end[8])
{
    reel_tape *tape = reel_tape_new_with(.seed = 11);
    reel_parameters p = TEST_FILES_OBJECT();
    reel_tensor w = reel_parameters_add(&p, "w", reel_init_he_normal(tape, REEL_SHAPE(4, 2), REEL_F32));
    reel_tensor state = reel_parameters_add_state(&p, "w.adam", reel_optimiser_state(w, 2));
    reel_tensor step =
        reel_parameters_add_state(&p, "step", reel_constant(tape, REEL_SHAPE(), REEL_I64_VALUES(0)));
    reel_tensor rate = reel_constant(tape, REEL_SHAPE(), reel_fill(REEL_F64, 0)), g;
    reel_schedule schedule = {REEL_SCHEDULE_COSINE, .1, .steps = 10, .warm_up = 3};
    if (load)
        ck_assert_msg(reel_parameters_load(&p, load, NULL), "%s", p.error);
    reel_mark mark = reel_tape_mark(tape);
    for (int64_t t = (int64_t)reel_item(step); t < 10; t++) {
        reel_schedule_write(&schedule, t, rate);
        reel_gradient(reel_sum(reel_log_softmax(reel_tanh(w), 0)), p.trained, &g);
        reel_adamw(.parameters = p.trained, .gradients = REEL_TENSORS(g), .states = REEL_TENSORS(state),
                   .learning_rate = rate);
        reel_tape_rewind(tape, mark);
        reel_write(step, reel_fill(REEL_I64, (double)(t + 1)));
        if (save && t == 4)
            ck_assert_msg(reel_parameters_save(&p, save, NULL), "%s", p.error);
    }
    ck_assert_msg(reel_read(w, end, 8 * sizeof *end), "%s", reel_error_message(tape));
    reel_parameters_free(&p);
    reel_tape_free(tape);
}

START_TEST(training_goes_on_from_a_file)
{
    float straight[8], resumed[8];
    parameters_train(NULL, test_folder_path("checkpoint"), straight);
    parameters_train(test_folder_path("checkpoint"), NULL, resumed);
    ck_assert_mem_eq(straight, resumed, sizeof straight);
}
END_TEST


void test_files_parameters(Suite *suite)
{
    TCase *parameters = tcase_create("parameters");
    tcase_add_checked_fixture(parameters, test_files_set_up, test_files_tear_down);
    tcase_add_test(parameters, parameters_are_listed);
    tcase_add_test(parameters, parameters_refuse_bad_names);
    tcase_add_test(parameters, parameters_are_saved_and_loaded);
    tcase_add_test(parameters, parameters_must_be_those_of_the_file);
    tcase_add_test(parameters, training_goes_on_from_a_file);
    suite_add_tcase(suite, parameters);
}
