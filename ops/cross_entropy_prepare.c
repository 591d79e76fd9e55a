/* Preparing a run of a softmax cross-entropy op: strides of all arrays over the rows and along the classes,
 * the labels' smoothing, and the weight of a mean. */
#include "ops/cross_entropy_run.h"
#include "autograd/joint.h"
#include "core/dtype.h"
#include "core/shape.h"
#include "ops/kernels/pair.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- One row ----------------------------------------------------------------------------------- */

void reel_xent_add(double sum[2], double x)
{
    double total = sum[0] + x, part = total - sum[0];
    double error = (sum[0] - (total - part)) + (x - part);
    sum[0] = total;
    sum[1] += isfinite(error) ? error : 0;
}

static double prepare_read(const reel_array *array, int64_t element)
{
    double x;
    const char *at = (const char *)array->data + element * (int64_t)reel_dtype_size(array->dtype);
    reel_convert(REEL_F64, &x, array->dtype, at, 1);
    return x;
}

double reel_xent_row_number(const reel_xent_run *run, int which, int64_t row)
{
    const reel_array *array = run->array[which];
    return array ? prepare_read(array, reel_xent_element(run, which, row)) : 1;
}

reel_xent_label reel_xent_row_label(const reel_xent_run *run, int64_t row)
{
    int64_t element = reel_xent_element(run, REEL_XENT_INTEGERS, row);
    return reel_xent_read_label(run->attributes, run->array[REEL_XENT_INTEGERS], element, run->job.classes);
}

/* ---- Arrays ------------------------------------------------------------------------------------ */

/* An array with a class axis. */
static void prepare_classes(reel_xent_run *run, int which, const reel_array *array,
                            const reel_xent_shape *shape)
{
    int64_t strides[REEL_MAX_RANK];
    reel_broadcast_strides(array->rank, array->shape, array->strides, &shape->shape, strides);
    run->array[which] = array;
    run->job.array[which].data = array->data;
    run->job.array[which].dtype = array->dtype;
    run->job.array[which].step = strides[shape->axis];
    for (int i = 0; i < run->rank; i++)
        run->stride[which][i] = strides[i < shape->axis ? i : i + 1];
}

/* An array of one number a row, or of one for all; `input` is -1 where there is none. */
static void prepare_rows(reel_xent_run *run, int which, const reel_call *call, int input,
                         const reel_shape *rows)
{
    if (input < 0)
        return;
    const reel_array *array = &call->in[input];
    run->array[which] = array;
    reel_broadcast_strides(array->rank, array->shape, array->strides, rows, run->stride[which]);
}

static void prepare_class_weights(reel_xent_run *run, const reel_array *weights)
{
    run->array[REEL_XENT_CLASS_WEIGHTS] = weights;
    run->job.array[REEL_XENT_CLASS_WEIGHTS].data = weights->data;
    run->job.array[REEL_XENT_CLASS_WEIGHTS].dtype = weights->dtype;
    run->job.array[REEL_XENT_CLASS_WEIGHTS].step = weights->strides[0];
}

static void prepare_arrays(reel_xent_run *run, const reel_call *call, const reel_xent_shape *shape)
{
    reel_xent_inputs in = reel_xent_inputs_of(run->attributes);
    reel_shape rows = reel_xent_rows_shape(shape);
    bool sparse = run->attributes->sparse, by_row = run->attributes->quantity & REEL_XENT_BY_ROW;
    bool label_values = run->job.quantity & ~(unsigned)(REEL_XENT_LABEL_GRADIENT | REEL_XENT_MIXED);
    prepare_classes(run, REEL_XENT_LOGITS, &call->in[in.logits], shape);
    if (!sparse && label_values)
        prepare_classes(run, REEL_XENT_LABELS, &call->in[in.labels], shape);
    if (in.direction >= 0)
        prepare_classes(run, REEL_XENT_DIRECTION, &call->in[in.direction], shape);
    if (in.class_weights >= 0)
        prepare_class_weights(run, &call->in[in.class_weights]);
    prepare_rows(run, REEL_XENT_INTEGERS, call, sparse ? in.labels : -1, &rows);
    prepare_rows(run, REEL_XENT_UPSTREAM, call, in.upstream, &rows);
    prepare_rows(run, REEL_XENT_ROW_WEIGHTS, call, in.row_weights, &rows);
    if (by_row)
        run->by_row = &call->out[0];
    if (!run->job.array[REEL_XENT_OUT].data && (!by_row || call->outputs == 2))
        prepare_classes(run, REEL_XENT_OUT, &call->out[call->outputs - 1], shape);
}

/* What is computed along: the loss, and beside the gradient into the labels the one into the logits. */
static void prepare_joined(reel_xent_run *run, const reel_call *call, const reel_xent_shape *shape)
{
    const reel_node *node;
    for (int i = 0; i < 2 && (node = reel_joined(call->tape, i)); i++) {
        const reel_cross_entropy *attributes = node->attributes;
        run->joined[i] = reel_node_array(node);
        run->job.quantity |= attributes->quantity;
        if (attributes->quantity == REEL_XENT_LOSS) {
            run->by_row = &run->joined[i];
            run->job.joint = true;
            continue;
        }
        prepare_classes(run, REEL_XENT_LABEL_OUT, &call->out[0], shape);
        prepare_classes(run, REEL_XENT_OUT, &run->joined[i], shape);
    }
}

/* Joins dimensions of the rows over which all arrays step evenly, so that there is mostly one. */
static void prepare_join_rows(reel_xent_run *run)
{
    for (int i = run->rank - 2; i >= 0; i--) {
        bool even = true;
        for (int a = 0; a < REEL_XENT_ARRAYS; a++)
            even = even && run->stride[a][i] == run->stride[a][i + 1] * run->size[i + 1];
        if (!even)
            continue;
        run->size[i + 1] *= run->size[i];
        run->rank--;
        for (int j = i; j < run->rank; j++) {
            run->size[j] = run->size[j + 1];
            for (int a = 0; a < REEL_XENT_ARRAYS; a++)
                run->stride[a][j] = run->stride[a][j + 1];
        }
    }
}

/* The operands that are there, and how far rows lie behind the first of a panel: once, and not for each panel. */
static void prepare_operands(reel_xent_run *run)
{
    for (int which = 0; which < REEL_XENT_OPERANDS; which++) {
        if (!run->array[which])
            continue;
        run->operand[run->operands++] = which;
        for (int r = 0; r < REEL_XENT_ROWS && run->rank == 1; r++)
            run->start.apart[which][r] = r * run->stride[which][0];
    }
}

/* Eight rows side by side where there are few classes, or where the rows lie closer to each other. */
static bool prepare_is_across(const reel_xent_run *run)
{
    int64_t row_step = run->rank ? run->stride[REEL_XENT_LOGITS][run->rank - 1] : 0;
    return run->job.classes <= REEL_XENT_FEW || llabs(run->job.array[REEL_XENT_LOGITS].step) > llabs(row_step);
}

/* See reel_xent_job. */
static bool prepare_is_direct(const reel_xent_job *job)
{
    if (!job->exact || !job->labels_as_given)
        return false;
    for (int which = 0; which < REEL_XENT_OPERANDS; which++)
        if (job->array[which].data && (job->array[which].dtype != REEL_F64 || job->array[which].step != 1))
            return false;
    return true;
}

/* All arrays are f32 or halves, and what is wanted can be had in f32. (A confident row's second derivative at the largest
 * logit could be had in bf16, but comes to 0 in f32.) */
static bool prepare_is_f32(const reel_xent_job *job)
{
    const bool halves = job->array[REEL_XENT_LOGITS].dtype != REEL_F32;
    const unsigned others = REEL_XENT_DIRECTIONAL | REEL_XENT_MIXED | (halves ? REEL_XENT_SECOND : 0);
    for (int which = 0; which < REEL_XENT_OPERANDS; which++)
        if (job->array[which].data && job->array[which].dtype == REEL_F64)
            return false;
    return job->labels_as_given && !(job->quantity & others);
}

/* ---- Numbers ----------------------------------------------------------------------------------- */

/* 1 - e and e / C, with the digits that f64 labels need. */
static void prepare_smoothing(reel_xent_job *job, const reel_cross_entropy *attributes)
{
    const reel_vector one = reel_vector_of(1), e = reel_vector_of(attributes->label_smoothing);
    reel_pair classes = reel_pair_of(reel_vector_of((double)job->classes));
    reel_pair scale = reel_pair_sum(true, one, -e);
    reel_pair shift = reel_pair_div(true, reel_pair_of(attributes->linear ? e * 0 : e), classes);
    job->scale[0] = scale.hi[0];
    job->scale[1] = scale.lo[0];
    job->shift[0] = shift.hi[0];
    job->shift[1] = shift.lo[0];
    job->labels_as_given = !attributes->class_weights && attributes->label_smoothing == 0;
}

/* What a row adds to W. */
static double prepare_row_weight(const reel_xent_run *run, int64_t row)
{
    const reel_array *weights = run->array[REEL_XENT_CLASS_WEIGHTS];
    double weight = reel_xent_row_number(run, REEL_XENT_ROW_WEIGHTS, row);
    if (!run->attributes->sparse)
        return weight;
    reel_xent_label label = reel_xent_row_label(run, row);
    if (label.fate == REEL_XENT_OUT_OF_IT)
        return 0;
    bool known = label.fate == REEL_XENT_COUNTS && weights;
    return known ? weight * prepare_read(weights, label.class * weights->strides[0]) : weight;
}

static void prepare_mean(reel_xent_run *run)
{
    bool by_class = run->attributes->sparse && run->array[REEL_XENT_CLASS_WEIGHTS];
    bool all_the_same = run->all_count && !by_class && !run->array[REEL_XENT_ROW_WEIGHTS];
    run->mean[0] = all_the_same ? (double)run->rows : 0;
    for (int64_t row = 0; row < run->rows && !all_the_same; row++)
        reel_xent_add(run->mean, prepare_row_weight(run, row));
}

static bool prepare_is_uniform(const reel_xent_run *run)
{
    bool uniform = !run->array[REEL_XENT_ROW_WEIGHTS] && run->mean[0] != 0;
    for (int i = 0; i < run->rank && run->array[REEL_XENT_UPSTREAM]; i++)
        uniform = uniform && (run->stride[REEL_XENT_UPSTREAM][i] == 0 || run->size[i] == 1);
    return uniform;
}

/* For the CPU; where there is but one level, it is the baseline's. */
static void prepare_kernel(reel_xent_run *run, reel_cpu_level cpu)
{
#ifdef __x86_64__
    static const reel_xent_kernel kernel[][2] = {
        [REEL_CPU_BASELINE] = {reel_xent_rows_baseline, reel_xent_f32_rows_baseline},
        [REEL_CPU_AVX2] = {reel_xent_rows_avx2, reel_xent_f32_rows_avx2},
        [REEL_CPU_AVX512] = {reel_xent_rows_avx512, reel_xent_f32_rows_avx512}};
    static const reel_xent_adder add[] = {[REEL_CPU_BASELINE] = reel_xent_add_values_baseline,
                                          [REEL_CPU_AVX2] = reel_xent_add_values_avx2,
                                          [REEL_CPU_AVX512] = reel_xent_add_values_avx512};
    run->kernel = kernel[cpu][run->job.f32];
    run->add = add[cpu];
#else
    (void)cpu;
    run->kernel = run->job.f32 ? reel_xent_f32_rows_baseline : reel_xent_rows_baseline;
    run->add = reel_xent_add_values_baseline;
#endif
}

void reel_xent_prepare(reel_xent_run *run, const reel_call *call, const reel_xent_shape *shape)
{
    const reel_cross_entropy *attributes = call->attributes;
    reel_shape rows = reel_xent_rows_shape(shape);
    memset(run, 0, sizeof *run);
    run->attributes = attributes;
    run->rank = rows.rank;
    memcpy(run->size, rows.size, sizeof run->size);
    run->rows = reel_shape_count(rows.rank, rows.size);
    run->partial = call->scratch;
    run->job.quantity = attributes->quantity;
    run->job.sum = attributes->sum;
    run->job.exact = call->out[0].dtype == REEL_F64;
    run->job.classes = shape->shape.size[shape->axis];
    run->job.forgiven = attributes->tensorflow ? NAN : 0;
    run->block_rows = reel_xent_block_rows(run->job.classes);
    prepare_smoothing(&run->job, attributes);
    prepare_joined(run, call, shape);
    prepare_arrays(run, call, shape);
    prepare_join_rows(run);
    prepare_operands(run);
    run->job.f32 = prepare_is_f32(&run->job);
    run->job.across = run->job.f32 ? run->job.classes <= REEL_XENT_FEW : prepare_is_across(run);
    run->job.direct = prepare_is_direct(&run->job);
    prepare_kernel(run, call->tape->cpu);
    run->panels = run->job.f32 && run->job.across ? REEL_XENT_PANELS : 1;
    run->panel_rows = reel_xent_panel_rows(&run->job);
    run->all_count = !attributes->sparse || reel_xent_labels_all_count(attributes, run->array[REEL_XENT_INTEGERS],
                                                                       run->job.classes);
    run->mean[0] = 1;
    if (attributes->reduction == REEL_REDUCTION_MEAN)
        prepare_mean(run);
    run->uniform = prepare_is_uniform(run);
}
