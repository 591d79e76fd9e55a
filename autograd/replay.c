/* Sections of a tape: taken, pruned to what is needed, and played again. */
#include "autograd/joint.h"
#include "autograd/plain.h"
#include "autograd/section.h"

#include <stdlib.h>

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
    if (!section.tape || section_is_on_tape(section))
        return section.tape;
    return !reel_failed(section.tape) &&
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
    const reel_node *anchor = section.anchor >= section.to ? reel_node_at(section.tape, section.anchor) : NULL;
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

/* Two marks on a node: `sweep` says that its value is needed, `reader` that its memory is read, by holding the
 * numbers of this sweep and of this search. */
static bool call_is_needed(const reel_tape *tape, uint32_t head)
{
    const reel_node *node = reel_node_at(tape, head);
    for (int i = 0; i < node->outputs; i++)
        if (reel_node_at(tape, head + (uint32_t)i)->sweep == tape->sweep)
            return true;
    const uint32_t *input = reel_node_inputs(node);
    for (uint32_t i = 0; node->op->writes && i < node->inputs; i++) {
        const reel_node *base = reel_node_at(tape, input[i])->base;
        if (base->reader == tape->searches && node->op->writes(node->attributes, (int)i))
            return true;
    }
    return false;
}

static void need(reel_tape *tape, uint32_t id)
{
    reel_node *node = reel_node_at(tape, id);
    node->sweep = tape->sweep;
    node->base->reader = tape->searches;
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
    tape->searches++;
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

static void forget_outputs(reel_tape *tape, uint32_t head)
{
    int outputs = reel_node_at(tape, head)->outputs;
    for (int i = 0; i < (outputs ? outputs : 1); i++)
        reel_node_at(tape, head + (uint32_t)i)->flags &= (uint16_t)~REEL_NODE_COMPUTED;
}

static void note_failure(reel_tape *tape, uint32_t head)
{
    head = reel_joint_give_up(tape, head);
    reel_tape_fail(tape, tape->here_file, tape->here_line, reel_node_at(tape, head)->op->name, "the op failed");
    tape->error = REEL_REPLAY_ERROR;
    tape->failed_call = head;
    tape->gaps = true;
}

/* Runs plain calls on known addresses from `id` on, and returns the first node that is none. They cannot fail. */
__attribute__((noinline, aligned(64)))
static uint32_t replay_fixed(reel_tape *tape, uint32_t id, uint32_t to)
{
    while (id < to) {
        uint32_t left = REEL_CHUNK_NODES - id % REEL_CHUNK_NODES;
        reel_node *node = reel_node_at(tape, id), *end = node + (to - id < left ? to - id : left);
        for (; node < end; node++, id++) {
            if (!(node->flags & REEL_NODE_FIXED))
                return id;
            reel_run_fixed(tape, node);
        }
    }
    return id;
}

/* What a replay runs: the calls of a section, or those that a pruned one has left. */
typedef struct replay {
    reel_tape      *tape;
    uint32_t        from, to;
    const uint32_t *call;                           /* NULL: all                                   */
    uint32_t        calls;
} replay;

static int compare_ids(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static bool replay_runs(const replay *run, uint32_t id)
{
    if (!run->call)
        return id < run->to;
    return bsearch(&id, run->call, run->calls, sizeof id, compare_ids) != NULL;
}

/* Whether a later call of this replay computes this one, too: see joint.h. */
static bool replay_waits(const replay *run, uint32_t head)
{
    const reel_node *node = reel_node_at(run->tape, head);
    return !node->kernel && node->joined && !run->tape->gaps && replay_runs(run, node->joined) &&
           reel_node_at(run->tape, node->joined)->generation == node->generation && reel_joint_wait(run->tape, head);
}

/* Runs one call. Since a replay failed on this tape there may be values that are not computed. */
static bool replay_call(const replay *run, uint32_t head)
{
    reel_tape *tape = run->tape;
    const reel_node *node = reel_node_at(tape, head);
    const uint32_t *input = reel_node_inputs(node);
    for (uint32_t i = 0; tape->gaps && i < node->inputs; i++)
        if (!(reel_node_at(tape, input[i])->flags & REEL_NODE_COMPUTED))
            return reel_tape_fail(tape, node->file, node->line, node->op->name,
                                  "input %u is not computed: the replay that computes it failed", i + 1);
    if (replay_waits(run, head))
        return true;
    if (!reel_execute(tape, head))
        return false;
    if (tape->waiting_count)
        reel_joint_settle(tape, head);
    return true;
}

static bool replay_kept(const replay *run)
{
    for (uint32_t i = 0; i < run->calls; i++)
        if (!replay_call(run, run->call[i])) {
            note_failure(run->tape, run->call[i]);
            for (; i < run->calls; i++)
                forget_outputs(run->tape, run->call[i]);
            return false;
        }
    return true;
}

static bool replay_all(const replay *run)
{
    reel_tape *tape = run->tape;
    for (uint32_t id = run->from; id < run->to; id++) {
        if (!tape->gaps)
            id = replay_fixed(tape, id, run->to);
        if (id < run->to && is_call(reel_node_at(tape, id)) && !replay_call(run, id)) {
            note_failure(tape, id);
            for (; id < run->to; id++)
                if (is_call(reel_node_at(tape, id)))
                    forget_outputs(tape, id);
            return false;
        }
    }
    return true;
}

/* A failed replay is mended by running the call that failed once more, not by another section. */
static bool mends(const reel_section *section, const reel_section_note *note)
{
    const reel_tape *tape = section->tape;
    if (tape->error == REEL_FINE)
        return true;
    if (!note || !note->pruned)
        return tape->failed_call >= section->from && tape->failed_call < section->to;
    for (uint32_t i = 0; i < note->kept; i++)
        if (note->call[i] == tape->failed_call)
            return true;
    return false;
}

bool reel_tape_replay_at(REEL_PLACE, reel_section section)
{
    reel_tape *tape = section.tape;
    if (!tape || tape->error == REEL_ERROR || !reel_section_usable(file, line, section, "replay"))
        return false;
    const reel_section_note *note = reel_section_details(section);
    if (!mends(&section, note))
        return false;
    tape->error = REEL_FINE;
    bool pruned = note && note->pruned;
    const replay run = {tape, section.from, section.to, pruned ? note->call : NULL, pruned ? note->kept : 0};
    return pruned ? replay_kept(&run) : replay_all(&run);
}
