/* A small convolutional network on CIFAR-10's files (--data DIR), or on images that it draws itself.
 *
 *     x [n, 3, 32, 32] -> [n, 16, 16, 16] -> [n, 32, 8, 8] -> [n, 64, 4, 4]        three times over:
 *                                            a convolution of 3 x 3, the largest of each 2 x 2, a relu
 *     logits = h W + b                       h [n, 1024], W [1024, 10]
 *
 * The bias and the relu come behind the pooling: a maximum passes through both unchanged, so the numbers are
 * the same, and they have a quarter of the elements to work on.
 *
 * Training images are mirrored half of the time and shifted by up to four pixels, anew in each epoch. What
 * is common to such programs is in train/trainer.c.
 *
 * The defaults were chosen on 1,000 images held out of the training set of a 5,170-image subset of CIFAR-10
 * (--hold-out), never by a look at its test file. */
#include "train/trainer.h"

#include <stdio.h>

enum { LAYERS = 3 };
static const int64_t channels[LAYERS] = {16, 32, 64};

typedef struct conv {
    trainer     trainer;
    reel_tensor kernels[LAYERS], bias[LAYERS];      /* [out, in, 3, 3], [out, 1, 1]                */
    reel_tensor weights, output_bias;               /* [1024, 10], [10]                            */
} conv;

static void make(trainer *t)
{
    conv *c = (conv *)t;
    reel_parameters *p = &t->parameters;
    int64_t in = t->data.train.channels, side = t->data.train.height, classes = t->data.classes;
    for (int i = 0; i < LAYERS; i++, side /= 2) {
        char name[REEL_PARAMETER_NAME];
        snprintf(name, sizeof name, "layer%d.weight", i + 1);
        c->kernels[i] = reel_parameters_add(
            p, name, reel_init_he_normal(t->tape, REEL_SHAPE(channels[i], in, 3, 3), REEL_F32));
        snprintf(name, sizeof name, "layer%d.bias", i + 1);
        c->bias[i] = reel_parameters_add(
            p, name, reel_init_zeros(t->tape, REEL_SHAPE(channels[i], 1, 1), REEL_F32));
        in = channels[i];
    }
    c->weights = reel_parameters_add(
        p, "output.weight", reel_init_zeros(t->tape, REEL_SHAPE(in * side * side, classes), REEL_F32));
    c->output_bias = reel_parameters_add(p, "output.bias",
                                         reel_init_zeros(t->tape, REEL_SHAPE(classes), REEL_F32));
    trainer_add_velocities(t);
}

static reel_tensor logits(trainer *t, reel_tensor x, bool learn)
{
    (void)learn;
    conv *c = (conv *)t;
    for (int i = 0; i < LAYERS; i++) {
        x = reel_conv2d(x, c->kernels[i], .padding = {1, 1});
        x = reel_relu(reel_add(reel_max_pool2d(x, .kernel = {2, 2}), c->bias[i]));
    }
    reel_tensor flat = reel_reshape(x, REEL_SHAPE(-1, reel_shape_of(c->weights).size[0]));
    return reel_add(reel_matmul(flat, c->weights), c->output_bias);
}

static reel_tensor learn(trainer *t, reel_tensor logits)
{
    reel_tensor loss = trainer_loss(t, logits);
    trainer_descend(t, loss);
    return loss;
}

static const conv defaults = {
    .trainer.options = {.epochs = 20, .batch = 16, .seed = 1, .threads = 2, .learning_rate = 0.006,
                        .momentum = 0.9, .weight_decay = 0.001, .schedule = REEL_SCHEDULE_COSINE},
};

int main(int argc, char **argv)
{
    static const trainer_model model = {
        .program = "15_cifar_conv", .name = "convolutional network",
        .summary = "Trains a small convolutional network on small images and prints its accuracy on the "
                   "test images.",
        .defaults = &defaults, .flip = true, .pad = 4, .make = make, .logits = logits, .learn = learn};
    conv conv = defaults;
    return trainer_main(&conv.trainer, &model, argc, argv);
}
