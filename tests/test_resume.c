/* A training that is stopped after any step, and gone on with from its checkpoint by another process's means
 * (a new tape, other initial values, other batches), ends with the same bits as one that ran straight
 * through: with shuffled and augmented batches, a schedule, dropout, and each optimiser; recorded anew at
 * each step or replayed.
 *
 * The checkpoint is one .safetensors file of leaves: parameters, what the optimiser remembers, the key of the
 * dropout, and the place among the batches.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/files.h"

#include <reel_train.h>

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

Suite *reel_suite_resume(void);

/* 19 images of 2 x 6 x 5 in three classes; batches of 4: five steps an epoch, the last of three. */
enum { RESUME_IMAGES = 19, RESUME_CHANNELS = 2, RESUME_HEIGHT = 6, RESUME_WIDTH = 5, RESUME_CLASSES = 3,
       RESUME_VALUES = RESUME_CHANNELS * RESUME_HEIGHT * RESUME_WIDTH, RESUME_BATCH = 4, RESUME_EPOCHS = 3,
       RESUME_STEPS = 5 * RESUME_EPOCHS, RESUME_FILTERS = 4, RESUME_HIDDEN = RESUME_FILTERS * 3 * 2,
       RESUME_TRAINED = 4 };

enum resume_optimiser { RESUME_SGD, RESUME_RMSPROP, RESUME_ADAM, RESUME_ADAMW, RESUME_OPTIMISERS };

typedef struct resume_manner {
    enum resume_optimiser optimiser;
    bool                  replays, prefetch;
} resume_manner;

typedef struct resume_job {
    resume_manner   manner;
    reel_tape      *tape;
    reel_parameters parameters;
    reel_tensor     kernels, channel_bias, weights, bias;
    reel_tensor     state[RESUME_TRAINED], key, place, rate;
    reel_batches    batches;
    reel_section    section[2];                     /* of whole batches, of the smaller last one   */
    bool            recorded[2];
} resume_job;

static uint8_t resume_records[RESUME_IMAGES * (1 + RESUME_VALUES)];
static const reel_images resume_images = {RESUME_IMAGES, RESUME_CHANNELS, RESUME_HEIGHT, RESUME_WIDTH,
                                          resume_records, 0};
static reel_standardisation resume_by;

static void resume_set_up(void)
{
    test_files_set_up();
    for (int i = 0; i < RESUME_IMAGES * (1 + RESUME_VALUES); i++)
        resume_records[i] = (uint8_t)(i % (1 + RESUME_VALUES) ? (int)((uint32_t)i * 2654435761u >> 24)
                                                              : i / (1 + RESUME_VALUES) % RESUME_CLASSES);
    ck_assert(reel_standardise(&resume_by, &resume_images));
}

static void resume_make(resume_job *job, uint64_t seed)
{
    reel_parameters *p = &job->parameters;
    reel_tape *tape = job->tape = reel_tape_new_with(.seed = seed);
    job->kernels = reel_parameters_add(
        p, "kernels", reel_init_he_normal(tape, REEL_SHAPE(RESUME_FILTERS, RESUME_CHANNELS, 3, 3), REEL_F32));
    job->channel_bias =
        reel_parameters_add(p, "channel_bias", reel_init_zeros(tape, REEL_SHAPE(RESUME_FILTERS), REEL_F32));
    job->weights = reel_parameters_add(
        p, "weights", reel_init_glorot_uniform(tape, REEL_SHAPE(RESUME_HIDDEN, RESUME_CLASSES), REEL_F32));
    job->bias = reel_parameters_add(p, "bias", reel_init_zeros(tape, REEL_SHAPE(RESUME_CLASSES), REEL_F32));
    for (int i = 0; i < RESUME_TRAINED; i++) {
        reel_tensor w = p->parameter[i].tensor;
        job->state[i] = job->manner.optimiser == RESUME_SGD
                            ? reel_constant(tape, reel_shape_of(w), reel_fill(REEL_F32, 0))
                            : reel_optimiser_state(w, job->manner.optimiser == RESUME_ADAMW ? 3 : 2);
    }
    for (int i = 0; i < RESUME_TRAINED; i++) {
        char name[16];
        snprintf(name, sizeof name, "state%d", i);
        reel_parameters_add_state(p, name, job->state[i]);
    }
    job->key = reel_parameters_add_state(p, "key", reel_random_key(tape, seed));
    job->place = reel_parameters_add_state(p, "place",
                                           reel_constant(tape, REEL_SHAPE(4), reel_fill(REEL_I64, 0)));
    job->rate = reel_constant(tape, REEL_SHAPE(), reel_fill(REEL_F32, 0));
    ck_assert_msg(!reel_failed(tape), "%s", reel_error_message(tape));
}

static void resume_update(resume_job *job, const reel_tensor gradient[])
{
    reel_tensors parameters = job->parameters.trained, gradients = reel_tensors_of(gradient, RESUME_TRAINED),
                 states = reel_tensors_of(job->state, RESUME_TRAINED);
    switch (job->manner.optimiser) {
    case RESUME_SGD:
        reel_sgd(.parameters = parameters, .gradients = gradients, .velocities = states,
                 .learning_rate = job->rate, .momentum = .9, .nesterov = true, .weight_decay = .01);
        break;
    case RESUME_RMSPROP:
        reel_rmsprop(.parameters = parameters, .gradients = gradients, .states = states,
                     .learning_rate = job->rate, .momentum = .5);
        break;
    case RESUME_ADAM:
        reel_adam(.parameters = parameters, .gradients = gradients, .states = states,
                  .learning_rate = job->rate);
        break;
    default:
        reel_adamw(.parameters = parameters, .gradients = gradients, .states = states,
                   .learning_rate = job->rate, .amsgrad = true);
    }
}

static void resume_record(resume_job *job)
{
    const reel_batches *b = &job->batches;
    reel_tensor gradient[RESUME_TRAINED];
    reel_tensor x = reel_wrap(job->tape, .dtype = REEL_F32, .data = b->values,
                              .shape = REEL_SHAPE(b->count, RESUME_CHANNELS, RESUME_HEIGHT, RESUME_WIDTH));
    reel_tensor labels = reel_wrap(job->tape, .dtype = REEL_I32, .shape = REEL_SHAPE(b->count),
                                   .data = b->labels);
    reel_tensor h = reel_relu(reel_conv2d(x, job->kernels, .bias = job->channel_bias, .padding = {1, 1}));
    h = reel_reshape(reel_max_pool2d(h, .kernel = {2, 2}), REEL_SHAPE(-1, RESUME_HIDDEN));
    h = reel_dropout(h, .3, reel_random_draw(job->key));
    reel_tensor loss = reel_mean(reel_sparse_softmax_cross_entropy_with_logits(
        .labels = labels, .logits = reel_add(reel_matmul(h, job->weights), job->bias)));
    reel_gradient(loss, job->parameters.trained, gradient, .final = true);
    resume_update(job, gradient);
}

static void resume_step(resume_job *job)
{
    reel_mark mark = reel_tape_mark(job->tape);
    bool small = job->batches.count < RESUME_BATCH;
    if (job->recorded[small])
        reel_tape_replay(job->section[small]);
    else
        resume_record(job);
    if (!job->manner.replays)
        reel_tape_rewind(job->tape, mark);
    else if (!job->recorded[small]) {
        job->section[small] = reel_tape_section(mark, reel_tape_mark(job->tape));
        job->recorded[small] = true;
    }
    ck_assert_msg(!reel_failed(job->tape), "%s", reel_error_message(job->tape));
}

static void resume_go_to(resume_job *job)
{
    reel_batches_position place;
    ck_assert(reel_read(job->place, &place, sizeof place));
    ck_assert_msg(reel_batches_resume(&job->batches, place), "%s", job->batches.error);
}

static void resume_save(resume_job *job, const char *path)
{
    reel_batches_position place = reel_batches_tell(&job->batches);
    reel_write(job->place, reel_values_of(REEL_I64, &place, 4));
    ck_assert_msg(reel_parameters_save(&job->parameters, path, NULL), "%s", job->parameters.error);
}

/* Trains from the file `from`, or from the start where it is NULL, until `stop` steps are done in all, and
 * saves to `to`. Step numbers come from the place, as everything does. */
static void resume_train(resume_manner manner, uint64_t seed, const char *from, int64_t stop, const char *to)
{
    resume_job job = {.manner = manner};
    job.batches = (reel_batches){.images = &resume_images, .standardisation = &resume_by,
                                 .size = RESUME_BATCH, .flip = true, .pad = 1, .prefetch = manner.prefetch};
    resume_make(&job, seed);
    ck_assert(reel_batches_start(&job.batches));
    reel_batches_shuffle(&job.batches, 7, 0);
    if (from) {
        ck_assert_msg(reel_parameters_load(&job.parameters, from, NULL), "%s", job.parameters.error);
        resume_go_to(&job);
    }
    reel_schedule schedule = {.kind = REEL_SCHEDULE_ONE_CYCLE, .rate = .05, .steps = RESUME_STEPS};
    int64_t t = (int64_t)job.batches.epoch * job.batches.steps + job.batches.step;
    for (; t < stop; t++) {
        reel_schedule_write(&schedule, t, job.rate);
        if (!reel_batches_next(&job.batches)) {
            reel_batches_shuffle(&job.batches, 7, job.batches.epoch + 1);
            ck_assert(reel_batches_next(&job.batches));
        }
        resume_step(&job);
    }
    resume_save(&job, to);
    reel_batches_free(&job.batches);
    reel_parameters_free(&job.parameters);
    reel_tape_free(job.tape);
}

static void resume_expect_same(const char *a, const char *b)
{
    reel_safetensors x = {0}, y = {0};
    ck_assert_msg(reel_safetensors_read(&x, a, NULL) && reel_safetensors_read(&y, b, NULL), "%s%s", x.error,
                  y.error);
    ck_assert(x.tensors == y.tensors && x.tensors == 2 * RESUME_TRAINED + 2);
    for (size_t i = 0; i < x.tensors; i++) {
        ck_assert_str_eq(x.tensor[i].name, y.tensor[i].name);
        ck_assert(x.tensor[i].bytes == y.tensor[i].bytes && x.tensor[i].bytes > 0);
        ck_assert_msg(memcmp(x.tensor[i].data, y.tensor[i].data, (size_t)x.tensor[i].bytes) == 0,
                      "\"%s\" has other bits", x.tensor[i].name);
    }
    reel_safetensors_free(&x);
    reel_safetensors_free(&y);
}

/* _i: the optimiser, and whether steps are replayed. What goes on has its batches made
 * ahead, and other initial values. */
START_TEST(stopped_after_any_step)
{
    resume_manner manner = {.optimiser = (enum resume_optimiser)(_i / 2), .replays = _i % 2};
    resume_manner other = manner;
    other.prefetch = true;
    char straight[200], stopped[200], resumed[200];
    snprintf(straight, sizeof straight, "%s", test_folder_path("straight"));
    snprintf(stopped, sizeof stopped, "%s", test_folder_path("stopped"));
    snprintf(resumed, sizeof resumed, "%s", test_folder_path("resumed"));
    resume_train(manner, 3, NULL, RESUME_STEPS, straight);
    for (int64_t step = 0; step <= RESUME_STEPS; step++) {
        resume_train(manner, 3, NULL, step, stopped);
        resume_train(other, 1000 + (uint64_t)step, stopped, RESUME_STEPS, resumed);
        resume_expect_same(straight, resumed);
    }
}
END_TEST

/* Three stops, the second one right behind the first, and replays gone on with by recording. */
START_TEST(stopped_again_and_again)
{
    resume_manner replays = {.optimiser = RESUME_ADAM, .replays = true};
    resume_manner records = {.optimiser = RESUME_ADAM, .prefetch = true};
    char straight[200], file[200];
    snprintf(straight, sizeof straight, "%s", test_folder_path("straight"));
    snprintf(file, sizeof file, "%s", test_folder_path("stopped"));
    resume_train(replays, 3, NULL, RESUME_STEPS, straight);
    resume_train(records, 3, NULL, 4, file);
    resume_train(replays, 5, file, 4, file);
    resume_train(records, 6, file, 11, file);
    resume_train(replays, 7, file, RESUME_STEPS, file);
    resume_expect_same(straight, file);
}
END_TEST

/* That the comparison sees something: a checkpoint without the dropout's key, or without the optimiser's
 * memory, does not lead to the same bits. */
START_TEST(nothing_can_be_left_out)
{
    resume_manner manner = {.optimiser = RESUME_ADAM};
    char straight[200], stopped[200], resumed[200];
    snprintf(straight, sizeof straight, "%s", test_folder_path("straight"));
    snprintf(stopped, sizeof stopped, "%s", test_folder_path("stopped"));
    snprintf(resumed, sizeof resumed, "%s", test_folder_path("resumed"));
    resume_train(manner, 3, NULL, RESUME_STEPS, straight);
    static const char *const forgotten[] = {"key", "state2", "place", "bias"};
    for (int i = 0; i < 4; i++) {
        resume_train(manner, 3, NULL, 6, stopped);
        reel_safetensors file = {0}, a = {0}, b = {0};
        ck_assert(reel_safetensors_read(&file, stopped, NULL));
        reel_stored_tensor *tensor = reel_safetensors_find(&file, forgotten[i]);
        ck_assert_ptr_nonnull(tensor);
        memset(tensor->data, 0, (size_t)tensor->bytes);
        ck_assert_msg(reel_safetensors_write(&file, resumed, NULL), "%s", file.error);
        resume_train(manner, 3, resumed, RESUME_STEPS, resumed);
        ck_assert(reel_safetensors_read(&a, straight, NULL) && reel_safetensors_read(&b, resumed, NULL));
        tensor = reel_safetensors_find(&a, "weights");
        ck_assert_msg(memcmp(tensor->data, reel_safetensors_find(&b, "weights")->data,
                             (size_t)tensor->bytes) != 0, "\"%s\" does not matter", forgotten[i]);
        reel_safetensors_free(&file);
        reel_safetensors_free(&a);
        reel_safetensors_free(&b);
    }
}
END_TEST

Suite *reel_suite_resume(void)
{
    Suite *suite = suite_create("resume");
    TCase *resume = tcase_create("resume");
    tcase_set_timeout(resume, 300);
    tcase_add_checked_fixture(resume, resume_set_up, test_files_tear_down);
    tcase_add_loop_test(resume, stopped_after_any_step, 0, 2 * RESUME_OPTIMISERS);
    tcase_add_test(resume, stopped_again_and_again);
    tcase_add_test(resume, nothing_can_be_left_out);
    suite_add_tcase(suite, resume);
    return suite;
}
