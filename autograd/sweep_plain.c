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

/* What a product adds to the gradient of one operand, pinned. NULL after an error. */
static inline reel_node *plain_product(const reel_sweep *s, reel_node *dy, reel_node *other)
{
    reel_node *product = reel_record_product(s->tape, dy, other);
    if (product)
        product->base->pins++;
    return product;
}

/* Adds to an operand's gradient what a sum, or a product in a final sweep, has for it: in the gradient's own memory
 * where that is private. False after an error. */
static inline __attribute__((always_inline))
bool plain_add(const reel_sweep *s, reel_node *dy, bool product, reel_node *operand, reel_node *other)
{
    reel_node *old = operand->gradient, *sum = NULL;
    if (old && reel_sweep_private(s, old))
        sum = product ? reel_record_sum_with_product(s->tape, old, dy, other) : reel_record_sum(s->tape, old, dy);
    if (sum) {
        operand->gradient = sum;
        return true;
    }
    reel_node *added = dy;
    if (product)
        added = plain_product(s, dy, other);
    else
        dy->base->pins++;
    return added && reel_sweep_take(s, operand, added);
}

/* A product where somebody may ask for a gradient of the gradient: both contributions are recorded before the first is
 * added, as they are by way of its VJP, so that a next sweep adds in the same order. */
static bool plain_both(const reel_sweep *s, reel_node *dy, reel_node *const operand[2])
{
    reel_node *added[2] = {NULL, NULL};
    for (int i = 0; i < 2; i++)
        if (reel_on_path(s->tape, operand[i]) && !(added[i] = plain_product(s, dy, operand[1 - i])))
            return false;
    for (int i = 0; i < 2; i++)
        if (added[i] && !reel_sweep_take(s, operand[i], added[i]))
            return false;
    return true;
}

static inline bool plain_pass(const reel_sweep *s, reel_tape *tape, const reel_node *call)
{
    reel_node *a = reel_node_at(tape, call->input.few[0]), *b = reel_node_at(tape, call->input.few[1]);
    reel_node *dy = call->gradient;
    const bool product = call->op == &reel_op_mul;
    tape->inherit_file = call->file;
    tape->inherit_line = call->line;
    if (product && !s->final) {
        if (!plain_both(s, dy, (reel_node *[]){a, b}))
            return false;
    } else if ((reel_on_path(tape, a) && !plain_add(s, dy, product, a, b)) ||
               (reel_on_path(tape, b) && !plain_add(s, dy, product, b, a))) {
        return false;
    }
    reel_sweep_passed(s, call, dy);
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
