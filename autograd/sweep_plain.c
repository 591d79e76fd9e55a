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
    return call->kernel && call->op->flags & (REEL_OP_SUM | REEL_OP_PRODUCT) && reel_on_path(tape, call) &&
           call->gradient && !(call->flags & REEL_NODE_FINAL) && call->executed >= tape->leaf_written;
}

/* What a call adds to a gradient, in the gradient's own memory: dy, or dy times the other operand. NULL where that
 * cannot be: the memory must be private, and nobody will ask for a gradient of a sum with a product. */
static inline reel_node *plain_sum(const reel_sweep *s, reel_node *gradient, reel_node *dy, reel_node *other,
                                   bool product)
{
    if ((product && !s->final) || !reel_sweep_private(s, gradient))
        return NULL;
    return product ? reel_record_sum_with_product(s->tape, gradient, dy, other)
                   : reel_record_sum(s->tape, gradient, dy);
}

/* Adds to an operand's gradient what the call has for it. False after an error. */
static inline __attribute__((always_inline))
bool plain_add(const reel_sweep *s, const reel_node *call, reel_node *operand, reel_node *other)
{
    reel_node *dy = call->gradient, *old = operand->gradient;
    bool product = call->op->flags & REEL_OP_PRODUCT;
    reel_node *sum = old ? plain_sum(s, old, dy, other, product) : NULL;
    if (sum) {
        operand->gradient = sum;
        return true;
    }
    reel_node *added = product ? reel_record_product(s->tape, dy, other) : dy;
    if (!added)
        return false;
    added->base->pins++;
    return reel_sweep_take(s, operand, added);
}

static inline bool plain_pass(const reel_sweep *s, reel_tape *tape, const reel_node *call)
{
    reel_node *a = reel_node_at(tape, call->input.few[0]), *b = reel_node_at(tape, call->input.few[1]);
    tape->inherit_file = call->file;
    tape->inherit_line = call->line;
    if ((reel_on_path(tape, a) && !plain_add(s, call, a, b)) || (reel_on_path(tape, b) && !plain_add(s, call, b, a)))
        return false;
    reel_sweep_passed(s, call, call->gradient);
    return true;
}

bool reel_sweep_plain(const reel_sweep *s, uint32_t *from)
{
    reel_tape *tape = s->tape;
    if (tape->watcher || tape->gaps)
        return true;
    uint32_t id = *from, lowest = s->lowest;
    for (; id >= lowest; id--) {
        const reel_node *call = reel_node_at(tape, id);
        if (!plain_is_known(tape, call))
            break;
        if (!plain_pass(s, tape, call))
            return false;
    }
    *from = id;
    return true;
}
