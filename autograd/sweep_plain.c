/* The short way down: plain sums and products, which most of a scalar program is made of.
 *
 *     y = a + b      da = dy            db = dy
 *     y = a b        da = dy b          db = dy a
 *
 * Of these the sweep knows the VJP and need not call it; and as a plain call has one shape throughout (plain.c),
 * nothing that comes out must be looked at or summed. */
#include "autograd/plain.h"
#include "autograd/sweep.h"

/* Whether a call is a plain sum or product to which a gradient has arrived, and nothing is to be said against going
 * through it. */
static inline bool plain_is_known(const reel_tape *tape, const reel_node *call)
{
    const reel_op *op = call->op;
    return call->kernel && (op == &reel_op_mul || op == &reel_op_add || op == &reel_op_accumulate) &&
           reel_on_path(tape, call) && call->gradient && !(call->flags & REEL_NODE_FINAL) &&
           call->executed >= tape->leaf_written;
}

/* What the call adds to the gradient of one operand, for the other one: a contribution that waits. NULL after an
 * error. */
static inline reel_node *plain_contribution(reel_tape *tape, const reel_node *call, reel_node *other)
{
    reel_node *dy = call->gradient, *added = call->op == &reel_op_mul ? reel_record_product(tape, dy, other) : dy;
    if (added)
        added->base->pins++;
    return added;
}

static inline bool plain_pass(const reel_sweep *s, reel_tape *tape, const reel_node *call)
{
    reel_node *a = reel_node_at(tape, call->input.few[0]), *b = reel_node_at(tape, call->input.few[1]);
    const bool into_a = reel_on_path(tape, a), into_b = reel_on_path(tape, b);
    tape->inherit_file = call->file;
    tape->inherit_line = call->line;
    reel_node *da = into_a ? plain_contribution(tape, call, b) : NULL;
    reel_node *db = into_b ? plain_contribution(tape, call, a) : NULL;
    if ((into_a && !da) || (into_b && !db) || (da && !reel_sweep_take(s, a, da)) || (db && !reel_sweep_take(s, b, db)))
        return false;
    reel_sweep_passed(s, call, call->gradient);
    return true;
}

bool reel_sweep_plain(const reel_sweep *s, uint32_t *id)
{
    reel_tape *tape = s->tape;
    for (; *id >= s->lowest && !tape->watcher; --*id) {
        const reel_node *call = reel_node_at(tape, *id);
        if (!plain_is_known(tape, call))
            return true;
        if (!plain_pass(s, tape, call))
            return false;
    }
    return true;
}
