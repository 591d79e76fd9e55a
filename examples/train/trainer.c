/* The way of a training, from the arguments to the last line: see trainer.h. */
#include "train/trainer.h"

#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SUCCEEDED = 0, FAILED = 1, WRONG_USAGE = 2 };
enum { TEST_BATCH = 500, DRAWN_TRAIN = 10000, DRAWN_TEST = 2000, DRAWN_SEED = 1 };


/* ---- Options ------------------------------------------------------------------------------------ */

#define OPTION(name, value, kind, member, ...)                                                       \
    {name, value, kind, offsetof(trainer, options.member), __VA_ARGS__}
static const option trainer_options_table[] = {
    OPTION("data", "DIR", OPTION_TEXT, data, .help = "train on the CIFAR-10 files in DIR (default: on drawn "
           "images)"),
    OPTION("hold-out", "N", OPTION_WHOLE, held_out, .low = 1, .high = 1e9, .kept = true,
           .help = "hold N training images out and test on these, to choose settings by"),
    OPTION("epochs", "N", OPTION_WHOLE, epochs, .low = 1, .high = 100000, .kept = true,
           .help = "passes through the training images"),
    OPTION("batch", "N", OPTION_WHOLE, batch, .low = 1, .high = 1000000, .kept = true,
           .help = "images in a step"),
    OPTION("lr", "X", OPTION_NUMBER, learning_rate, .low = 1e-9, .high = 1000, .kept = true,
           .help = "learning rate"),
    OPTION("schedule", "NAME", OPTION_CHOICE, schedule, .kept = true, .help =
           "how it changes: constant, step, cosine or one-cycle",
           .choices = {"constant", "step", "cosine", "one-cycle"}),
    OPTION("momentum", "X", OPTION_NUMBER, momentum, .low = 0, .high = 0.9999, .kept = true,
           .help = "part of the velocity that is kept"),
    OPTION("weight-decay", "X", OPTION_NUMBER, weight_decay, .low = 0, .high = 1000, .kept = true,
           .help = "part of the weights that is added to their gradient"),
    OPTION("seed", "N", OPTION_WHOLE, seed, .low = 0, .high = 0x1p53, .kept = true,
           .help = "decides the order of the training images, and all else that is random"),
    OPTION("threads", "N", OPTION_WHOLE, threads, .low = 1, .high = 256,
           .help = "threads to work with; any number gives the same bits"),
    OPTION("save", "FILE", OPTION_TEXT, save, .help = "save the training in FILE after each epoch"),
    OPTION("resume", NULL, OPTION_FLAG, resume, .help = "go on with the training that is saved there"),
    OPTION("steps", "N", OPTION_WHOLE, steps, .low = 1, .high = 0x1p53,
           .help = "stop when N steps are done in all, to go on later"),
    OPTION("load", "FILE", OPTION_TEXT, load,
           .help = "test the model that is saved in FILE, without training"),
    OPTION("log", "FILE", OPTION_TEXT, log, .help = "write a row for each epoch to FILE, as CSV"),
    OPTION("pictures", "DIR", OPTION_TEXT, pictures, .help = "draw what was learnt, in the folder DIR"),
    OPTION("quiet", NULL, OPTION_FLAG, quiet, .help = "print the last line alone"),
    OPTION("help", NULL, OPTION_FLAG, help, .help = "print this"),
};
const option_list trainer_common_options = {trainer_options_table,
                                            sizeof trainer_options_table / sizeof trainer_options_table[0]};

bool trainer_failed(const trainer *trainer, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s: ", trainer->model->program);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    return false;
}

static bool tape_failed(const trainer *trainer)
{
    return reel_failed(trainer->tape) && !trainer_failed(trainer, "%s", reel_error_message(trainer->tape));
}

static bool print_help(const trainer_model *model, const option_list lists[2])
{
    printf("Usage: %s [OPTION]...\n%s\n\n", model->program, model->summary);
    options_print_help(lists, model->defaults);
    puts("\nDIR holds data_batch_1.bin to data_batch_5.bin, test_batch.bin and batches.meta.txt.\n"
         "Exit status: 0 on success, 1 for a failed run, 2 for wrong usage.");
    return fflush(stdout) == 0;
}

/* Options that go together, or do not. */
static bool check_options(const trainer *trainer)
{
    const trainer_options *o = &trainer->options;
    if (o->resume && !o->save)
        return trainer_failed(trainer, "--resume: --save has to name the file to go on from");
    if (o->load && (o->save || o->log || o->steps))
        return trainer_failed(trainer, "--load: %s is for a training, and there is none",
                              o->save ? "--save" : o->log ? "--log" : "--steps");
    return true;
}


/* ---- Before it ---------------------------------------------------------------------------------- */

static bool prepare_data(trainer *t)
{
    const char *folder = t->options.data;
    bool good = folder ? reel_cifar10_read(&t->data, folder, NULL)
                       : reel_shapes_draw(&t->data, DRAWN_TRAIN, DRAWN_TEST, DRAWN_SEED);
    if (!good)
        return trainer_failed(t, "%s", t->data.error);
    if (t->options.held_out && !reel_images_hold_out(&t->data, t->options.held_out, DRAWN_SEED))
        return trainer_failed(t, "%s", t->data.error);
    if (t->options.batch > t->data.train.count)
        t->options.batch = t->data.train.count;
    reel_standardise(&t->standardisation, &t->data.train);
    bool augmented = t->model->flip || t->model->pad > 0;
    t->train = (reel_batches){.images = &t->data.train, .standardisation = &t->standardisation,
                              .size = t->options.batch, .flip = t->model->flip, .pad = t->model->pad,
                              .prefetch = augmented && t->options.threads > 1};
    t->tested = t->options.held_out ? &t->data.validation : &t->data.test;
    t->test = (reel_batches){.images = t->tested, .standardisation = &t->standardisation,
                             .size = TEST_BATCH};
    if (!reel_batches_start(&t->train))
        return trainer_failed(t, "%s", t->train.error);
    return reel_batches_start(&t->test) || trainer_failed(t, "%s", t->test.error);
}

static bool prepare_model(trainer *t)
{
    t->history = calloc((size_t)t->options.epochs, sizeof *t->history);
    t->tape = reel_tape_new_with(.threads = (int)t->options.threads, .seed = (uint64_t)t->options.seed);
    if (!t->history || !t->tape)
        return trainer_failed(t, "too little memory, or too few threads");
    t->model->make(t);
    t->learning_rate = reel_constant(t->tape, REEL_SHAPE(), reel_fill(REEL_F32, 0));
    return !tape_failed(t);
}

void trainer_add_velocities(trainer *t)
{
    reel_tensors trained = t->parameters.trained;
    for (size_t i = 0; i < trained.count && i < TRAINER_STATES; i++) {
        char name[REEL_PARAMETER_NAME];
        snprintf(name, sizeof name, "%.80s.velocity", reel_name_of(trained.tensor[i]));
        reel_tensor zeros = reel_constant(t->tape, reel_shape_of(trained.tensor[i]), reel_fill(REEL_F32, 0));
        t->state[i] = reel_parameters_add_state(&t->parameters, name, zeros);
    }
}

static void describe(const trainer *t)
{
    const trainer_options *o = &t->options;
    printf("%lld training images and %lld %s images, %s%s\n", (long long)t->data.train.count,
           (long long)t->tested->count, o->held_out ? "validation" : "test",
           o->data ? "read from " : "of ten drawn shapes", o->data ? o->data : "");
    printf("%s with %lld parameters, batches of %lld, %lld thread%s\n", t->model->name,
           (long long)reel_parameters_elements(&t->parameters), (long long)o->batch, (long long)o->threads,
           o->threads == 1 ? "" : "s");
}


/* ---- Passes ------------------------------------------------------------------------------------- */

reel_tensor trainer_loss(trainer *t, reel_tensor logits)
{
    reel_tensor labels = reel_wrap(t->tape, .dtype = REEL_I32, .shape = REEL_SHAPE(t->train.count),
                                   .data = t->train.labels);
    return reel_mean(reel_sparse_softmax_cross_entropy_with_logits(.labels = labels, .logits = logits));
}

void trainer_descend(trainer *t, reel_tensor loss)
{
    reel_tensor gradient[TRAINER_STATES];
    size_t count = t->parameters.trained.count;
    reel_gradient(loss, t->parameters.trained, gradient, .final = true);
    reel_sgd(.parameters = t->parameters.trained, .gradients = reel_tensors_of(gradient, count),
             .velocities = reel_tensors_of(t->state, count), .learning_rate = t->learning_rate,
             .momentum = t->options.momentum, .weight_decay = t->options.weight_decay);
}

/* Recording a pass also runs it, on the batch that is there. */
static trainer_pass record_pass(trainer *t, const reel_batches *batches)
{
    bool learn = batches == &t->train;
    const reel_images *i = batches->images;
    trainer_pass pass = {.rows = batches->count};
    reel_mark from = reel_tape_mark(t->tape);
    reel_tensor x = reel_wrap(t->tape, .dtype = REEL_F32, .data = batches->values,
                              .shape = REEL_SHAPE(pass.rows, i->channels, i->height, i->width));
    pass.logits = t->model->logits(t, x, learn);
    if (learn)
        pass.loss = t->model->learn(t, pass.logits);
    pass.section = reel_tape_section(from, reel_tape_mark(t->tape));
    return pass;
}

static const trainer_pass *run_pass(trainer *t, const reel_batches *batches, trainer_pass passes[2])
{
    trainer_pass *pass = &passes[batches->count < batches->size];
    if (pass->rows == 0)
        *pass = record_pass(t, batches);
    else
        reel_tape_replay(pass->section);
    return pass;
}

static int64_t count_correct(const trainer *t, const trainer_pass *pass)
{
    const float *logits = reel_data(pass->logits);
    int64_t correct = 0, classes = t->data.classes;
    for (int64_t i = 0; logits && i < pass->rows; i++)
        correct += reel_predicted(logits + i * classes, classes) == t->train.labels[i];
    return correct;
}


/* ---- Training ----------------------------------------------------------------------------------- */

static volatile sig_atomic_t trainer_interrupted;

static void interrupt(int signal)
{
    (void)signal;
    trainer_interrupted = 1;
}

/* An interrupt ends the training after the step that runs; a second one ends the program. */
static void listen(bool on)
{
    struct sigaction action = {.sa_handler = interrupt, .sa_flags = (int)SA_RESETHAND};
    if (!on)
        action.sa_handler = SIG_DFL;
    sigaction(SIGINT, &action, NULL);
}

static void set_learning_rate(trainer *t)
{
    const trainer_options *o = &t->options;
    reel_schedule schedule = {.kind = (reel_schedule_kind)o->schedule, .rate = o->learning_rate,
                              .steps = o->epochs, .every = (o->epochs + 2) / 3, .factor = 0.1};
    reel_schedule_write(&schedule, t->epoch, t->learning_rate);
}

static bool to_be_stopped(const trainer *t)
{
    int64_t done = t->epoch * t->train.steps + t->train.step;
    return trainer_interrupted || (t->options.steps > 0 && done >= t->options.steps);
}

/* Goes through the rest of the epoch. */
static bool train_epoch(trainer *t)
{
    set_learning_rate(t);
    while (!to_be_stopped(t) && reel_batches_next(&t->train)) {
        if (t->model->fill)
            t->model->fill(t);
        const trainer_pass *pass = run_pass(t, &t->train, t->train_pass);
        double loss = reel_item(pass->loss);
        if (tape_failed(t) || !trainer_step_done(t, pass->rows, loss, count_correct(t, pass)))
            return false;
    }
    if (!isfinite(t->sums.loss))
        return trainer_failed(t, "the loss is not finite in epoch %lld; try a smaller --lr",
                              (long long)t->epoch + 1);
    return true;
}

/* From epoch and batch to epoch and batch: where t->epoch and t->train stand. */
static bool train(trainer *t)
{
    if (!t->options.resume)
        reel_batches_shuffle(&t->train, (uint64_t)t->options.seed, 0);
    listen(true);
    while (t->epoch < t->options.epochs && !to_be_stopped(t)) {
        if (!train_epoch(t))
            return false;
        if (t->train.step < t->train.steps)
            break;                                  /* stopped                                     */
        if (!trainer_epoch_done(t))
            return false;
        reel_batches_shuffle(&t->train, (uint64_t)t->options.seed, (uint64_t)++t->epoch);
        if (t->options.save && !trainer_save(t))
            return false;
    }
    listen(false);
    if (t->options.save && t->train.step > 0 && !trainer_save(t))
        return false;
    return !trainer_interrupted ||
           trainer_failed(t, "interrupted in epoch %lld%s", (long long)t->epoch + 1,
                          t->options.save ? "; --resume goes on" : "");
}


/* ---- After it ----------------------------------------------------------------------------------- */

static void print_classes(const trainer *t)
{
    int64_t row = t->confusion.classes + 1;
    for (int64_t c = 0; c < t->confusion.classes; c++) {
        int64_t count = 0;
        for (int64_t p = 0; p < row; p++)
            count += t->confused[c * row + p];
        printf("%s%s %.2f", c == 0 ? "by class: " : ", ", t->data.class_name[c],
               count ? (double)t->confused[c * row + c] / (double)count : 0);
    }
    putchar('\n');
}

/* Sorts the test images into the confusion matrix and the worst mistakes. */
static bool judge(trainer *t)
{
    int64_t seen = 0, classes = t->data.classes;
    t->confused = calloc((size_t)(classes * (classes + 1)), sizeof *t->confused);
    t->confusion = (reel_confusion){.classes = classes, .count = t->confused};
    t->mistakes = (reel_mistakes){.classes = classes};
    if (!t->confused)
        return trainer_failed(t, "no memory for the test");
    while (!reel_failed(t->tape) && reel_batches_next(&t->test)) {
        const float *logits = reel_data(run_pass(t, &t->test, t->test_pass)->logits);
        if (logits) {
            reel_confusion_add(&t->confusion, logits, t->test.labels, t->test.count);
            reel_mistakes_add(&t->mistakes, logits, t->test.labels, t->test.count, seen);
        }
        seen += t->test.count;
    }
    return !tape_failed(t);
}

static bool test(trainer *t)
{
    if (!judge(t))
        return false;
    if (!t->options.quiet)
        print_classes(t);
    double accuracy = reel_confusion_accuracy(&t->confusion), count = (double)t->tested->count;
    printf("%s accuracy: %.3f (%.0f/%.0f)\n", t->options.held_out ? "validation" : "test", accuracy,
           accuracy * count, count);
    return (fflush(stdout) == 0 && !ferror(stdout)) || trainer_failed(t, "standard output cannot be written");
}


/* ---- The program -------------------------------------------------------------------------------- */

static bool run(trainer *t)
{
    const trainer_options *o = &t->options;
    if (!trainer_check_paths(t) || !prepare_data(t) || !prepare_model(t))
        return false;
    const char *file = o->load ? o->load : o->resume ? o->save : NULL;
    if (file && !trainer_load(t, file, o->resume))
        return false;
    if (!o->quiet)
        describe(t);
    if (!o->load && (!trainer_start_outputs(t) || !train(t)))
        return false;
    return test(t) && trainer_finish_outputs(t);
}

static void free_all(trainer *t)
{
    reel_log_close(&t->log);
    reel_parameters_free(&t->parameters);
    reel_tape_free(t->tape);
    reel_batches_free(&t->test);
    reel_batches_free(&t->train);
    reel_image_data_free(&t->data);
    free(t->confused);
    free(t->history);
}

int trainer_main(trainer *t, const trainer_model *model, int argc, char **argv)
{
    const option_list lists[] = {trainer_common_options, model->options};
    t->model = model;
    if (!options_take(model->program, lists, t, argc, argv, &t->options.help))
        return WRONG_USAGE;
    if (t->options.help)
        return print_help(model, lists) ? SUCCEEDED : FAILED;
    if (!check_options(t))
        return WRONG_USAGE;
    bool good = run(t);
    free_all(t);
    return good ? SUCCEEDED : FAILED;
}
