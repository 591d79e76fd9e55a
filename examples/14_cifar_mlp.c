/* A network with one hidden layer on CIFAR-10's files (--data DIR), or on images that it draws itself.
 *
 *     h      = relu(x W1 + b1)         x [n, 3072] standardised, W1 [3072, 256], b1 [256]
 *     logits = h W2 + b2               W2 [256, 10], b2 [10]
 *
 * Training images are mirrored half of the time and shifted by up to four pixels, anew in each epoch, so
 * that the network never sees quite the same image twice. What is common to such programs is in
 * train/trainer.c.
 *
 * The defaults were chosen on 1,000 images held out of the training set of a 5,170-image subset of CIFAR-10
 * (--hold-out), never by a look at its test file. */
#include "train/trainer.h"

enum { HIDDEN = 256 };

typedef struct mlp {
    trainer     trainer;
    reel_tensor w1, b1, w2, b2;
} mlp;

static void make(trainer *t)
{
    mlp *m = (mlp *)t;
    reel_parameters *p = &t->parameters;
    int64_t values = reel_image_values(&t->data.train), classes = t->data.classes;
    m->w1 = reel_parameters_add(p, "hidden.weight",
                                reel_init_he_normal(t->tape, REEL_SHAPE(values, HIDDEN), REEL_F32));
    m->b1 = reel_parameters_add(p, "hidden.bias", reel_init_zeros(t->tape, REEL_SHAPE(HIDDEN), REEL_F32));
    m->w2 = reel_parameters_add(p, "output.weight",
                                reel_init_glorot_normal(t->tape, REEL_SHAPE(HIDDEN, classes), REEL_F32));
    m->b2 = reel_parameters_add(p, "output.bias", reel_init_zeros(t->tape, REEL_SHAPE(classes), REEL_F32));
    trainer_add_velocities(t);
    t->templates = m->w1;
}

static reel_tensor logits(trainer *t, reel_tensor x, bool learn)
{
    (void)learn;
    mlp *m = (mlp *)t;
    reel_tensor flat = reel_reshape(x, REEL_SHAPE(-1, reel_image_values(&t->data.train)));
    reel_tensor hidden = reel_relu(reel_add(reel_matmul(flat, m->w1), m->b1));
    return reel_add(reel_matmul(hidden, m->w2), m->b2);
}

static reel_tensor learn(trainer *t, reel_tensor logits)
{
    reel_tensor loss = trainer_loss(t, logits);
    trainer_descend(t, loss);
    return loss;
}

static const mlp defaults = {
    .trainer.options = {.epochs = 40, .batch = 32, .seed = 1, .threads = 2, .learning_rate = 0.003,
                        .momentum = 0.9, .weight_decay = 0.001, .schedule = REEL_SCHEDULE_COSINE},
};

int main(int argc, char **argv)
{
    static const trainer_model model = {
        .program = "14_cifar_mlp", .name = "network with one hidden layer",
        .summary = "Trains a network with one hidden layer on small images and prints its accuracy on the "
                   "test images.",
        .defaults = &defaults, .flip = true, .pad = 4, .make = make, .logits = logits, .learn = learn};
    mlp mlp = defaults;
    return trainer_main(&mlp.trainer, &model, argc, argv);
}
