/* Errors in units in the last place, for tests.
 *
 * ulp(x) of a dtype with p bits of precision is 2^(e - p + 1) where 2^e <= |x| < 2^(e + 1), but never less
 * than the distance of its subnormals. It is taken at the exact value, which may lie between two numbers
 * of the dtype, below its smallest or above its largest.
 */
#ifndef REEL_TESTS_ULP_H
#define REEL_TESTS_ULP_H

#include <reel.h>

/* The unit in the last place at x. Floating dtypes. Beyond the largest number: that of 2^(emax + 1). */
long double reel_ulp(reel_dtype dtype, long double x);

/* The smallest normal and the smallest subnormal number. */
long double reel_smallest_normal(reel_dtype dtype);
long double reel_smallest_subnormal(reel_dtype dtype);

/* |got - exact|, where inf counts as the first power of two beyond the dtype: it is right where the exact
 * value is larger than that, and off by what the exact value lacks to it. An infinity far from overflow, a
 * finite number where the exact value is infinite, and a NaN that stands alone are infinitely wrong. */
long double reel_distance(reel_dtype dtype, double got, long double exact);

#endif
