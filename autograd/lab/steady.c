/* Whether a replay of the same inputs gives the same bits; if not, which node is the first to differ. */
#include "autograd/lab/lab.h"
#include "core/dtype.h"

#include <string.h>

static uint64_t steady_mix(uint64_t hash, uint64_t word)
{
    return (hash ^ word) * 0x9e3779b97f4a7c15u;
}

/* Of the elements in order, widened to eight bytes each, in blocks. */
static uint64_t steady_hash(const reel_node *node, double *room)
{
    uint64_t hash = 0x243f6a8885a308d3u;
    reel_array array = reel_node_array(node);
    reel_array_get(&array, reel_dtype_is_float(node->dtype) ? REEL_F64 : REEL_I64, room);
    for (int64_t i = 0; i < node->count; i++) {
        uint64_t word;
        memcpy(&word, &room[i], sizeof word);
        hash = steady_mix(hash ^ hash >> 29, word);
    }
    return hash;
}

static void steady_blame(reel_lab *lab, uint32_t id)
{
    const reel_node *node = reel_node_at(lab->tape, id);
    reel_gradcheck_report *report = lab->report;
    report->unsteady_op = node->op->name;
    report->unsteady_file = node->file;
    report->unsteady_line = node->line;
    report->unsteady_node = reel_lab_origin(lab, id);
}

static bool steady_is_intact(const reel_node *node)
{
    return node->op && !(node->flags & REEL_NODE_RECYCLED) &&
           node->base->written <= node->executed;
}

/* Whether each node has the value that it had at first; or, where `originals`, whether what it was copied
 * from has it. */
static bool steady_compare(reel_lab *lab, bool originals, double *room)
{
    for (uint32_t id = lab->copy.from; id < lab->copy.to; id++) {
        uint32_t i = id - lab->copy.from;
        const reel_node *node = reel_node_at(lab->tape, id);
        const reel_node *looked_at = originals ? reel_node_at(lab->tape, lab->copy.origin[i]) : node;
        if (!node->op || !lab->useful[i] || (originals && !lab->copy.origin[i]) ||
            (originals && !steady_is_intact(looked_at)))
            continue;
        if (steady_hash(looked_at, room) != lab->print[i]) {
            steady_blame(lab, id);
            return false;
        }
    }
    return true;
}

static double *steady_room(const reel_lab *lab)
{
    int64_t largest = 0;
    for (uint32_t id = lab->copy.from; id < lab->copy.to; id++)
        if (reel_node_at(lab->tape, id)->count > largest)
            largest = reel_node_at(lab->tape, id)->count;
    return reel_lab_get(lab, (size_t)largest, sizeof(double));
}

static bool steady_replay(reel_lab *lab, double *room, bool *steady)
{
    lab->report->replays++;
    *steady = reel_tape_replay_at(lab->file, lab->line, lab->whole) && steady_compare(lab, false, room);
    return lab->tape->error != REEL_ERROR;
}

static void steady_print(reel_lab *lab, double *room)
{
    for (uint32_t id = lab->copy.from; id < lab->copy.to; id++)
        if (lab->useful[id - lab->copy.from])
            lab->print[id - lab->copy.from] = steady_hash(reel_node_at(lab->tape, id), room);
}

bool reel_lab_is_steady(reel_lab *lab, bool *steady)
{
    double *room = steady_room(lab);
    lab->print = reel_lab_get(lab, lab->copy.to - lab->copy.from, sizeof *lab->print);
    if (!room || !lab->print)
        return false;
    steady_print(lab, room);
    *steady = lab->copy.coarsest != REEL_F64 || steady_compare(lab, true, room);
    for (int i = 0; i < 2 && *steady; i++)
        if (!steady_replay(lab, room, steady))
            return false;
    return true;
}

bool reel_lab_is_steady_still(reel_lab *lab, bool *steady)
{
    double *room = steady_room(lab);
    return room && steady_replay(lab, room, steady);
}
