/* The file of --save: what was learnt, and all that it takes to go on with the same bits.
 *
 *     weights, bias, ...                       the parameters, and what the optimiser remembers of them
 *     standardisation.mean, .scale             f32 [values of an image, or channels]
 *     training.position                        i64 [4], a reel_batches_position
 *     training.sums                            f64 [3], of the epoch that runs
 *     training.history                         f64 [epochs, 2], losses and accuracies
 *
 * The metadata holds the options that decide what comes out. */
#include "train/trainer.h"

#include <string.h>

enum { CHECKPOINT_TENSORS = 2 * TRAINER_STATES + 8, CHECKPOINT_TEXTS = 24 };

/* The tensors that are no parameters. */
enum { CHECKPOINT_MEAN, CHECKPOINT_SCALE, CHECKPOINT_POSITION, CHECKPOINT_SUMS, CHECKPOINT_HISTORY,
       CHECKPOINT_EXTRAS };

static reel_stored_tensor checkpoint_tensor(const char *name, reel_dtype dtype, reel_shape shape, void *data)
{
    return (reel_stored_tensor){.name = name, .dtype = dtype, .shape = shape, .data = data};
}

/* ... where they lie in memory. */
static void checkpoint_extras(trainer *t, reel_batches_position *position, reel_stored_tensor *to)
{
    reel_standardisation *s = &t->standardisation;
    reel_shape values = REEL_SHAPE(reel_image_values(&t->data.train) / s->run);
    reel_shape history = REEL_SHAPE(t->options.epochs, 2);
    to[CHECKPOINT_MEAN] = checkpoint_tensor("standardisation.mean", REEL_F32, values, s->mean);
    to[CHECKPOINT_SCALE] = checkpoint_tensor("standardisation.scale", REEL_F32, values, s->scale);
    to[CHECKPOINT_POSITION] = checkpoint_tensor("training.position", REEL_I64, REEL_SHAPE(4), position);
    to[CHECKPOINT_SUMS] = checkpoint_tensor("training.sums", REEL_F64, REEL_SHAPE(3), &t->sums);
    to[CHECKPOINT_HISTORY] = checkpoint_tensor("training.history", REEL_F64, history, t->history);
}

static reel_stored_tensor checkpoint_parameter(const reel_parameter *p)
{
    return checkpoint_tensor(p->name, reel_dtype_of(p->tensor), reel_shape_of(p->tensor),
                             (void *)reel_data(p->tensor));
}

/* The options that are kept, as metadata; returns how many they are. */
static size_t checkpoint_options(const trainer *t, reel_stored_text *texts, char values[][OPTION_PRINTED])
{
    const option_list lists[] = {trainer_common_options, t->model->options};
    size_t count = 0;
    for (int list = 0; list < 2; list++)
        for (size_t i = 0; i < lists[list].count && count < CHECKPOINT_TEXTS; i++) {
            const option *option = &lists[list].option[i];
            if (!option->kept)
                continue;
            option_print(option, t, values[count]);
            texts[count] = (reel_stored_text){option->name, values[count]};
            count++;
        }
    return count;
}

bool trainer_save(trainer *t)
{
    reel_stored_tensor tensors[CHECKPOINT_TENSORS];
    reel_stored_text texts[CHECKPOINT_TEXTS + 1];
    char values[CHECKPOINT_TEXTS][OPTION_PRINTED];
    reel_batches_position position = reel_batches_tell(&t->train);
    reel_safetensors file = {.tensor = tensors, .text = texts};
    checkpoint_extras(t, &position, tensors);
    file.tensors = CHECKPOINT_EXTRAS;
    for (size_t i = 0; i < t->parameters.count; i++)
        tensors[file.tensors++] = checkpoint_parameter(&t->parameters.parameter[i]);
    file.texts = checkpoint_options(t, texts, values);
    texts[file.texts++] = (reel_stored_text){"model", t->model->program};
    return reel_safetensors_write(&file, t->options.save, NULL) || trainer_failed(t, "%s", file.error);
}


/* ---- Loading ------------------------------------------------------------------------------------- */

/* The file's tensor of this name, dtype and shape, or NULL after a message. */
static const reel_stored_tensor *find_like(const trainer *t, const reel_safetensors *file, const char *path,
                                           const reel_stored_tensor *like)
{
    const reel_stored_tensor *found = reel_safetensors_find(file, like->name);
    bool same = found && found->dtype == like->dtype && found->shape.rank == like->shape.rank;
    for (int i = 0; same && i < like->shape.rank; i++)
        same = found->shape.size[i] == like->shape.size[i];
    if (same)
        return found;
    trainer_failed(t, "%s: %s \"%s\" %s this model", path, found ? "its" : "there is no", like->name,
                   found ? "is of another shape or dtype than that of" : "as it is in");
    return NULL;
}

static bool load_parameters(trainer *t, const reel_safetensors *file, const char *path, bool resume)
{
    for (size_t i = 0; i < t->parameters.count; i++) {
        const reel_parameter *p = &t->parameters.parameter[i];
        if (p->state && !resume)
            continue;
        reel_stored_tensor like = checkpoint_parameter(p);
        const reel_stored_tensor *found = find_like(t, file, path, &like);
        if (!found)
            return false;
        reel_write(p->tensor, reel_values_of(found->dtype, found->data, (size_t)found->count));
    }
    return !reel_failed(t->tape) || trainer_failed(t, "%s", reel_error_message(t->tape));
}

/* A training goes on only with the options, and on the images, that it began with. */
static bool check_same_training(const trainer *t, const reel_safetensors *file, const char *path,
                                const reel_stored_tensor *extras)
{
    reel_stored_text texts[CHECKPOINT_TEXTS];
    char values[CHECKPOINT_TEXTS][OPTION_PRINTED];
    size_t count = checkpoint_options(t, texts, values);
    for (size_t i = 0; i < count; i++) {
        const char *then = reel_safetensors_text(file, texts[i].key);
        if (!then || strcmp(then, texts[i].value) != 0)
            return trainer_failed(t, "%s: it began with --%s %s, not %s", path, texts[i].key,
                                  then ? then : "unknown", texts[i].value);
    }
    for (int i = CHECKPOINT_MEAN; i <= CHECKPOINT_SCALE; i++) {
        const reel_stored_tensor *found = find_like(t, file, path, &extras[i]);
        if (!found)
            return false;
        if (memcmp(found->data, extras[i].data, (size_t)found->bytes) != 0)
            return trainer_failed(t, "%s: it began on other images", path);
    }
    return true;
}

/* Copies the tensors [first, last) of the extras out of the file. */
static bool load_extras(const trainer *t, const reel_safetensors *file, const char *path,
                        const reel_stored_tensor *extras, int first, int last)
{
    for (int i = first; i < last; i++) {
        const reel_stored_tensor *found = find_like(t, file, path, &extras[i]);
        if (!found)
            return false;
        memcpy(extras[i].data, found->data, (size_t)found->bytes);
    }
    return true;
}

static bool load_position(trainer *t, const reel_safetensors *file, const char *path, bool resume)
{
    reel_batches_position position;
    reel_stored_tensor extras[CHECKPOINT_EXTRAS];
    checkpoint_extras(t, &position, extras);
    if (!resume)
        return load_extras(t, file, path, extras, CHECKPOINT_MEAN, CHECKPOINT_POSITION);
    if (!check_same_training(t, file, path, extras) ||
        !load_extras(t, file, path, extras, CHECKPOINT_POSITION, CHECKPOINT_EXTRAS))
        return false;
    if (position.epoch > (uint64_t)t->options.epochs || !reel_batches_resume(&t->train, position))
        return trainer_failed(t, "%s: its place is not in this training", path);
    t->epoch = (int64_t)position.epoch;
    return true;
}

bool trainer_load(trainer *t, const char *path, bool resume)
{
    reel_safetensors file = {0};
    if (!reel_safetensors_read(&file, path, NULL))
        return trainer_failed(t, "%s", file.error);
    const char *model = reel_safetensors_text(&file, "model");
    bool good = model && strcmp(model, t->model->program) == 0;
    if (!good)
        trainer_failed(t, "%s: no model of %s", path, t->model->program);
    good = good && load_position(t, &file, path, resume) && load_parameters(t, &file, path, resume);
    reel_safetensors_free(&file);
    return good;
}
