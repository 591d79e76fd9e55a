/* Calls that a replay computes together: joint.c tells what for. */
#ifndef REEL_AUTOGRAD_JOINT_H
#define REEL_AUTOGRAD_JOINT_H

#include "autograd/tape.h"

/* Says that the forward of the later call can compute the earlier one, of one result, along with its own. Does nothing,
 * and is false, where something between the two could tell the difference. */
bool reel_join(reel_tensor earlier, reel_tensor later);

/* In a forward: the i-th earlier call that it is to compute, too; NULL where there is none. */
const reel_node *reel_joined(const reel_tape *tape, int i);

/* Whether the call waits in this replay for the one that it is joined with; true adds it to those that do. */
bool reel_joint_wait(reel_tape *tape, uint32_t head);

/* The call has run, and with it what waited for it. */
void reel_joint_settle(reel_tape *tape, uint32_t head);

/* A call has failed, and what waits will not be computed. Returns the first of the calls that failed with it. */
uint32_t reel_joint_give_up(reel_tape *tape, uint32_t failed);

#endif
