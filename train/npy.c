/* .npy files (NumPy's own format, "NEP 1: a simple file format for NumPy arrays"): "\x93NUMPY", two bytes
 * of version, the header's length in 2 bytes (version 1) or 4 (versions 2 and 3), the header, the data.
 * The header is a Python dict of 'descr', 'fortran_order' and 'shape', padded with spaces and closed with
 * a newline. */
#include "train/file.h"

#include <stdio.h>
#include <string.h>

enum { NPY_HEADER = 10000, NPY_ALIGNMENT = 64, NPY_BLOCK = 4096 };

static const struct {
    const char *name;
    reel_dtype  dtype;
} npy_dtypes[] = {
    {"<f2", REEL_F16}, {"<V2", REEL_BF16}, {"<f4", REEL_F32}, {"<f8", REEL_F64},
    {"<i4", REEL_I32}, {"<i8", REEL_I64},  {"|u1", REEL_U8},  {"|V2", REEL_BF16},
};

enum { NPY_DTYPES = sizeof npy_dtypes / sizeof npy_dtypes[0] };

/* ---- The header ---------------------------------------------------------------------------------- */

struct npy_cursor {
    const reel_file *file;
    const char      *begin, *at, *end;
    int64_t          begins_at;                     /* in the file                                 */
};

static bool npy_fail(const struct npy_cursor *in, const char *at, const char *what)
{
    return reel_file_fail(in->file, in->begins_at + (at - in->begin), "%s", what);
}

static void npy_skip(struct npy_cursor *in)
{
    while (in->at < in->end && *in->at == ' ')
        in->at++;
}

static bool npy_take(struct npy_cursor *in, char c)
{
    npy_skip(in);
    if (in->at == in->end || *in->at != c)
        return false;
    in->at++;
    return true;
}

static bool npy_expect(struct npy_cursor *in, char c)
{
    return npy_take(in, c) ||
           reel_file_fail(in->file, in->begins_at + (in->at - in->begin), "a %c is missing in the header", c);
}

/* A string without escapes, in single or double quotes, of at most 31 bytes. */
static bool npy_string(struct npy_cursor *in, char string[32])
{
    char quote = npy_take(in, '\'') ? '\'' : npy_take(in, '"') ? '"' : 0;
    size_t length = 0;
    if (!quote)
        return npy_fail(in, in->at, "a string is missing in the header");
    for (; in->at < in->end && *in->at != quote && length < 31; length++)
        string[length] = *in->at++;
    string[length] = 0;
    if (in->at == in->end || *in->at != quote)
        return npy_fail(in, in->at, "a string of the header is too long, or has no end");
    in->at++;
    return true;
}

static bool npy_size(struct npy_cursor *in, int64_t *value)
{
    npy_skip(in);
    const char *start = in->at;
    *value = 0;
    for (; in->at < in->end && *in->at >= '0' && *in->at <= '9'; in->at++)
        if (__builtin_mul_overflow(*value, 10, value) ||
            __builtin_add_overflow(*value, *in->at - '0', value))
            return npy_fail(in, start, "a size that is too large");
    if (in->at == start || (*start == '0' && in->at - start > 1))
        return npy_fail(in, start, "a size that is not a whole number from 0 on");
    return true;
}

/* (), (3,), (2, 3) or (2, 3,); (3) is no tuple. */
static bool npy_shape(struct npy_cursor *in, reel_shape *shape)
{
    bool comma = true;
    if (!npy_expect(in, '('))
        return false;
    for (shape->rank = 0; !npy_take(in, ')'); comma = npy_take(in, ',')) {
        if (!comma)
            return npy_fail(in, in->at, "a comma is missing in the shape");
        if (shape->rank == REEL_MAX_RANK)
            return npy_fail(in, in->at, "more than 8 dimensions");
        if (!npy_size(in, &shape->size[shape->rank++]))
            return false;
    }
    return shape->rank != 1 || comma || npy_fail(in, in->at, "a shape of one size needs a comma");
}

static bool npy_descr(struct npy_cursor *in, reel_dtype *dtype)
{
    char name[32];
    npy_skip(in);
    const char *at = in->at;
    if (!npy_string(in, name))
        return false;
    for (int i = 0; i < NPY_DTYPES && !*dtype; i++)
        if (strcmp(npy_dtypes[i].name, name) == 0)
            *dtype = npy_dtypes[i].dtype;
    return *dtype || reel_file_fail(in->file, in->begins_at + (at - in->begin), "'%s': %s", name,
                                    name[0] == '>' ? "not little-endian" : "not a dtype that Reel has");
}

static bool npy_order(struct npy_cursor *in, bool *fortran)
{
    npy_skip(in);
    size_t left = (size_t)(in->end - in->at);
    *fortran = left >= 4 && memcmp(in->at, "True", 4) == 0;
    if (!*fortran && (left < 5 || memcmp(in->at, "False", 5) != 0))
        return npy_fail(in, in->at, "neither True nor False");
    in->at += *fortran ? 4 : 5;
    return true;
}

static bool npy_item(struct npy_cursor *in, reel_npy *array, bool *fortran, unsigned *seen)
{
    char key[32];
    const char *at = in->at;
    if (!npy_string(in, key) || !npy_expect(in, ':'))
        return false;
    unsigned item = strcmp(key, "descr") == 0 ? 1 : strcmp(key, "fortran_order") == 0 ? 2
                    : strcmp(key, "shape") == 0 ? 4 : 0;
    if (!item || *seen & item)
        return npy_fail(in, at, item ? "this key comes twice" : "an unknown key");
    *seen |= item;
    return item == 1 ? npy_descr(in, &array->dtype) : item == 2 ? npy_order(in, fortran)
                                                                : npy_shape(in, &array->shape);
}

static bool npy_dict(struct npy_cursor *in, reel_npy *array, bool *fortran)
{
    unsigned seen = 0;
    bool comma = true;
    if (!npy_expect(in, '{'))
        return false;
    for (; !npy_take(in, '}'); comma = npy_take(in, ',')) {
        if (!comma)
            return npy_fail(in, in->at, "a comma is missing in the header");
        if (!npy_item(in, array, fortran, &seen))
            return false;
    }
    if (seen != 7)
        return npy_fail(in, in->at, "descr, fortran_order or shape is missing");
    if (!npy_take(in, '\n') || in->at != in->end)
        return npy_fail(in, in->at, "the header does not end with spaces and a newline");
    return true;
}

/* ---- Reading ------------------------------------------------------------------------------------- */

static bool npy_read_header(reel_npy *array, reel_file *file, bool *fortran)
{
    char header[NPY_HEADER];
    uint8_t start[8], more[4] = {0};
    if (!reel_file_take(file, start, sizeof start))
        return false;
    if (memcmp(start, "\x93NUMPY", 6) != 0)
        return reel_file_fail(file, 0, "not a .npy file");
    if (start[6] < 1 || start[6] > 3 || start[7] != 0)
        return reel_file_fail(file, 6, "version %d.%d; known are 1.0, 2.0 and 3.0", start[6], start[7]);
    if (!reel_file_take(file, more, start[6] == 1 ? 2 : 4))
        return false;
    uint32_t length = more[0] | (uint32_t)more[1] << 8 | (uint32_t)more[2] << 16 | (uint32_t)more[3] << 24;
    if (length > sizeof header || length > file->length - file->at)
        return reel_file_fail(file, 8, "a header of %lu bytes in a file of %lld; there may be %d",
                              (unsigned long)length, (long long)file->length, NPY_HEADER);
    struct npy_cursor in = {file, header, header, header + length, file->at};
    return reel_file_take(file, header, length) && npy_dict(&in, array, fortran);
}

/* In Fortran's order the first dimension is the fastest: each element goes to its place. */
static bool npy_read_fortran(const reel_npy *array, reel_file *file)
{
    char block[NPY_BLOCK];
    const int rank = array->shape.rank;
    const size_t size = reel_dtype_size(array->dtype);
    int64_t stride[REEL_MAX_RANK], index[REEL_MAX_RANK] = {0}, to = 0;
    for (int i = rank; i-- > 0;)
        stride[i] = i == rank - 1 ? 1 : stride[i + 1] * array->shape.size[i + 1];
    for (int64_t done = 0; done < array->count;) {
        int64_t some = array->count - done < NPY_BLOCK / 8 ? array->count - done : NPY_BLOCK / 8;
        if (!reel_file_take(file, block, (size_t)some * size))
            return false;
        for (int64_t k = 0; k < some; k++) {
            memcpy((char *)array->data + (size_t)to * size, block + (size_t)k * size, size);
            for (int i = 0; i < rank; i++) {
                to += stride[i];
                if (++index[i] < array->shape.size[i])
                    break;
                to -= index[i] * stride[i];
                index[i] = 0;
            }
        }
        done += some;
    }
    return true;
}

static bool npy_map_data(reel_npy *array, reel_file *file, bool fortran)
{
    const size_t size = reel_dtype_size(array->dtype);
    int sizes_above_1 = 0;
    for (int i = 0; i < array->shape.rank; i++)
        sizes_above_1 += array->shape.size[i] > 1;
    if (fortran && sizes_above_1 > 1)
        return reel_file_fail(file, file->at, "data in Fortran's order cannot be mapped; read it without");
    if (file->at % (int64_t)size)
        return reel_file_fail(file, file->at, "%s here cannot be mapped: not at a multiple of %zu; read it "
                              "without", reel_dtype_name(array->dtype), size);
    if (!reel_file_map(file, &array->mapping))
        return false;
    array->data = (char *)array->mapping.data + file->at;
    return true;
}

static bool npy_read_data(reel_npy *array, reel_file *file, bool fortran)
{
    int64_t bytes = reel_stored_bytes(array->dtype, &array->shape);
    if (bytes < 0)
        return reel_file_fail(file, 10, "the shape is too large");
    if (!reel_file_rest_is(file, bytes))
        return false;
    array->count = bytes / (int64_t)reel_dtype_size(array->dtype);
    if (array->map)
        return npy_map_data(array, file, fortran);
    size_t room = (size_t)bytes + NPY_ALIGNMENT;
    char *memory = reel_train_resize(array->allocator, array->allocator_user, NULL, 0, room);
    if (!memory)
        return reel_train_fail(array->error, "no memory for a .npy file: %zu bytes", room);
    array->memory = memory;
    array->memory_bytes = room;
    array->data = memory + -(uintptr_t)memory % NPY_ALIGNMENT;
    return fortran ? npy_read_fortran(array, file) : reel_file_take(file, array->data, (size_t)bytes);
}

static void npy_empty(reel_npy *array)
{
    reel_mapping_release(&array->mapping);
    reel_train_release(array->allocator, array->allocator_user, array->memory, array->memory_bytes);
    array->dtype = REEL_NO_DTYPE;
    array->shape = (reel_shape){0};
    array->data = array->memory = NULL;
    array->count = 0;
    array->memory_bytes = 0;
}

bool reel_npy_read(reel_npy *array, const char *path, const reel_io *io)
{
    reel_file file;
    bool fortran = false;
    reel_npy_free(array);
    if (!reel_file_open(&file, path, io, array->error))
        return false;
    bool good = npy_read_header(array, &file, &fortran) && npy_read_data(array, &file, fortran);
    reel_file_close(&file);
    if (!good)
        npy_empty(array);
    return good;
}

void reel_npy_free(reel_npy *array)
{
    npy_empty(array);
    array->error[0] = 0;
}

/* ---- Writing ------------------------------------------------------------------------------------- */

/* As NumPy writes it; the data begins at a multiple of 64 bytes. Returns its length. */
static size_t npy_write_header(const reel_npy *array, char header[NPY_BLOCK])
{
    const char *name = "";
    for (int i = 0; i < NPY_DTYPES && !name[0]; i++)
        if (npy_dtypes[i].dtype == array->dtype)
            name = npy_dtypes[i].name;
    size_t at = 10;
    at += (size_t)snprintf(header + at, NPY_BLOCK - at, "{'descr': '%s', 'fortran_order': False, 'shape': (",
                           name);
    for (int i = 0; i < array->shape.rank; i++)
        at += (size_t)snprintf(header + at, NPY_BLOCK - at, "%s%lld%s", i ? " " : "",
                               (long long)array->shape.size[i], i == 0 || i + 1 < array->shape.rank ? "," : "");
    at += (size_t)snprintf(header + at, NPY_BLOCK - at, "), }");
    size_t length = (at + 1 + NPY_ALIGNMENT - 1) / NPY_ALIGNMENT * NPY_ALIGNMENT;
    memset(header + at, ' ', length - at - 1);
    header[length - 1] = '\n';
    memcpy(header, "\x93NUMPY\x01", 8);
    header[8] = (char)((length - 10) & 0xff);
    header[9] = (char)((length - 10) >> 8);
    return length;
}

bool reel_npy_write(reel_npy *array, const char *path, const reel_io *io)
{
    char header[NPY_BLOCK];
    reel_file file;
    array->error[0] = 0;
    int64_t bytes = reel_stored_bytes(array->dtype, &array->shape);
    if (bytes < 0)
        return reel_train_fail(array->error, "an array without a legal dtype or shape cannot be written");
    if (!array->data && bytes > 0)
        return reel_train_fail(array->error, "the array's data is NULL");
    array->count = bytes / (int64_t)reel_dtype_size(array->dtype);
    if (!reel_file_create(&file, path, io, array->error))
        return false;
    return reel_file_finish(&file, reel_file_put(&file, header, npy_write_header(array, header)) &&
                                       reel_file_put(&file, array->data, (size_t)bytes));
}
