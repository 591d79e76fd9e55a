/* Trains a linear softmax classifier on CIFAR-10's binary files; without arguments, on images that it
 * draws itself.
 *
 *     logits = x W + b                 x [n, 3072] standardised, W [3072, 10] and b [10] start at zero
 *     loss   = mean over the n rows of the cross-entropy of softmax(logits) with the labels
 *     v = momentum v + d loss / d w + weight_decay w,   w = w - learning_rate v,   for w = W, b
 *
 * The learning rate falls along half a cosine from one epoch to the next. A step is recorded on the tape
 * the first time and replayed on every later batch, which lies in the same memory. The last batch of an
 * epoch may have fewer images: it has a recording of its own.
 *
 * Learning rate, weight decay, batch and epochs were chosen by five-fold cross-validation on the five
 * training files of a 5,170-image subset of CIFAR-10, never by a look at its test file. */
#include <reel.h>
#include <reel_train.h>

#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SUCCEEDED = 0, FAILED = 1, WRONG_USAGE = 2 };
enum { TEST_BATCH = 500, DRAWN_TRAIN = 10000, DRAWN_TEST = 2000, DRAWN_SEED = 1 };


/* ---- Options ------------------------------------------------------------------------------------ */

typedef struct options {
    const char *data;                               /* NULL: draw images                           */
    int64_t     epochs, batch, seed, threads;
    double      learning_rate, momentum, weight_decay;
    bool        one_hot, v2, quiet, help;
} options;

typedef struct option {
    const char *name, *value;                       /* value: NULL for an option that takes none   */
    bool      (*take)(const struct option *option, void *to, const char *text);
    size_t      to;                                 /* offset in struct options                    */
    double      low, high;
    const char *help;
    const char *choice[2];                          /* false, true                                 */
} option;

static bool wrong(const option *option, const char *text, const char *wanted)
{
    fprintf(stderr, "cifar10_linear: --%s: \"%s\" is not %s\n", option->name, text, wanted);
    return false;
}

static bool take_text(const option *option, void *to, const char *text)
{
    if (!*text)
        return wrong(option, text, "the name of a folder");
    *(const char **)to = text;
    return true;
}

static bool take_whole(const option *option, void *to, const char *text)
{
    char wanted[80];
    snprintf(wanted, sizeof wanted, "a whole number from %.0f to %.0f", option->low, option->high);
    errno = 0;
    long long value = strtoll(text, NULL, 10);
    if (!*text || text[strspn(text, "0123456789")] || errno || value < option->low || value > option->high)
        return wrong(option, text, wanted);
    *(int64_t *)to = value;
    return true;
}

static bool take_number(const option *option, void *to, const char *text)
{
    char wanted[80], *end;
    snprintf(wanted, sizeof wanted, "a number from %g to %g", option->low, option->high);
    double value = strtod(text, &end);
    bool plain = *text && !*end && !text[strspn(text, "0123456789+-.eE")];
    if (!plain || !(value >= option->low && value <= option->high))
        return wrong(option, text, wanted);
    *(double *)to = value;
    return true;
}

static bool take_choice(const option *option, void *to, const char *text)
{
    char wanted[80];
    snprintf(wanted, sizeof wanted, "%s or %s", option->choice[0], option->choice[1]);
    bool second = strcmp(text, option->choice[1]) == 0;
    if (!second && strcmp(text, option->choice[0]) != 0)
        return wrong(option, text, wanted);
    *(bool *)to = second;
    return true;
}

static bool take_flag(const option *option, void *to, const char *text)
{
    (void)option;
    (void)text;
    return *(bool *)to = true;
}

#define OPTION(name, value, take, member, ...) {name, value, take, offsetof(options, member), __VA_ARGS__}
static const option known_options[] = {
    OPTION("data", "DIR", take_text, data, 0, 0,
           "train on the CIFAR-10 files in DIR (default: on drawn images)", {0}),
    OPTION("epochs", "N", take_whole, epochs, 1, 100000,
           "passes through the training images (default 20)", {0}),
    OPTION("batch", "N", take_whole, batch, 1, 1000000,
           "images in a step (default 128)", {0}),
    OPTION("lr", "X", take_number, learning_rate, 1e-9, 1000,
           "learning rate of the first epoch; it falls along half a cosine (default 0.002)", {0}),
    OPTION("momentum", "X", take_number, momentum, 0, 0.9999,
           "part of the velocity that is kept (default 0.9)", {0}),
    OPTION("weight-decay", "X", take_number, weight_decay, 0, 1000,
           "part of the weights that is added to their gradient (default 0.1)", {0}),
    OPTION("seed", "N", take_whole, seed, 0, 0x1p53,
           "decides the order of the training images (default 1)", {0}),
    OPTION("threads", "N", take_whole, threads, 1, 256,
           "threads to work with; any number gives the same bits (default 2)", {0}),
    OPTION("labels", "sparse|onehot", take_choice, one_hot, 0, 0,
           "class numbers, or rows of zeros with a one (default sparse)", {"sparse", "onehot"}),
    OPTION("version", "v1|v2", take_choice, v2, 0, 0,
           "of the loss with onehot labels; v1 stops the gradient at them (default v2)", {"v1", "v2"}),
    OPTION("quiet", NULL, take_flag, quiet, 0, 0, "print the last line alone", {0}),
    OPTION("help", NULL, take_flag, help, 0, 0, "print this", {0}),
};
enum { KNOWN_OPTIONS = sizeof known_options / sizeof known_options[0] };

static void print_help(void)
{
    puts("Usage: cifar10_linear [OPTION]...\n"
         "Trains a linear softmax classifier on small images and prints its accuracy on the test images.\n");
    for (int i = 0; i < KNOWN_OPTIONS; i++) {
        const option *option = &known_options[i];
        char name[40];
        snprintf(name, sizeof name, "--%s %s", option->name, option->value ? option->value : "");
        printf("  %-24s %s\n", name, option->help);
    }
    puts("\nDIR holds data_batch_1.bin to data_batch_5.bin, test_batch.bin and batches.meta.txt.\n"
         "Exit status: 0 on success, 1 for a failed run, 2 for wrong usage.");
}

static const option *find_option(const char *argument, size_t length)
{
    for (int i = 0; i < KNOWN_OPTIONS; i++)
        if (strlen(known_options[i].name) == length && memcmp(known_options[i].name, argument, length) == 0)
            return &known_options[i];
    return NULL;
}

/* Takes --name value, --name=value or --name from argv[*at] on, and leaves *at at its last word. */
static bool take_option(options *options, int argc, char **argv, int *at)
{
    const char *argument = argv[*at];
    bool dashes = strncmp(argument, "--", 2) == 0;
    const char *name = argument + (dashes ? 2 : 0), *equals = strchr(name, '=');
    const option *option = dashes ? find_option(name, equals ? (size_t)(equals - name) : strlen(name)) : NULL;
    const char *problem = NULL, *value = equals ? equals + 1 : NULL;
    if (!option)
        problem = "unknown argument; see --help";
    else if (!option->value && equals)
        problem = "the option takes no value";
    else if (option->value && !equals && *at + 1 == argc)
        problem = "the option needs a value";
    if (problem) {
        fprintf(stderr, "cifar10_linear: %s: %s\n", argument, problem);
        return false;
    }
    if (option->value && !equals)
        value = argv[++*at];
    return option->take(option, (char *)options + option->to, value);
}


/* ---- The model and its passes ------------------------------------------------------------------- */

/* One pass over a batch, recorded for its number of rows. */
typedef struct pass {
    int64_t      rows;                              /* 0: not recorded yet                         */
    reel_tensor  logits;                            /* [rows, 10]                                  */
    reel_tensor  loss;                              /* a scalar; none where nothing is learnt      */
    reel_section section;
} pass;

typedef struct job {
    options              options;
    reel_image_data      data;
    reel_standardisation standardisation;
    reel_batches         train, test;
    float               *one_hot;                   /* [batch, 10]; NULL with sparse labels        */
    reel_tape           *tape;
    reel_tensor          weights, bias;             /* [3072, 10], [10]                            */
    reel_tensor          velocity[2];
    reel_tensor          learning_rate;
    pass                 train_pass[2], test_pass[2];       /* whole batches; the smaller last one */
} job;

static void make_model(job *job)
{
    reel_tape *tape = job->tape;
    reel_shape weights = REEL_SHAPE(REEL_IMAGE_VALUES, REEL_IMAGE_CLASSES);
    reel_shape bias = REEL_SHAPE(REEL_IMAGE_CLASSES);
    reel_values zeros = reel_fill(REEL_F32, 0);
    job->weights = reel_name(reel_variable(tape, weights, zeros), "weights");
    job->bias = reel_name(reel_variable(tape, bias, zeros), "bias");
    job->velocity[0] = reel_constant(tape, weights, zeros);
    job->velocity[1] = reel_constant(tape, bias, zeros);
    job->learning_rate = reel_constant(tape, REEL_SHAPE(), zeros);
}

static reel_tensor record_loss(job *job, reel_tensor logits, int64_t rows)
{
    if (!job->one_hot) {
        reel_tensor labels = reel_wrap(job->tape, .dtype = REEL_I32, .shape = REEL_SHAPE(rows),
                                       .data = job->train.labels);
        return reel_mean(reel_sparse_softmax_cross_entropy_with_logits(.labels = labels, .logits = logits));
    }
    reel_tensor labels = reel_wrap(job->tape, .dtype = REEL_F32,
                                   .shape = REEL_SHAPE(rows, REEL_IMAGE_CLASSES), .data = job->one_hot);
    if (job->options.v2)
        return reel_mean(reel_softmax_cross_entropy_with_logits(.labels = labels, .logits = logits));
    return reel_mean(reel_softmax_cross_entropy_with_logits_v1(.labels = labels, .logits = logits));
}

static void record_update(job *job, reel_tensor loss)
{
    reel_tensor gradient[2];
    reel_gradient(loss, REEL_TENSORS(job->weights, job->bias), gradient, .final = true);
    reel_sgd(.parameters = REEL_TENSORS(job->weights, job->bias),
             .gradients = REEL_TENSORS(gradient[0], gradient[1]),
             .velocities = REEL_TENSORS(job->velocity[0], job->velocity[1]),
             .learning_rate = job->learning_rate, .momentum = job->options.momentum,
             .weight_decay = job->options.weight_decay);
}

/* Recording a pass also runs it, on the batch that is there. */
static pass record_pass(job *job, const reel_batches *batches, bool learn)
{
    pass pass = {.rows = batches->count};
    reel_mark from = reel_tape_mark(job->tape);
    reel_tensor x = reel_wrap(job->tape, .dtype = REEL_F32,
                              .shape = REEL_SHAPE(pass.rows, REEL_IMAGE_VALUES), .data = batches->values);
    pass.logits = reel_add(reel_matmul(x, job->weights), job->bias);
    if (learn) {
        pass.loss = record_loss(job, pass.logits, pass.rows);
        record_update(job, pass.loss);
    }
    pass.section = reel_tape_section(from, reel_tape_mark(job->tape));
    return pass;
}

static const pass *run_pass(job *job, const reel_batches *batches, pass passes[2], bool learn)
{
    pass *pass = &passes[batches->count < batches->size];
    if (pass->rows == 0)
        *pass = record_pass(job, batches, learn);
    else
        reel_tape_replay(pass->section);
    return pass;
}

static int largest(const float *row)
{
    int best = 0;
    for (int c = 1; c < REEL_IMAGE_CLASSES; c++)
        if (row[c] > row[best])
            best = c;
    return best;
}

/* Adds the rows whose largest logit is at the label to correct[label]. */
static void count_correct(const pass *pass, const int32_t *labels, int64_t correct[REEL_IMAGE_CLASSES])
{
    const float *logits = reel_data(pass->logits);
    for (int64_t i = 0; logits && i < pass->rows; i++)
        correct[labels[i]] += largest(logits + i * REEL_IMAGE_CLASSES) == labels[i];
}

static int64_t total(const int64_t of_class[REEL_IMAGE_CLASSES])
{
    int64_t sum = 0;
    for (int c = 0; c < REEL_IMAGE_CLASSES; c++)
        sum += of_class[c];
    return sum;
}


/* ---- The job ------------------------------------------------------------------------------------ */

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static bool failed(const char *message)
{
    fprintf(stderr, "cifar10_linear: %s\n", message);
    return false;
}

static bool prepare_data(job *job)
{
    const char *folder = job->options.data;
    bool good = folder ? reel_cifar10_read(&job->data, folder, NULL)
                       : reel_shapes_draw(&job->data, DRAWN_TRAIN, DRAWN_TEST, DRAWN_SEED);
    if (!good)
        return failed(job->data.error);
    if (job->options.batch > job->data.train.count)
        job->options.batch = job->data.train.count;
    reel_standardise(&job->standardisation, &job->data.train);
    job->train = (reel_batches){.images = &job->data.train, .standardisation = &job->standardisation,
                                .size = job->options.batch};
    job->test = (reel_batches){.images = &job->data.test, .standardisation = &job->standardisation,
                               .size = TEST_BATCH};
    if (!reel_batches_start(&job->train))
        return failed(job->train.error);
    if (!reel_batches_start(&job->test))
        return failed(job->test.error);
    return true;
}

static bool prepare_model(job *job)
{
    if (job->options.one_hot) {
        job->one_hot = malloc((size_t)job->options.batch * REEL_IMAGE_CLASSES * sizeof(float));
        if (!job->one_hot)
            return failed("no memory for the labels");
    }
    job->tape = reel_tape_new_with(.threads = (int)job->options.threads);
    if (!job->tape)
        return failed("too little memory, or too few threads, for a tape");
    make_model(job);
    return !reel_failed(job->tape) || failed(reel_error_message(job->tape));
}

static void describe(const job *job)
{
    printf("%lld training images and %lld test images, %s%s\n", (long long)job->data.train.count,
           (long long)job->data.test.count, job->options.data ? "read from " : "of ten drawn shapes",
           job->options.data ? job->options.data : "");
    printf("linear softmax classifier with %d parameters, batches of %lld, %lld thread%s\n",
           (REEL_IMAGE_VALUES + 1) * REEL_IMAGE_CLASSES, (long long)job->options.batch,
           (long long)job->options.threads, job->options.threads == 1 ? "" : "s");
}

static void fill_one_hot(job *job)
{
    for (int64_t i = 0; i < job->train.count; i++)
        for (int c = 0; c < REEL_IMAGE_CLASSES; c++)
            job->one_hot[i * REEL_IMAGE_CLASSES + c] = c == job->train.labels[i];
}

/* Goes through the training images once. Returns the mean of the loss, and in `correct` how many images were
 * classified correctly, each before the step that learnt from it. */
static double train_epoch(job *job, int64_t epoch, int64_t correct[REEL_IMAGE_CLASSES])
{
    double pi = 3.14159265358979323846, loss = 0;
    double fraction = 0.5 + 0.5 * cos(pi * (double)epoch / (double)job->options.epochs);
    reel_write(job->learning_rate, reel_fill(REEL_F32, job->options.learning_rate * fraction));
    reel_batches_shuffle(&job->train, (uint64_t)job->options.seed, (uint64_t)epoch);
    while (!reel_failed(job->tape) && reel_batches_next(&job->train)) {
        if (job->one_hot)
            fill_one_hot(job);
        const pass *pass = run_pass(job, &job->train, job->train_pass, true);
        count_correct(pass, job->train.labels, correct);
        loss += reel_item(pass->loss) * (double)pass->rows;
    }
    return loss / (double)job->data.train.count;
}

static void print_epoch(const job *job, int64_t epoch, double loss, int64_t correct, double took,
                        double since)
{
    int width = snprintf(NULL, 0, "%lld", (long long)job->options.epochs);
    double count = (double)job->data.train.count;
    double left = since / (double)(epoch + 1) * (double)(job->options.epochs - epoch - 1);
    bool minutes = left >= 120;
    printf("epoch %*lld/%lld   loss %.6f   accuracy %.3f   %.0f images/s   %.*f %s left\n", width,
           (long long)epoch + 1, (long long)job->options.epochs, loss, (double)correct / count, count / took,
           left < 9.95 ? 1 : 0, minutes ? left / 60 : left, minutes ? "min" : "s");
    fflush(stdout);
}

static bool train(job *job)
{
    double start = seconds();
    for (int64_t epoch = 0; epoch < job->options.epochs; epoch++) {
        int64_t correct[REEL_IMAGE_CLASSES] = {0};
        double before = seconds(), loss = train_epoch(job, epoch, correct), now = seconds();
        if (reel_failed(job->tape))
            return failed(reel_error_message(job->tape));
        if (!isfinite(loss)) {
            fprintf(stderr, "cifar10_linear: the loss is not finite in epoch %lld; try a smaller --lr\n",
                    (long long)epoch + 1);
            return false;
        }
        if (!job->options.quiet)
            print_epoch(job, epoch, loss, total(correct), now - before, now - start);
    }
    return true;
}

static void print_classes(const job *job, const int64_t correct[REEL_IMAGE_CLASSES],
                          const int64_t count[REEL_IMAGE_CLASSES])
{
    for (int c = 0; c < REEL_IMAGE_CLASSES; c++)
        printf("%s%s %.2f", c == 0 ? "by class: " : ", ", job->data.class_name[c],
               count[c] ? (double)correct[c] / (double)count[c] : 0);
    putchar('\n');
}

static bool test(job *job)
{
    int64_t correct[REEL_IMAGE_CLASSES] = {0}, count[REEL_IMAGE_CLASSES] = {0};
    while (!reel_failed(job->tape) && reel_batches_next(&job->test)) {
        count_correct(run_pass(job, &job->test, job->test_pass, false), job->test.labels, correct);
        for (int64_t i = 0; i < job->test.count; i++)
            count[job->test.labels[i]]++;
    }
    if (reel_failed(job->tape))
        return failed(reel_error_message(job->tape));
    if (!job->options.quiet)
        print_classes(job, correct, count);
    printf("test accuracy: %.3f (%lld/%lld)\n", (double)total(correct) / (double)total(count),
           (long long)total(correct), (long long)total(count));
    return (fflush(stdout) == 0 && !ferror(stdout)) || failed("standard output cannot be written");
}

static bool run_job(job *job)
{
    if (!prepare_data(job) || !prepare_model(job))
        return false;
    if (!job->options.quiet)
        describe(job);
    return train(job) && test(job);
}

int main(int argc, char **argv)
{
    job job = {.options = {.epochs = 20, .batch = 128, .seed = 1, .threads = 2, .learning_rate = 0.002,
                           .momentum = 0.9, .weight_decay = 0.1, .v2 = true}};
    for (int at = 1; at < argc && !job.options.help; at++)
        if (!take_option(&job.options, argc, argv, &at))
            return WRONG_USAGE;
    if (job.options.help) {
        print_help();
        return fflush(stdout) == 0 ? SUCCEEDED : FAILED;
    }
    bool good = run_job(&job);
    reel_tape_free(job.tape);
    free(job.one_hot);
    reel_batches_free(&job.test);
    reel_batches_free(&job.train);
    reel_image_data_free(&job.data);
    return good ? SUCCEEDED : FAILED;
}
