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

/* NULL after an error. */
static inline reel_node *plain_product(reel_tape *tape, const reel_node *a, const reel_node *b)
{
    return reel_node_of(tape, reel_mul_at(tape->inherit_file, tape->inherit_line, reel_handle_to(tape, a),
                                          reel_handle_to(tape, b)));
}

/* What the call adds to the gradient of one operand: a contribution that waits; NULL where it has been added already,
 * or after an error. */
static inline reel_node *plain_contribution(const reel_sweep *s, const reel_node *call, reel_node *operand,
                                            reel_node *other)
{
    reel_node *dy = call->gradient, *added = dy;
    if (call->op == &reel_op_mul) {
        if (reel_sweep_add_product(s, operand, dy, other))
            return NULL;
        added = plain_product(s->tape, dy, other);
    }
    if (added)
        added->base->pins++;
    return added;
}

static inline bool plain_pass(const reel_sweep *s, reel_tape *tape, const reel_node *call)
{
    reel_node *a = reel_node_at(tape, call->input.few[0]), *b = reel_node_at(tape, call->input.few[1]);
    tape->inherit_file = call->file;
    tape->inherit_line = call->line;
    reel_node *da = reel_on_path(tape, a) ? plain_contribution(s, call, a, b) : NULL;
    reel_node *db = reel_on_path(tape, b) ? plain_contribution(s, call, b, a) : NULL;
    if ((da && !reel_sweep_take(s, a, da)) || (db && !reel_sweep_take(s, b, db)))
        return false;
    reel_sweep_passed(s, call, call->gradient);
    return tape->error == REEL_FINE;
}

bool reel_sweep_plain(const reel_sweep *s, uint32_t *id)
{
    reel_tape *tape = s->tape;
    for (; *id >= s->lowest && !tape->watcher && !tape->gaps; --*id) {
        const reel_node *call = reel_node_at(tape, *id);
        if (!plain_is_known(tape, call))
            return true;
        if (!plain_pass(s, tape, call))
            return false;
    }
    return true;
}
