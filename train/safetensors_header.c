/* The header of a .safetensors file: the JSON that the format allows, and nothing else. */
#include "train/safetensors.h"

#include <string.h>

enum { HEADER_AT = 8 };                             /* where it stands in the file                 */

/* A walk over the header. Strings are decoded where they stand: that never makes them longer. */
struct header_cursor {
    reel_safetensors *object;
    const reel_file  *file;
    char             *text;
    size_t            length, at;
};

static bool header_fail(const struct header_cursor *in, size_t at, const char *what)
{
    return reel_file_fail(in->file, (int64_t)(HEADER_AT + at), "%s", what);
}

/* The same about a name, or another text of the header. */
static bool header_fail_at(const struct header_cursor *in, const char *text, const char *what)
{
    return reel_file_fail(in->file, (int64_t)(HEADER_AT + (size_t)(text - in->text)), "\"%.80s\": %s", text,
                          what);
}

/* ---- JSON ---------------------------------------------------------------------------------------- */

static void header_skip(struct header_cursor *in)
{
    while (in->at < in->length && in->text[in->at] && strchr(" \t\n\r", in->text[in->at]))
        in->at++;
}

static bool header_take(struct header_cursor *in, char c)
{
    header_skip(in);
    if (in->at == in->length || in->text[in->at] != c)
        return false;
    in->at++;
    return true;
}

static bool header_expect(struct header_cursor *in, char c)
{
    return header_take(in, c) ||
           reel_file_fail(in->file, (int64_t)(HEADER_AT + in->at), "a %c is missing", c);
}

static bool header_hex(struct header_cursor *in, unsigned *code)
{
    *code = 0;
    for (int i = 0; i < 4; i++, in->at++) {
        char c = in->at < in->length ? in->text[in->at] : 0;
        const char *digits = "0123456789abcdefABCDEF", *digit = c ? strchr(digits, c) : NULL;
        if (!digit)
            return header_fail(in, in->at, "\\u needs four hexadecimal digits");
        *code = *code * 16 + (unsigned)(digit - digits < 16 ? digit - digits : digit - digits - 6);
    }
    return true;
}

/* \u has been taken. Above U+FFFF a character is two of them, a high surrogate and a low one. */
static bool header_code_point(struct header_cursor *in, unsigned *code)
{
    size_t start = in->at - 2;
    unsigned low = 0;
    if (!header_hex(in, code))
        return false;
    if (*code == 0)
        return header_fail(in, start, "a string with a NUL in it");
    if (*code < 0xd800 || *code > 0xdfff)
        return true;
    bool pair = *code < 0xdc00 && in->length - in->at >= 6 && memcmp(in->text + in->at, "\\u", 2) == 0;
    in->at += pair ? 2 : 0;
    if (pair && !header_hex(in, &low))
        return false;
    if (low < 0xdc00 || low > 0xdfff)
        return header_fail(in, start, "half of a surrogate pair");
    *code = 0x10000 + ((*code - 0xd800) << 10) + (low - 0xdc00);
    return true;
}

static char *header_put(char *to, unsigned code)
{
    int more = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    static const unsigned lead[] = {0, 0xc0, 0xe0, 0xf0};
    *to++ = (char)(lead[more] | code >> 6 * more);
    while (more-- > 0)
        *to++ = (char)(0x80 | (code >> 6 * more & 0x3f));
    return to;
}

/* A backslash has been taken. */
static bool header_escape(struct header_cursor *in, char **to)
{
    static const char escapes[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    char c = in->at < in->length ? in->text[in->at++] : 0;
    const char *known = c ? strchr(escapes, c) : NULL;
    unsigned code;
    if (known)
        *(*to)++ = meanings[known - escapes];
    else if (c != 'u')
        return header_fail(in, in->at - 1, "an unknown escape in a string");
    else if (!header_code_point(in, &code))
        return false;
    else
        *to = header_put(*to, code);
    return true;
}

static bool header_string(struct header_cursor *in, const char **string)
{
    if (!header_expect(in, '"'))
        return false;
    char *to = in->text + in->at;
    *string = to;
    while (in->at < in->length && in->text[in->at] != '"') {
        char c = in->text[in->at++];
        if ((unsigned char)c < 0x20)
            return header_fail(in, in->at - 1, "a control character in a string");
        if (c != '\\')
            *to++ = c;
        else if (!header_escape(in, &to))
            return false;
    }
    if (in->at == in->length)
        return header_fail(in, in->at, "the header ends inside a string");
    in->at++;
    *to = 0;
    return true;
}

static bool header_integer(struct header_cursor *in, int64_t *value)
{
    header_skip(in);
    size_t start = in->at;
    *value = 0;
    for (; in->at < in->length && in->text[in->at] >= '0' && in->text[in->at] <= '9'; in->at++)
        if (__builtin_mul_overflow(*value, 10, value) ||
            __builtin_add_overflow(*value, in->text[in->at] - '0', value))
            return header_fail(in, start, "a number that is too large");
    if (in->at == start || (in->text[start] == '0' && in->at - start > 1))
        return header_fail(in, start, "not a whole number from 0 on");
    return true;
}

static bool header_integers(struct header_cursor *in, int64_t *values, int most, int *count)
{
    *count = 0;
    if (!header_expect(in, '['))
        return false;
    if (header_take(in, ']'))
        return true;
    do {
        if (*count == most)
            return reel_file_fail(in->file, (int64_t)(HEADER_AT + in->at), "more than %d numbers", most);
        if (!header_integer(in, &values[(*count)++]))
            return false;
    } while (header_take(in, ','));
    return header_expect(in, ']');
}

/* ---- Entries ------------------------------------------------------------------------------------- */

/* Room for one more behind the first `count`, in steps that double. */
static void *header_grow(struct header_cursor *in, int which, size_t count, size_t size)
{
    size_t room = in->object->memory_bytes[which] / size;
    if (count == room && !reel_safetensors_resize(in->object, which, (room ? 2 * room : 8) * size))
        return NULL;
    return (char *)in->object->memory[which] + count * size;
}

static bool header_member(struct header_cursor *in, const char *key, reel_stored_tensor *tensor,
                          unsigned *seen)
{
    int64_t range[2];
    int count;
    unsigned member = strcmp(key, "dtype") == 0 ? 1 : strcmp(key, "shape") == 0 ? 2
                      : strcmp(key, "data_offsets") == 0 ? 4 : 0;
    if (!member)
        return header_fail_at(in, key, "not dtype, shape or data_offsets");
    if (*seen & member)
        return header_fail_at(in, key, "this comes twice");
    *seen |= member;
    if (member == 1) {
        const char *name;
        if (!header_string(in, &name))
            return false;
        tensor->dtype = reel_safetensors_dtype(name);
        return tensor->dtype || header_fail_at(in, name, "not a dtype that Reel has");
    }
    if (member == 2)
        return header_integers(in, tensor->shape.size, REEL_MAX_RANK, &tensor->shape.rank);
    if (!header_integers(in, range, 2, &count))
        return false;
    if (count != 2 || range[0] > range[1])
        return header_fail_at(in, key, "not a beginning and an end");
    tensor->offset = range[0];
    tensor->bytes = range[1] - range[0];
    return true;
}

static bool header_tensor(struct header_cursor *in, const char *name)
{
    reel_stored_tensor *tensor =
        header_grow(in, REEL_SAFETENSORS_TENSORS, in->object->tensors, sizeof *tensor);
    if (!tensor)
        return false;
    *tensor = (reel_stored_tensor){.name = name};
    in->object->tensors++;
    unsigned seen = 0;
    if (!header_expect(in, '{'))
        return false;
    do {
        const char *key;
        if (!header_string(in, &key) || !header_expect(in, ':') || !header_member(in, key, tensor, &seen))
            return false;
    } while (header_take(in, ','));
    if (seen != 7)
        return header_fail_at(in, name, "its dtype, shape or data_offsets is missing");
    int64_t bytes = reel_stored_bytes(tensor->dtype, &tensor->shape);
    if (bytes < 0)
        return header_fail_at(in, name, "its shape is too large");
    if (bytes != tensor->bytes)
        return header_fail_at(in, name, "its shape and its data_offsets differ in size");
    tensor->count = bytes / (int64_t)reel_dtype_size(tensor->dtype);
    return header_expect(in, '}');
}

static bool header_texts(struct header_cursor *in)
{
    if (!header_expect(in, '{'))
        return false;
    if (header_take(in, '}'))
        return true;
    do {
        reel_stored_text *text = header_grow(in, REEL_SAFETENSORS_TEXTS, in->object->texts, sizeof *text);
        if (!text)
            return false;
        in->object->texts++;
        if (!header_string(in, &text->key) || !header_expect(in, ':') || !header_string(in, &text->value))
            return false;
    } while (header_take(in, ','));
    return header_expect(in, '}');
}

static bool header_entries(struct header_cursor *in)
{
    bool metadata = false;
    if (in->length == 0 || in->text[in->at++] != '{')
        return header_fail(in, 0, "the header does not begin with {");
    if (header_take(in, '}'))
        return true;
    do {
        const char *name;
        if (!header_string(in, &name) || !header_expect(in, ':'))
            return false;
        bool is_metadata = strcmp(name, REEL_SAFETENSORS_METADATA) == 0;
        if (is_metadata && metadata)
            return header_fail_at(in, name, "this comes twice");
        metadata |= is_metadata;
        if (is_metadata ? !header_texts(in) : !header_tensor(in, name))
            return false;
    } while (header_take(in, ','));
    return header_expect(in, '}');
}

/* ---- The whole ----------------------------------------------------------------------------------- */

static int header_by_name(const void *a, const void *b)
{
    return strcmp(((const reel_stored_tensor *)a)->name, ((const reel_stored_tensor *)b)->name);
}

static int header_by_key(const void *a, const void *b)
{
    return strcmp(((const reel_stored_text *)a)->key, ((const reel_stored_text *)b)->key);
}

/* An empty tensor comes before one that begins at the same place. */
static int header_by_place(const void *a, const void *b)
{
    const reel_stored_tensor *x = a, *y = b;
    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    return x->bytes != y->bytes ? (x->bytes < y->bytes ? -1 : 1) : header_by_name(a, b);
}

static bool header_names_differ(const struct header_cursor *in)
{
    reel_safetensors *object = in->object;
    reel_train_sort(object->tensor, object->tensors, sizeof *object->tensor, header_by_name);
    reel_train_sort(object->text, object->texts, sizeof *object->text, header_by_key);
    for (size_t i = 1; i < object->tensors; i++)
        if (strcmp(object->tensor[i - 1].name, object->tensor[i].name) == 0)
            return header_fail_at(in, object->tensor[i].name, "this name comes twice");
    for (size_t i = 1; i < object->texts; i++)
        if (strcmp(object->text[i - 1].key, object->text[i].key) == 0)
            return header_fail_at(in, object->text[i].key, "this metadata comes twice");
    return true;
}

static bool header_ranges_tile(const struct header_cursor *in)
{
    reel_safetensors *object = in->object;
    int64_t place = 0;
    reel_train_sort(object->tensor, object->tensors, sizeof *object->tensor, header_by_place);
    for (size_t i = 0; i < object->tensors; i++) {
        if (object->tensor[i].offset != place)
            return header_fail_at(in, object->tensor[i].name, object->tensor[i].offset < place
                                      ? "its data overlaps that of another tensor"
                                      : "a gap in the data before it");
        place += object->tensor[i].bytes;
    }
    return true;
}

bool reel_safetensors_header(reel_safetensors *object, const reel_file *file, size_t length)
{
    struct header_cursor in = {object, file, object->memory[REEL_SAFETENSORS_TEXT], length, 0};
    size_t bad;
    if (!reel_is_utf8(in.text, length, &bad))
        return header_fail(&in, bad, "the header is not UTF-8 text");
    bool good = header_entries(&in);
    object->tensor = object->memory[REEL_SAFETENSORS_TENSORS];
    object->text = object->memory[REEL_SAFETENSORS_TEXTS];
    if (!good)
        return false;
    for (; in.at < length; in.at++)
        if (in.text[in.at] != ' ')
            return header_fail(&in, in.at, "something stands behind the header's last brace");
    return header_names_differ(&in) && header_ranges_tile(&in);
}
