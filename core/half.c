/* Half floats, a run at a time: the loops over the conversions of half.h. */
#include "core/half.h"

#define HALF_RUN(name, to, from)                                                                     \
    void name##_run(to *restrict dst, const from *restrict src, int64_t count)                       \
    {                                                                                                \
        for (int64_t i = 0; i < count; i++)                                                          \
            dst[i] = name(src[i]);                                                                   \
    }

HALF_RUN(reel_f16_to_f32, float, uint16_t)
HALF_RUN(reel_bf16_to_f32, float, uint16_t)
HALF_RUN(reel_f32_to_f16, uint16_t, float)
HALF_RUN(reel_f32_to_bf16, uint16_t, float)
