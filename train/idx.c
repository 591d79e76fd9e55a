/* IDX files (yann.lecun.com/exdb/mnist): 0, 0, type, rank, then `rank` sizes of 32 bits, then the elements;
 * big-endian. i8 and i16, which Reel has not, are i32 in memory. */
#include "train/idx.h"

#include <string.h>

enum { IDX_BLOCK = 4096, IDX_ALIGNMENT = 64 };

static const struct idx_element {
    reel_idx_type type;
    size_t        size;                             /* in the file                                 */
    reel_dtype    dtype;
} idx_elements[] = {                                /* of a dtype, the type of its own size first  */
    {REEL_IDX_U8, 1, REEL_U8},   {REEL_IDX_I32, 4, REEL_I32}, {REEL_IDX_F32, 4, REEL_F32},
    {REEL_IDX_F64, 8, REEL_F64}, {REEL_IDX_I8, 1, REEL_I32},  {REEL_IDX_I16, 2, REEL_I32},
};

enum { IDX_ELEMENTS = sizeof idx_elements / sizeof idx_elements[0] };

static const struct idx_element *idx_find(int type)
{
    for (int i = 0; i < IDX_ELEMENTS; i++)
        if ((int)idx_elements[i].type == type)
            return &idx_elements[i];
    return NULL;
}

static void idx_reverse(char *to, const char *from, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        to[i] = from[bytes - 1 - i];
}

/* ---- Reading ------------------------------------------------------------------------------------- */

/* NULL where it is not good. */
static const struct idx_element *idx_take_start(reel_file *file, int *rank)
{
    uint8_t start[4];
    if (!reel_file_take(file, start, sizeof start))
        return NULL;
    const struct idx_element *element = idx_find(start[2]);
    *rank = start[3];
    if (start[0] == 0x1f && start[1] == 0x8b)
        reel_file_fail(file, 0, "compressed with gzip, which is not read; unpack it first");
    else if (start[0] != 0 || start[1] != 0)
        reel_file_fail(file, 0, "not an IDX file");
    else if (!element)
        reel_file_fail(file, 2, "0x%02x is not a type of an IDX file", start[2]);
    else if (*rank > REEL_MAX_RANK)
        reel_file_fail(file, 3, "%d dimensions; there may be %d", *rank, REEL_MAX_RANK);
    else
        return element;
    return NULL;
}

bool reel_idx_take_header(reel_file *file, reel_idx_type *type, reel_shape *shape)
{
    *shape = (reel_shape){0};
    const struct idx_element *element = idx_take_start(file, &shape->rank);
    if (!element)
        return false;
    *type = element->type;
    for (int i = 0; i < shape->rank; i++) {
        uint8_t size[4];
        if (!reel_file_take(file, size, sizeof size))
            return false;
        shape->size[i] = (int64_t)size[0] << 24 | size[1] << 16 | size[2] << 8 | size[3];
    }
    int64_t bytes = reel_stored_bytes(element->dtype, shape);
    if (bytes < 0)
        return reel_file_fail(file, 4, "the shape is too large");
    return reel_file_rest_is(file, bytes / (int64_t)reel_dtype_size(element->dtype) * (int64_t)element->size);
}

/* One element of the file, turned round, at `from`. */
static void idx_load(const struct idx_element *element, const char *from, char *to)
{
    char bytes[8] = {0};
    int16_t half;
    idx_reverse(bytes, from, element->size);
    memcpy(&half, bytes, sizeof half);
    int32_t wide = element->size == 1 ? (int8_t)bytes[0] : half;
    bool widened = element->size < reel_dtype_size(element->dtype);
    memcpy(to, widened ? (char *)&wide : bytes, reel_dtype_size(element->dtype));
}

static bool idx_take_elements(reel_idx *array, reel_file *file, const struct idx_element *element)
{
    char block[IDX_BLOCK];
    const int64_t most = IDX_BLOCK / (int64_t)element->size;
    const size_t size = reel_dtype_size(element->dtype);
    char *to = array->data;
    if (element->dtype == REEL_U8)
        return reel_file_take(file, to, (size_t)array->count);
    for (int64_t left = array->count, some; left > 0; left -= some) {
        some = left < most ? left : most;
        if (!reel_file_take(file, block, (size_t)some * element->size))
            return false;
        for (int64_t i = 0; i < some; i++, to += size)
            idx_load(element, block + (size_t)i * element->size, to);
    }
    return true;
}

static bool idx_map(reel_idx *array, reel_file *file)
{
    if (array->dtype != REEL_U8)
        return reel_file_fail(file, file->at, "big-endian %s cannot be mapped; read it without",
                              reel_dtype_name(array->dtype));
    if (!reel_file_map(file, &array->mapping))
        return false;
    array->data = (char *)array->mapping.data + file->at;
    return true;
}

static bool idx_read(reel_idx *array, reel_file *file)
{
    if (!reel_idx_take_header(file, &array->type, &array->shape))
        return false;
    const struct idx_element *element = idx_find((int)array->type);
    const int64_t bytes = reel_stored_bytes(element->dtype, &array->shape);
    array->dtype = element->dtype;
    array->count = bytes / (int64_t)reel_dtype_size(element->dtype);
    if (array->map)
        return idx_map(array, file);
    size_t room = (size_t)bytes + IDX_ALIGNMENT;
    char *memory = reel_train_resize(array->allocator, array->allocator_user, NULL, 0, room);
    if (!memory)
        return reel_train_fail(array->error, "no memory for an IDX file: %zu bytes", room);
    array->memory = memory;
    array->memory_bytes = room;
    array->data = memory + -(uintptr_t)memory % IDX_ALIGNMENT;
    return idx_take_elements(array, file, element);
}

static void idx_empty(reel_idx *array)
{
    reel_mapping_release(&array->mapping);
    reel_train_release(array->allocator, array->allocator_user, array->memory, array->memory_bytes);
    array->dtype = REEL_NO_DTYPE;
    array->type = 0;
    array->shape = (reel_shape){0};
    array->data = array->memory = NULL;
    array->count = 0;
    array->memory_bytes = 0;
}

bool reel_idx_read(reel_idx *array, const char *path, const reel_io *io)
{
    reel_file file;
    reel_idx_free(array);
    if (!reel_file_open(&file, path, io, array->error))
        return false;
    bool good = idx_read(array, &file);
    reel_file_close(&file);
    if (!good)
        idx_empty(array);
    return good;
}

void reel_idx_free(reel_idx *array)
{
    idx_empty(array);
    array->error[0] = 0;
}

/* ---- Writing ------------------------------------------------------------------------------------- */

static bool idx_put_header(const reel_idx *array, reel_file *file, const struct idx_element *element)
{
    char header[4 + 4 * REEL_MAX_RANK] = {0, 0, (char)element->type, (char)array->shape.rank};
    for (int i = 0; i < array->shape.rank; i++) {
        uint32_t size = (uint32_t)array->shape.size[i];
        idx_reverse(header + 4 + 4 * i, (const char *)&size, 4);
    }
    return reel_file_put(file, header, 4 + 4 * (size_t)array->shape.rank);
}

static bool idx_put_elements(const reel_idx *array, reel_file *file, const struct idx_element *element)
{
    const size_t size = reel_dtype_size(array->dtype);
    const char *from = array->data;
    char bytes[8];
    for (int64_t i = 0; i < array->count; i++, from += size) {
        idx_reverse(bytes, from, element->size);    /* the low bytes, where it is narrower         */
        if (!reel_file_put(file, bytes, element->size))
            return false;
    }
    return true;
}

/* Whether all numbers are in the range of the narrower type. */
static bool idx_fits(reel_idx *array, const struct idx_element *element)
{
    const int32_t most = element->size == 1 ? INT8_MAX : INT16_MAX, *number = array->data;
    for (int64_t i = 0; i < array->count; i++)
        if (number[i] > most || number[i] < -most - 1)
            return reel_train_fail(array->error, "element %lld is %ld, which is not from %ld to %ld",
                                   (long long)i, (long)number[i], (long)-most - 1, (long)most);
    return true;
}

static const struct idx_element *idx_element_to_write(reel_idx *array)
{
    const struct idx_element *element = array->type ? idx_find((int)array->type) : NULL;
    for (int i = 0; i < IDX_ELEMENTS && !array->type && !element; i++)
        element = idx_elements[i].dtype == array->dtype ? &idx_elements[i] : NULL;
    if (element && element->dtype == array->dtype)
        return element;
    reel_train_fail(array->error, "an IDX file cannot hold %s%s", reel_dtype_name(array->dtype),
                    array->type ? " as that type" : "");
    return NULL;
}

static bool idx_check(reel_idx *array, const struct idx_element *element)
{
    const int64_t bytes = reel_stored_bytes(array->dtype, &array->shape);
    if (bytes < 0)
        return reel_train_fail(array->error, "an array without a legal shape cannot be written");
    if (!array->data && bytes > 0)
        return reel_train_fail(array->error, "the array's data is NULL");
    for (int i = 0; i < array->shape.rank; i++)
        if (array->shape.size[i] > UINT32_MAX)
            return reel_train_fail(array->error, "size %lld does not fit into an IDX file",
                                   (long long)array->shape.size[i]);
    array->count = bytes / (int64_t)reel_dtype_size(array->dtype);
    return element->size == reel_dtype_size(array->dtype) || idx_fits(array, element);
}

bool reel_idx_write(reel_idx *array, const char *path, const reel_io *io)
{
    reel_file file;
    array->error[0] = 0;
    const struct idx_element *element = idx_element_to_write(array);
    if (!element || !idx_check(array, element) || !reel_file_create(&file, path, io, array->error))
        return false;
    return reel_file_finish(&file, idx_put_header(array, &file, element) &&
                                       idx_put_elements(array, &file, element));
}
