/* Making one batch, in place or ahead of its time by a thread of its own. */
#ifndef REEL_TRAIN_BATCHES_H
#define REEL_TRAIN_BATCHES_H

#include "train/train.h"

#include <pthread.h>
#include <sys/types.h>

typedef struct reel_batches_maker {
    /* What batches are made of. It only changes while the thread rests. */
    reel_images                 images;
    const reel_standardisation *by;
    int64_t                     size;
    bool                        flip;
    int                         pad;
    const int64_t              *order;              /* [images.count]                              */
    uint64_t                    seed, epoch;
    uint8_t                    *changed;            /* an image shifted and mirrored               */

    /* The batch that is made ahead. */
    int64_t  ready;                                 /* its step; -1: none                          */
    float   *values;
    int32_t *labels;

    bool            has_thread;
    pid_t           process;                        /* whose thread it is                          */
    pthread_t       thread;
    pthread_mutex_t mutex;                          /* of `task`                                   */
    pthread_cond_t  turn;
    enum { REEL_MAKER_RESTS, REEL_MAKER_WORKS, REEL_MAKER_ENDS } task;
} reel_batches_maker;

/* Makes batch `step` and returns how many images it has. The thread must be at rest. */
int64_t reel_maker_make(const reel_batches_maker *maker, int64_t step, float *values, int32_t *labels);

/* All of these do nothing where there is no thread, and reel_maker_fetch() then returns 0. */
void reel_maker_start(reel_batches_maker *maker);   /* a thread, if the system grants one          */
void reel_maker_rest(reel_batches_maker *maker);    /* waits until it is at rest                   */
void reel_maker_ahead(reel_batches_maker *maker, int64_t step);     /* begins to make that batch   */
void reel_maker_stop(reel_batches_maker *maker);

/* Copies the batch made ahead, if it is that of `step`; else returns 0. The thread is then at rest. */
int64_t reel_maker_fetch(reel_batches_maker *maker, int64_t step, float *values, int32_t *labels);

#endif
