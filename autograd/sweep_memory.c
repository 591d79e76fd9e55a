/* The memory of a reverse sweep.
 *
 * Contributions to one gradient are summed in the memory of the first where nobody else can see it, and
 * memory that nobody can see any more serves the next temporary: in a final sweep each temporary, else the
 * contributions that were added to a sum. Both rest on counts of the gradients that wait in a base's memory
 * (pins) and on the flag USED of a node that another one reads. */
#include "autograd/arithmetic.h"
#include "autograd/plain.h"
#include "autograd/sweep.h"

enum { SWEEP_PROBES = 8 };

static void *pieces_take(reel_piece **list, size_t bytes)
{
    for (int probe = 0; *list && probe < SWEEP_PROBES; probe++, list = &(*list)->next)
        if ((*list)->bytes >= bytes) {
            reel_piece *piece = *list;
            *list = piece->next;
            return piece;
        }
    return NULL;
}

void *reel_sweep_get(reel_tape *tape, size_t bytes)
{
    bytes = reel_piece_bytes(bytes);
    void *piece = pieces_take(&tape->free_pieces[reel_piece_bucket(bytes)], bytes);
    return piece ? piece : reel_tape_get(tape, bytes);
}

__attribute__((noinline))
static void recycle(const reel_sweep *s, reel_node *base)
{
    size_t bytes = reel_piece_bytes(reel_node_bytes(base));
    reel_piece **first = &s->tape->free_pieces[reel_piece_bucket(bytes)], *piece = base->data;
    base->flags |= REEL_NODE_RECYCLED;
    *piece = (reel_piece){.next = *first, .bytes = bytes};
    *first = piece;
}

void reel_sweep_recycle(const reel_sweep *s, reel_node *base)
{
    if (s->final && reel_sweep_made(s, base))
        recycle(s, base);
}

/* A gradient waits in a base's memory no more. That is free again where it was private, and in a final sweep in any
 * case. */
__attribute__((noinline))
static void sweep_unpin(const reel_sweep *s, reel_node *base, bool was_private)
{
    if (--base->pins == 0 && (was_private || (s->final && reel_sweep_made(s, base))))
        recycle(s, base);
}

/* Asked twice below, and not small. */
__attribute__((noinline))
static bool is_private(const reel_sweep *s, const reel_node *gradient)
{
    return reel_sweep_private(s, gradient);
}

/* a + b, in a's memory where that is private. NULL after an error. */
static inline reel_node *sweep_sum(const reel_sweep *s, reel_node *a, reel_node *b, bool in_place)
{
    reel_node *sum = in_place ? reel_record_sum(s->tape, a, b) : NULL;
    if (sum)
        return sum;
    reel_tensor x = reel_handle_to(s->tape, a), y = reel_handle_to(s->tape, b);
    return reel_node_of(s->tape, in_place ? reel_accumulate(x, y) : reel_add_at(s->file, s->line, x, y));
}

bool reel_sweep_add(const reel_sweep *s, reel_node *target, reel_node *added)
{
    reel_node *old = target->gradient;
    bool into_old = is_private(s, old), spare = !(into_old && s->final) && is_private(s, added);
    bool into_added = spare && !into_old;
    reel_node *sum = sweep_sum(s, into_added ? added : old, into_added ? old : added, into_old || spare);
    if (!sum)
        return false;
    target->gradient = sum;
    if (!into_old) {                                /* where the sum waits by now                  */
        sum->base->pins++;
        sweep_unpin(s, old->base, false);
    }
    sweep_unpin(s, added->base, spare);
    return true;
}

void reel_sweep_reuse(const reel_sweep *s, uint32_t recorded_from)
{
    for (uint32_t id = recorded_from; s->final && id < s->tape->nodes; id++) {
        reel_node *node = reel_node_at(s->tape, id);
        if (node->base == node && node->outputs && node->pins == 0 && reel_sweep_made(s, node))
            recycle(s, node);
    }
}
