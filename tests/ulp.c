/* Errors in units in the last place. All results are powers of two or differences of numbers of at most 53
 * bits with long doubles, so nothing here rounds where it would matter.
 */
#include "tests/ulp.h"

#include <math.h>

typedef struct ulp_format {
    int precision;                                  /* bits, the leading one included              */
    int least, beyond;                              /* exponents: smallest normal, first overflow  */
} ulp_format;

static ulp_format ulp_format_of(reel_dtype dtype)
{
    switch (dtype) {
    case REEL_F16:
        return (ulp_format){11, -14, 16};
    case REEL_BF16:
        return (ulp_format){8, -126, 128};
    case REEL_F32:
        return (ulp_format){24, -126, 128};
    default:
        return (ulp_format){53, -1022, 1024};
    }
}

long double reel_ulp(reel_dtype dtype, long double x)
{
    ulp_format format = ulp_format_of(dtype);
    int exponent = format.least;
    if (fabsl(x) >= ldexpl(1, format.beyond))
        exponent = format.beyond;
    else if (fabsl(x) >= ldexpl(1, format.least))
        exponent = ilogbl(x);
    return ldexpl(1, exponent - format.precision + 1);
}

long double reel_smallest_normal(reel_dtype dtype)
{
    return ldexpl(1, ulp_format_of(dtype).least);
}

long double reel_smallest_subnormal(reel_dtype dtype)
{
    return reel_ulp(dtype, 0);
}

long double reel_distance(reel_dtype dtype, double got, long double exact)
{
    long double beyond = ldexpl(1, ulp_format_of(dtype).beyond);
    if (isnan(got) && isnan(exact))
        return 0;
    if (isinf(exact))
        return (long double)got == exact ? 0 : INFINITY;
    if (isinf(got) && copysignl(1, got) * exact >= beyond / 2)
        return fmaxl(beyond - fabsl(exact), 0);
    return isfinite(got) && !isnan(exact) ? fabsl(got - exact) : INFINITY;
}
