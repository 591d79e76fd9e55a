/* Writing .safetensors files: see safetensors.h for the format. The wider dtypes come first, and the
 * header is padded with spaces to a multiple of 8 bytes, so that every tensor is aligned in the file. */
#include "train/safetensors.h"

#include <stdio.h>
#include <string.h>

/* The header is made twice: once to know its length, once into the file. */
struct write_text {
    reel_file *file;                                /* NULL: only counting                         */
    size_t     length;
    bool       failed;
};

static void write_bytes(struct write_text *out, const char *bytes, size_t count)
{
    out->length += count;
    if (out->file && !out->failed)
        out->failed = !reel_file_put(out->file, bytes, count);
}

static void write_plain(struct write_text *out, const char *text)
{
    write_bytes(out, text, strlen(text));
}

static void write_number(struct write_text *out, int64_t value)
{
    char digits[24];
    write_bytes(out, digits, (size_t)snprintf(digits, sizeof digits, "%lld", (long long)value));
}

static void write_string(struct write_text *out, const char *text)
{
    write_plain(out, "\"");
    for (; *text; text++) {
        char escaped[8];
        if (*text == '"' || *text == '\\')
            write_bytes(out, (const char[]){'\\', *text}, 2);
        else if ((unsigned char)*text < 0x20)
            write_bytes(out, escaped, (size_t)snprintf(escaped, sizeof escaped, "\\u%04x", (unsigned)*text));
        else
            write_bytes(out, text, 1);
    }
    write_plain(out, "\"");
}

static void write_tensor(struct write_text *out, const reel_stored_tensor *tensor)
{
    write_string(out, tensor->name);
    write_plain(out, ":{\"dtype\":\"");
    write_plain(out, reel_safetensors_dtype_name(tensor->dtype));
    write_plain(out, "\",\"shape\":[");
    for (int i = 0; i < tensor->shape.rank; i++) {
        write_plain(out, i ? "," : "");
        write_number(out, tensor->shape.size[i]);
    }
    write_plain(out, "],\"data_offsets\":[");
    write_number(out, tensor->offset);
    write_plain(out, ",");
    write_number(out, tensor->offset + tensor->bytes);
    write_plain(out, "]}");
}

static void write_header(struct write_text *out, const reel_safetensors *object,
                         reel_stored_tensor *const *order)
{
    bool first = true;
    write_plain(out, "{");
    if (object->texts) {
        write_plain(out, "\"" REEL_SAFETENSORS_METADATA "\":{");
        for (size_t i = 0; i < object->texts; i++) {
            write_plain(out, i ? "," : "");
            write_string(out, object->text[i].key);
            write_plain(out, ":");
            write_string(out, object->text[i].value);
        }
        write_plain(out, "}");
        first = false;
    }
    for (size_t i = 0; i < object->tensors; i++, first = false) {
        write_plain(out, first ? "" : ",");
        write_tensor(out, order[i]);
    }
    write_plain(out, "}");
    while (out->length % 8)
        write_plain(out, " ");
}

/* ---- What can be written ------------------------------------------------------------------------- */

static bool write_text_is_good(const char *text)
{
    size_t bad;
    return text && reel_is_utf8(text, strlen(text), &bad);
}

static bool write_tensor_is_good(reel_safetensors *object, reel_stored_tensor *tensor)
{
    const char *fault = NULL;
    tensor->bytes = reel_stored_bytes(tensor->dtype, &tensor->shape);
    if (!write_text_is_good(tensor->name))
        return reel_train_fail(object->error, "tensor %zu: its name is not UTF-8 text",
                               (size_t)(tensor - object->tensor));
    if (!reel_safetensors_dtype_name(tensor->dtype))
        fault = "it has no dtype";
    else if (tensor->bytes < 0)
        fault = "its shape is not legal, or too large";
    else if (!tensor->data && tensor->bytes)
        fault = "its data is NULL";
    else if (strcmp(tensor->name, REEL_SAFETENSORS_METADATA) == 0)
        fault = "no tensor may have this name";
    if (fault)
        return reel_train_fail(object->error, "tensor \"%.80s\": %s", tensor->name, fault);
    tensor->count = tensor->bytes / (int64_t)reel_dtype_size(tensor->dtype);
    return true;
}

static bool write_texts_are_good(reel_safetensors *object)
{
    for (size_t i = 0; i < object->texts; i++) {
        if (!write_text_is_good(object->text[i].key) || !write_text_is_good(object->text[i].value))
            return reel_train_fail(object->error, "metadata %zu is not UTF-8 text", i);
        for (size_t k = 0; k < i; k++)
            if (strcmp(object->text[i].key, object->text[k].key) == 0)
                return reel_train_fail(object->error, "the metadata \"%.80s\" comes twice",
                                       object->text[i].key);
    }
    return true;
}

static int write_by_name(const void *a, const void *b)
{
    return strcmp((*(reel_stored_tensor *const *)a)->name, (*(reel_stored_tensor *const *)b)->name);
}

/* The wider dtypes first; among them, the order in which they were given. */
static int write_by_width(const void *a, const void *b)
{
    const reel_stored_tensor *x = *(reel_stored_tensor *const *)a, *y = *(reel_stored_tensor *const *)b;
    size_t p = reel_dtype_size(x->dtype), q = reel_dtype_size(y->dtype);
    return p != q ? (p > q ? -1 : 1) : (x > y) - (x < y);
}

/* Fills in `order` and the tensors' places. */
static bool write_lay_out(reel_safetensors *object, reel_stored_tensor **order)
{
    for (size_t i = 0; i < object->tensors; i++) {
        order[i] = &object->tensor[i];
        if (!write_tensor_is_good(object, order[i]))
            return false;
    }
    reel_train_sort(order, object->tensors, sizeof *order, write_by_name);
    for (size_t i = 1; i < object->tensors; i++)
        if (strcmp(order[i - 1]->name, order[i]->name) == 0)
            return reel_train_fail(object->error, "tensor \"%.80s\": this name comes twice", order[i]->name);
    reel_train_sort(order, object->tensors, sizeof *order, write_by_width);
    int64_t place = 0;
    for (size_t i = 0; i < object->tensors; i++) {
        order[i]->offset = place;
        if (__builtin_add_overflow(place, order[i]->bytes, &place))
            return reel_train_fail(object->error, "tensor \"%.80s\": the file is too large", order[i]->name);
    }
    return true;
}

/* ---- Writing ------------------------------------------------------------------------------------- */

static bool write_all(reel_safetensors *object, reel_stored_tensor *const *order, reel_file *file,
                      uint64_t length)
{
    uint8_t bytes[8];
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(length >> 8 * i);
    if (!reel_file_put(file, bytes, sizeof bytes))
        return false;
    struct write_text out = {.file = file};
    write_header(&out, object, order);
    for (size_t i = 0; i < object->tensors && !out.failed; i++)
        out.failed = !reel_file_put(file, order[i]->data, (size_t)order[i]->bytes);
    return !out.failed;
}

static bool write_object(reel_safetensors *object, reel_stored_tensor **order, const char *path,
                       const reel_io *io)
{
    struct write_text counted = {0};
    if (!write_lay_out(object, order) || !write_texts_are_good(object))
        return false;
    write_header(&counted, object, order);
    if (counted.length > REEL_SAFETENSORS_HEADER)
        return reel_train_fail(object->error, "the header would have %zu bytes; there may be %d",
                               counted.length, REEL_SAFETENSORS_HEADER);
    reel_file file;
    return reel_file_create(&file, path, io, object->error) &&
           reel_file_finish(&file, write_all(object, order, &file, counted.length));
}

bool reel_safetensors_write(reel_safetensors *object, const char *path, const reel_io *io)
{
    object->error[0] = 0;
    size_t bytes = (object->tensors + 1) * sizeof(reel_stored_tensor *);
    reel_stored_tensor **order = reel_train_resize(object->allocator, object->allocator_user, NULL, 0, bytes);
    if (!order)
        return reel_train_fail(object->error, "no memory to order the tensors: %zu bytes", bytes);
    bool good = write_object(object, order, path, io);
    reel_train_release(object->allocator, object->allocator_user, order, bytes);
    return good;
}
