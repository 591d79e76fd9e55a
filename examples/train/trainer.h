/* What the programs that train a classifier of images have in common: their options, the way through epochs
 * and batches, the checkpoint, the log, the pictures and the test. A program brings a model, which is where
 * the numbers are: it makes its parameters, computes logits, and learns from a batch.
 *
 * A step is recorded on the tape the first time and replayed on every later batch, which lies in the same
 * memory. The last batch of an epoch may have fewer images: it has a recording of its own. The learning rate
 * changes from one epoch to the next. */
#ifndef REEL_EXAMPLES_TRAINER_H
#define REEL_EXAMPLES_TRAINER_H

#include <reel.h>
#include <reel_train.h>

#include "train/options.h"

typedef struct trainer trainer;

typedef struct trainer_model {
    const char *program, *summary;                  /* its name; a sentence for --help             */
    const char *name;                               /* such as "linear softmax classifier"         */
    option_list options;                            /* of its own, beside the common ones          */
    const void *defaults;                           /* the program's struct as it is at the start  */
    bool        flip;                               /* how training images are augmented           */
    int         pad;

    /* Adds the parameters, and what the optimiser remembers of them, to trainer->parameters. */
    void      (*make)(trainer *trainer);

    /* Images [n, channels, height, width] to logits [n, classes]; `learn` is false in the test. */
    reel_tensor (*logits)(trainer *trainer, reel_tensor x, bool learn);

    /* Learns from the batch in trainer->train, and returns its mean loss. */
    reel_tensor (*learn)(trainer *trainer, reel_tensor logits);

    /* Before each step, whether it is recorded or replayed; may be NULL. */
    void      (*fill)(trainer *trainer);
} trainer_model;

typedef struct trainer_options {
    const char *data;                               /* NULL: draw images                           */
    int64_t     held_out;                           /* training images to test on instead          */
    int64_t     epochs, batch, seed, threads;
    double      learning_rate, momentum, weight_decay;
    int         schedule;                           /* a reel_schedule_kind                        */
    const char *save, *load, *pictures, *log;       /* NULL: not                                   */
    bool        resume;
    int64_t     steps;                              /* to stop after; 0: none                      */
    bool        quiet, help;
} trainer_options;

/* One pass over a batch, recorded for its number of rows. */
typedef struct trainer_pass {
    int64_t      rows;                              /* 0: not recorded yet                         */
    reel_tensor  logits;                            /* [rows, classes]                             */
    reel_tensor  loss;                              /* a scalar; none in the test                  */
    reel_section section;
} trainer_pass;

/* Of the images of an epoch, each before the step that learnt from it. */
typedef struct trainer_sums {
    double loss, correct, images;
} trainer_sums;

typedef struct trainer_result {
    double loss, accuracy;
} trainer_result;

enum { TRAINER_STATES = 32 };                       /* parameters that are trained, at most        */

struct trainer {
    const trainer_model *model;
    trainer_options      options;

    reel_image_data      data;
    const reel_images   *tested;                    /* its test set, or what was held out          */
    reel_standardisation standardisation;
    reel_batches         train, test;

    reel_tape           *tape;
    reel_parameters      parameters;
    reel_tensor          state[TRAINER_STATES];     /* what the optimiser remembers of parameters.trained */
    reel_tensor          learning_rate;             /* a scalar, f32                               */
    reel_tensor          templates;                 /* weights [pixels, n] to be shown as images; or none */
    trainer_pass         train_pass[2], test_pass[2];       /* whole batches; the smaller last one */

    int64_t              epoch;                     /* that runs, from 0 on                        */
    trainer_sums         sums;                      /* of it                                       */
    trainer_result      *history;                   /* [epochs] of those that are done             */
    double               started, epoch_started;    /* seconds, by some clock                      */
    int64_t              first_epoch;               /* of this run                                 */
    reel_progress        progress;
    reel_log             log;
    int64_t             *confused;                  /* [classes, classes + 1]                      */
    reel_confusion       confusion;
    reel_mistakes        mistakes;
};

/* A whole program: takes the arguments, trains, tests. Returns its exit status. `trainer`, a copy of the
 * defaults, is the first member of the struct that the model's own options are in. */
int trainer_main(trainer *trainer, const trainer_model *model, int argc, char **argv);

/* For a model's make(): adds a velocity for each parameter, zeros, as reel_sgd() wants it. */
void trainer_add_velocities(trainer *trainer);

/* The mean loss of the batch, with labels by number. */
reel_tensor trainer_loss(trainer *trainer, reel_tensor logits);

/* A step of stochastic gradient descent with momentum down the loss's gradient. */
void trainer_descend(trainer *trainer, reel_tensor loss);

/* Prints "program: message" on standard error. Always false. */
bool trainer_failed(const trainer *trainer, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Every option with its table, the common ones first. */
extern const option_list trainer_common_options;

/* checkpoint.c: the file of --save. Loading takes the weights and the standardisation, resuming all else. */
bool trainer_save(trainer *trainer);
bool trainer_load(trainer *trainer, const char *path, bool resume);

/* outputs.c: what is written while it trains and at the end. */
bool trainer_check_paths(const trainer *trainer);   /* whether all that is to be written can be    */
bool trainer_start_outputs(trainer *trainer);
bool trainer_step_done(trainer *trainer, int64_t images, double loss, int64_t correct);
bool trainer_epoch_done(trainer *trainer);
bool trainer_finish_outputs(trainer *trainer);

#endif
