/* Pairs: a value is the sum hi + lo, with lo a correction to hi that hi has no digits left for.
 *
 * Each operation takes a flag `exact`, a constant where it is used. With it a pair carries about twice the
 * digits of a double; without it lo stays 0, and the compiler leaves plain arithmetic behind. So a formula is
 * written once, for both.
 *
 * hi alone is what plain arithmetic gives: it is never mixed with lo until reel_pair_value(). Where the
 * formula overflows or meets an infinity or a NaN, lo is worth nothing and hi is the answer. A product's
 * correction is lost below 2^-1022, by at most a few of the smallest subnormals.
 *
 * Sum and product without error: Dekker, "A floating-point technique for extending the available precision",
 * 1971; Knuth, "The Art of Computer Programming", volume 2, 4.2.2. Adding corrections at the end: Ogita, Rump
 * and Oishi, "Accurate sum and dot product", 2005.
 */
#ifndef REEL_OPS_KERNELS_PAIR_H
#define REEL_OPS_KERNELS_PAIR_H

#include "ops/kernels/lanes.h"

#include <stdbool.h>

typedef struct reel_pair {
    reel_vector hi, lo;
} reel_pair;

REEL_INLINE reel_pair reel_pair_of(reel_vector x)
{
    return (reel_pair){x, (reel_vector){0}};
}

REEL_INLINE reel_vector reel_pair_value(bool exact, reel_pair a)
{
    reel_vector sum = a.hi + a.lo;
    return exact ? reel_select(sum == sum, sum, a.hi) : a.hi;
}

REEL_INLINE reel_pair reel_pair_negative(reel_pair a)
{
    return (reel_pair){-a.hi, -a.lo};
}

/* By a power of two. */
REEL_INLINE reel_pair reel_pair_scale(reel_pair a, reel_vector power)
{
    return (reel_pair){a.hi * power, a.lo * power};
}

REEL_INLINE reel_pair reel_pair_select(reel_mask condition, reel_pair a, reel_pair b)
{
    return (reel_pair){reel_select(condition, a.hi, b.hi), reel_select(condition, a.lo, b.lo)};
}

REEL_INLINE reel_pair reel_pair_choose(reel_condition condition, reel_pair a, reel_pair b)
{
    return (reel_pair){reel_choose(condition, a.hi, b.hi), reel_choose(condition, a.lo, b.lo)};
}

/* a + b */
REEL_INLINE reel_pair reel_pair_sum(bool exact, reel_vector a, reel_vector b)
{
    reel_vector sum = a + b;
    if (!exact)
        return reel_pair_of(sum);
    reel_vector b_part = sum - a;
    return (reel_pair){sum, (a - (sum - b_part)) + (b - b_part)};
}

#if REEL_VECTOR_BYTES > 16
/* What the product a b lost when it was rounded: an instruction. */
REEL_INLINE reel_vector reel_pair_product_rest(reel_vector a, reel_vector b, reel_vector product)
{
    return reel_multiply_add(a, b, -product);
}
#else
/* The upper 26 bits of x's significand, rounded, so that the rest has a sign and fits in 26 too. */
REEL_INLINE reel_vector reel_pair_upper(reel_vector x)
{
    return (reel_vector)(((reel_bits)x + (1u << 26)) & ~(uint64_t)0x7ffffff);
}

REEL_INLINE reel_vector reel_pair_product_rest(reel_vector a, reel_vector b, reel_vector product)
{
    reel_vector a1 = reel_pair_upper(a), a2 = a - a1, b1 = reel_pair_upper(b), b2 = b - b1;
    return ((a1 * b1 - product) + a1 * b2 + a2 * b1) + a2 * b2;
}
#endif

/* a b */
REEL_INLINE reel_pair reel_pair_product(bool exact, reel_vector a, reel_vector b)
{
    reel_vector product = a * b;
    return exact ? (reel_pair){product, reel_pair_product_rest(a, b, product)} : reel_pair_of(product);
}

REEL_INLINE reel_pair reel_pair_add(bool exact, reel_pair a, reel_pair b)
{
    reel_pair sum = reel_pair_sum(exact, a.hi, b.hi);
    if (exact)
        sum.lo += a.lo + b.lo;
    return sum;
}

REEL_INLINE reel_pair reel_pair_sub(bool exact, reel_pair a, reel_pair b)
{
    return reel_pair_add(exact, a, reel_pair_negative(b));
}

REEL_INLINE reel_pair reel_pair_mul(bool exact, reel_pair a, reel_pair b)
{
    reel_pair product = reel_pair_product(exact, a.hi, b.hi);
    if (exact)
        product.lo = reel_multiply_add(a.hi, b.lo, reel_multiply_add(a.lo, b.hi, product.lo));
    return product;
}

/* a b + c */
REEL_INLINE reel_pair reel_pair_multiply_add(bool exact, reel_pair a, reel_pair b, reel_pair c)
{
    return exact ? reel_pair_add(true, c, reel_pair_mul(true, a, b))
                 : reel_pair_of(reel_multiply_add(a.hi, b.hi, c.hi));
}

/* a / b by long division, two digits of it. */
REEL_INLINE reel_pair reel_pair_div(bool exact, reel_pair a, reel_pair b)
{
    reel_vector first = a.hi / b.hi;
    if (!exact)
        return reel_pair_of(first);
    reel_pair back = reel_pair_product(exact, first, b.hi);
    reel_vector rest = (a.hi - back.hi) - back.lo + (a.lo - first * b.lo);
    return (reel_pair){first, rest / b.hi};
}

#endif
