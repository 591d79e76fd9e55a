/* A tape or a section as a table, a line for each value. The columns are as wide as their longest cell,
 * but for the two of ranges: those would have to be computed twice. */
#include "autograd/look.h"
#include "autograd/section.h"
#include "core/dtype.h"
#include "core/shape.h"

#include <string.h>

enum { TABLE_RANGE = 24, TABLE_CELL = 160, TABLE_INPUTS = 4 };

enum column { COLUMN_NODE, COLUMN_NAME, COLUMN_ORIGIN, COLUMN_INPUTS, COLUMN_TYPE, COLUMN_VALUES,
              COLUMN_GRADIENT, COLUMN_BYTES, COLUMN_PLACE, COLUMNS };

struct table {
    reel_section section;
    int          width[COLUMNS];
};

/* ---- Cells --------------------------------------------------------------------------------------------- */

static void cell_name(reel_text *text, const reel_node *node)
{
    if (node->name)
        reel_text_add(text, "\"%.60s\"", node->name);
}

static void cell_inputs(reel_text *text, const reel_node *node)
{
    const uint32_t *input = reel_node_inputs(node);
    for (uint32_t i = 0; node->op && i < node->inputs && i < TABLE_INPUTS; i++)
        reel_text_add(text, "%s%u", i ? " " : "", input[i]);
    if (node->op && node->inputs > TABLE_INPUTS)
        reel_text_add(text, " ... (%u)", node->inputs);
}

static void cell_type(reel_text *text, const reel_node *node)
{
    if (node->dtype == REEL_NO_DTYPE)
        return;
    reel_text_add(text, "%s ", reel_dtype_name((reel_dtype)node->dtype));
    reel_text_shape(text, node->rank, node->shape);
}

static void cell_gradient(reel_text *text, const reel_tape *tape, uint32_t id)
{
    uint32_t gradient;
    switch (reel_known_gradient(tape, id, &gradient)) {
    case REEL_GRADIENT_KNOWN:        reel_text_range(text, tape, gradient); break;
    case REEL_GRADIENT_NONE_ARRIVED: reel_text_add(text, "none arrived"); break;
    case REEL_GRADIENT_UNKNOWN:      reel_text_add(text, "not computed"); break;
    case REEL_GRADIENT_IMPOSSIBLE:   reel_text_add(text, "-"); break;
    }
}

/* A view shares its base's memory, and wrapped memory is the caller's. */
static size_t own_bytes(const reel_tape *tape, uint32_t id)
{
    const reel_node *node = reel_node_at(tape, id);
    const reel_leaf *leaf = node->op ? NULL : node->attributes;
    bool own = node->base == node && !(leaf && leaf->wrapped);
    return own ? (size_t)node->count * reel_dtype_size((reel_dtype)node->dtype) : 0;
}

static void cell_bytes(reel_text *text, const reel_tape *tape, uint32_t id)
{
    const reel_node *node = reel_node_at(tape, id);
    const reel_leaf *leaf = node->op ? NULL : node->attributes;
    if (leaf && leaf->wrapped)
        reel_text_add(text, "wrapped");
    else if (node->base != node)
        reel_text_add(text, "view");
    else
        reel_text_add(text, "%zu", own_bytes(tape, id));
}

static void put_cell(reel_text *text, const reel_tape *tape, uint32_t id, enum column column)
{
    const reel_node *node = reel_node_at(tape, id);
    switch (column) {
    case COLUMN_NODE:     reel_text_add(text, "%u", id); break;
    case COLUMN_NAME:     cell_name(text, node); break;
    case COLUMN_ORIGIN:   reel_text_origin(text, node); break;
    case COLUMN_INPUTS:   cell_inputs(text, node); break;
    case COLUMN_TYPE:     cell_type(text, node); break;
    case COLUMN_VALUES:   reel_text_range(text, tape, id); break;
    case COLUMN_GRADIENT: cell_gradient(text, tape, id); break;
    case COLUMN_BYTES:    cell_bytes(text, tape, id); break;
    case COLUMN_PLACE:    reel_text_place(text, node->file, node->line); break;
    case COLUMNS:         break;
    }
}

/* ---- The table ----------------------------------------------------------------------------------------- */

static const char *const table_heads[COLUMNS] = {
    "node", "name", "op", "inputs", "type", "values", "gradient", "bytes", "recorded at",
};

static bool stands_right(enum column column)
{
    return column == COLUMN_NODE || column == COLUMN_BYTES;
}

static void measure_columns(struct table *table)
{
    for (enum column c = 0; c < COLUMNS; c++)
        table->width[c] = (int)strlen(table_heads[c]);
    table->width[COLUMN_VALUES] = table->width[COLUMN_GRADIENT] = TABLE_RANGE;
    for (uint32_t id = table->section.from; id < table->section.to; id++)
        for (enum column c = 0; c < COLUMNS && reel_section_shows(table->section, id); c++) {
            if (c == COLUMN_VALUES || c == COLUMN_GRADIENT)
                continue;
            reel_text cell = reel_text_in(NULL, 0);
            put_cell(&cell, table->section.tape, id, c);
            if ((int)cell.length > table->width[c])
                table->width[c] = (int)cell.length;
        }
}

static void put_padded(reel_text *text, const struct table *table, enum column column, const char *cell,
                       size_t length)
{
    int blanks = table->width[column] - (int)length, left = stands_right(column) ? blanks : 0;
    for (int i = 0; i < left; i++)
        reel_text_char(text, ' ');
    reel_text_add(text, "%s", cell);
    for (int i = left; i < blanks + 2 && column != COLUMN_PLACE; i++)
        reel_text_char(text, ' ');
}

static void put_table(reel_text *text, const void *context)
{
    struct table table = {.section = *(const reel_section *)context};
    const reel_tape *tape = table.section.tape;
    uint32_t values = 0;
    size_t bytes = 0;
    measure_columns(&table);
    for (enum column c = 0; c < COLUMNS; c++)
        put_padded(text, &table, c, table_heads[c], strlen(table_heads[c]));
    reel_text_char(text, '\n');
    for (uint32_t id = table.section.from; id < table.section.to; id++) {
        if (!reel_section_shows(table.section, id))
            continue;
        for (enum column c = 0; c < COLUMNS; c++) {
            char cell[TABLE_CELL];
            reel_text in_cell = reel_text_in(cell, sizeof cell);
            put_cell(&in_cell, tape, id, c);
            put_padded(text, &table, c, cell, strlen(cell));
        }
        reel_text_char(text, '\n');
        values++;
        bytes += own_bytes(tape, id);
    }
    reel_text_add(text, "%u node%s, %zu bytes of values\n", values, values == 1 ? "" : "s", bytes);
}

/* ---- The calls ----------------------------------------------------------------------------------------- */

size_t reel_format_section(reel_section section, char *buffer, size_t bytes)
{
    reel_text text = reel_text_in(buffer, bytes);
    if (reel_section_usable(NULL, 0, section, "format"))
        put_table(&text, &section);
    return text.length;
}

bool reel_print_section_at(REEL_PLACE, reel_section section)
{
    return reel_section_usable(file, line, section, "print") &&
           reel_tape_print(file, line, section.tape, "print", put_table, &section);
}

size_t reel_format_tape(reel_tape *tape, char *buffer, size_t bytes)
{
    reel_text text = reel_text_in(buffer, bytes);
    if (tape) {
        reel_section whole = reel_tape_whole(tape);
        put_table(&text, &whole);
    }
    return text.length;
}

bool reel_print_tape_at(REEL_PLACE, reel_tape *tape)
{
    if (!tape)
        return false;
    reel_section whole = reel_tape_whole(tape);
    return reel_tape_print(file, line, tape, "print", put_table, &whole);
}
