/* A section drawn in Graphviz's language: a box for each value, arrows from inputs to results. What a
 * section reads from outside is drawn too, in grey; what an op writes gets a dashed arrow. */
#include "autograd/look.h"
#include "autograd/section.h"
#include "core/dtype.h"
#include "core/io.h"
#include "core/shape.h"

enum { DRAWING_ELEMENTS = 12, DRAWING_TEXT = 1024 };

/* ---- Text inside a label ------------------------------------------------------------------------------- */

/* Quotes and backslashes are escaped, and each line is closed with "\l", which sets it to the left. */
static void put_escaped(reel_text *text, const char *plain)
{
    for (; *plain; plain++) {
        if (*plain == '\n') {
            reel_text_add(text, "\\l");
            continue;
        }
        if (*plain == '"' || *plain == '\\')
            reel_text_char(text, '\\');
        reel_text_char(text, *plain);
    }
}

/* All elements where they are few, else their range. */
static void put_value(reel_text *text, const reel_tape *tape, uint32_t id)
{
    const reel_node *node = reel_node_at(tape, id);
    char buffer[DRAWING_TEXT];
    reel_text plain = reel_text_in(buffer, sizeof buffer);
    if (!reel_value_missing(node) && node->count <= DRAWING_ELEMENTS) {
        reel_array array = reel_node_array(node);
        reel_text_array(&plain, &array);
    } else {
        reel_text_range(&plain, tape, id);
    }
    put_escaped(text, buffer);
    reel_text_add(text, "\\l");
}

static void put_gradient(reel_text *text, const reel_tape *tape, uint32_t id)
{
    uint32_t gradient;
    enum reel_gradient_news news = reel_known_gradient(tape, id, &gradient);
    static const char *const headline[] = {
        [REEL_GRADIENT_UNKNOWN] = "gradient: not computed\\l",
        [REEL_GRADIENT_NONE_ARRIVED] = "gradient: none arrived\\l",
        [REEL_GRADIENT_KNOWN] = "gradient\\l",
    };
    if (news != REEL_GRADIENT_IMPOSSIBLE)
        reel_text_add(text, "%s", headline[news]);
    if (news == REEL_GRADIENT_KNOWN)
        put_value(text, tape, gradient);
}

static void put_label(reel_text *text, const reel_tape *tape, uint32_t id)
{
    const reel_node *node = reel_node_at(tape, id);
    char buffer[DRAWING_TEXT];
    reel_text plain = reel_text_in(buffer, sizeof buffer);
    if (node->name)
        reel_text_add(&plain, "\"%.60s\"\n", node->name);
    reel_text_origin(&plain, node);
    if (node->dtype != REEL_NO_DTYPE) {
        reel_text_char(&plain, ' ');
        reel_text_shape(&plain, node->rank, node->shape);
        reel_text_add(&plain, " %s", reel_dtype_name((reel_dtype)node->dtype));
    }
    put_escaped(text, buffer);
    reel_text_add(text, "\\l");
    if (node->dtype != REEL_NO_DTYPE)
        put_value(text, tape, id);
    put_gradient(text, tape, id);
}

/* ---- Boxes and arrows ---------------------------------------------------------------------------------- */

static const char *box_style(const reel_node *node, bool outside)
{
    if (node->dtype != REEL_NO_DTYPE && !(node->flags & REEL_NODE_COMPUTED))
        return "color=red, fontcolor=red, style=\"filled,dashed\", fillcolor=white";
    if (outside)
        return "fillcolor=\"#e6e6e6\"";
    if (node->op)
        return "fillcolor=white";
    return node->flags & REEL_NODE_VARIABLE ? "fillcolor=\"#cfe3ff\"" : "fillcolor=\"#f5f0dc\"";
}

static void put_box(reel_text *text, const reel_tape *tape, uint32_t id, bool outside)
{
    reel_text_add(text, "    n%u [label=\"", id);
    put_label(text, tape, id);
    reel_text_add(text, "\", %s];\n", box_style(reel_node_at(tape, id), outside));
}

/* The inputs of an op of several are numbered. */
static void put_arrows(reel_text *text, const reel_tape *tape, uint32_t id)
{
    const reel_node *node = reel_node_at(tape, id);
    const uint32_t *input = reel_node_inputs(node);
    for (uint32_t i = 0; node->op && i < node->inputs; i++) {
        reel_text_add(text, "    n%u -> n%u", input[i], id);
        if (node->inputs > 1)
            reel_text_add(text, " [headlabel=\"%u\"]", i + 1);
        reel_text_add(text, ";\n");
        if (node->output == 0 && node->op->writes && node->op->writes(node->attributes, (int)i))
            reel_text_add(text, "    n%u -> n%u [style=dashed, constraint=false];\n", id, input[i]);
    }
}

/* A box from outside is put once, at its first reader; it is marked with the number of a search. */
static void put_boxes_outside(reel_text *text, reel_section section, uint32_t id)
{
    reel_tape *tape = section.tape;
    const reel_node *node = reel_node_at(tape, id);
    const uint32_t *input = reel_node_inputs(node);
    for (uint32_t i = 0; node->op && i < node->inputs; i++) {
        reel_node *outside = reel_node_at(tape, input[i]);
        if (input[i] >= section.from || outside->reader == tape->searches)
            continue;
        outside->reader = tape->searches;
        put_box(text, tape, input[i], true);
    }
}

static void put_drawing(reel_text *text, const void *context)
{
    const reel_section section = *(const reel_section *)context;
    section.tape->searches++;
    reel_text_add(text, "digraph tape {\n");
    reel_text_add(text, "    node [shape=box, style=filled, fontname=\"monospace\", fontsize=10];\n");
    reel_text_add(text, "    edge [color=\"#505050\", fontname=\"monospace\", fontsize=8, "
                        "labeldistance=1.5];\n");
    for (uint32_t id = section.from; id < section.to; id++)
        if (reel_section_shows(section, id)) {
            put_boxes_outside(text, section, id);
            put_box(text, section.tape, id, false);
            put_arrows(text, section.tape, id);
        }
    reel_text_add(text, "}\n");
}

/* ---- The calls ----------------------------------------------------------------------------------------- */

size_t reel_format_drawing(reel_section section, char *buffer, size_t bytes)
{
    reel_text text = reel_text_in(buffer, bytes);
    if (reel_section_usable(NULL, 0, section, "format"))
        put_drawing(&text, &section);
    return text.length;
}

static bool write_file(reel_tape *tape, const char *path, const reel_text *text)
{
    int to = tape->io.open(tape->io.user, path, true);
    if (to < 0)
        return false;
    bool written = reel_tape_write(tape, to, text->buffer, text->length);
    return tape->io.close(tape->io.user, to) >= 0 && written;
}

bool reel_draw_section_at(REEL_PLACE, reel_section section, const char *path)
{
    reel_tape *tape = section.tape;
    reel_text text;
    if (!reel_section_usable(file, line, section, "draw"))
        return false;
    if (!path)
        return reel_tape_fail(tape, file, line, "draw", "the path is NULL");
    return reel_tape_make(file, line, tape, "draw", put_drawing, &section, &text) &&
           (write_file(tape, path, &text) ||
            reel_tape_fail(tape, file, line, "draw", "%s cannot be written", path));
}
