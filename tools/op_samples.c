/* An op's samples on a tape: see op_samples.h. */
#include "tools/op_samples.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { OP_SAMPLE_TRIES = 50 };

static int64_t op_sample_count(reel_shape shape)
{
    int64_t count = 1;
    for (int i = 0; i < shape.rank; i++)
        count *= shape.size[i];
    return count;
}

static int op_sample_inputs(const reel_op *op, const reel_sample *sample)
{
    return sample->inputs ? sample->inputs : op->inputs;
}

bool op_sample_has_gradient(const reel_op *op, int index)
{
    const reel_sample *sample = &op->samples[index];
    bool floating = false;
    for (int i = 0; i < op_sample_inputs(op, sample); i++) {
        reel_dtype dtype = sample->in[i].dtype;
        floating |=
            (dtype == REEL_NO_DTYPE || reel_dtype_is_float(dtype)) && op_sample_count(sample->in[i].shape);
    }
    return floating && op->vjp && !op->writes && !(op->flags & REEL_NO_GRADIENT) && !sample->error;
}

/* ---- Drawing --------------------------------------------------------------------------------------- */

/* Splitmix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014), in [0, 1). */
static double op_sample_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (double)((z ^ z >> 31) >> 11) * 0x1p-53;
}

/* Evenly from the sample's range, well away from 0 and from the numbers that came shortly before: kinks
 * are where the samples put them. */
static double op_sample_draw(const reel_sample *sample, int input, reel_dtype dtype, const double *before,
                             int64_t at, uint64_t *state)
{
    double low = sample->in[input].low, high = sample->in[input].high, value = 0;
    bool floating = reel_dtype_is_float(dtype);
    if (low == 0 && high == 0) {
        low = floating ? -1 : dtype == REEL_U8 ? 0 : -8;
        high = floating ? 1 : 8;
    }
    for (int tries = 0; tries < OP_SAMPLE_TRIES; tries++) {
        value = low + (high - low) * op_sample_random(state);
        bool near = fabs(value) < 1e-3 * (high - low);
        for (int64_t i = at > 16 ? at - 16 : 0; i < at; i++)
            near |= fabs(value - before[i]) < 1e-3 * (high - low);
        if (!floating)
            return floor(value);
        if (!near)
            break;
    }
    return value;
}

/* ---- Laying out ------------------------------------------------------------------------------------ */

/* Strides for a layout, and the place of the first element; returns how many elements of memory it spans. */
static int64_t op_sample_strides(reel_shape shape, enum reel_layout layout, int64_t strides[], int64_t *first)
{
    int64_t stride = 1, low = 0, high = 0;
    for (int k = 0; k < shape.rank; k++) {
        int i = shape.rank - 1 - k;
        if (layout == REEL_TRANSPOSED && shape.rank >= 2 && k < 2)
            i = shape.rank - 2 + k;
        strides[i] = stride;
        stride *= shape.size[i] ? shape.size[i] : 1;
    }
    for (int i = 0; i < shape.rank; i++) {
        strides[i] *= layout == REEL_EVERY_OTHER ? 2 : layout == REEL_REVERSED ? -1 : 1;
        if (i == 0 && layout == REEL_STRETCHED)
            strides[i] = 0;
        int64_t reach = (shape.size[i] ? shape.size[i] - 1 : 0) * strides[i];
        *(reach < 0 ? &low : &high) += reach;
    }
    *first = -low;
    return high - low + 1;
}

/* The layouts are those of borrowed memory; a stretched one repeats its first row. */
static reel_tensor op_sample_wrap(op_sample *made, reel_tape *tape, int input, reel_dtype dtype,
                                  const double *value)
{
    reel_shape shape = made->sample->in[input].shape;
    int64_t strides[REEL_MAX_RANK], first, count = op_sample_count(shape);
    int64_t span = op_sample_strides(shape, made->sample->in[input].layout, strides, &first);
    size_t size = reel_dtype_size(dtype);
    char *memory = made->memory[input] = calloc((size_t)span + 1, size);
    void *packed = malloc((size_t)count * size + 1);
    reel_tensor source =
        reel_constant(tape, REEL_SHAPE(count), reel_values_from_f64(dtype, value, (size_t)count));
    if (memory && packed && reel_read(source, packed, (size_t)count * size))
        for (int64_t e = count; e-- > 0;) {
            int64_t at = first, rest = e;
            for (int i = shape.rank - 1; i >= 0; i--) {
                at += rest % shape.size[i] * strides[i];
                rest /= shape.size[i];
            }
            memcpy(memory + (size_t)at * size, (char *)packed + (size_t)e * size, size);
        }
    free(packed);
    return reel_wrap(tape, .dtype = dtype, .shape = shape, .strides = strides,
                     .data = memory ? memory + (size_t)first * size : NULL,
                     .variable = reel_dtype_is_float(dtype));
}

static bool op_sample_input(op_sample *made, reel_tape *tape, int input, reel_dtype dtype, uint64_t *state)
{
    const reel_sample *sample = made->sample;
    int64_t count = op_sample_count(sample->in[input].shape);
    double *value = malloc((size_t)count * sizeof *value + 1);
    if (!value)
        return false;
    for (int64_t i = 0; i < count; i++)
        value[i] = sample->in[input].values ? sample->in[input].values[i]
                                            : op_sample_draw(sample, input, dtype, value, i, state);
    reel_tensor x = op_sample_wrap(made, tape, input, dtype, value);
    free(value);
    static const char *const names[REEL_SAMPLE_INPUTS] = {"a", "b", "c", "d"};
    made->input[input] = reel_name(x, names[input]);
    if (reel_dtype_is_float(dtype))
        made->x[made->xs++] = x;
    return reel_is_valid(x);
}

bool op_sample_make(op_sample *made, reel_tape *tape, const reel_op *op, int index, reel_dtype dtype)
{
    const reel_sample *sample = &op->samples[index];
    uint64_t state = 1 + (uint64_t)index;
    for (const char *c = op->name; *c; c++)
        state = state * 31 + (unsigned char)*c;
    *made = (op_sample){.op = op, .sample = sample, .inputs = op_sample_inputs(op, sample)};
    for (int i = 0; i < made->inputs; i++)
        if (!op_sample_input(made, tape, i, sample->in[i].dtype ? sample->in[i].dtype : dtype, &state))
            return false;
    return true;
}

void op_sample_free(op_sample *made)
{
    for (int i = 0; i < made->inputs; i++)
        free(made->memory[i]);
}

int op_sample_apply(const op_sample *made, const reel_op *op, const reel_tensor input[], reel_tensor output[])
{
    reel_tensor all[OP_SAMPLE_OUTPUTS];
    int count = 0;
    reel_tensors inputs = reel_tensors_of(input, (size_t)made->inputs);
    if (op->outputs > OP_SAMPLE_OUTPUTS ||
        !reel_apply(op, inputs, made->sample->attributes, all, op->outputs))
        return 0;
    for (int i = 0; i < op->outputs; i++)
        if (reel_dtype_is_float(reel_dtype_of(all[i])))
            output[count++] = all[i];
    return count;
}
