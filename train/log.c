/* Logs: comma-separated values (RFC 4180, with "\n" for its line ends), a row at a time.
 *
 * A log is made beside the old one and put in its place when its header, and the rows that it keeps, are on
 * the disk; then rows are written behind them. A row that a crash cut has no line end: it is not kept. */
#include "train/file.h"

#include <errno.h>
#include <string.h>

enum { LOG_SHOWN = 80 };                            /* bytes of a line in a message                */

static bool log_fail(reel_log *log, const char *what)
{
    return reel_train_fail(log->error, "log: %s", what);
}

static bool log_quotes(const char *name)
{
    return strpbrk(name, ",\"\r\n") != NULL;
}

/* A name's length in the header, with its quotes, each one inside it twice, and what ends it. */
static size_t log_name_bytes(const char *name)
{
    size_t bytes = strlen(name) + 1;
    if (log_quotes(name))
        for (bytes += 2; (name = strchr(name, '"')); name++)
            bytes++;
    return bytes;
}

static size_t log_header_bytes(const reel_log *log)
{
    size_t bytes = 0;
    for (size_t i = 0; i < log->columns; i++)
        bytes += log_name_bytes(log->column[i]);
    return bytes;
}

static void log_header(const reel_log *log, char *text)
{
    for (size_t i = 0; i < log->columns; i++) {
        const char *name = log->column[i];
        bool quotes = log_quotes(name);
        if (quotes)
            *text++ = '"';
        for (; *name; name++) {
            if (*name == '"')
                *text++ = '"';
            *text++ = *name;
        }
        if (quotes)
            *text++ = '"';
        *text++ = i + 1 < log->columns ? ',' : '\n';
    }
}


/* ---- Rows that are kept -------------------------------------------------------------------------- */

/* The text of the header, and behind it that of the old file. */
typedef struct log_text {
    char  *bytes;
    size_t header, old;
} log_text;

static bool log_count_cells(const reel_file *file, const reel_log *log, const char *line, size_t length,
                            int64_t number)
{
    size_t cells = 1;
    for (size_t i = 0; i < length; i++)
        cells += line[i] == ',';
    return cells == log->columns ||
           reel_file_fail(file, -1, "line %lld: %zu numbers, and there are %zu columns: %.*s",
                          (long long)number, cells, log->columns,
                          length < LOG_SHOWN ? (int)length : LOG_SHOWN, line);
}

/* The whole number that a line begins with. */
static bool log_first(const reel_file *file, const char *line, int64_t number, int64_t *first)
{
    const char *c = line;
    bool good = *c >= '0' && *c <= '9';
    for (*first = 0; good && *c >= '0' && *c <= '9'; c++)
        good = !__builtin_mul_overflow(*first, 10, first) && !__builtin_add_overflow(*first, *c - '0', first);
    return (good && (*c == ',' || *c == '\n')) ||
           reel_file_fail(file, -1, "line %lld does not begin with a whole number", (long long)number);
}

static bool log_keep(reel_log *log, reel_file *file, const log_text *text)
{
    const char *old = text->bytes + text->header, *end = old + text->old, *stop;
    if (text->old < text->header || memcmp(old, text->bytes, text->header) != 0)
        return text->old == 0 || reel_file_fail(file, -1, "the columns of the log that is there are others");
    int64_t number = 1;
    for (const char *c = text->bytes; c < old; c++) /* names may hold line ends                    */
        number += *c == '\n';
    for (const char *line = old + text->header; (stop = memchr(line, '\n', (size_t)(end - line)));
         line = stop + 1, number++) {
        int64_t first;
        if (!log_count_cells(file, log, line, (size_t)(stop - line), number) ||
            !log_first(file, line, number, &first))
            return false;
        if (first >= log->from)
            continue;
        if (!reel_file_put(file, line, (size_t)(stop + 1 - line)))
            return false;
        log->rows++;
    }
    return true;
}

/* The old log, where there is one and some of it may be kept. */
static bool log_read(reel_log *log, const char *path, const reel_io *io, reel_file *old)
{
    old->handle = -1;
    old->length = 0;
    if (log->from <= 0 || reel_file_open(old, path, io, log->error))
        return true;
    log->error[0] = old->handle == -ENOENT ? 0 : log->error[0];
    return old->handle == -ENOENT;
}


/* ---- The log ------------------------------------------------------------------------------------- */

static void *log_resize(reel_log *log, void *memory, size_t old, size_t bytes)
{
    return reel_train_resize(log->allocator, log->allocator_user, memory, old, bytes);
}

static bool log_begin(reel_log *log, const char *path, const reel_io *io, log_text *text)
{
    reel_file old;
    if (!log_read(log, path, io, &old))
        return false;
    text->header = log_header_bytes(log);
    text->old = (size_t)old.length;
    text->bytes = log_resize(log, NULL, 0, text->header + text->old);
    bool good = text->bytes != NULL || log_fail(log, "no memory for the log that is there");
    good = good && reel_file_take(&old, text->bytes + text->header, text->old);
    if (old.handle >= 0)
        reel_file_close(&old);
    if (!good || !reel_file_create(log->file, path, io, log->error))
        return false;
    log_header(log, text->bytes);
    good = reel_file_put(log->file, text->bytes, text->header) && log_keep(log, log->file, text);
    return reel_file_place(log->file, good);
}

static void log_forget(reel_log *log)
{
    reel_train_release(log->allocator, log->allocator_user, log->file, sizeof *log->file);
    log->file = NULL;
}

bool reel_log_open(reel_log *log, const char *path, const reel_io *io)
{
    log_text text = {0};
    log->rows = 0;
    log->error[0] = 0;
    if (!path || log->columns == 0)
        return log_fail(log, path ? "no columns" : "no path");
    log->file = log_resize(log, NULL, 0, sizeof *log->file);
    if (!log->file)
        return log_fail(log, "no memory");
    bool good = log_begin(log, path, io, &text);
    reel_train_release(log->allocator, log->allocator_user, text.bytes, text.header + text.old);
    if (!good)
        log_forget(log);
    return good;
}

/* After a row that was written in part, none would stand on a line of its own: the log ends there. */
bool reel_log_row(reel_log *log, const double *values, size_t count)
{
    if (!log->file)
        return log->error[0] ? false : log_fail(log, "a row for a log that is not open");
    if (count != log->columns)
        return reel_train_fail(log->error, "log: %zu numbers, and there are %zu columns", count,
                               log->columns);
    bool good = true;
    for (size_t i = 0; good && i < count; i++) {
        char text[REEL_TRAIN_NUMBER + 1];
        int length = reel_train_shortest(text, values[i]);
        text[length] = i + 1 < count ? ',' : '\n';
        good = reel_file_put(log->file, text, (size_t)length + 1);
    }
    if (good && reel_file_flush(log->file)) {
        log->rows++;
        return true;
    }
    reel_file_close(log->file);
    log_forget(log);
    return false;
}

bool reel_log_close(reel_log *log)
{
    if (!log->file)
        return log->error[0] == 0;
    bool good = reel_file_end(log->file);
    log_forget(log);
    return good;
}
