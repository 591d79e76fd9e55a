/* Tensors as text, the way NumPy prints them: brackets for each axis, columns aligned, lines up to 75
 * characters, the middle left out where there are more than 1000 elements, and exponents for all numbers
 * where some are very large or very small or they spread over more than three decades. Two things
 * differ: each number has the shortest digits that read back the same, where NumPy cuts after eight,
 * filled up with zeros in front of an exponent; and no blanks stand before a closing bracket. */
#include "autograd/look.h"
#include "core/dtype.h"

#include <math.h>
#include <string.h>

enum { PRINT_ELIDE_ABOVE = 1000, PRINT_EDGE = 3, PRINT_LINE = 75, PRINT_NUMBER = 48, PRINT_DIGITS = 24 };

/* ---- One number ---------------------------------------------------------------------------------------- */

/* 0.d1 d2 d3 ... 10^point, or a text of its own: an integer, nan or inf. */
struct number {
    bool negative;
    int  count, point;
    char digit[PRINT_DIGITS];
    char text[PRINT_NUMBER];
};

static int decimal_exponent(const char *text)
{
    bool negative = *text == '-';
    int exponent = 0;
    for (text++; *text; text++)
        exponent = 10 * exponent + (*text - '0');
    return negative ? -exponent : exponent;
}

/* Takes apart 0.00123, 1230. or 1.23e-07. */
static void find_digits(struct number *number, const char *text)
{
    bool behind_point = false;
    for (; *text && *text != 'e'; text++) {
        bool leading = *text == '0' && number->count == 0;
        if (*text == '.')
            behind_point = true;
        else if (!leading && number->count < PRINT_DIGITS)
            number->digit[number->count++] = *text;
        if (*text != '.')
            number->point += behind_point ? -leading : !leading;
    }
    if (*text == 'e')
        number->point += decimal_exponent(text + 1);
    while (number->count > 0 && number->digit[number->count - 1] == '0')
        number->count--;
    if (number->count == 0)
        number->point = 1;
}

static const void *element_at(const reel_array *array, int64_t element)
{
    return (const char *)array->data + element * (int64_t)reel_dtype_size(array->dtype);
}

static struct number number_of(const reel_array *array, int64_t element)
{
    struct number number = {0};
    reel_text text = reel_text_in(number.text, sizeof number.text);
    reel_text_element(&text, array->dtype, element_at(array, element));
    number.negative = number.text[0] == '-';
    char first = number.text[number.negative];
    if (reel_dtype_is_float(array->dtype) && first != 'n' && first != 'i') {
        find_digits(&number, number.text + number.negative);
        number.text[0] = 0;
    }
    return number;
}

static char digit_at(const struct number *number, int i)
{
    return i < 0 || i >= number->count ? '0' : number->digit[i];
}

static int longer(int a, int b)
{
    return a > b ? a : b;
}

/* ---- Columns ------------------------------------------------------------------------------------------- */

struct layout {
    reel_array array;
    bool       elide, exponents;
    double     smallest, largest;                   /* magnitudes that are not 0                   */
    int        left, right;                         /* widths before and behind the point          */
    int        fraction, exponent;                  /* digits of numbers with an exponent          */
    int        text;                                /* width of what has no point                  */
    bool       negative;
};

static void measure_number(struct layout *layout, const struct number *number)
{
    if (number->text[0]) {
        layout->text = longer(layout->text, (int)strlen(number->text));
        return;
    }
    int exponent = number->count ? number->point - 1 : 0;
    layout->left = longer(layout->left, number->negative + longer(number->point, 1));
    layout->right = longer(layout->right, number->count - number->point);
    layout->fraction = longer(layout->fraction, number->count - 1);
    layout->exponent = longer(layout->exponent, exponent <= -100 || exponent >= 100 ? 3 : 2);
    layout->negative |= number->negative;
}

/* The positions of an axis that are shown: all, or some from each end. Returns the next after i. */
static int64_t next_shown(const struct layout *layout, int64_t i, int64_t size)
{
    bool gap = layout->elide && size > 2 * PRINT_EDGE && i + 1 == PRINT_EDGE;
    return gap ? size - PRINT_EDGE : i + 1;
}

static void measure(struct layout *layout, int axis, int64_t element)
{
    const reel_array *array = &layout->array;
    if (axis < array->rank) {
        for (int64_t i = 0; i < array->shape[axis]; i = next_shown(layout, i, array->shape[axis]))
            measure(layout, axis + 1, element + i * array->strides[axis]);
        return;
    }
    struct number number = number_of(array, element);
    measure_number(layout, &number);
    double value;
    reel_convert(REEL_F64, &value, array->dtype, element_at(array, element), 1);
    value = fabs(value);
    if (value > 0 && isfinite(value)) {
        layout->smallest = fmin(layout->smallest, value);
        layout->largest = fmax(layout->largest, value);
    }
}

static double rounded_to(reel_dtype dtype, double value)
{
    double element;                                 /* memory for one element of any dtype         */
    reel_convert(dtype, &element, REEL_F64, &value, 1);
    reel_convert(REEL_F64, &value, dtype, &element, 1);
    return value;
}

/* NumPy's rule. Its numbers are rounded to the dtype before they are compared. */
static bool wants_exponents(const struct layout *layout)
{
    static const double too_large[REEL_DTYPES] = {
        [REEL_F16] = 1e3, [REEL_BF16] = 1e2, [REEL_F32] = 1e6, [REEL_F64] = 1e8,
    };
    reel_dtype dtype = layout->array.dtype;
    return layout->largest > 0 &&
           (layout->largest >= too_large[dtype] || layout->smallest < rounded_to(dtype, 1e-4) ||
            rounded_to(dtype, layout->largest / layout->smallest) > 1000);
}

static void choose_columns(struct layout *layout)
{
    layout->smallest = INFINITY;
    measure(layout, 0, 0);
    if (!reel_dtype_is_float(layout->array.dtype)) {
        layout->left = layout->text;
        return;
    }
    layout->exponents = wants_exponents(layout);
    if (layout->exponents) {
        layout->left = 1 + layout->negative;
        layout->right = layout->fraction + 2 + layout->exponent;
    }
    layout->left = longer(layout->left, layout->text - 1 - layout->right);
}

/* ---- Numbers in columns -------------------------------------------------------------------------------- */

static void spaces(reel_text *text, int n)
{
    while (n-- > 0)
        reel_text_char(text, ' ');
}

static int width_of(const struct layout *layout)
{
    return reel_dtype_is_float(layout->array.dtype) ? layout->left + 1 + layout->right : layout->left;
}

static void put_digits(const struct layout *layout, const struct number *number, reel_text *text)
{
    int point = layout->exponents ? 1 : longer(number->point, 1);
    int first = layout->exponents ? 0 : number->point - point;      /* below 0: zeros in front     */
    int fraction = layout->exponents ? layout->fraction : longer(number->count - number->point, 0);
    spaces(text, layout->left - number->negative - point);
    if (number->negative)
        reel_text_char(text, '-');
    for (int i = 0; i < point + fraction; i++) {
        if (i == point)
            reel_text_char(text, '.');
        reel_text_char(text, digit_at(number, first + i));
    }
    if (fraction == 0)
        reel_text_char(text, '.');
    if (layout->exponents) {
        int exponent = number->count ? number->point - 1 : 0;
        reel_text_add(text, "e%c%0*d", exponent < 0 ? '-' : '+', layout->exponent,
                      exponent < 0 ? -exponent : exponent);
    }
}

/* Blanks in front, none behind. */
static void put_number(const struct layout *layout, int64_t element, reel_text *text)
{
    struct number number = number_of(&layout->array, element);
    if (number.text[0]) {
        spaces(text, width_of(layout) - (int)strlen(number.text));
        reel_text_add(text, "%s", number.text);
    } else {
        put_digits(layout, &number, text);
    }
}

/* A scalar has no columns to stand in, a digit behind its point, and an exponent only from 1e16 on or
 * below 1e-4. */
static void put_scalar(const reel_array *array, reel_text *text)
{
    char number[PRINT_NUMBER];
    reel_text only = reel_text_in(number, sizeof number);
    reel_text_element(&only, array->dtype, array->data);
    reel_text_add(text, "%s%s", number, number[only.length - 1] == '.' ? "0" : "");
}

/* ---- Rows and axes ------------------------------------------------------------------------------------- */

/* A line of words of one width, several of which fit. The blanks behind a word wait until another follows. */
struct line {
    reel_text *text;
    int        indent, limit, length, blanks;
};

static void begin_word(struct line *line, int width)
{
    if (line->length + width > line->limit) {
        reel_text_char(line->text, '\n');
        line->length = line->blanks = line->indent;
    }
    spaces(line->text, line->blanks);
}

static void end_word(struct line *line, int width, int written)
{
    line->length += width + 1;
    line->blanks = width - written + 1;
}

static void put_row(const struct layout *layout, int64_t element, reel_text *text)
{
    int axis = layout->array.rank - 1, width = width_of(layout);
    int64_t size = layout->array.shape[axis];
    struct line line = {.text = text, .indent = axis + 1, .length = axis + 1, .limit = PRINT_LINE - axis - 1};
    for (int64_t i = 0, next; i < size; i = next) {
        next = next_shown(layout, i, size);
        begin_word(&line, width);
        size_t before = text->length;
        put_number(layout, element + i * layout->array.strides[axis], text);
        end_word(&line, width, (int)(text->length - before));
        if (next != i + 1) {
            begin_word(&line, 3);
            reel_text_add(text, "...");
            end_word(&line, 3, 3);
        }
    }
}

static void between_rows(const struct layout *layout, int axis, reel_text *text)
{
    for (int below = layout->array.rank - axis - 1; below > 0; below--)
        reel_text_char(text, '\n');
    spaces(text, axis + 1);
}

static void put_axis(const struct layout *layout, int axis, int64_t element, reel_text *text)
{
    int64_t size = layout->array.shape[axis];
    reel_text_char(text, '[');
    if (axis == layout->array.rank - 1)
        put_row(layout, element, text);
    else
        for (int64_t i = 0, next; i < size; i = next) {
            next = next_shown(layout, i, size);
            put_axis(layout, axis + 1, element + i * layout->array.strides[axis], text);
            if (next < size)
                between_rows(layout, axis, text);
            if (next != i + 1) {
                reel_text_add(text, "...");
                between_rows(layout, axis, text);
            }
        }
    reel_text_char(text, ']');
}

void reel_text_array(reel_text *text, const reel_array *array)
{
    struct layout layout = {.array = *array, .elide = array->count > PRINT_ELIDE_ABOVE};
    if (array->count == 0) {
        reel_text_add(text, "[]");
    } else if (array->rank == 0) {
        put_scalar(array, text);
    } else {
        choose_columns(&layout);
        put_axis(&layout, 0, 0, text);
    }
}

/* ---- The calls ----------------------------------------------------------------------------------------- */

size_t reel_format(reel_tensor x, char *buffer, size_t bytes)
{
    reel_text text = reel_text_in(buffer, bytes);
    if (reel_usable(NULL, 0, "format", x)) {
        reel_array array = reel_node_array(reel_node_at(x.tape, x.node));
        reel_text_array(&text, &array);
    }
    return text.length;
}

bool reel_tape_write(reel_tape *tape, int file, const char *text, size_t bytes)
{
    while (bytes > 0) {
        int64_t put = tape->io.write(tape->io.user, file, text, bytes);
        if (put <= 0)
            return false;
        text += put;
        bytes -= (size_t)put;
    }
    return true;
}

bool reel_tape_make(REEL_PLACE, reel_tape *tape, const char *what, reel_maker make, const void *context,
                    reel_text *text)
{
    *text = reel_text_in(NULL, 0);
    make(text, context);
    size_t bytes = text->length + 1;
    if (!reel_tape_ensure_scratch(tape, bytes))
        return reel_tape_out_of_memory(tape, file, line, what, bytes);
    *text = reel_text_in(tape->scratch, bytes);
    make(text, context);
    return true;
}

bool reel_tape_print(REEL_PLACE, reel_tape *tape, const char *what, reel_maker make, const void *context)
{
    reel_text text;
    if (!reel_tape_make(file, line, tape, what, make, context, &text))
        return false;
    return reel_tape_write(tape, 1, text.buffer, text.length) ||
           reel_tape_fail(tape, file, line, what, "standard output cannot be written");
}

static void make_tensor(reel_text *text, const void *array)
{
    reel_text_array(text, array);
    reel_text_char(text, '\n');
}

bool reel_print_at(REEL_PLACE, reel_tensor x)
{
    if (!reel_usable(file, line, "print", x))
        return false;
    reel_array array = reel_node_array(reel_node_at(x.tape, x.node));
    return reel_tape_print(file, line, x.tape, "print", make_tensor, &array);
}
