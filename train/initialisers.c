/* Initialisers: a uniform distribution over [-a, a) has the variance a a / 3. */
#include <reel_train.h>

#include <math.h>

bool reel_fans(reel_shape shape, int64_t *fan_in, int64_t *fan_out)
{
    *fan_in = *fan_out = 0;
    if (shape.rank < 2 || shape.rank > REEL_MAX_RANK)
        return false;
    int64_t kernel = 1;
    for (int i = 2; i < shape.rank; i++)
        if (__builtin_mul_overflow(kernel, shape.size[i], &kernel))
            return false;
    bool matrix = shape.rank == 2;
    return !__builtin_mul_overflow(shape.size[matrix ? 0 : 1], kernel, fan_in) &&
           !__builtin_mul_overflow(shape.size[matrix ? 1 : 0], kernel, fan_out);
}

/* Variance 2 / n; an empty weight has none to draw. */
static reel_tensor init_scaled(REEL_PLACE, reel_tape *tape, reel_shape shape, reel_dtype dtype,
                               bool both_fans, bool normal)
{
    int64_t in, out;
    if (!reel_fans(shape, &in, &out)) {
        if (!reel_failed(tape))
            reel_error_set_at(file, line, tape,
                              "initialiser: a shape of rank %d has no fans; it must be [in, out] or "
                              "[out, in, kernel...]",
                              shape.rank);
        return (reel_tensor){tape, 0, 0};
    }
    double n = both_fans ? (double)in + (double)out : (double)in;
    double deviation = n > 0 ? sqrt(2 / n) : 0;
    if (normal)
        return reel_random_normal_at(file, line, tape, shape, dtype, 0, deviation);
    return reel_init_uniform_at(file, line, tape, shape, dtype, sqrt(3) * deviation);
}

reel_tensor reel_init_zeros_at(REEL_PLACE, reel_tape *tape, reel_shape shape, reel_dtype dtype)
{
    return reel_variable_at(file, line, tape, shape, reel_fill(dtype, 0));
}

reel_tensor reel_init_normal_at(REEL_PLACE, reel_tape *tape, reel_shape shape, reel_dtype dtype,
                                double deviation)
{
    return reel_random_normal_at(file, line, tape, shape, dtype, 0, deviation);
}

reel_tensor reel_init_uniform_at(REEL_PLACE, reel_tape *tape, reel_shape shape, reel_dtype dtype, double most)
{
    return reel_random_uniform_at(file, line, tape, shape, dtype, -most, most);
}

#define INIT_SCALED(NAME, BOTH_FANS, NORMAL)                                                         \
    reel_tensor reel_init_##NAME##_at(REEL_PLACE, reel_tape *tape, reel_shape shape, reel_dtype dtype) \
    {                                                                                                \
        return init_scaled(file, line, tape, shape, dtype, BOTH_FANS, NORMAL);                       \
    }
INIT_SCALED(glorot_normal, true, true)
INIT_SCALED(glorot_uniform, true, false)
INIT_SCALED(he_normal, false, true)
INIT_SCALED(he_uniform, false, false)
