/* Micro-kernels of our own. See micro.h. */
#include "ops/kernels/micro.h"
#include "ops/kernels/lanes.h"

/* Two vectors a row: at full depth, gemm.c has room for 128 bytes of a row of B. Six rows leave four of
 * sixteen registers: for the two vectors of B, a number of A in all lanes, and a product where it is not
 * fused with its addition. Where there are thirty-two, twelve rows, since gemm.c packs by fours. */
enum {
    MICRO_VECTORS = 2,
    MICRO_ROWS = REEL_VECTOR_BYTES == 64 ? 12 : 6,
    MICRO_SUMS = MICRO_ROWS * MICRO_VECTORS
};
_Static_assert(MICRO_SUMS * REEL_VECTOR_BYTES <= REEL_MICRO_BYTES, "REEL_MICRO_BYTES holds a tile");

/* Over rows and vectors in one loop, unrolled: else compilers keep sums in memory. */
#define MICRO_EACH(t) _Pragma("GCC unroll 24") for (int t = 0; t < MICRO_SUMS; t++)

#define MICRO(type, real)                                                                                 \
    enum { MICRO_WIDTH_##type = REEL_VECTOR_BYTES / sizeof(real) };                                       \
                                                                                                          \
    static void micro_##type(int64_t k, const void *left, const void *right, bool add, void *target,      \
                             int64_t c_row)                                                               \
    {                                                                                                     \
        enum { WIDTH = MICRO_WIDTH_##type };                                                              \
        const real *a = left, *b = right;                                                                 \
        reel_vector_##type sum[MICRO_SUMS];                                                               \
        MICRO_EACH(t)                                                                                     \
            sum[t] = reel_spread_##type(0);                                                               \
        for (; k > 0; k--, a += MICRO_ROWS, b += MICRO_VECTORS * WIDTH) {                                 \
            MICRO_EACH(t)                                                                                 \
                sum[t] = reel_fma_##type(reel_spread_##type(a[t / MICRO_VECTORS]),                        \
                                         reel_numbers_##type(b + t % MICRO_VECTORS * WIDTH), sum[t]);     \
        }                                                                                                 \
        MICRO_EACH(t) {                                                                                   \
            real *c = (real *)target + t / MICRO_VECTORS * c_row + t % MICRO_VECTORS * WIDTH;             \
            reel_put_##type(c, add ? sum[t] + reel_numbers_##type(c) : sum[t]);                           \
        }                                                                                                 \
    }

MICRO(f32, float)
MICRO(f64, double)

const reel_micro reel_micros[2] = {{MICRO_ROWS, MICRO_VECTORS * MICRO_WIDTH_f32, micro_f32},
                                   {MICRO_ROWS, MICRO_VECTORS * MICRO_WIDTH_f64, micro_f64}};
