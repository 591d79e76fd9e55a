/* Reading .safetensors files: see safetensors.h for the format. */
#include "train/safetensors.h"

#include <string.h>

enum { SAFETENSORS_ALIGNMENT = 64 };

static const struct {
    const char *name;
    reel_dtype  dtype;
} safetensors_dtypes[] = {
    {"F16", REEL_F16}, {"BF16", REEL_BF16}, {"F32", REEL_F32}, {"F64", REEL_F64},
    {"I32", REEL_I32}, {"I64", REEL_I64},   {"U8", REEL_U8},
};

enum { SAFETENSORS_DTYPES = sizeof safetensors_dtypes / sizeof safetensors_dtypes[0] };

const char *reel_safetensors_dtype_name(reel_dtype dtype)
{
    for (int i = 0; i < SAFETENSORS_DTYPES; i++)
        if (safetensors_dtypes[i].dtype == dtype)
            return safetensors_dtypes[i].name;
    return NULL;
}

reel_dtype reel_safetensors_dtype(const char *name)
{
    for (int i = 0; i < SAFETENSORS_DTYPES; i++)
        if (strcmp(safetensors_dtypes[i].name, name) == 0)
            return safetensors_dtypes[i].dtype;
    return REEL_NO_DTYPE;
}

void *reel_safetensors_resize(reel_safetensors *object, int which, size_t bytes)
{
    void *grown = reel_train_resize(object->allocator, object->allocator_user, object->memory[which],
                                    object->memory_bytes[which], bytes);
    if (!grown) {
        reel_train_fail(object->error, "no memory for a .safetensors file: %zu bytes", bytes);
        return NULL;
    }
    object->memory[which] = grown;
    object->memory_bytes[which] = bytes;
    return grown;
}

static void safetensors_empty(reel_safetensors *object)
{
    reel_mapping_release(&object->mapping);
    for (int i = 0; i < 4; i++) {
        reel_train_release(object->allocator, object->allocator_user, object->memory[i],
                           object->memory_bytes[i]);
        object->memory[i] = NULL;
        object->memory_bytes[i] = 0;
    }
    object->tensor = NULL;
    object->text = NULL;
    object->tensors = object->texts = 0;
}

/* ---- Reading ------------------------------------------------------------------------------------- */

static bool safetensors_read_header(reel_safetensors *object, reel_file *file, size_t *length)
{
    uint8_t bytes[8];
    uint64_t header = 0;
    if (!reel_file_take(file, bytes, sizeof bytes))
        return false;
    for (int i = 7; i >= 0; i--)
        header = header << 8 | bytes[i];
    if (header > REEL_SAFETENSORS_HEADER)
        return reel_file_fail(file, 0, "a header of %llu bytes; there may be %d", (unsigned long long)header,
                              REEL_SAFETENSORS_HEADER);
    if (header > (uint64_t)(file->length - file->at))
        return reel_file_fail(file, 0, "a header of %llu bytes in a file of %lld", (unsigned long long)header,
                              (long long)file->length);
    *length = (size_t)header;
    void *text = reel_safetensors_resize(object, REEL_SAFETENSORS_TEXT, *length + 1);
    return text && reel_file_take(file, text, *length) && reel_safetensors_header(object, file, *length);
}

static size_t safetensors_rounded(int64_t bytes)
{
    return ((size_t)bytes + SAFETENSORS_ALIGNMENT - 1) / SAFETENSORS_ALIGNMENT * SAFETENSORS_ALIGNMENT;
}

static bool safetensors_map(reel_safetensors *object, reel_file *file)
{
    for (size_t i = 0; i < object->tensors; i++) {
        const reel_stored_tensor *tensor = &object->tensor[i];
        const size_t size = reel_dtype_size(tensor->dtype);
        if ((file->at + tensor->offset) % (int64_t)size)
            return reel_file_fail(file, file->at + tensor->offset, "\"%.60s\", %s, cannot be mapped: not at "
                                  "a multiple of %zu; read it without", tensor->name,
                                  reel_dtype_name(tensor->dtype), size);
    }
    if (!reel_file_map(file, &object->mapping))
        return false;
    for (size_t i = 0; i < object->tensors; i++)
        object->tensor[i].data = (char *)object->mapping.data + file->at + object->tensor[i].offset;
    return true;
}

/* The file's length bounds the sum of all sizes, so that it does not overflow. */
static bool safetensors_copy(reel_safetensors *object, reel_file *file)
{
    size_t room = SAFETENSORS_ALIGNMENT;
    for (size_t i = 0; i < object->tensors; i++)
        room += safetensors_rounded(object->tensor[i].bytes);
    char *data = reel_safetensors_resize(object, REEL_SAFETENSORS_DATA, room);
    if (!data)
        return false;
    data += -(uintptr_t)data % SAFETENSORS_ALIGNMENT;
    for (size_t i = 0; i < object->tensors; i++) {
        reel_stored_tensor *tensor = &object->tensor[i];
        tensor->data = data;
        data += safetensors_rounded(tensor->bytes);
        if (!reel_file_take(file, tensor->data, (size_t)tensor->bytes))
            return false;
    }
    return true;
}

static bool safetensors_read_data(reel_safetensors *object, reel_file *file)
{
    int64_t wanted = 0;
    for (size_t i = 0; i < object->tensors; i++)
        wanted += object->tensor[i].bytes;          /* they tile: that is the end of the last one  */
    if (!reel_file_rest_is(file, wanted))
        return false;
    return object->map ? safetensors_map(object, file) : safetensors_copy(object, file);
}

bool reel_safetensors_read(reel_safetensors *object, const char *path, const reel_io *io)
{
    reel_file file;
    size_t length;
    reel_safetensors_free(object);
    if (!reel_file_open(&file, path, io, object->error))
        return false;
    bool good = safetensors_read_header(object, &file, &length) && safetensors_read_data(object, &file);
    reel_file_close(&file);
    if (!good)
        safetensors_empty(object);
    return good;
}

void reel_safetensors_free(reel_safetensors *object)
{
    safetensors_empty(object);
    object->error[0] = 0;
}

/* ---- Looking ------------------------------------------------------------------------------------- */

reel_stored_tensor *reel_safetensors_find(const reel_safetensors *object, const char *name)
{
    for (size_t i = 0; i < object->tensors; i++)
        if (strcmp(object->tensor[i].name, name) == 0)
            return &object->tensor[i];
    return NULL;
}

const char *reel_safetensors_text(const reel_safetensors *object, const char *key)
{
    for (size_t i = 0; i < object->texts; i++)
        if (strcmp(object->text[i].key, key) == 0)
            return object->text[i].value;
    return NULL;
}
