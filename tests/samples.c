/* Laying out an op's samples, recording them, and asking the reference: see samples.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/samples.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


/* ---- Arrays -------------------------------------------------------------------------------------- */

/* At least one byte, so that an empty array has an address too. */
static void *samples_memory(size_t bytes)
{
    void *memory = malloc(bytes ? bytes : 1);
    ck_assert_ptr_nonnull(memory);
    memset(memory, 0xff, bytes);
    return memory;
}

void test_arrays_make(test_arrays *arrays, int count, const reel_shape shape[])
{
    arrays->count = count;
    for (int i = 0; i < count; i++) {
        reel_reference_array *array = &arrays->of[i];
        *array = (reel_reference_array){.rank = shape[i].rank, .count = test_count(shape[i])};
        memcpy(array->shape, shape[i].size, sizeof array->shape);
        array->value = samples_memory((size_t)array->count * sizeof(double));
    }
}

void test_arrays_free(test_arrays *arrays)
{
    for (int i = 0; i < arrays->count; i++)
        free(arrays->of[i].value);
    arrays->count = 0;
}


/* ---- Buffers ------------------------------------------------------------------------------------- */

static void samples_contiguous(reel_shape shape, int64_t strides[])
{
    int64_t stride = 1;
    for (int i = shape.rank - 1; i >= 0; i--) {
        strides[i] = stride;
        stride *= shape.size[i] ? shape.size[i] : 1;
    }
}

static void samples_swap(int64_t numbers[], int rank)
{
    int64_t kept = numbers[rank - 1];
    numbers[rank - 1] = numbers[rank - 2];
    numbers[rank - 2] = kept;
}

/* Transposed: the last two axes change places in memory. Stretched: the first axis repeats one row. */
static void samples_strides(reel_shape shape, enum reel_layout layout, int64_t strides[])
{
    bool swapped = layout == REEL_TRANSPOSED && shape.rank >= 2;
    if (swapped)
        samples_swap(shape.size, shape.rank);
    samples_contiguous(shape, strides);
    if (swapped)
        samples_swap(strides, shape.rank);
    for (int i = 0; i < shape.rank; i++)
        strides[i] *= layout == REEL_EVERY_OTHER ? 2 : layout == REEL_REVERSED ? -1 : 1;
    if (layout == REEL_STRETCHED && shape.rank)
        strides[0] = 0;
}

static void samples_buffer(test_buffer *buffer, reel_dtype dtype, reel_shape shape, enum reel_layout layout)
{
    *buffer = (test_buffer){.dtype = dtype, .shape = shape};
    samples_strides(shape, layout, buffer->strides);
    int64_t low = 0, high = 0;
    for (int i = 0; i < shape.rank && test_count(shape); i++) {
        int64_t reach = (shape.size[i] - 1) * buffer->strides[i];
        *(reach < 0 ? &low : &high) += reach;
    }
    buffer->bytes = (size_t)(high - low + 1) * reel_dtype_size(dtype);
    buffer->memory = samples_memory(buffer->bytes);
    buffer->original = samples_memory(buffer->bytes);
    buffer->first = (char *)buffer->memory - low * (int64_t)reel_dtype_size(dtype);
}

static void samples_buffer_free(test_buffer *buffer)
{
    free(buffer->memory);
    free(buffer->original);
}

void *test_element(const test_buffer *buffer, int64_t i)
{
    int64_t offset = 0;
    for (int axis = buffer->shape.rank - 1; axis >= 0; axis--) {
        offset += i % buffer->shape.size[axis] * buffer->strides[axis];
        i /= buffer->shape.size[axis];
    }
    return (char *)buffer->first + offset * (int64_t)reel_dtype_size(buffer->dtype);
}

static void samples_set(test_buffer *buffer, const double *values)
{
    for (int64_t i = 0; i < test_count(buffer->shape); i++)
        test_store(buffer->dtype, test_element(buffer, i), values[i]);
    memcpy(buffer->original, buffer->memory, buffer->bytes);
}

static void samples_get(const test_buffer *buffer, double *values)
{
    for (int64_t i = 0; i < test_count(buffer->shape); i++)
        values[i] = test_load(buffer->dtype, test_element(buffer, i));
}

/* A contiguous buffer of random numbers from -1 to 1. */
static void samples_random_buffer(test_buffer *buffer, reel_dtype dtype, reel_shape shape, uint64_t *seed)
{
    samples_buffer(buffer, dtype, shape, REEL_CONTIGUOUS);
    for (int64_t i = 0; i < test_count(shape); i++)
        test_store(dtype, test_element(buffer, i), test_uniform(seed, -1, 1));
    memcpy(buffer->original, buffer->memory, buffer->bytes);
}


/* ---- Values -------------------------------------------------------------------------------------- */

/* One number of the sample's range, as it is stored. Integers are drawn evenly; u8 is not negative. */
static double samples_draw(const test_case *c, int input, uint64_t *seed)
{
    reel_dtype dtype = c->in[input].dtype;
    double low = c->sample->in[input].low, high = c->sample->in[input].high;
    if (low == 0 && high == 0) {
        low = dtype == REEL_U8 ? 0 : reel_dtype_is_float(dtype) ? -1 : -8;
        high = reel_dtype_is_float(dtype) ? 1 : 8;
    }
    double value = test_uniform(seed, low, high);
    uint64_t element;
    test_store(dtype, &element, reel_dtype_is_float(dtype) ? value : floor(value));
    return test_load(dtype, &element);
}

/* Whether a number was drawn before for this input or an earlier one, or is 0: the places where max, relu and
 * their like have no derivative, which a sample that is not marked as a kink must not hit by chance. */
static bool samples_unlucky(const test_case *c, int input, int64_t drawn, double value)
{
    for (int i = 0; i <= input; i++) {
        int64_t count = i < input ? c->stored.of[i].count : drawn;
        for (int64_t k = 0; k < count && count < 2000; k++)
            if (c->stored.of[i].value[k] == value)
                return true;
    }
    return value == 0;
}

static void samples_fill_input(test_case *c, int input, uint64_t *seed)
{
    double *value = c->stored.of[input].value;
    const double *given = c->sample->in[input].values;
    bool distinct = reel_dtype_is_float(c->in[input].dtype);
    for (int64_t i = 0; i < c->stored.of[input].count; i++) {
        value[i] = given ? given[i] : samples_draw(c, input, seed);
        for (int tries = 0; !given && distinct && tries < 20 && samples_unlucky(c, input, i, value[i]);
             tries++)
            value[i] = samples_draw(c, input, seed);
    }
    samples_set(&c->in[input], value);
    samples_get(&c->in[input], value);
}

void test_case_fill(test_case *c, uint64_t seed)
{
    for (int i = 0; i < c->inputs; i++)
        samples_fill_input(c, i, &seed);
}

void test_case_restore(test_case *c)
{
    for (int i = 0; i < c->inputs; i++)
        memcpy(c->in[i].memory, c->in[i].original, c->in[i].bytes);
}

bool test_case_unchanged(const test_case *c, int input)
{
    return memcmp(c->in[input].memory, c->in[input].original, c->in[input].bytes) == 0;
}


/* ---- Cases --------------------------------------------------------------------------------------- */

static int samples_inputs(const reel_op *op, const reel_sample *sample)
{
    int inputs = sample->inputs ? sample->inputs : op->inputs;
    ck_assert_msg(inputs >= 1 && inputs <= REEL_SAMPLE_INPUTS, "%s: a sample with %d inputs", op->name,
                  inputs);
    return inputs;
}

bool test_sample_varies(const reel_op *op, const reel_sample *sample)
{
    for (int i = 0; i < samples_inputs(op, sample); i++)
        if (sample->in[i].dtype == REEL_NO_DTYPE)
            return true;
    return false;
}

bool test_case_writes(const test_case *c, int input)
{
    return c->op->writes && c->op->writes(c->attributes, input);
}

bool test_case_wants(const test_case *c, int input)
{
    return reel_dtype_is_float(c->in[input].dtype) && !test_case_writes(c, input);
}

bool test_case_has_gradient(const test_case *c)
{
    bool wanted = false, floating = false;
    for (int i = 0; i < c->inputs; i++)
        wanted |= test_case_wants(c, i);
    for (int i = 0; i < c->op->outputs; i++)
        floating |= reel_dtype_is_float(c->out_dtype[i]);
    return wanted && floating && !c->op->writes && !(c->op->flags & REEL_NO_GRADIENT);
}

static void samples_coarser(reel_dtype *coarsest, reel_dtype dtype)
{
    if (reel_dtype_is_float(dtype) && test_roundoff(dtype) > test_roundoff(*coarsest))
        *coarsest = dtype;
}

reel_dtype test_case_coarsest(const test_case *c)
{
    reel_dtype coarsest = REEL_F64;
    for (int i = 0; i < c->inputs; i++)
        samples_coarser(&coarsest, c->in[i].dtype);
    for (int i = 0; i < c->outputs; i++)
        samples_coarser(&coarsest, c->out_dtype[i]);
    return coarsest;
}

void test_case_lay(test_case *c, const reel_op *op, int sample, reel_dtype dtype)
{
    const reel_sample *s = &op->samples[sample];
    *c = (test_case){.op = op, .sample = s, .attributes = s->attributes, .dtype = dtype,
                     .inputs = samples_inputs(op, s)};
    snprintf(c->label, sizeof c->label, "%s, sample %d (%s), %s", op->name, sample, s->note ? s->note : "-",
             reel_dtype_name(dtype));
    reel_shape shape[REEL_SAMPLE_INPUTS];
    for (int i = 0; i < c->inputs; i++) {
        shape[i] = s->in[i].shape;
        samples_buffer(&c->in[i], s->in[i].dtype ? s->in[i].dtype : dtype, shape[i], s->in[i].layout);
    }
    test_arrays_make(&c->stored, c->inputs, shape);
    test_case_fill(c, test_hash(c->label));
}

/* A half dtype may be refused, with an error that names the op and the dtype. */
static void samples_judge_refusal(const test_case *c, const reel_tape *tape, test_report *report)
{
    const char *text = reel_error_message(tape);
    bool half = c->dtype == REEL_F16 || c->dtype == REEL_BF16;
    if (!half || !strstr(text, c->op->name) || !strstr(text, reel_dtype_name(c->dtype)))
        test_complain(report, "%s: %s", c->label, text);
}

static void samples_learn(test_case *c, const reel_tensor out[])
{
    c->outputs = c->op->outputs;
    for (int i = 0; i < c->inputs; i++)
        c->outputs += test_case_writes(c, i);
    ck_assert_msg(c->outputs >= 1 && c->outputs <= TEST_OUTPUTS, "%s: %d outputs", c->op->name, c->outputs);
    for (int i = 0; i < c->outputs; i++) {
        c->out_shape[i] = reel_shape_of(out[i]);
        c->out_dtype[i] = reel_dtype_of(out[i]);
    }
}

static void samples_draw_directions(test_case *c)
{
    uint64_t seed = test_hash(c->label) + 1;
    for (int i = 0; i < c->inputs; i++)
        if (reel_dtype_is_float(c->in[i].dtype))
            samples_random_buffer(&c->direction[i], c->in[i].dtype, c->in[i].shape, &seed);
    for (int i = 0; i < c->op->outputs; i++)
        if (reel_dtype_is_float(c->out_dtype[i]))
            samples_random_buffer(&c->upstream[i], c->out_dtype[i], c->out_shape[i], &seed);
}

bool test_case_open(test_case *c, const reel_op *op, int sample, reel_dtype dtype, test_report *report)
{
    test_case_lay(c, op, sample, dtype);
    reel_tape *tape = reel_tape_new();
    reel_tensor in[REEL_SAMPLE_INPUTS], out[TEST_OUTPUTS];
    test_case_wrap(c, tape, in);
    bool done = test_case_apply(c, in, out) && !reel_failed(tape);
    if (done) {
        samples_learn(c, out);
        samples_draw_directions(c);
    } else {
        samples_judge_refusal(c, tape, report);
    }
    reel_tape_free(tape);
    test_case_restore(c);
    return done;
}

void test_case_close(test_case *c)
{
    for (int i = 0; i < REEL_SAMPLE_INPUTS; i++) {
        samples_buffer_free(&c->in[i]);
        samples_buffer_free(&c->direction[i]);
    }
    for (int i = 0; i < TEST_OUTPUTS; i++)
        samples_buffer_free(&c->upstream[i]);
    test_arrays_free(&c->stored);
    free(c->promoted);
    memset(c, 0, sizeof *c);
}

static void samples_promote_buffer(test_buffer *twin, const test_buffer *buffer)
{
    if (!buffer->memory)
        return;
    bool floating = reel_dtype_is_float(buffer->dtype);
    samples_buffer(twin, floating ? REEL_F64 : buffer->dtype, buffer->shape, REEL_CONTIGUOUS);
    for (int64_t i = 0; i < test_count(buffer->shape); i++)
        test_store(twin->dtype, test_element(twin, i), test_load(buffer->dtype, test_element(buffer, i)));
    memcpy(twin->original, twin->memory, twin->bytes);
}

void test_case_promote(test_case *twin, const test_case *c)
{
    *twin = *c;
    twin->dtype = REEL_F64;
    twin->promoted = NULL;
    for (int i = 0; i < REEL_SAMPLE_INPUTS; i++) {
        samples_promote_buffer(&twin->in[i], &c->in[i]);
        samples_promote_buffer(&twin->direction[i], &c->direction[i]);
    }
    for (int i = 0; i < TEST_OUTPUTS; i++) {
        samples_promote_buffer(&twin->upstream[i], &c->upstream[i]);
        if (reel_dtype_is_float(c->out_dtype[i]))
            twin->out_dtype[i] = REEL_F64;
    }
    test_arrays_make(&twin->stored, c->inputs, (reel_shape[]){c->in[0].shape, c->in[1].shape, c->in[2].shape,
                                                            c->in[3].shape});
    for (int i = 0; i < c->inputs; i++)
        samples_get(&twin->in[i], twin->stored.of[i].value);
    if (c->op->promote && c->attributes) {
        twin->promoted = samples_memory(c->op->attributes);
        memcpy(twin->promoted, c->attributes, c->op->attributes);
        c->op->promote(twin->promoted);
        twin->attributes = twin->promoted;
    }
}


/* ---- Recording ----------------------------------------------------------------------------------- */

reel_tensor test_wrap(reel_tape *tape, const test_buffer *buffer, bool variable)
{
    return reel_wrap(tape, .dtype = buffer->dtype, .shape = buffer->shape, .data = buffer->first,
                     .strides = buffer->strides, .variable = variable);
}

void test_case_wrap(const test_case *c, reel_tape *tape, reel_tensor in[])
{
    for (int i = 0; i < c->inputs; i++)
        in[i] = test_wrap(tape, &c->in[i], reel_dtype_is_float(c->in[i].dtype));
}

bool test_case_apply(const test_case *c, const reel_tensor in[], reel_tensor out[])
{
    int outputs = c->op->outputs;
    bool done = reel_apply(c->op, reel_tensors_of(in, (size_t)c->inputs), c->attributes,
                           outputs ? out : NULL, outputs);
    for (int i = 0; i < c->inputs; i++)
        if (test_case_writes(c, i) && outputs < TEST_OUTPUTS)
            out[outputs++] = in[i];
    return done;
}

/* <upstream, outputs> as one scalar, for an op with several outputs. */
static reel_tensor samples_inner(const test_case *c, const reel_tensor out[], const reel_tensor upstream[])
{
    reel_tensor total = REEL_NONE;
    for (int i = 0; i < c->op->outputs; i++) {
        if (!c->upstream[i].memory)
            continue;
        reel_tensor term = reel_sum(reel_mul(upstream[i], out[i]));
        total = total.tape ? reel_add(total, term) : term;
    }
    return total;
}

bool test_case_gradient(const test_case *c, const reel_tensor in[], const reel_tensor out[],
                        const reel_tensor upstream[], reel_tensor gradient[])
{
    reel_tensor x[REEL_SAMPLE_INPUTS], found[REEL_SAMPLE_INPUTS];
    size_t count = 0, next = 0;
    for (int i = 0; i < c->inputs; i++)
        if (test_case_wants(c, i))
            x[count++] = in[i];
    bool done = c->op->outputs == 1
                    ? reel_gradient(out[0], reel_tensors_of(x, count), found, .upstream = upstream[0])
                    : reel_gradient(samples_inner(c, out, upstream), reel_tensors_of(x, count), found);
    for (int i = 0; i < c->inputs; i++)
        gradient[i] = test_case_wants(c, i) ? found[next++] : REEL_NONE;
    return done;
}


/* ---- The reference ------------------------------------------------------------------------------- */

void test_case_reference(const test_case *c, const test_arrays *in, test_arrays *out)
{
    c->op->reference(c->attributes, in->of, in->count, out->of, out->count);
}

void test_case_outputs(const test_case *c, test_arrays *out)
{
    test_arrays_make(out, c->outputs, c->out_shape);
}

double *test_buffer_values(const test_buffer *buffer)
{
    double *values = samples_memory((size_t)test_count(buffer->shape) * sizeof(double));
    samples_get(buffer, values);
    return values;
}

double *test_values(reel_tensor x, test_report *report)
{
    int64_t count = reel_count(x);
    double *values = samples_memory((size_t)(count > 0 ? count : 0) * sizeof(double));
    if (count >= 0 && reel_read_f64(x, values, (size_t)count))
        return values;
    test_complain(report, "cannot be read: %s", x.tape ? reel_error_message(x.tape) : "a none handle");
    free(values);
    return NULL;
}
