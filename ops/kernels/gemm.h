/* Matrix products on strided memory.
 *
 *     beta = 0:  C  = A B          A[m, k], B[k, n], C[m, n]
 *     beta = 1:  C += A B
 *
 * Element (i, j) of A is a[i * a_row + j * a_col], strides in elements; so a transposed operand is two
 * swapped numbers. Strides of A and B may have any sign and may be zero; those of C are positive, and C
 * overlaps neither A nor B. Where beta is 0, C is not read. Infinities and NaNs in A or B propagate.
 *
 * A product runs in the calling thread, allocates nothing and takes 300 KB of its stack. Any number of
 * threads may multiply at once. Who wants more threads for one product gives each some rows of C or some
 * columns: wherever it is cut, and however the operands lie, the bits are the same.
 *
 * The inner loops are those of BLIS, unless REEL_WITHOUT_BLIS is defined: then our own, in the build for
 * `cpu`. BLIS asks the CPU itself. The first product starts it, and it reads BLIS_ARCH_TYPE from the
 * environment; where the user has not set it, it is set to the best kernels for the CPU. BLIS aborts where
 * its start is refused memory; this is made unlikely by asking for more first.
 */
#ifndef REEL_OPS_KERNELS_GEMM_H
#define REEL_OPS_KERNELS_GEMM_H

#include "core/cpu.h"

#include <stdbool.h>
#include <stdint.h>

/* False, with C as it was, only where BLIS could not be started for want of memory. */
bool reel_gemm_f32(reel_cpu_level cpu, int64_t m, int64_t n, int64_t k, const float *a, int64_t a_row,
                   int64_t a_col, const float *b, int64_t b_row, int64_t b_col, float beta, float *c,
                   int64_t c_row, int64_t c_col);
bool reel_gemm_f64(reel_cpu_level cpu, int64_t m, int64_t n, int64_t k, const double *a, int64_t a_row,
                   int64_t a_col, const double *b, int64_t b_row, int64_t b_col, double beta, double *c,
                   int64_t c_row, int64_t c_col);

/* Starts BLIS now, as the first product would. False where there was no memory; a later call tries again. */
bool reel_gemm_ready(void);

#endif
