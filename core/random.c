/* Random numbers: Philox-4x32-10, and what is drawn from it. */
#include "core/random.h"

#include <math.h>

void reel_philox(const uint32_t key[2], const uint32_t counter[4], uint32_t out[4])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t product0 = (uint64_t)0xD2511F53 * c0;
        uint64_t product1 = (uint64_t)0xCD9E8D57 * c2;
        c0 = (uint32_t)(product1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)product1;
        c2 = (uint32_t)(product0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)product0;
        k0 += 0x9E3779B9;                           /* the golden ratio                            */
        k1 += 0xBB67AE85;                           /* sqrt(3) - 1                                 */
    }
    out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

typedef struct random_block {
    uint64_t first, second;
} random_block;

static random_block random_next(reel_random *random)
{
    uint64_t seed = random->seed, position = random->position++;
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    const uint32_t counter[4] = {(uint32_t)position, (uint32_t)(position >> 32), 0, 0};
    uint32_t out[4];
    reel_philox(key, counter, out);
    return (random_block){out[0] | (uint64_t)out[1] << 32, out[2] | (uint64_t)out[3] << 32};
}

static double random_unit(uint64_t bits)
{
    return (double)(bits >> 11) * 0x1p-53;
}

double reel_random_uniform01(reel_random *random)
{
    return random_unit(random_next(random).first);
}

/* x mod n is even-handed once the first 2^64 mod n values of x are left out: a multiple of n remains. */
uint64_t reel_random_below(reel_random *random, uint64_t n)
{
    if (n == 0)
        return 0;
    uint64_t left_out = (0 - n) % n;
    uint64_t x;
    do
        x = random_next(random).first;
    while (x < left_out);
    return x % n;
}

/* n = sqrt(-2 ln(1 - u)) cos(2 pi v); 1 - u is in (0, 1], so that the logarithm is finite. */
double reel_random_normal01(reel_random *random)
{
    const double two_pi = 6.283185307179586476925;
    random_block block = random_next(random);
    double radius = sqrt(-2 * log(1 - random_unit(block.first)));
    return radius * cos(two_pi * random_unit(block.second));
}
