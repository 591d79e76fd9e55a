/* Trains a linear softmax classifier on CIFAR-10's binary files; without arguments, on images that it
 * draws itself.
 *
 *     logits = x W + b                 x [n, 3072] standardised, W [3072, 10] and b [10] start at zero
 *     loss   = mean over the n rows of the cross-entropy of softmax(logits) with the labels
 *     v = momentum v + d loss / d w + weight_decay w,   w = w - learning_rate v,   for w = W, b
 *
 * The learning rate falls along half a cosine from one epoch to the next, or as --schedule says.
 * train/trainer.c has the way through the epochs, where a step is recorded once and then replayed.
 *
 * Learning rate, weight decay, batch and epochs were chosen by five-fold cross-validation on the five
 * training files of a 5,170-image subset of CIFAR-10, never by a look at its test file. */
#include "train/trainer.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct linear {
    trainer     trainer;                            /* first: the options are counted from here    */
    int         one_hot, v2;                        /* choices                                     */
    reel_tensor weights, bias;                      /* [3072, 10], [10]                            */
    float      *labels;                             /* [batch, 10]; NULL with sparse labels        */
} linear;

static void make(trainer *t)
{
    linear *l = (linear *)t;
    int64_t values = reel_image_values(&t->data.train), classes = t->data.classes;
    l->weights = reel_parameters_add(&t->parameters, "weights",
                                     reel_init_zeros(t->tape, REEL_SHAPE(values, classes), REEL_F32));
    l->bias = reel_parameters_add(&t->parameters, "bias",
                                  reel_init_zeros(t->tape, REEL_SHAPE(classes), REEL_F32));
    trainer_add_velocities(t);
    t->templates = l->weights;
    if (l->one_hot) {
        l->labels = malloc((size_t)(t->train.size * classes) * sizeof *l->labels);
        if (!l->labels)
            reel_error_set(t->tape, "no memory for the labels");
    }
}

static reel_tensor logits(trainer *t, reel_tensor x, bool learn)
{
    (void)learn;
    linear *l = (linear *)t;
    reel_tensor flat = reel_reshape(x, REEL_SHAPE(-1, reel_image_values(&t->data.train)));
    return reel_add(reel_matmul(flat, l->weights), l->bias);
}

/* Rows of zeros with a one at the label. */
static void fill(trainer *t)
{
    linear *l = (linear *)t;
    int64_t classes = t->data.classes;
    for (int64_t i = 0; l->labels && i < t->train.count; i++)
        for (int64_t c = 0; c < classes; c++)
            l->labels[i * classes + c] = c == t->train.labels[i];
}

static reel_tensor one_hot_loss(linear *l, reel_tensor logits)
{
    reel_tensor labels = reel_wrap(l->trainer.tape, .dtype = REEL_F32, .shape = reel_shape_of(logits),
                                   .data = l->labels);
    if (!l->v2)
        return reel_mean(reel_softmax_cross_entropy_with_logits_v1(.labels = labels, .logits = logits));
    return reel_mean(reel_softmax_cross_entropy_with_logits(.labels = labels, .logits = logits));
}

static reel_tensor learn(trainer *t, reel_tensor logits)
{
    linear *l = (linear *)t;
    reel_tensor loss = l->labels ? one_hot_loss(l, logits) : trainer_loss(t, logits);
    trainer_descend(t, loss);
    return loss;
}

static const option own_options[] = {
    {"labels", "sparse|onehot", OPTION_CHOICE, offsetof(linear, one_hot), .kept = true,
     .help = "class numbers, or rows of zeros with a one", .choices = {"sparse", "onehot"}},
    {"version", "v1|v2", OPTION_CHOICE, offsetof(linear, v2), .kept = true,
     .help = "of the loss with onehot labels; v1 stops the gradient at them", .choices = {"v1", "v2"}},
};

static const linear defaults = {
    .trainer.options = {.epochs = 20, .batch = 128, .seed = 1, .threads = 2, .learning_rate = 0.002,
                        .momentum = 0.9, .weight_decay = 0.1, .schedule = REEL_SCHEDULE_COSINE},
    .v2 = 1,
};

int main(int argc, char **argv)
{
    static const trainer_model model = {
        .program = "cifar10_linear", .name = "linear softmax classifier",
        .summary = "Trains a linear softmax classifier on small images and prints its accuracy on the test "
                   "images.",
        .options = {own_options, sizeof own_options / sizeof own_options[0]}, .defaults = &defaults,
        .make = make, .logits = logits, .learn = learn, .fill = fill};
    linear linear = defaults;
    int status = trainer_main(&linear.trainer, &model, argc, argv);
    free(linear.labels);
    return status;
}
