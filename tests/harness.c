/* The tests' allocator, files, generator and arithmetic: see harness.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/harness.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


/* ---- Reports ------------------------------------------------------------------------------------- */

void test_complain(test_report *report, const char *format, ...)
{
    report->failures++;
    size_t used = strlen(report->text);
    if (used + 300 > sizeof report->text)
        return;
    va_list list;
    va_start(list, format);
    int length = vsnprintf(report->text + used, 280, format, list);
    va_end(list);
    strcpy(report->text + used + (length < 280 ? length : 279), "\n");
}

void test_assert_clean(const test_report *report)
{
    ck_assert_msg(report->failures == 0, "%d failures:\n%s", report->failures, report->text);
}


/* ---- The allocator ------------------------------------------------------------------------------- */

/* Stands before each block; 32 bytes, so that what follows is aligned to 16. */
typedef struct harness_block {
    size_t   size;
    uint64_t stamp;
    uint64_t padding[2];
} harness_block;

static const uint64_t harness_stamp = 0x7265656c74657374;

static bool harness_refuses(test_memory *memory)
{
    uint64_t request = ++memory->requests;
    bool refused =
        memory->fail_at && (memory->fail_on ? request >= memory->fail_at : request == memory->fail_at);
    memory->refused += refused;
    return refused;
}

static void *harness_fresh(test_memory *memory, size_t size)
{
    harness_block *block = malloc(sizeof(harness_block) + size);
    if (!block)
        return NULL;
    *block = (harness_block){.size = size, .stamp = harness_stamp};
    memset(block + 1, 0xff, size);
    memory->live += size;
    memory->blocks++;
    if (memory->peak < memory->live)
        memory->peak = memory->live;
    return block + 1;
}

static void harness_release(test_memory *memory, harness_block *block)
{
    memory->live -= block->size;
    memory->blocks--;
    block->stamp = 0;
    free(block);
}

void *test_allocate(void *user, void *pointer, size_t old_size, size_t new_size)
{
    test_memory *memory = user;
    memory->calls++;
    harness_block *old = pointer ? (harness_block *)pointer - 1 : NULL;
    if (old ? old->stamp != harness_stamp || old->size != old_size : old_size != 0) {
        memory->misuse++;
        return NULL;
    }
    if (new_size && harness_refuses(memory))
        return NULL;
    void *fresh = new_size ? harness_fresh(memory, new_size) : NULL;
    if (old && (fresh || !new_size)) {
        if (fresh)
            memcpy(fresh, pointer, old_size < new_size ? old_size : new_size);
        harness_release(memory, old);
    }
    return fresh;
}

void test_memory_check(const test_memory *memory, test_report *report)
{
    if (memory->live || memory->blocks)
        test_complain(report, "%zu bytes in %lld blocks leaked", memory->live, (long long)memory->blocks);
    if (memory->misuse)
        test_complain(report, "%d calls of the allocator with a wrong old size", memory->misuse);
}


/* ---- Files --------------------------------------------------------------------------------------- */

static bool harness_io_fails(test_files *files)
{
    uint64_t call = ++files->calls;
    return files->fail_at && (files->fail_on ? call >= files->fail_at : call == files->fail_at);
}

static struct test_file *harness_find(test_files *files, const char *path)
{
    for (int i = 1; i < TEST_FILES; i++)
        if (strcmp(files->file[i].path, path) == 0)
            return &files->file[i];
    return NULL;
}

/* The file of that path, made if it is new; NULL where there is no room. */
static struct test_file *harness_place(test_files *files, const char *path)
{
    struct test_file *file = harness_find(files, path);
    if (!file && (file = harness_find(files, "")))
        snprintf(file->path, sizeof file->path, "%s", path);
    return file;
}

static bool harness_append(struct test_file *file, const void *bytes, size_t length)
{
    if (file->length + length + 1 > file->room) {
        size_t room = 2 * (file->length + length) + 64;
        char *grown = realloc(file->bytes, room);
        if (!grown)
            return false;
        file->bytes = grown;
        file->room = room;
    }
    if (length)
        memcpy(file->bytes + file->length, bytes, length);
    file->length += length;
    file->bytes[file->length] = 0;
    return true;
}

static int harness_open(void *user, const char *path, bool writing)
{
    test_files *files = user;
    if (harness_io_fails(files))
        return -EIO;
    struct test_file *file = writing ? harness_place(files, path) : harness_find(files, path);
    if (!file || !*path)
        return -ENOENT;
    if (writing)
        file->length = 0;
    file->at = 0;
    file->is_open = true;
    files->open++;
    return (int)(file - files->file);
}

static int64_t harness_length(void *user, int file)
{
    test_files *files = user;
    return harness_io_fails(files) ? -EIO : (int64_t)files->file[file].length;
}

static int64_t harness_read(void *user, int number, void *buffer, size_t bytes)
{
    test_files *files = user;
    struct test_file *file = &files->file[number];
    if (harness_io_fails(files))
        return -EIO;
    size_t left = file->length - file->at, some = bytes < left ? bytes : left;
    if (some)
        memcpy(buffer, file->bytes + file->at, some);
    file->at += some;
    return (int64_t)some;
}

static int64_t harness_write(void *user, int number, const void *buffer, size_t bytes)
{
    test_files *files = user;
    if (harness_io_fails(files))
        return -EIO;
    return harness_append(&files->file[number], buffer, bytes) ? (int64_t)bytes : -ENOSPC;
}

static int harness_close(void *user, int number)
{
    test_files *files = user;
    files->open -= files->file[number].is_open;
    files->file[number].is_open = false;
    return harness_io_fails(files) ? -EIO : 0;
}

static int harness_create(void *user, const char *path)
{
    test_files *files = user;
    return harness_find(files, path) ? (harness_io_fails(files) ? -EIO : -EEXIST) : harness_open(user, path, true);
}

static int harness_sync(void *user, int number)
{
    (void)number;
    return harness_io_fails(user) ? -EIO : 0;
}

static void harness_forget(struct test_file *file)
{
    free(file->bytes);
    *file = (struct test_file){0};
}

static int harness_rename(void *user, const char *from, const char *to)
{
    test_files *files = user;
    struct test_file *file = harness_find(files, from), *old = harness_find(files, to);
    if (harness_io_fails(files))
        return -EIO;
    if (!file)
        return -ENOENT;
    if (old && old != file)
        harness_forget(old);
    snprintf(file->path, sizeof file->path, "%s", to);
    return 0;
}

static int harness_remove(void *user, const char *path)
{
    test_files *files = user;
    struct test_file *file = harness_find(files, path);
    if (harness_io_fails(files))
        return -EIO;
    if (!file)
        return -ENOENT;
    harness_forget(file);
    return 0;
}

static int harness_sync_folder(void *user, const char *path)
{
    (void)path;
    return harness_io_fails(user) ? -EIO : 0;
}

void test_files_start(test_files *files)
{
    memset(files, 0, sizeof *files);
    files->io = (reel_io){sizeof(reel_io), files, harness_open, harness_length,
                          harness_read, harness_write, harness_close, harness_create,
                          harness_sync, harness_rename, harness_remove, harness_sync_folder, NULL, NULL};
    harness_place(files, "stdout");
    harness_place(files, "stderr");
}

void test_files_end(test_files *files)
{
    for (int i = 0; i < TEST_FILES; i++)
        free(files->file[i].bytes);
    memset(files, 0, sizeof *files);
}

void test_files_put(test_files *files, const char *path, const void *bytes, size_t length)
{
    struct test_file *file = harness_place(files, path);
    ck_assert_ptr_nonnull(file);
    file->length = 0;
    ck_assert(harness_append(file, bytes, length));
}

const char *test_files_text(test_files *files, const char *path)
{
    struct test_file *file = harness_find(files, path);
    return file ? (file->bytes ? file->bytes : "") : NULL;
}


/* ---- Numbers ------------------------------------------------------------------------------------- */

uint64_t test_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

double test_uniform(uint64_t *state, double low, double high)
{
    double at = (double)(test_random(state) >> 11) * 0x1p-53;
    return low + at * (high - low);
}

/* FNV-1a. */
uint64_t test_hash(const char *text)
{
    uint64_t hash = 0xcbf29ce484222325;
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 0x100000001b3;
    return hash;
}

/* A floating dtype: digits with the leading one, the exponents of its smallest and largest normal numbers. */
typedef struct harness_format {
    int digits, lowest, highest;
} harness_format;

static harness_format harness_format_of(reel_dtype dtype)
{
    static const harness_format format[REEL_DTYPES] = {
        [REEL_F16] = {11, -14, 15},
        [REEL_BF16] = {8, -126, 127},
        [REEL_F32] = {24, -126, 127},
        [REEL_F64] = {53, -1022, 1023},
    };
    return format[dtype];
}

double test_roundoff(reel_dtype dtype)
{
    return ldexp(1, -harness_format_of(dtype).digits);
}

double test_largest(reel_dtype dtype)
{
    return ldexp(2 - 2 * test_roundoff(dtype), harness_format_of(dtype).highest);
}

double test_ulp(reel_dtype dtype, double x)
{
    harness_format format = harness_format_of(dtype);
    int exponent = x != 0 && isfinite(x) ? ilogb(x) : format.lowest;
    exponent = exponent < format.lowest    ? format.lowest
               : exponent > format.highest ? format.highest
                                           : exponent;
    return ldexp(1, exponent - format.digits + 1);
}

/* The bits of a half format: sign, `exponent_bits` bits of exponent, then the fraction. */
static uint16_t harness_half_bits(reel_dtype dtype, double value)
{
    harness_format format = harness_format_of(dtype);
    int fraction_bits = format.digits - 1;
    uint16_t sign = signbit(value) ? 0x8000 : 0,
             infinity = (uint16_t)(0x7fff >> fraction_bits << fraction_bits);
    if (isnan(value))
        return sign | 0x7fff;
    double ulp = test_ulp(dtype, value), units = nearbyint(fabs(value) / ulp);
    if (!isfinite(value) || units * ulp > test_largest(dtype))
        return sign | infinity;
    int biased = fabs(value) < ldexp(1, format.lowest) ? 0 : ilogb(value) - format.lowest;
    return (uint16_t)(sign + ((unsigned)biased << fraction_bits) + (unsigned)units);
}

static double harness_half_value(reel_dtype dtype, uint16_t bits)
{
    harness_format format = harness_format_of(dtype);
    int fraction_bits = format.digits - 1, biased = (bits & 0x7fff) >> fraction_bits;
    int fraction = bits & ((1 << fraction_bits) - 1), top = 0x7fff >> fraction_bits;
    double magnitude =
        biased == top ? (fraction ? NAN : INFINITY)
        : biased      ? ldexp(fraction + (1 << fraction_bits), biased - 1 + format.lowest - fraction_bits)
                      : ldexp(fraction, format.lowest - fraction_bits);
    return bits & 0x8000 ? -magnitude : magnitude;
}

/* An integer's range has no place for every double. */
static double harness_within(double value, double low, double high)
{
    return !(value > low) ? low : value < high ? value : high;
}

void test_store(reel_dtype dtype, void *element, double value)
{
    switch (dtype) {
    case REEL_F16:
    case REEL_BF16: *(uint16_t *)element = harness_half_bits(dtype, value); break;
    case REEL_F32:  *(float *)element = (float)value; break;
    case REEL_F64:  *(double *)element = value; break;
    case REEL_I32:  *(int32_t *)element = (int32_t)harness_within(value, INT32_MIN, INT32_MAX); break;
    case REEL_I64:  *(int64_t *)element = (int64_t)harness_within(value, -0x1p63, 0x1p63 - 1024); break;
    case REEL_U8:   *(uint8_t *)element = (uint8_t)harness_within(value, 0, UINT8_MAX); break;
    default:        ck_abort_msg("no dtype");
    }
}

double test_load(reel_dtype dtype, const void *element)
{
    switch (dtype) {
    case REEL_F16:
    case REEL_BF16: return harness_half_value(dtype, *(const uint16_t *)element);
    case REEL_F32:  return *(const float *)element;
    case REEL_F64:  return *(const double *)element;
    case REEL_I32:  return *(const int32_t *)element;
    case REEL_I64:  return (double)*(const int64_t *)element;
    case REEL_U8:   return *(const uint8_t *)element;
    default:        return NAN;
    }
}

bool test_close(reel_dtype dtype, double got, double want, double allowed)
{
    if (isnan(want) || isnan(got))
        return isnan(want) && isnan(got);
    if (!reel_dtype_is_float(dtype))
        return got == want;
    double largest = test_largest(dtype);
    if (isinf(got) && isfinite(want))
        return copysign(1, got) == copysign(1, want) && fabs(want) + allowed >= largest;
    if (isinf(want) || fabs(want) > largest)
        return copysign(1, got) == copysign(1, want) &&
               (isinf(got) || (isfinite(want) && fabs(got) >= largest - allowed));
    return fabs(got - want) <= allowed;
}

int64_t test_count(reel_shape shape)
{
    int64_t count = 1;
    for (int i = 0; i < shape.rank; i++)
        count *= shape.size[i];
    return count;
}
