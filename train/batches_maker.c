/* Making a batch: images are gathered, shifted, mirrored and standardised.
 *
 *     x_i = (byte_i - mean[i / run]) scale[i / run]
 *
 * The thread and the one that owns the batches take turns: `task` says whose turn it is, and all else belongs
 * to the one whose turn it is. A forked child has no thread; there batches are made when they are asked
 * for. */
#include "train/batches.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

/* ---- One batch ----------------------------------------------------------------------------------- */

/* Of 32 random bits a number from -pad to pad, evenly but for one part in 2^32 / (2 pad + 1). */
static int maker_shift(uint32_t bits, int pad)
{
    return (int)((uint64_t)bits * (2 * (uint64_t)pad + 1) >> 32) - pad;
}

/* to[x] = from[x + shift], black where there is no such pixel; then mirrored. */
static void maker_row(uint8_t *to, const uint8_t *from, int width, int shift, bool mirrored)
{
    int left = shift < 0 ? -shift : 0, right = shift > 0 ? shift : 0;
    memset(to, 0, (size_t)left);
    memcpy(to + left, from + left + shift, (size_t)(width - left - right));
    memset(to + width - right, 0, (size_t)right);
    for (int x = 0; mirrored && x < width / 2; x++) {
        uint8_t kept = to[x];
        to[x] = to[width - 1 - x];
        to[width - 1 - x] = kept;
    }
}

/* The counter's last bit keeps it apart from those of reel_random_*() with the same seed. */
static const uint8_t *maker_augment(const reel_batches_maker *maker, int64_t number, const uint8_t *image)
{
    const int height = maker->images.height, width = maker->images.width;
    const uint32_t key[2] = {(uint32_t)maker->seed, (uint32_t)(maker->seed >> 32)};
    const uint32_t counter[4] = {(uint32_t)maker->epoch, (uint32_t)(maker->epoch >> 32), (uint32_t)number,
                                 (uint32_t)(number >> 32) | 0x80000000u};
    uint32_t bits[4];
    if (!maker->flip && !maker->pad)
        return image;
    reel_philox(key, counter, bits);
    const bool mirrored = maker->flip && bits[0] >> 31;
    const int down = maker_shift(bits[1], maker->pad), across = maker_shift(bits[2], maker->pad);
    uint8_t *to = maker->changed;
    for (int c = 0; c < maker->images.channels; c++, image += (size_t)height * (size_t)width)
        for (int y = 0; y < height; y++, to += width)
            if (y + down < 0 || y + down >= height)
                memset(to, 0, (size_t)width);
            else
                maker_row(to, image + (size_t)(y + down) * (size_t)width, width, across, mirrored);
    return maker->changed;
}

static void maker_convert(const reel_standardisation *by, const uint8_t *image, int64_t count, float *values)
{
    if (!by)
#pragma omp simd
        for (int64_t i = 0; i < count; i++)
            values[i] = image[i];
    else if (by->run == 1)
#pragma omp simd
        for (int64_t i = 0; i < count; i++)
            values[i] = ((float)image[i] - by->mean[i]) * by->scale[i];
    else
        for (int64_t place = 0, at = 0; at < count; place++, at += by->run) {
            const int64_t end = by->run < count - at ? at + by->run : count;
            const float mean = by->mean[place], scale = by->scale[place];
#pragma omp simd
            for (int64_t i = at; i < end; i++)
                values[i] = ((float)image[i] - mean) * scale;
        }
}

int64_t reel_maker_make(const reel_batches_maker *maker, int64_t step, float *values, int32_t *labels)
{
    const int64_t first = step * maker->size, left = maker->images.count - first;
    const int64_t count = left < maker->size ? left : maker->size, each = reel_image_values(&maker->images);
    for (int64_t i = 0; i < count; i++) {
        const int64_t number = maker->order[first + i];
        const uint8_t *record = maker->images.records + number * (1 + each);
        labels[i] = record[0];
        maker_convert(maker->by, maker_augment(maker, number, record + 1), each, values + i * each);
    }
    return count;
}

/* ---- The thread ---------------------------------------------------------------------------------- */

static bool maker_threaded(const reel_batches_maker *maker)
{
    return maker->has_thread && maker->process == getpid();
}

static void maker_hand_over(reel_batches_maker *maker, int task)
{
    pthread_mutex_lock(&maker->mutex);
    maker->task = task;
    pthread_cond_signal(&maker->turn);
    pthread_mutex_unlock(&maker->mutex);
}

static int maker_await_other_than(reel_batches_maker *maker, int task)
{
    pthread_mutex_lock(&maker->mutex);
    while ((int)maker->task == task)
        pthread_cond_wait(&maker->turn, &maker->mutex);
    int now = maker->task;
    pthread_mutex_unlock(&maker->mutex);
    return now;
}

static void *maker_main(void *argument)
{
    reel_batches_maker *maker = argument;
    while (maker_await_other_than(maker, REEL_MAKER_RESTS) == REEL_MAKER_WORKS) {
        reel_maker_make(maker, maker->ready, maker->values, maker->labels);
        maker_hand_over(maker, REEL_MAKER_RESTS);
    }
    return NULL;
}

/* A thread inherits the signal mask of the one that starts it: all signals stay with the program's
 * threads. */
static bool maker_create(reel_batches_maker *maker)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool created = pthread_create(&maker->thread, NULL, maker_main, maker) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return created;
}

void reel_maker_start(reel_batches_maker *maker)
{
    maker->process = getpid();
    maker->task = REEL_MAKER_RESTS;
    if (pthread_mutex_init(&maker->mutex, NULL) != 0)
        return;
    if (pthread_cond_init(&maker->turn, NULL) == 0) {
        maker->has_thread = maker_create(maker);
        if (maker->has_thread)
            return;
        pthread_cond_destroy(&maker->turn);
    }
    pthread_mutex_destroy(&maker->mutex);
}

void reel_maker_rest(reel_batches_maker *maker)
{
    if (maker_threaded(maker))
        maker_await_other_than(maker, REEL_MAKER_WORKS);
}

void reel_maker_ahead(reel_batches_maker *maker, int64_t step)
{
    if (!maker_threaded(maker))
        return;
    maker->ready = step;
    maker_hand_over(maker, REEL_MAKER_WORKS);
}

int64_t reel_maker_fetch(reel_batches_maker *maker, int64_t step, float *values, int32_t *labels)
{
    if (!maker_threaded(maker))
        return 0;
    reel_maker_rest(maker);
    if (maker->ready != step)
        return 0;
    const int64_t left = maker->images.count - step * maker->size;
    const int64_t count = left < maker->size ? left : maker->size;
    memcpy(values, maker->values, (size_t)(count * reel_image_values(&maker->images)) * sizeof *values);
    memcpy(labels, maker->labels, (size_t)count * sizeof *labels);
    return count;
}

void reel_maker_stop(reel_batches_maker *maker)
{
    if (!maker_threaded(maker))
        return;
    reel_maker_rest(maker);
    maker_hand_over(maker, REEL_MAKER_ENDS);
    pthread_join(maker->thread, NULL);
    pthread_cond_destroy(&maker->turn);
    pthread_mutex_destroy(&maker->mutex);
}
