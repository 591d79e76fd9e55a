/* Tensors as text, the way NumPy prints them: brackets for each axis, columns aligned, the shortest digits that
 * read back the same, and the middle left out where there are many elements. */
#include "autograd/tape.h"
#include "core/dtype.h"
#include "core/shape.h"

#include <string.h>

enum { PRINT_ELIDE_ABOVE = 1000, PRINT_EDGE = 3, PRINT_NUMBER = 48, PRINT_PIECE = 512 };

/* ---- Numbers in columns ---------------------------------------------------------------------------------------- */

struct layout {
    reel_array array;
    int        left, right;                         /* widths before and from the point on         */
    bool       elide;
};

static size_t number_text(const reel_array *array, int64_t element, char text[PRINT_NUMBER])
{
    reel_text number = reel_text_in(text, PRINT_NUMBER);
    const char *at = (const char *)array->data + element * (int64_t)reel_dtype_size(array->dtype);
    reel_text_element(&number, array->dtype, at);
    return number.length;
}

static size_t point_of(const char *text, size_t length)
{
    const char *point = memchr(text, '.', length);
    return point ? (size_t)(point - text) : length;
}

static void widen(struct layout *layout, int64_t element)
{
    char text[PRINT_NUMBER];
    size_t length = number_text(&layout->array, element, text), point = point_of(text, length);
    if ((int)point > layout->left)
        layout->left = (int)point;
    if ((int)(length - point) > layout->right)
        layout->right = (int)(length - point);
}

/* The positions of an axis that are shown: all, or some from each end. Returns the next after i. */
static int64_t next_shown(const struct layout *layout, int64_t i, int64_t size)
{
    bool gap = layout->elide && size > 2 * PRINT_EDGE && i + 1 == PRINT_EDGE;
    return gap ? size - PRINT_EDGE : i + 1;
}

static void measure(struct layout *layout, int axis, int64_t element)
{
    if (axis == layout->array.rank) {
        widen(layout, element);
        return;
    }
    int64_t size = layout->array.shape[axis];
    for (int64_t i = 0; i < size; i = next_shown(layout, i, size))
        measure(layout, axis + 1, element + i * layout->array.strides[axis]);
}

static void spaces(reel_text *text, int n)
{
    while (n-- > 0)
        reel_text_char(text, ' ');
}

/* One number in its column; nothing follows the last of a row. */
static void put_number(const struct layout *layout, int64_t element, bool last, reel_text *text)
{
    char number[PRINT_NUMBER];
    size_t length = number_text(&layout->array, element, number), point = point_of(number, length);
    spaces(text, layout->left - (int)point);
    reel_text_add(text, "%s", number);
    if (!last)
        spaces(text, layout->right - (int)(length - point));
}

static void between_items(const struct layout *layout, int axis, bool gap, reel_text *text)
{
    int below = layout->array.rank - axis - 1;
    for (int turn = 0; turn <= (gap ? 1 : 0); turn++) {
        if (below == 0)
            reel_text_char(text, ' ');
        for (int i = 0; i < below; i++)
            reel_text_char(text, '\n');
        if (below)
            spaces(text, axis + 1);
        if (gap && turn == 0)
            reel_text_add(text, "...");
    }
}

static void put_axis(const struct layout *layout, int axis, int64_t element, bool last, reel_text *text)
{
    if (axis == layout->array.rank) {
        put_number(layout, element, last, text);
        return;
    }
    int64_t size = layout->array.shape[axis];
    reel_text_char(text, '[');
    for (int64_t i = 0, next; i < size; i = next) {
        next = next_shown(layout, i, size);
        put_axis(layout, axis + 1, element + i * layout->array.strides[axis], next >= size, text);
        if (next < size)
            between_items(layout, axis, next != i + 1, text);
    }
    reel_text_char(text, ']');
}

static void put_tensor(const reel_node *node, const reel_tape *tape, reel_text *text)
{
    struct layout layout = {.array = reel_node_array(tape, node), .elide = node->count > PRINT_ELIDE_ABOVE};
    if (node->count > 0)
        measure(&layout, 0, 0);
    if (node->rank == 0)
        layout.left = layout.right = 0;
    put_axis(&layout, 0, 0, true, text);
}

/* ---- The calls -------------------------------------------------------------------------------------------------- */

size_t reel_format(reel_tensor x, char *buffer, size_t bytes)
{
    reel_text text = reel_text_in(buffer, bytes);
    if (reel_usable(NULL, 0, "format", x))
        put_tensor(reel_node_at(x.tape, x.node), x.tape, &text);
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

/* The text is made once to learn its length and once to keep it, in the tape's scratch memory. */
bool reel_print_at(REEL_PLACE, reel_tensor x)
{
    if (!reel_usable(file, line, "print", x))
        return false;
    reel_tape *tape = x.tape;
    size_t length = reel_format(x, NULL, 0);
    if (!reel_tape_ensure_scratch(tape, length + 2))
        return reel_tape_out_of_memory(tape, file, line, "print", length + 2);
    char *text = tape->scratch;
    reel_format(x, text, length + 1);
    text[length] = '\n';
    return reel_tape_write(tape, 1, text, length + 1) ||
           reel_tape_fail(tape, file, line, "print", "standard output cannot be written");
}
