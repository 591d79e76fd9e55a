/* Sets of images: room for records, a part held out, and the numbers that standardise them. */
#include "train/images.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

int64_t reel_image_values(const reel_images *images)
{
    return (int64_t)images->channels * images->height * images->width;
}

/* ---- Records ------------------------------------------------------------------------------------- */

uint8_t *reel_images_grow(reel_image_data *data, reel_images *images, int64_t records)
{
    const size_t record = reel_images_record(images);
    if (records > (INT64_MAX / 2) / (int64_t)record - images->count) {
        reel_train_fail(data->error, "%lld images are too many", (long long)records);
        return NULL;
    }
    size_t bytes = (size_t)(images->count + records) * record;
    void *grown =
        reel_train_resize(data->allocator, data->allocator_user, images->records, images->bytes, bytes);
    if (!grown) {
        reel_train_fail(data->error, "no memory for images: %zu bytes", bytes);
        return NULL;
    }
    images->records = grown;
    images->bytes = bytes;
    return images->records + (size_t)images->count * record;
}

void reel_images_number_classes(reel_image_data *data, int classes)
{
    data->classes = classes;
    for (int i = 0; i < classes; i++)
        snprintf(data->class_name[i], REEL_CLASS_NAME, "%d", i);
}

void reel_image_data_empty(reel_image_data *data)
{
    reel_images *set[] = {&data->train, &data->test, &data->validation};
    for (int i = 0; i < 3; i++) {
        reel_train_release(data->allocator, data->allocator_user, set[i]->records, set[i]->bytes);
        *set[i] = (reel_images){0};
    }
    data->classes = 0;
    memset(data->class_name, 0, sizeof data->class_name);
}

void reel_image_data_free(reel_image_data *data)
{
    reel_image_data_empty(data);
    data->error[0] = 0;
}

/* ---- Holding out --------------------------------------------------------------------------------- */

/* Those that stay close up in front; the memory behind them is kept. */
bool reel_images_hold_out(reel_image_data *data, int64_t count, uint64_t seed)
{
    reel_images *train = &data->train, held = {0, train->channels, train->height, train->width, NULL, 0};
    const size_t record = reel_images_record(train);
    if (count < 0 || count > train->count)
        return reel_train_fail(data->error, "%lld of %lld training images cannot be held out",
                               (long long)count, (long long)train->count);
    if (data->validation.count > 0)
        return reel_train_fail(data->error, "%lld images are held out already",
                               (long long)data->validation.count);
    if (count > 0 && !reel_images_grow(data, &held, count))
        return false;
    uint64_t stream = reel_train_stream(seed, 3, 0);
    int64_t stay = 0;
    for (int64_t i = 0; i < train->count; i++) {
        const uint8_t *from = train->records + (size_t)i * record;
        bool taken = reel_train_draw(&stream) % (uint64_t)(train->count - i) < (uint64_t)(count - held.count);
        if (taken)
            memcpy(held.records + (size_t)held.count++ * record, from, record);
        else
            memmove(train->records + (size_t)stay++ * record, from, record);
    }
    train->count = stay;
    data->validation = held;
    data->error[0] = 0;
    return true;
}

/* ---- Standardising ------------------------------------------------------------------------------- */

/* Each value gets a mean and a deviation of its own. On five-fold splits of a training set of 5,170
 * CIFAR-10 images, over eleven settings of learning rate, weight decay, epochs and batch, a linear classifier
 * had 37.7 % of the held-out images right so, and 37.5 % with one mean and deviation a colour.
 *
 * Sums of bytes and of their squares are whole numbers, exact below 2^53 in double: 10^11 bytes. */
static void standardise_place(reel_standardisation *to, int64_t place, double count, double sum,
                              double squares)
{
    double mean = sum / count;
    double variance = squares / count - mean * mean;
    to->mean[place] = (float)mean;
    to->scale[place] = variance > 1e-6 ? (float)(1 / sqrt(variance)) : 1;
}

/* One mean and scale for every `run` values of an image: `places` of them. */
static bool standardise_runs(reel_standardisation *to, const reel_images *images, int64_t run)
{
    double sum[REEL_IMAGE_VALUES] = {0}, squares[REEL_IMAGE_VALUES] = {0};
    const int64_t places = images->count > 0 ? reel_image_values(images) / run : 0;
    if (places > REEL_IMAGE_VALUES)
        return false;
    for (int64_t i = 0; i < images->count; i++) {
        const uint8_t *image = images->records + (size_t)i * reel_images_record(images) + 1;
        for (int64_t place = 0; place < places; place++)
            for (int64_t k = 0; k < run; k++, image++) {
                sum[place] += *image;
                squares[place] += (double)(*image * *image);
            }
    }
    for (int64_t place = 0; place < places; place++)
        standardise_place(to, place, (double)images->count * (double)run, sum[place], squares[place]);
    if (places > 0)
        to->run = run;
    return true;
}

bool reel_standardise(reel_standardisation *standardisation, const reel_images *images)
{
    return standardise_runs(standardisation, images, 1);
}

bool reel_standardise_channels(reel_standardisation *standardisation, const reel_images *images)
{
    return standardise_runs(standardisation, images, (int64_t)images->height * images->width);
}
