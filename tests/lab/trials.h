/* What the gradient-check lab must show: wrong gradients are found, right ones are not called wrong. Each
 * trial prints its counts and says whether they are what they must be.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef REEL_TESTS_LAB_TRIALS_H
#define REEL_TESTS_LAB_TRIALS_H

#include <reel.h>

/* Every op of the table with its VJP broken in seven ways, in a small network, f64 and f32. */
bool lab_trial_mutations(bool verbose);

/* Random right networks of 3 to 20 nodes, f64 and f32 by turns. */
bool lab_trial_networks(int networks, bool verbose);

/* One wrong element among 20,000, found by elements and by directions; and errors that could cancel, which
 * directions may miss as often as they say. */
bool lab_trial_needle(int seeds);

/* Kinks at which nobody can tell. */
bool lab_trial_kinks(void);

/* The unreduced loss of 32 x 10 in f64: milliseconds, with rows together and element by element. */
bool lab_trial_time(void);

/* Splitmix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014). */
uint64_t lab_random(uint64_t *state);
int      lab_below(uint64_t *state, int n);

#endif
