/* For VJPs of several steps: a half type takes them in f32 and is rounded once, at the end. */
#ifndef REEL_OPS_WIDEN_H
#define REEL_OPS_WIDEN_H

#include <reel.h>

static inline reel_tensor reel_widened(reel_tensor x)
{
    reel_dtype dtype = reel_dtype_of(x);
    return dtype == REEL_F16 || dtype == REEL_BF16 ? reel_cast(x, REEL_F32) : x;
}

/* x in the dtype of `like`. */
static inline reel_tensor reel_narrowed(reel_tensor x, reel_tensor like)
{
    return reel_dtype_of(x) == reel_dtype_of(like) ? x : reel_cast(x, reel_dtype_of(like));
}

#endif
