/* CSV files (RFC 4180), read as numbers and class numbers.
 *
 * The text is walked twice: once to count rows and fields and to find what is wrong with the quotes, once to
 * take the numbers. Names are kept in front of the text itself, each closed by a 0: a name is shorter than
 * its field and what ends it, so they never reach the place that is read. At the end they are moved to
 * memory of their own size. */
#include "train/decimal.h"
#include "train/file.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { CSV_TEXT, CSV_DATA, CSV_LABELS, CSV_CLASSES, CSV_NAMES, CSV_POINTERS, CSV_MEMORIES };
enum { CSV_ALIGNMENT = 64, CSV_SHOWN = 40 };

typedef struct csv_field {
    char   *text;                                   /* without the outer quotes                    */
    size_t  length;
    bool    quoted, last;                           /* last: of its row                            */
    int64_t line, column;                           /* where it begins                             */
} csv_field;

typedef struct csv_reader {
    reel_csv        *table;
    const reel_file *file;
    char             delimiter;
    char            *text, *end, *at;
    int64_t          line, fields;                  /* fields of each row                          */
    int64_t          label;                         /* the column of the labels, from 1 on; 0: none */
    char            *kept;                          /* the end of the names                        */
} csv_reader;

__attribute__((format(printf, 3, 4)))
static bool csv_fail(const csv_reader *in, const csv_field *field, const char *format, ...)
{
    char what[160];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    return reel_file_fail(in->file, -1, "line %lld, column %lld: %s", (long long)field->line,
                          (long long)field->column, what);
}

static void *csv_resize(reel_csv *table, int which, size_t bytes)
{
    void *grown = reel_train_resize(table->allocator, table->allocator_user, table->memory[which],
                                    table->memory_bytes[which], bytes);
    if (!grown) {
        reel_train_fail(table->error, "no memory for a CSV file: %zu bytes", bytes);
        return NULL;
    }
    table->memory[which] = grown;
    table->memory_bytes[which] = bytes;
    return grown;
}

static void csv_release(reel_csv *table, int which)
{
    reel_train_release(table->allocator, table->allocator_user, table->memory[which],
                       table->memory_bytes[which]);
    table->memory[which] = NULL;
    table->memory_bytes[which] = 0;
}

/* ---- Fields -------------------------------------------------------------------------------------- */

/* The length of the line's end at `at`: 0 where there is none. The file's own end counts as none. */
static size_t csv_line_end(const csv_reader *in, const char *at)
{
    if (at < in->end && *at == '\n')
        return 1;
    return in->end - at >= 2 && at[0] == '\r' && at[1] == '\n' ? 2 : 0;
}

/* Goes to the quote that closes the field, and takes it. */
static bool csv_skip_quoted(csv_reader *in, csv_field *field)
{
    field->quoted = true;
    field->text = ++in->at;
    for (;; in->at++) {
        if (in->at == in->end)
            return csv_fail(in, field, "a quote that is not closed");
        if (*in->at == '"' && (++in->at == in->end || *in->at != '"'))
            break;
        in->line += *in->at == '\n';
    }
    field->length = (size_t)(in->at - field->text) - 1;
    return in->at == in->end || *in->at == in->delimiter || csv_line_end(in, in->at) ||
           csv_fail(in, field, "text behind the closing quote");
}

static bool csv_skip_plain(csv_reader *in, csv_field *field)
{
    const char *end = in->end;
    const char delimiter = in->delimiter;
    char *at = in->at;
    while (at < end && *at != delimiter && *at != '\n' && *at != '"')
        at++;
    at -= at > in->at && at < end && *at == '\n' && at[-1] == '\r';
    field->length = (size_t)(at - in->at);
    in->at = at;
    return at == end || *at != '"' ||
           csv_fail(in, field, "a quote inside a field that does not begin with one");
}

/* The next field, and what ends it. */
static bool csv_take(csv_reader *in, csv_field *field, int64_t column)
{
    *field = (csv_field){.text = in->at, .line = in->line, .column = column};
    bool quoted = in->at < in->end && *in->at == '"';
    if (!(quoted ? csv_skip_quoted(in, field) : csv_skip_plain(in, field)))
        return false;
    size_t line_end = csv_line_end(in, in->at);
    field->last = in->at == in->end || line_end > 0;
    in->line += line_end > 0;
    in->at += field->last ? line_end : 1;
    return true;
}

/* Whether there is another row; empty lines are passed over. */
static bool csv_has_row(csv_reader *in)
{
    for (size_t line_end; (line_end = csv_line_end(in, in->at)) > 0; in->at += line_end)
        in->line++;
    return in->at < in->end;
}

static void csv_rewind(csv_reader *in)
{
    bool mark = in->end - in->text >= 3 && memcmp(in->text, "\xef\xbb\xbf", 3) == 0;
    in->at = in->text + (mark ? 3 : 0);
    in->line = 1;
}

/* ---- Counting ------------------------------------------------------------------------------------ */

static bool csv_count_row(csv_reader *in)
{
    csv_field field = {0};
    int64_t fields = 0;
    while (!field.last)
        if (!csv_take(in, &field, ++fields))
            return false;
    if (in->fields == 0)
        in->fields = fields;
    return fields == in->fields || csv_fail(in, &field, "%lld fields in this row, and %lld in the first one",
                                            (long long)fields, (long long)in->fields);
}

static bool csv_count(csv_reader *in)
{
    reel_csv *table = in->table;
    int64_t rows = 0, label = table->label_column;
    for (csv_rewind(in); csv_has_row(in); rows++)
        if (!csv_count_row(in))
            return false;
    if (rows == 0)
        return reel_file_fail(in->file, -1, "there is no row in it");
    in->label = label < 0 ? in->fields + 1 + label : label;
    if (in->label < 0 || in->label > in->fields || (label < 0 && in->label == 0))
        return reel_file_fail(in->file, -1, "there is no label column %lld: %lld fields in a row",
                              (long long)label, (long long)in->fields);
    table->rows = rows - table->header;
    table->columns = in->fields - (in->label > 0);
    return true;
}

/* ---- Names --------------------------------------------------------------------------------------- */

/* Keeps the field's text as a name, without the quotes that were doubled. NULL, with an error, where a 0
 * would cut it off. */
static char *csv_keep(csv_reader *in, const csv_field *field)
{
    char *name = in->kept;
    if (memchr(field->text, 0, field->length)) {
        csv_fail(in, field, "a NUL in a name");
        return NULL;
    }
    for (size_t i = 0; i < field->length; i++) {
        *in->kept++ = field->text[i];
        i += field->quoted && field->text[i] == '"';
    }
    *in->kept++ = 0;
    return name;
}

static bool csv_take_header(csv_reader *in)
{
    csv_field field = {0};
    if (!in->table->header)
        return true;
    csv_has_row(in);
    for (int64_t column = 1; column <= in->fields; column++)
        if (!csv_take(in, &field, column) || !csv_keep(in, &field))
            return false;
    return true;
}

/* ---- Classes ------------------------------------------------------------------------------------- */

/* Names of classes by their number, and a table of numbers by hash with open addressing, twice as large as
 * there is room for names: slot 0 is free, slot k + 1 is class k. */
typedef struct csv_classes {
    int64_t   room;
    char    **name;                                 /* [room]                                      */
    int32_t  *slot;                                 /* [2 room]                                    */
} csv_classes;

static csv_classes csv_classes_of(const reel_csv *table)
{
    int64_t room = (int64_t)(table->memory_bytes[CSV_CLASSES] / (sizeof(char *) + 2 * sizeof(int32_t)));
    char **name = table->memory[CSV_CLASSES];
    return (csv_classes){room, name, (int32_t *)(name + room)};
}

/* FNV-1a (Fowler, Noll and Vo). The slot of that name, or the free one where it belongs; room is a power of
 * 2. */
static int32_t *csv_slot(const csv_classes *classes, const char *name)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325), mask = 2 * (uint64_t)classes->room - 1;
    for (const char *c = name; *c; c++)
        hash = (hash ^ (unsigned char)*c) * UINT64_C(0x100000001b3);
    uint64_t at = (hash ^ hash >> 32) & mask;
    while (classes->slot[at] && strcmp(classes->name[classes->slot[at] - 1], name) != 0)
        at = (at + 1) & mask;
    return &classes->slot[at];
}

static bool csv_grow_classes(reel_csv *table)
{
    int64_t room = table->classes ? 2 * table->classes : 16;
    if (!csv_resize(table, CSV_CLASSES, (size_t)room * (sizeof(char *) + 2 * sizeof(int32_t))))
        return false;
    csv_classes classes = csv_classes_of(table);
    memset(classes.slot, 0, 2 * (size_t)room * sizeof(int32_t));
    for (int64_t i = 0; i < table->classes; i++)
        *csv_slot(&classes, classes.name[i]) = (int32_t)(i + 1);
    return true;
}

/* A name that is known already is let go of again. */
static bool csv_take_label(csv_reader *in, const csv_field *field, int32_t *label)
{
    reel_csv *table = in->table;
    if (field->length == 0)
        return csv_fail(in, field, "the name of a class is empty");
    if (table->classes == INT32_MAX / 2)
        return csv_fail(in, field, "more than %d classes", INT32_MAX / 2);
    if (table->classes == csv_classes_of(table).room && !csv_grow_classes(table))
        return false;
    char *name = csv_keep(in, field);
    if (!name)
        return false;
    csv_classes classes = csv_classes_of(table);
    int32_t *slot = csv_slot(&classes, name);
    if (*slot)
        in->kept = name;
    else {
        classes.name[table->classes] = name;
        *slot = (int32_t)++table->classes;
    }
    *label = *slot - 1;
    return true;
}

/* ---- Numbers ------------------------------------------------------------------------------------- */

static bool csv_take_number(const csv_reader *in, const csv_field *field, int64_t place)
{
    reel_csv *table = in->table;
    const char *from = field->text, *end = from + field->length;
    double value = NAN;
    while (from < end && (*from == ' ' || *from == '\t'))
        from++;
    while (from < end && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    if (from == end && !table->empty_is_nan)
        return csv_fail(in, field, "the field is empty");
    reel_decimal read = from == end ? REEL_DECIMAL_GOOD
                                    : reel_decimal_read(from, (size_t)(end - from), table->dtype, &value);
    if (read != REEL_DECIMAL_GOOD)
        return csv_fail(in, field, "\"%.*s%s\" is %s%s",
                        end - from < CSV_SHOWN ? (int)(end - from) : CSV_SHOWN, from,
                        end - from > CSV_SHOWN ? "..." : "",
                        read == REEL_DECIMAL_TOO_LARGE ? "too large for " : "not a number",
                        read == REEL_DECIMAL_TOO_LARGE ? reel_dtype_name(table->dtype) : "");
    if (table->dtype == REEL_F32)
        ((float *)table->data)[place] = (float)value;
    else
        ((double *)table->data)[place] = value;
    return true;
}

static bool csv_take_rows(csv_reader *in)
{
    csv_field field;
    for (int64_t row = 0, place = 0; row < in->table->rows; row++) {
        csv_has_row(in);
        for (int64_t column = 1; column <= in->fields; column++) {
            if (!csv_take(in, &field, column))
                return false;
            bool good = column == in->label ? csv_take_label(in, &field, &in->table->labels[row])
                                            : csv_take_number(in, &field, place++);
            if (!good)
                return false;
        }
    }
    return true;
}

/* ---- The table ----------------------------------------------------------------------------------- */

/* The file's length bounds the number of fields, and so the products. */
static bool csv_make_room(csv_reader *in)
{
    reel_csv *table = in->table;
    const size_t size = reel_dtype_size(table->dtype);
    char *data = csv_resize(table, CSV_DATA, (size_t)(table->rows * table->columns) * size + CSV_ALIGNMENT);
    if (!data)
        return false;
    table->data = data + -(uintptr_t)data % CSV_ALIGNMENT;
    if (in->label > 0)
        table->labels = csv_resize(table, CSV_LABELS, (size_t)table->rows * sizeof(int32_t) + 1);
    return in->label == 0 || table->labels;
}

/* The names stand one behind the other: those of the columns, then those of the classes. */
static bool csv_settle_names(csv_reader *in)
{
    reel_csv *table = in->table;
    const size_t bytes = (size_t)(in->kept - in->text), columns = table->header ? (size_t)table->columns : 0;
    char *name = csv_resize(table, CSV_NAMES, bytes + 1);
    const char **list = name ? csv_resize(table, CSV_POINTERS, (columns + (size_t)table->classes) *
                                          sizeof *list + 1) : NULL;
    if (!list)
        return false;
    memcpy(name, in->text, bytes);
    table->column_name = table->header ? list : NULL;
    table->class_name = table->labels ? list + columns : NULL;
    for (int64_t column = 1; table->header && column <= in->fields; column++, name += strlen(name) + 1)
        *(column == in->label ? &table->label_name : list++) = name;
    for (int64_t i = 0; i < table->classes; i++, name += strlen(name) + 1)
        table->class_name[i] = name;
    csv_release(table, CSV_TEXT);
    csv_release(table, CSV_CLASSES);
    return true;
}

static bool csv_read(reel_csv *table, reel_file *file)
{
    csv_reader in = {.table = table, .file = file, .delimiter = table->delimiter ? table->delimiter : ','};
    if (in.delimiter == '"' || in.delimiter == '\n' || in.delimiter == '\r')
        return reel_file_fail(file, -1, "fields cannot be delimited by a quote or a line's end");
    if (table->dtype != REEL_F32 && table->dtype != REEL_F64)
        return reel_file_fail(file, -1, "numbers are read as f32 or f64, not as %s",
                              reel_dtype_name(table->dtype));
    in.text = in.kept = csv_resize(table, CSV_TEXT, (size_t)file->length + 1);
    if (!in.text || !reel_file_take(file, in.text, (size_t)file->length))
        return false;
    in.end = in.text + file->length;
    if (!csv_count(&in) || !csv_make_room(&in))
        return false;
    csv_rewind(&in);
    return csv_take_header(&in) && csv_take_rows(&in) && csv_settle_names(&in);
}

static void csv_empty(reel_csv *table)
{
    for (int i = 0; i < CSV_MEMORIES; i++)
        csv_release(table, i);
    table->rows = table->columns = table->classes = 0;
    table->data = NULL;
    table->labels = NULL;
    table->class_name = table->column_name = NULL;
    table->label_name = NULL;
}

bool reel_csv_read(reel_csv *table, const char *path, const reel_io *io)
{
    reel_file file;
    reel_csv_free(table);
    table->dtype = table->dtype ? table->dtype : REEL_F32;
    if (!reel_file_open(&file, path, io, table->error))
        return false;
    bool good = csv_read(table, &file);
    reel_file_close(&file);
    if (!good)
        csv_empty(table);
    return good;
}

void reel_csv_free(reel_csv *table)
{
    csv_empty(table);
    table->error[0] = 0;
}
