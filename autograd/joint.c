/* Calls that are computed together. A loss and its gradient go over the same numbers; recorded one after the other,
 * the loss has been computed when the gradient is asked for, but a replay that runs both can wait with the loss, and
 * let the forward of the gradient compute them in one go. The bits are the same. */
#include "autograd/joint.h"

enum { JOINT_REACH = 64 };                          /* nodes between the two, at most              */

/* Whether a call between the two reads the earlier one's results, or writes what that reads. */
static bool joint_is_felt(const reel_tape *tape, const reel_node *earlier, const reel_node *node)
{
    const uint32_t *input = reel_node_inputs(node);
    if (node->op->writes)
        return true;
    for (uint32_t i = 0; i < node->inputs; i++)
        if (reel_node_at(tape, input[i])->base == earlier)
            return true;
    return false;
}

bool reel_join(reel_tensor earlier, reel_tensor later)
{
    reel_tape *tape = earlier.tape;
    if (reel_failed(tape))
        return false;
    reel_node *first = reel_node_at(tape, earlier.node), *last = reel_node_at(tape, later.node);
    if (later.node - earlier.node > JOINT_REACH || first->generation != last->generation || first->outputs != 1 ||
        first->base != first)
        return false;
    if (first->flags & REEL_NODE_FINAL && later.node != earlier.node + 1)
        return false;                               /* its memory may have been given to something else */
    for (uint32_t id = earlier.node + 1; id <= later.node; id++) {
        const reel_node *node = reel_node_at(tape, id);
        if (node->op && joint_is_felt(tape, first, node))
            return false;
    }
    first->joined = later.node;
    return true;
}

const reel_node *reel_joined(const reel_tape *tape, int i)
{
    for (int w = 0; w < tape->waiting_count; w++) {
        const reel_node *node = reel_node_at(tape, tape->waiting[w]);
        if (node->joined == tape->here_node && i-- == 0)
            return node;
    }
    return NULL;
}

/* ---- In a replay --------------------------------------------------------------------------------------- */

bool reel_joint_wait(reel_tape *tape, uint32_t head)
{
    if (tape->waiting_count == REEL_JOINT_MOST)
        return false;
    tape->waiting[tape->waiting_count++] = head;
    return true;
}

void reel_joint_settle(reel_tape *tape, uint32_t head)
{
    int left = 0;
    for (int w = 0; w < tape->waiting_count; w++) {
        reel_node *node = reel_node_at(tape, tape->waiting[w]);
        if (node->joined != head) {
            tape->waiting[left++] = tape->waiting[w];
            continue;
        }
        node->executed = tape->clock;
        node->flags |= REEL_NODE_COMPUTED;
    }
    tape->waiting_count = left;
}

uint32_t reel_joint_give_up(reel_tape *tape, uint32_t failed)
{
    uint32_t first = failed;
    for (int w = tape->waiting_count; w-- > 0;) {
        reel_node *node = reel_node_at(tape, tape->waiting[w]);
        node->flags &= (uint16_t)~REEL_NODE_COMPUTED;
        if (node->joined == failed)
            first = tape->waiting[w];
    }
    tape->waiting_count = 0;
    return first;
}
