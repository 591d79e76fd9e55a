/* Why a gradient is zero: where the paths from x to y are cut. */
#include "autograd/tape.h"

/* Marks what depends on x; through every op, or through differentiable ones alone. */
static void mark_from(reel_tape *tape, uint32_t from, uint32_t to, bool differentiably)
{
    tape->sweep++;
    reel_node_at(tape, from)->sweep = tape->sweep;
    for (uint32_t id = from + 1; id <= to; id++) {
        reel_node *node = reel_node_at(tape, id);
        if (!node->op || (differentiably && !(node->flags & REEL_NODE_VARIABLE)))
            continue;
        const uint32_t *input = reel_node_inputs(node);
        for (uint32_t i = 0; i < node->inputs; i++)
            if (reel_node_at(tape, input[i])->sweep == tape->sweep)
                node->sweep = tape->sweep;
    }
}

static bool reached(const reel_tape *tape, uint32_t id)
{
    return reel_node_at(tape, id)->sweep == tape->sweep;
}

/* The first node that does not depend on x differentiably though an input does, and that y depends on. The first
 * search is kept in `reader`, since each candidate takes a search of its own. */
static uint32_t find_cut(reel_tape *tape, uint32_t x, uint32_t y)
{
    mark_from(tape, x, y, true);
    uint32_t search = ++tape->searches;
    for (uint32_t id = x; id <= y; id++)
        if (reached(tape, id))
            reel_node_at(tape, id)->reader = search;
    for (uint32_t id = x + 1; id <= y; id++) {
        const reel_node *node = reel_node_at(tape, id);
        const uint32_t *input = reel_node_inputs(node);
        bool reads = false;
        for (uint32_t i = 0; node->op && i < node->inputs; i++)
            reads |= reel_node_at(tape, input[i])->reader == search;
        if (!reads || node->flags & REEL_NODE_VARIABLE)
            continue;
        mark_from(tape, id, y, false);
        if (reached(tape, y))
            return id;
    }
    return x;
}

static void say_why(reel_tensor y, reel_tensor x, reel_text *text)
{
    reel_tape *tape = x.tape;
    const reel_node *from = reel_node_at(tape, x.node);
    if (!(from->flags & REEL_NODE_VARIABLE)) {
        reel_text_add(text, "no variable reaches %s: it was recorded at %s:%d as a constant", reel_describe(x).text,
                      from->file, from->line);
        return;
    }
    if (x.node <= y.node)
        mark_from(tape, x.node, y.node, true);
    if (x.node <= y.node && reached(tape, y.node))
        return;
    if (x.node <= y.node)
        mark_from(tape, x.node, y.node, false);
    if (x.node > y.node || !reached(tape, y.node)) {
        reel_text_add(text, "nothing that %s was computed from depends on %s", reel_describe(y).text,
                      reel_describe(x).text);
        return;
    }
    const reel_node *cut = reel_node_at(tape, find_cut(tape, x.node, y.node));
    if (!cut->op)
        return;
    reel_text_add(text, "every path from %s ends at an op without a gradient: %s at %s:%d", reel_describe(x).text,
                  cut->op->name, cut->file, cut->line);
}

size_t reel_why_no_gradient(reel_tensor y, reel_tensor x, char *buffer, size_t bytes)
{
    reel_text text = reel_text_in(buffer, bytes);
    if (!reel_is_valid(x) || !reel_is_valid(y) || x.tape != y.tape)
        reel_text_add(&text, "the tensors are not on one tape");
    else
        say_why(y, x, &text);
    return text.length;
}
