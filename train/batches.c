/* Batches: which images come when, and their bytes as standardised numbers. */
#include "train/train.h"

/* The parts of the one piece of memory, each aligned to 64. */
static size_t batches_rounded(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

bool reel_batches_start(reel_batches *batches)
{
    int64_t count = batches->images->count;
    if (batches->size < 1)
        return reel_train_fail(batches->error, "a batch of %lld images", (long long)batches->size);
    int64_t size = batches->size < count ? batches->size : count;
    size_t values = batches_rounded((size_t)size * REEL_IMAGE_VALUES * sizeof(float));
    size_t labels = batches_rounded((size_t)size * sizeof(int32_t));
    size_t bytes = 64 + values + labels + (size_t)count * sizeof(int64_t);
    char *memory = reel_train_resize(batches->allocator, batches->allocator_user, NULL, 0, bytes);
    if (!memory)
        return reel_train_fail(batches->error, "no memory for batches: %zu bytes", bytes);
    batches->memory = memory;
    batches->bytes = bytes;
    memory += -(uintptr_t)memory % 64;
    batches->values = (float *)memory;
    batches->labels = (int32_t *)(memory + values);
    batches->order = (int64_t *)(memory + values + labels);
    for (int64_t i = 0; i < count; i++)
        batches->order[i] = i;
    batches->next = batches->count = 0;
    return true;
}

void reel_batches_shuffle(reel_batches *batches, uint64_t seed, uint64_t epoch)
{
    uint64_t stream = reel_train_stream(seed, 0, epoch);
    int64_t *order = batches->order;
    for (int64_t i = 0; i < batches->images->count; i++) {
        int64_t j = (int64_t)(reel_train_draw(&stream) % (uint64_t)(i + 1));
        order[i] = order[j];                        /* the shuffle that builds as it goes: what was */
        order[j] = i;                               /* there before does not matter                 */
    }
    batches->next = batches->count = 0;
}

static void batches_convert(const reel_standardisation *by, const uint8_t *image, float *values)
{
    if (!by)
        for (int i = 0; i < REEL_IMAGE_VALUES; i++)
            values[i] = image[i];
    else
        for (int i = 0; i < REEL_IMAGE_VALUES; i++)
            values[i] = ((float)image[i] - by->mean[i]) * by->scale[i];
}

bool reel_batches_next(reel_batches *batches)
{
    int64_t left = batches->images->count - batches->next;
    batches->count = left < batches->size ? left : batches->size;
    for (int64_t i = 0; i < batches->count; i++) {
        const uint8_t *record =
            batches->images->records + (size_t)batches->order[batches->next + i] * REEL_IMAGE_RECORD;
        batches->labels[i] = record[0];
        batches_convert(batches->standardisation, record + 1, batches->values + i * REEL_IMAGE_VALUES);
    }
    batches->next += batches->count;
    return batches->count > 0;
}

void reel_batches_free(reel_batches *batches)
{
    reel_train_release(batches->allocator, batches->allocator_user, batches->memory, batches->bytes);
    batches->memory = NULL;
    batches->bytes = 0;
    batches->values = NULL;
    batches->labels = NULL;
    batches->order = NULL;
    batches->next = batches->count = 0;
    batches->error[0] = 0;
}
