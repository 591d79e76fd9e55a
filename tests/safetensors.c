/* The .safetensors reader of the tests. A cursor walks the JSON header once; only the JSON that the format
 * allows is understood, and the first thing out of place ends the reading with its reason.
 */
#include "tests/safetensors.h"

#include <math.h>                                   /* ldexp, for the half types                   */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct golden_cursor {
    const char *at, *end;
    char       *why;                                /* set once, at the first failure              */
} golden_cursor;

static bool golden_fail(golden_cursor *in, const char *reason, const char *detail)
{
    if (!in->why[0])
        snprintf(in->why, REEL_GOLDEN_WHY, "%s%s", reason, detail);
    return false;
}

static void *golden_grow(void *array, size_t count, size_t size)
{
    void *grown = realloc(array, (count + 1) * size);
    if (!grown) {
        fputs("out of memory\n", stderr);
        exit(2);
    }
    return memset((char *)grown + count * size, 0, size), grown;
}


/* ---- JSON ---------------------------------------------------------------------------------------- */

static bool golden_at(golden_cursor *in, char c)
{
    while (in->at < in->end && strchr(" \t\n\r", *in->at) && *in->at)
        in->at++;
    return in->at < in->end && *in->at == c;
}

static bool golden_take(golden_cursor *in, char c)
{
    if (!golden_at(in, c))
        return false;
    in->at++;
    return true;
}

static bool golden_expect(golden_cursor *in, char c)
{
    return golden_take(in, c) || golden_fail(in, "the header lacks a ", (char[]){c, 0});
}

static bool golden_hex(golden_cursor *in, unsigned *code)
{
    *code = 0;
    for (int i = 0; i < 4; i++, in->at++) {
        const char *digits = "0123456789abcdefABCDEF", *digit = NULL;
        if (in->at < in->end && *in->at)
            digit = strchr(digits, *in->at);
        if (!digit)
            return golden_fail(in, "a \\u escape in the header is not four hex digits", "");
        *code = *code * 16 + (unsigned)(digit - digits < 16 ? digit - digits : digit - digits - 6);
    }
    return true;
}

/* The code point of a \u escape, of which a high surrogate is only the first half. */
static bool golden_code_point(golden_cursor *in, unsigned *code)
{
    unsigned low = 0;
    if (!golden_hex(in, code))
        return false;
    if (*code >= 0xd800 && *code < 0xdc00) {
        bool pair = in->end - in->at >= 6 && in->at[0] == '\\' && in->at[1] == 'u';
        in->at += pair ? 2 : 0;
        if (!pair || !golden_hex(in, &low) || low < 0xdc00 || low > 0xdfff)
            return golden_fail(in, "a lone surrogate in the header", "");
        *code = 0x10000 + ((*code - 0xd800) << 10) + (low - 0xdc00);
    } else if (*code == 0 || (*code >= 0xdc00 && *code < 0xe000)) {
        return golden_fail(in, "a NUL or a lone surrogate in the header", "");
    }
    return true;
}

static char *golden_put_utf8(char *to, unsigned code)
{
    int tail = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    static const unsigned char lead[] = {0, 0xc0, 0xe0, 0xf0};
    *to++ = (char)(lead[tail] | code >> 6 * tail);
    while (tail-- > 0)
        *to++ = (char)(0x80 | (code >> 6 * tail & 0x3f));
    return to;
}

static bool golden_escape(golden_cursor *in, char **to)
{
    static const char plain[] = "\"\\/bfnrt", means[] = "\"\\/\b\f\n\r\t";
    unsigned code;
    char c = in->at < in->end ? *in->at++ : 0;
    const char *known = c ? strchr(plain, c) : NULL;
    if (known)
        *(*to)++ = means[known - plain];
    else if (c != 'u')
        return golden_fail(in, "an unknown escape in the header", "");
    else if (!golden_code_point(in, &code))
        return false;
    else
        *to = golden_put_utf8(*to, code);
    return true;
}

/* A string, for the caller to free. Decoded it is never longer than it stands in the file. */
static char *golden_string(golden_cursor *in)
{
    if (!golden_expect(in, '"'))
        return NULL;
    char *text = golden_grow(NULL, 0, (size_t)(in->end - in->at) + 1), *to = text;
    bool good = true;
    while (good && in->at < in->end && *in->at != '"') {
        char c = *in->at++;
        if (c == '\\')
            good = golden_escape(in, &to);
        else if ((unsigned char)c < 0x20)
            good = golden_fail(in, "a control character in a string of the header", "");
        else
            *to++ = c;
    }
    *to = 0;
    if (good && golden_expect(in, '"'))
        return text;
    free(text);
    return NULL;
}

static bool golden_integer(golden_cursor *in, int64_t *value)
{
    golden_at(in, 0);
    const char *first = in->at;
    *value = 0;
    while (in->at < in->end && *in->at >= '0' && *in->at <= '9') {
        int digit = *in->at++ - '0';
        if (*value > (INT64_MAX - digit) / 10)
            return golden_fail(in, "a number in the header is too large", "");
        *value = *value * 10 + digit;
    }
    if (in->at == first || (*first == '0' && in->at - first > 1))
        return golden_fail(in, "a number in the header is not a whole number from 0 on", "");
    return true;
}

/* [1, 2, 3]: at most `most` of them. */
static bool golden_integers(golden_cursor *in, int64_t *values, int most, int *count)
{
    *count = 0;
    if (!golden_expect(in, '['))
        return false;
    if (golden_take(in, ']'))
        return true;
    do {
        if (*count == most)
            return golden_fail(in, "a list in the header is too long", "");
        if (!golden_integer(in, &values[(*count)++]))
            return false;
    } while (golden_take(in, ','));
    return golden_expect(in, ']');
}


/* ---- The header ---------------------------------------------------------------------------------- */

static bool golden_dtype(golden_cursor *in, reel_dtype *dtype)
{
    static const struct { const char *name; reel_dtype dtype; } known[] = {
        {"F16", REEL_F16}, {"BF16", REEL_BF16}, {"F32", REEL_F32}, {"F64", REEL_F64},
        {"I32", REEL_I32}, {"I64", REEL_I64},   {"U8", REEL_U8},
    };
    char *name = golden_string(in);
    for (size_t i = 0; name && i < sizeof known / sizeof known[0]; i++)
        if (strcmp(name, known[i].name) == 0)
            *dtype = known[i].dtype;
    if (name && *dtype == REEL_NO_DTYPE)
        golden_fail(in, "unknown dtype ", name);
    free(name);
    return *dtype != REEL_NO_DTYPE;
}

static bool golden_member(golden_cursor *in, const char *key, reel_golden_tensor *tensor, unsigned *seen)
{
    int64_t range[2];
    int count;
    unsigned member = strcmp(key, "dtype") == 0 ? 1 : strcmp(key, "shape") == 0 ? 2
                      : strcmp(key, "data_offsets") == 0 ? 4 : 0;
    if (!member || (*seen & member))
        return golden_fail(in, "an unknown or repeated member: ", key);
    *seen |= member;
    if (member == 1)
        return golden_dtype(in, &tensor->dtype);
    if (member == 2)
        return golden_integers(in, tensor->shape.size, REEL_MAX_RANK, &tensor->shape.rank);
    if (!golden_integers(in, range, 2, &count))
        return false;
    if (count != 2 || range[0] > range[1])
        return golden_fail(in, "data_offsets are not a range: ", tensor->name);
    tensor->begin = (size_t)range[0];
    tensor->end = (size_t)range[1];
    return true;
}

static bool golden_fits(golden_cursor *in, reel_golden_tensor *tensor)
{
    uint64_t bytes = reel_dtype_size(tensor->dtype);
    for (int i = 0; i < tensor->shape.rank; i++)
        if (__builtin_mul_overflow(bytes, (uint64_t)tensor->shape.size[i], &bytes))
            return golden_fail(in, "the shape is too large: ", tensor->name);
    tensor->count = (int64_t)(bytes / reel_dtype_size(tensor->dtype));
    return bytes == tensor->end - tensor->begin
           || golden_fail(in, "the shape and the data_offsets differ in size: ", tensor->name);
}

static bool golden_tensor(golden_cursor *in, reel_golden *golden, char *name)
{
    golden->tensor = golden_grow(golden->tensor, golden->tensors, sizeof(reel_golden_tensor));
    reel_golden_tensor *tensor = &golden->tensor[golden->tensors++];
    unsigned seen = 0;
    tensor->name = name;
    if (!golden_expect(in, '{'))
        return false;
    do {
        char *key = golden_string(in);
        bool good = key && golden_expect(in, ':') && golden_member(in, key, tensor, &seen);
        free(key);
        if (!good)
            return false;
    } while (golden_take(in, ','));
    if (seen != 7)
        return golden_fail(in, "dtype, shape or data_offsets is missing: ", name);
    return golden_expect(in, '}') && golden_fits(in, tensor);
}

static bool golden_texts(golden_cursor *in, reel_golden *golden)
{
    if (!golden_expect(in, '{'))
        return false;
    if (golden_take(in, '}'))
        return true;
    do {
        char *key = golden_string(in);
        if (key && reel_golden_metadata(golden, key)[0])
            golden_fail(in, "this metadata comes twice: ", key);
        golden->text = golden_grow(golden->text, golden->texts, sizeof(reel_golden_text));
        golden->text[golden->texts].key = key;
        char **value = &golden->text[golden->texts++].value;
        if (in->why[0] || !golden_expect(in, ':') || !(*value = golden_string(in)))
            return false;
    } while (golden_take(in, ','));
    return golden_expect(in, '}');
}

static bool golden_entry(golden_cursor *in, reel_golden *golden)
{
    char *name = golden_string(in);
    if (!name)
        return false;
    bool metadata = strcmp(name, "__metadata__") == 0;
    bool twice = metadata ? golden->texts > 0 : reel_golden_find(golden, name) != NULL;
    bool good = twice ? golden_fail(in, "this name comes twice: ", name) : golden_expect(in, ':');
    if (good && !metadata)
        return golden_tensor(in, golden, name);     /* which keeps the name                        */
    free(name);
    return good && golden_texts(in, golden);
}

static bool golden_header(golden_cursor *in, reel_golden *golden)
{
    if (in->at == in->end || *in->at != '{')
        return golden_fail(in, "the header does not begin with {", "");
    in->at++;
    if (!golden_take(in, '}')) {
        do
            if (!golden_entry(in, golden))
                return false;
        while (golden_take(in, ','));
        if (!golden_expect(in, '}'))
            return false;
    }
    for (; in->at < in->end; in->at++)
        if (*in->at != ' ')
            return golden_fail(in, "something follows the header's closing brace", "");
    return true;
}


/* ---- The data ------------------------------------------------------------------------------------ */

static int golden_by_place(const void *a, const void *b)
{
    const reel_golden_tensor *x = a, *y = b;
    size_t p = x->begin != y->begin ? x->begin : x->end, q = x->begin != y->begin ? y->begin : y->end;
    return (p > q) - (p < q);
}

static bool golden_data(golden_cursor *in, reel_golden *golden, const unsigned char *data, size_t bytes)
{
    size_t place = 0;
    if (golden->tensors > 0)
        qsort(golden->tensor, golden->tensors, sizeof golden->tensor[0], golden_by_place);
    for (size_t i = 0; i < golden->tensors; i++) {
        reel_golden_tensor *tensor = &golden->tensor[i];
        if (tensor->begin != place)
            return golden_fail(in, "a gap or an overlap in the data before ", tensor->name);
        if (tensor->end > bytes)
            return golden_fail(in, "the file ends inside ", tensor->name);
        place = tensor->end;
        tensor->data = golden_grow(NULL, 0, place - tensor->begin + 1);
        memcpy(tensor->data, data + tensor->begin, place - tensor->begin);
    }
    return place == bytes || golden_fail(in, "bytes that no tensor owns at the end", "");
}

reel_golden *reel_golden_parse(const unsigned char *file, size_t bytes, char why[REEL_GOLDEN_WHY])
{
    uint64_t length = 0;
    golden_cursor in = {.why = why};
    reel_golden *golden = golden_grow(NULL, 0, sizeof *golden);
    why[0] = 0;
    for (int i = 7; i >= 0 && bytes >= 8; i--)
        length = length << 8 | file[i];
    if (bytes < 8 || length > bytes - 8) {
        golden_fail(&in, "the file is shorter than its header", "");
    } else {
        in.at = (const char *)file + 8;
        in.end = in.at + length;
        if (golden_header(&in, golden))
            golden_data(&in, golden, file + 8 + length, bytes - 8 - length);
    }
    if (!why[0])
        return golden;
    reel_golden_free(golden);
    return NULL;
}

reel_golden *reel_golden_read(const char *path, char why[REEL_GOLDEN_WHY])
{
    FILE *file = fopen(path, "rb");
    reel_golden *golden = NULL;
    snprintf(why, REEL_GOLDEN_WHY, "cannot be opened");
    if (!file)
        return NULL;
    snprintf(why, REEL_GOLDEN_WHY, "cannot be read");
    long length = fseek(file, 0, SEEK_END) == 0 ? ftell(file) : -1;
    if (length >= 0 && fseek(file, 0, SEEK_SET) == 0) {
        unsigned char *bytes = golden_grow(NULL, 0, (size_t)length + 1);
        if (fread(bytes, 1, (size_t)length, file) == (size_t)length)
            golden = reel_golden_parse(bytes, (size_t)length, why);
        free(bytes);
    }
    fclose(file);
    return golden;
}

void reel_golden_free(reel_golden *golden)
{
    if (!golden)
        return;
    for (size_t i = 0; i < golden->tensors; i++) {
        free(golden->tensor[i].name);
        free(golden->tensor[i].data);
    }
    for (size_t i = 0; i < golden->texts; i++) {
        free(golden->text[i].key);
        free(golden->text[i].value);
    }
    free(golden->tensor);
    free(golden->text);
    free(golden);
}


/* ---- Looking ------------------------------------------------------------------------------------- */

const reel_golden_tensor *reel_golden_find(const reel_golden *golden, const char *name)
{
    for (size_t i = 0; i < golden->tensors; i++)
        if (strcmp(golden->tensor[i].name, name) == 0)
            return &golden->tensor[i];
    return NULL;
}

const char *reel_golden_metadata(const reel_golden *golden, const char *key)
{
    for (size_t i = 0; i < golden->texts; i++)
        if (golden->text[i].value && strcmp(golden->text[i].key, key) == 0)
            return golden->text[i].value;
    return "";
}

/* binary16: 5 bits of exponent, 10 of fraction. */
static double golden_half(uint16_t bits)
{
    int exponent = bits >> 10 & 31, fraction = bits & 1023;
    double value = exponent == 31 ? (fraction ? NAN : INFINITY)
                   : exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
    return bits >> 15 ? -value : value;
}

double reel_golden_element(const reel_golden_tensor *tensor, int64_t i)
{
    uint16_t half = 0;
    float single;
    if (tensor->dtype == REEL_F16 || tensor->dtype == REEL_BF16)
        half = ((const uint16_t *)tensor->data)[i];
    switch (tensor->dtype) {
    case REEL_F16:
        return golden_half(half);
    case REEL_BF16:
        return memcpy(&single, &(uint32_t){(uint32_t)half << 16}, sizeof single), (double)single;
    case REEL_F32:
        return ((const float *)tensor->data)[i];
    case REEL_F64:
        return ((const double *)tensor->data)[i];
    case REEL_I32:
        return ((const int32_t *)tensor->data)[i];
    case REEL_I64:
        return (double)((const int64_t *)tensor->data)[i];
    default:
        return ((const uint8_t *)tensor->data)[i];
    }
}
