/* The limits that cross_entropy_limits.h gives. */
#include "tests/cross_entropy_limits.h"
#include "tests/ulp.h"

#include <math.h>

const char *const reel_truth_quantity_name[QUANTITIES] = {
    "loss", "backprop", "grad_logits", "grad_labels", "hvp_logits", "hvp_labels",
};

const reel_truth_values *reel_truth_values_of(const reel_truth *truth, reel_truth_quantity quantity)
{
    const reel_truth_values *values[QUANTITIES] = {&truth->loss,        &truth->backprop,
                                                   &truth->grad_logits, &truth->grad_labels,
                                                   &truth->hvp_logits,  &truth->hvp_labels};
    return values[quantity];
}

/* In ulp at the scale, for f32 and f64 and for all second derivatives. */
static long double limits_at_scale(const reel_truth *truth, reel_truth_quantity quantity, reel_dtype dtype)
{
    if (quantity == HVP_LABELS)
        return 4;
    return quantity == LOSS && dtype == REEL_F32 && truth->classes <= 256 ? 1 : 1.5L;
}

/* The row that element i belongs to, or -1 where it belongs to several. */
static int64_t limits_row(const reel_truth *truth, reel_truth_quantity quantity, int64_t i)
{
    int64_t inner = 1, count = reel_truth_values_of(truth, quantity)->count;
    if (quantity == LOSS)
        return count == truth->rows ? i : -1;
    if (count != truth->rows * truth->classes)
        return -1;
    for (int k = truth->axis + 1; k < truth->shape.rank; k++)
        inner *= truth->shape.size[k];
    return i / (inner * truth->classes) * inner + i % inner;
}

/* The largest distance from exact. */
static long double limits_distance(const reel_truth *truth, reel_truth_quantity quantity, reel_dtype dtype,
                                   int64_t i, long double exact)
{
    const reel_truth_values *values = reel_truth_values_of(truth, quantity);
    long double size = fabsl(exact), part = values->part[i], scale = fmaxl(size, values->scale[i]), limit;
    bool half = dtype == REEL_F16 || dtype == REEL_BF16;
    bool second = quantity == HVP_LOGITS || quantity == HVP_LABELS;
    int64_t row = limits_row(truth, quantity, i);
    if (half && !second)
        return 0.55L * reel_ulp(dtype, quantity == LOSS || !isfinite(part) ? size : fmaxl(size, part / 256));
    limit = limits_at_scale(truth, quantity, dtype) * reel_ulp(dtype, isfinite(scale) ? scale : size);
    if (!second && row >= 0 && truth->confident[row])
        limit = fminl(limit, 4 * reel_ulp(dtype, size));
    if (quantity == GRAD_LOGITS && size < reel_smallest_normal(dtype) && fabsl(size - part) <= 1e-6L * part)
        limit = fminl(limit, 4 * reel_smallest_subnormal(dtype) + 256 * (size * reel_ulp(dtype, 1)));
    return limit;
}

reel_truth_error reel_truth_error_of(const reel_truth *truth, reel_truth_quantity quantity, reel_dtype dtype,
                                     int64_t i, long double exact, double got)
{
    long double distance = reel_distance(dtype, got, exact);
    long double scale = reel_truth_values_of(truth, quantity)->scale[i];
    reel_truth_error error = {.wrong = isinf(distance)};
    if (error.wrong)
        error.excess = INFINITY;
    if (error.wrong || !isfinite(exact))
        return error;
    scale = isfinite(scale) ? fmaxl(fabsl(exact), scale) : fabsl(exact);
    error.unscaled = (double)(distance / reel_ulp(dtype, exact));
    error.scaled = (double)(distance / reel_ulp(dtype, scale));
    error.excess = (double)(distance / limits_distance(truth, quantity, dtype, i, exact));
    return error;
}
