/* Sections of a tape: taken, pruned to what is needed, and played again. */
#include "autograd/section.h"

static reel_section failed_section(reel_tape *tape)
{
    return (reel_section){.tape = tape};
}

static bool section_is_on_tape(reel_section section)
{
    return reel_on_tape(section.tape, (reel_tensor){section.tape, section.anchor, section.generation}) ||
           (section.anchor == 0 && section.from == section.to && section.from > 0);
}

bool reel_section_usable(REEL_PLACE, reel_section section, const char *what)
{
    if (!section.tape)
        return false;
    return section_is_on_tape(section) ||
           reel_tape_fail(section.tape, file, line, what, "the section is not on the tape (it was rewound past, or failed)");
}

reel_section reel_tape_section_at(REEL_PLACE, reel_mark from, reel_mark to)
{
    reel_tape *tape = to.tape;
    if (reel_failed(tape))
        return failed_section(tape);
    if (!reel_tape_holds_mark(tape, from) || !reel_tape_holds_mark(tape, to) || from.nodes > to.nodes) {
        reel_tape_fail(tape, file, line, "section", "the marks are not on this tape, or in the wrong order");
        return failed_section(tape);
    }
    uint32_t anchor = from.nodes == to.nodes ? 0 : to.nodes - 1;
    return (reel_section){tape, from.nodes, to.nodes, anchor, reel_handle(tape, anchor).generation};
}

/* ---- Notes --------------------------------------------------------------------------------------------- */

const reel_section_note *reel_section_details(reel_section section)
{
    const reel_node *anchor = section.anchor ? reel_node_at(section.tape, section.anchor) : NULL;
    return anchor && anchor->flags & REEL_NODE_NOTE ? anchor->attributes : NULL;
}

reel_section reel_section_with_note(REEL_PLACE, reel_tape *tape, uint32_t from, uint32_t to,
                                    const reel_section_note *note, const char *what)
{
    reel_node *node = reel_node_new(tape);
    reel_section_note *copy = node ? reel_tape_get(tape, sizeof *copy) : NULL;
    if (!copy) {
        reel_tape_out_of_memory(tape, file, line, what, sizeof *copy);
        return failed_section(tape);
    }
    *copy = *note;
    node->attributes = copy;
    node->flags = REEL_NODE_NOTE;
    node->file = file;
    node->line = line;
    uint32_t anchor = tape->nodes++;
    return (reel_section){tape, from, to, anchor, node->generation};
}

/* ---- Pruning --------------------------------------------------------------------------------------------- */

/* Two marks on a node: `sweep` says that its value is needed, `reader` that its memory is read, both by
 * holding the number of this search. */
static bool call_is_needed(const reel_tape *tape, uint32_t head)
{
    const reel_node *node = reel_node_at(tape, head);
    for (int i = 0; i < node->outputs; i++)
        if (reel_node_at(tape, head + (uint32_t)i)->sweep == tape->sweep)
            return true;
    const uint32_t *input = reel_node_inputs(node);
    for (uint32_t i = 0; node->op->writes && i < node->inputs; i++) {
        const reel_node *base = reel_node_at(tape, reel_node_at(tape, input[i])->base);
        if (base->reader == tape->sweep && node->op->writes(node->attributes, (int)i))
            return true;
    }
    return false;
}

static void need(reel_tape *tape, uint32_t id)
{
    reel_node *node = reel_node_at(tape, id);
    node->sweep = tape->sweep;
    reel_node_at(tape, node->base)->reader = tape->sweep;
}

static bool is_call(const reel_node *node)
{
    return node->op && node->output == 0;
}

/* Going back from the end: what a needed call reads is needed too. Marks the heads; returns their number. */
static uint32_t mark_needed(const reel_section *section)
{
    reel_tape *tape = section->tape;
    uint32_t count = 0;
    for (uint32_t id = section->to; id-- > section->from;) {
        reel_node *node = reel_node_at(tape, id);
        if (!is_call(node) || !call_is_needed(tape, id))
            continue;
        node->sweep = tape->sweep;
        count++;
        const uint32_t *input = reel_node_inputs(node);
        for (uint32_t i = 0; i < node->inputs; i++)
            need(tape, input[i]);
    }
    return count;
}

reel_section reel_section_prune_at(REEL_PLACE, reel_section section, reel_tensors needed)
{
    reel_tape *tape = section.tape;
    if (reel_failed(tape) || !reel_section_usable(file, line, section, "prune"))
        return failed_section(tape);
    tape->sweep++;
    for (size_t i = 0; i < needed.count; i++) {
        if (!reel_usable_input(tape, file, line, "prune", (int)i, needed.tensor[i]))
            return failed_section(tape);
        need(tape, needed.tensor[i].node);
    }
    uint32_t count = mark_needed(&section), at = 0;
    uint32_t *call = reel_tape_get(tape, (count ? count : 1) * sizeof *call);
    if (!call) {
        reel_tape_out_of_memory(tape, file, line, "prune", count * sizeof *call);
        return failed_section(tape);
    }
    for (uint32_t id = section.from; id < section.to; id++)
        if (is_call(reel_node_at(tape, id)) && reel_node_at(tape, id)->sweep == tape->sweep)
            call[at++] = id;
    const reel_section_note *whole = reel_section_details(section);
    reel_section_note note = {.pruned = true, .kept = count, .call = call, .twins = whole ? whole->twins : NULL};
    return reel_section_with_note(file, line, tape, section.from, section.to, &note, "prune");
}

/* ---- Playing again ------------------------------------------------------------------------------------------ */

static bool stop_replay(const reel_section *section, uint32_t failed)
{
    reel_tape *tape = section->tape;
    reel_tape_fail(tape, tape->here_file, tape->here_line, reel_node_at(tape, failed)->op->name, "the op failed");
    tape->error = REEL_REPLAY_ERROR;
    for (uint32_t id = failed; id < section->to; id++)
        if (reel_node_at(tape, id)->op)
            reel_node_at(tape, id)->flags &= (uint16_t)~REEL_NODE_COMPUTED;
    return false;
}

static bool replay_calls(const reel_section *section, const uint32_t *call, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (!reel_execute(section->tape, call[i]))
            return stop_replay(section, call[i]);
    return true;
}

static bool replay_all(const reel_section *section)
{
    for (uint32_t id = section->from; id < section->to; id++)
        if (is_call(reel_node_at(section->tape, id)) && !reel_execute(section->tape, id))
            return stop_replay(section, id);
    return true;
}

bool reel_tape_replay_at(REEL_PLACE, reel_section section)
{
    reel_tape *tape = section.tape;
    if (!tape || tape->error == REEL_ERROR || !reel_section_usable(file, line, section, "replay"))
        return false;
    tape->error = REEL_FINE;
    const reel_section_note *note = reel_section_details(section);
    return note && note->pruned ? replay_calls(&section, note->call, note->kept) : replay_all(&section);
}
