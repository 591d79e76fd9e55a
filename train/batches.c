/* Batches: which images come when. How one is made, and ahead of its time, is in batches_maker.c.
 *
 * The order is a function of seed and epoch, and batch s has the images from place s size on in it: so the
 * numbers seed, epoch and s are all that there is to a walk. */
#include "train/batches.h"

/* ---- Memory -------------------------------------------------------------------------------------- */

/* The parts of the one piece of memory, each aligned to 64. */
typedef struct batches_parts {
    size_t bytes;
    char  *memory;                                  /* NULL: they are only counted                 */
} batches_parts;

static void *batches_part(batches_parts *parts, int64_t count, size_t size)
{
    void *part = parts->memory ? parts->memory + parts->bytes : NULL;
    parts->bytes += ((size_t)count * size + 63) / 64 * 64;
    return part;
}

static void batches_lay_out(reel_batches *batches, batches_parts *parts)
{
    const int64_t images = batches->images->count, each = reel_image_values(batches->images);
    const int64_t size = batches->size < images ? batches->size : images;
    batches->values = batches_part(parts, size * each, sizeof(float));
    batches->labels = batches_part(parts, size, sizeof(int32_t));
    batches->order = batches_part(parts, images, sizeof(int64_t));
    batches->maker = batches_part(parts, 1, sizeof(reel_batches_maker));
    reel_batches_maker maker = {
        .images = *batches->images, .by = batches->standardisation, .size = batches->size,
        .flip = batches->flip, .pad = batches->pad, .order = batches->order, .ready = -1,
        .changed = batches_part(parts, each, 1),
        .values = batches_part(parts, batches->prefetch ? size * each : 0, sizeof(float)),
        .labels = batches_part(parts, batches->prefetch ? size : 0, sizeof(int32_t)),
    };
    if (parts->memory)
        *batches->maker = maker;
}

static bool batches_check(reel_batches *batches)
{
    const reel_images *images = batches->images;
    const reel_standardisation *by = batches->standardisation;
    const int64_t each = reel_image_values(images);
    if (batches->size < 1)
        return reel_train_fail(batches->error, "a batch of %lld images", (long long)batches->size);
    if (images->count > 0 && (images->channels < 1 || images->height < 1 || images->width < 1))
        return reel_train_fail(batches->error, "images of %d x %d x %d", images->channels, images->height,
                               images->width);
    if (images->count > 0 && by && (by->run < 1 || (each - 1) / by->run >= REEL_IMAGE_VALUES))
        return reel_train_fail(batches->error, "a standardisation by runs of %lld for images of %lld values",
                               (long long)by->run, (long long)each);
    if (batches->pad < 0 || (batches->pad > 0 && (batches->pad >= images->height ||
                                                  batches->pad >= images->width)))
        return reel_train_fail(batches->error, "shifts of %d pixels for images of %d x %d", batches->pad,
                               images->height, images->width);
    return true;
}

/* ---- The walk ------------------------------------------------------------------------------------ */

static void batches_arrange(reel_batches *batches, reel_batches_position to)
{
    uint64_t stream = reel_train_stream(to.seed, 0, to.epoch);
    int64_t *order = batches->order;
    reel_maker_rest(batches->maker);
    for (int64_t i = 0; i < batches->images->count; i++) {
        int64_t j = to.shuffled ? (int64_t)(reel_train_draw(&stream) % (uint64_t)(i + 1)) : i;
        order[i] = order[j];                        /* the shuffle that builds as it goes: what was */
        order[j] = i;                               /* there before does not matter                 */
    }
    batches->seed = batches->maker->seed = to.seed;
    batches->epoch = batches->maker->epoch = to.epoch;
    batches->shuffled = to.shuffled;
    batches->step = to.step;
    batches->count = 0;
}

static void batches_look_ahead(reel_batches *batches)
{
    if (batches->step < batches->steps)
        reel_maker_ahead(batches->maker, batches->step);
}

bool reel_batches_start(reel_batches *batches)
{
    batches_parts parts = {0, NULL};
    if (!batches_check(batches))
        return false;
    batches_lay_out(batches, &parts);
    const size_t bytes = parts.bytes + 64;
    char *memory = reel_train_resize(batches->allocator, batches->allocator_user, NULL, 0, bytes);
    if (!memory)
        return reel_train_fail(batches->error, "no memory for batches: %zu bytes", bytes);
    batches->memory = memory;
    batches->bytes = bytes;
    parts = (batches_parts){0, memory + -(uintptr_t)memory % 64};
    batches_lay_out(batches, &parts);
    const int64_t images = batches->images->count, size = batches->size;
    batches->steps = images / size + (images % size > 0 && !batches->drop_last);
    batches_arrange(batches, (reel_batches_position){0});
    if (batches->prefetch)
        reel_maker_start(batches->maker);
    return true;
}

void reel_batches_shuffle(reel_batches *batches, uint64_t seed, uint64_t epoch)
{
    batches_arrange(batches, (reel_batches_position){seed, epoch, 0, true});
    batches_look_ahead(batches);
}

bool reel_batches_next(reel_batches *batches)
{
    reel_batches_maker *maker = batches->maker;
    batches->count = 0;
    if (batches->step == batches->steps)
        return false;
    batches->count = reel_maker_fetch(maker, batches->step, batches->values, batches->labels);
    if (!batches->count)
        batches->count = reel_maker_make(maker, batches->step, batches->values, batches->labels);
    batches->step++;
    batches_look_ahead(batches);
    return true;
}

reel_batches_position reel_batches_tell(const reel_batches *batches)
{
    return (reel_batches_position){batches->seed, batches->epoch, batches->step, batches->shuffled};
}

bool reel_batches_resume(reel_batches *batches, reel_batches_position position)
{
    if (position.step < 0 || position.step > batches->steps)
        return reel_train_fail(batches->error, "batch %lld of an epoch of %lld", (long long)position.step,
                               (long long)batches->steps);
    batches_arrange(batches, position);
    batches_look_ahead(batches);
    return true;
}

bool reel_batches_restart(reel_batches *batches)
{
    reel_batches_position position = reel_batches_tell(batches);
    position.step = 0;
    return batches->memory ? reel_batches_resume(batches, position)
                           : reel_train_fail(batches->error, "these batches are not started");
}

void reel_batches_free(reel_batches *batches)
{
    if (batches->maker)
        reel_maker_stop(batches->maker);
    reel_train_release(batches->allocator, batches->allocator_user, batches->memory, batches->bytes);
    batches->memory = NULL;
    batches->bytes = 0;
    batches->maker = NULL;
    batches->values = NULL;
    batches->labels = NULL;
    batches->order = NULL;
    batches->step = batches->steps = batches->count = 0;
    batches->seed = batches->epoch = 0;
    batches->shuffled = false;
    batches->error[0] = 0;
}
