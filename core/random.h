/* Random numbers: Philox-4x32-10, a counter-based generator.
 *
 * J. Salmon, M. Moraes, R. Dror, D. Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
 *
 * out = philox(key, counter) is a function without state: ten rounds of a bijection of the 128-bit
 * counter under a 64-bit key. Number i of a sequence is computed from i alone, in any order and on any
 * thread.
 */
#ifndef REEL_CORE_RANDOM_H
#define REEL_CORE_RANDOM_H

#include <reel.h>                                   /* reel_philox                                 */

/* A place in the sequence of a seed. Position p is the block philox(seed, {p mod 2^32, p / 2^32, 0, 0}),
 * and every draw takes one position (reel_random_below: seldom more). Counters whose last two words are
 * not both 0 are free for other uses of the same seed. */
typedef struct reel_random {
    uint64_t seed;
    uint64_t position;
} reel_random;

/* Uniform in [0, 1): a multiple of 2^-53. */
double reel_random_uniform01(reel_random *random);

/* Uniform in 0 ... n - 1, every number equally likely; 0 for n = 0. */
uint64_t reel_random_below(reel_random *random, uint64_t n);

/* Normal with mean 0 and variance 1 (Box and Muller 1958); at most 8.6 in magnitude. */
double reel_random_normal01(reel_random *random);

#endif
