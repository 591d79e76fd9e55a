/* The forward of the softmax cross-entropy ops: rows in panels of eight, panels in blocks, blocks on threads,
 * and the reduction over the rows.
 *
 *     none    l_i = r_i loss_i
 *     sum     l = sum r_i loss_i
 *     mean    l = sum r_i loss_i / W, 0 where W is 0;   W = sum r_i, or sum r_i w_(label i) of integer labels
 *
 * and so the factor of row i in a gradient is u r_i, or u r_i / W. A row weight of 0 takes its row out in EXACT
 * semantics, whatever the row holds. */
#include "ops/cross_entropy.h"
#include "core/dtype.h"
#include "core/shape.h"
#include "ops/kernels/pair.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What is read or written row by row: the kernel's operands, and these. */
enum { RUN_INTEGERS = REEL_XENT_OPERANDS, RUN_UPSTREAM, RUN_ROW_WEIGHTS, RUN_ARRAYS };

struct xent_run {
    const reel_call          *call;
    const reel_cross_entropy *attributes;
    const reel_array         *array[RUN_ARRAYS];    /* NULL: not there                             */
    reel_xent_job             job;
    int64_t                   rows, block_rows;
    int                       rank;                 /* of the rows                                 */
    int64_t                   size[REEL_MAX_RANK], stride[RUN_ARRAYS][REEL_MAX_RANK];
    const reel_array         *by_row;               /* the output with one number a row, or NULL   */
    double                    mean[2];              /* W as a sum of two; 1 where it is no mean    */
    double                   *partial;              /* of a reduction: two a block                 */
};

/* A compensated sum (Knuth's two-sum). The correction is lost where the sum is not finite. */
static void run_add(double sum[2], double x)
{
    double total = sum[0] + x, part = total - sum[0];
    double error = (sum[0] - (total - part)) + (x - part);
    sum[0] = total;
    sum[1] += isfinite(error) ? error : 0;
}

static double run_read(const reel_array *array, int64_t element)
{
    double x;
    const char *at = (const char *)array->data + element * (int64_t)reel_dtype_size(array->dtype);
    reel_convert(REEL_F64, &x, array->dtype, at, 1);
    return x;
}

/* ---- Preparing --------------------------------------------------------------------------------------- */

/* An array with a class axis. */
static void run_take_classes(struct xent_run *run, int which, const reel_array *array, const reel_xent_shape *shape)
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

/* An array with one number a row, or one for all. */
static void run_take_rows(struct xent_run *run, int which, const reel_array *array, const reel_shape *rows)
{
    run->array[which] = array;
    reel_broadcast_strides(array->rank, array->shape, array->strides, rows, run->stride[which]);
}

static void run_take_arrays(struct xent_run *run, const reel_xent_shape *shape)
{
    const reel_call *call = run->call;
    reel_xent_inputs in = reel_xent_inputs_of(run->attributes);
    reel_shape rows = reel_xent_rows_shape(shape);
    bool label_values = !(run->job.quantity & (REEL_XENT_LABEL_GRADIENT | REEL_XENT_MIXED));
    run_take_classes(run, REEL_XENT_LOGITS, &call->in[in.logits], shape);
    if (run->attributes->sparse)
        run_take_rows(run, RUN_INTEGERS, &call->in[in.labels], &rows);
    else if (label_values)
        run_take_classes(run, REEL_XENT_LABELS, &call->in[in.labels], shape);
    if (in.direction >= 0)
        run_take_classes(run, REEL_XENT_DIRECTION, &call->in[in.direction], shape);
    if (in.upstream >= 0)
        run_take_rows(run, RUN_UPSTREAM, &call->in[in.upstream], &rows);
    if (in.row_weights >= 0)
        run_take_rows(run, RUN_ROW_WEIGHTS, &call->in[in.row_weights], &rows);
    if (in.class_weights >= 0) {
        const reel_array *weights = &call->in[in.class_weights];
        run->array[REEL_XENT_CLASS_WEIGHTS] = weights;
        run->job.array[REEL_XENT_CLASS_WEIGHTS].data = weights->data;
        run->job.array[REEL_XENT_CLASS_WEIGHTS].dtype = weights->dtype;
        run->job.array[REEL_XENT_CLASS_WEIGHTS].step = weights->strides[0];
    }
    bool loss = run->job.quantity & (REEL_XENT_LOSS | REEL_XENT_DIRECTIONAL);
    run->by_row = loss ? &call->out[0] : NULL;
    if (!loss || call->outputs == 2)
        run_take_classes(run, REEL_XENT_OUT, &call->out[call->outputs - 1], shape);
}

/* Joins dimensions of the rows over which all arrays step evenly, so that there is mostly one. */
static void run_join_rows(struct xent_run *run)
{
    for (int i = run->rank - 2; i >= 0; i--) {
        bool even = true;
        for (int a = 0; a < RUN_ARRAYS; a++)
            even = even && run->stride[a][i] == run->stride[a][i + 1] * run->size[i + 1];
        if (!even)
            continue;
        run->size[i + 1] *= run->size[i];
        run->rank--;
        for (int j = i; j < run->rank; j++) {
            run->size[j] = run->size[j + 1];
            for (int a = 0; a < RUN_ARRAYS; a++)
                run->stride[a][j] = run->stride[a][j + 1];
        }
    }
}

/* 1 - e and e / C, with the digits that f64 labels need. */
static void run_set_smoothing(reel_xent_job *job, const reel_cross_entropy *attributes)
{
    const reel_vector one = reel_vector_of(1), e = reel_vector_of(attributes->label_smoothing);
    reel_pair scale = reel_pair_sum(true, one, -e), classes = reel_pair_of(reel_vector_of((double)job->classes));
    reel_pair shift = reel_pair_div(true, reel_pair_of(attributes->linear ? e * 0 : e), classes);
    job->scale[0] = scale.hi[0];
    job->scale[1] = scale.lo[0];
    job->shift[0] = shift.hi[0];
    job->shift[1] = shift.lo[0];
    job->labels_as_given = !attributes->class_weights && attributes->label_smoothing == 0;
}

static int64_t run_element(const struct xent_run *run, int which, int64_t row)
{
    int64_t element = 0;
    for (int i = run->rank - 1; i > 0; i--) {
        element += row % run->size[i] * run->stride[which][i];
        row /= run->size[i];
    }
    return element + (run->rank ? row * run->stride[which][0] : 0);
}

/* W */
static void run_weigh(struct xent_run *run)
{
    const reel_array *of_classes = run->array[REEL_XENT_CLASS_WEIGHTS];
    double sum[2] = {0, 0};
    for (int64_t row = 0; row < run->rows; row++) {
        double weight = 1;
        if (run->array[RUN_ROW_WEIGHTS])
            weight = run_read(run->array[RUN_ROW_WEIGHTS], run_element(run, RUN_ROW_WEIGHTS, row));
        if (run->attributes->sparse) {
            reel_xent_label label = reel_xent_read_label(run->attributes, run->array[RUN_INTEGERS],
                                                         run_element(run, RUN_INTEGERS, row), run->job.classes);
            if (label.fate == REEL_XENT_OUT_OF_IT)
                continue;
            if (label.fate == REEL_XENT_COUNTS && of_classes)
                weight *= run_read(of_classes, label.class * of_classes->strides[0]);
        }
        run_add(sum, weight);
    }
    run->mean[0] = sum[0];
    run->mean[1] = sum[1];
}

static void run_prepare(struct xent_run *run, const reel_call *call, const reel_xent_shape *shape)
{
    const reel_cross_entropy *attributes = call->attributes;
    reel_shape rows = reel_xent_rows_shape(shape);
    memset(run, 0, sizeof *run);
    run->call = call;
    run->attributes = attributes;
    run->rank = rows.rank;
    memcpy(run->size, rows.size, sizeof run->size);
    run->rows = reel_shape_count(rows.rank, rows.size);
    run->job.quantity = attributes->quantity;
    run->job.sum = attributes->sum;
    run->job.exact = call->out[0].dtype == REEL_F64;
    run->job.classes = shape->shape.size[shape->axis];
    run->job.forgiven = attributes->tensorflow ? NAN : 0;
    run->block_rows = reel_xent_block_rows(run->job.classes);
    run_set_smoothing(&run->job, attributes);
    run_take_arrays(run, shape);
    run_join_rows(run);
    int64_t step = run->job.array[REEL_XENT_LOGITS].step, last = run->rank ? run->rank - 1 : 0;
    int64_t row_step = run->rank ? run->stride[REEL_XENT_LOGITS][last] : 0;
    run->job.across = run->job.classes <= 64 || llabs(step) > llabs(row_step);
    run->mean[0] = 1;
    if (attributes->reduction == REEL_REDUCTION_MEAN)
        run_weigh(run);
    run->partial = call->scratch;
}

/* ---- Panels ------------------------------------------------------------------------------------------ */

static void run_set_rows(const struct xent_run *run, int64_t first, reel_xent_panel *panel)
{
    for (int r = 0; r < REEL_XENT_ROWS; r++) {
        int64_t row = first + (r < panel->rows ? r : 0);
        for (int which = 0; which < REEL_XENT_OPERANDS; which++)
            panel->row[which][r] = run_element(run, which, row);
        panel->fate[r] = REEL_XENT_COUNTS;
        panel->label[r] = -1;
        if (run->attributes->sparse) {
            reel_xent_label label = reel_xent_read_label(run->attributes, run->array[RUN_INTEGERS],
                                                         run_element(run, RUN_INTEGERS, row), run->job.classes);
            panel->fate[r] = label.fate;
            panel->label[r] = label.class;
        }
    }
}

/* u r, and over W where the result is a gradient of a mean. */
static void run_set_upstream(const struct xent_run *run, int64_t first, reel_xent_panel *panel)
{
    double upstream[REEL_XENT_ROWS], weight[REEL_XENT_ROWS];
    for (int r = 0; r < REEL_XENT_ROWS; r++) {
        int64_t row = first + (r < panel->rows ? r : 0);
        upstream[r] = weight[r] = 1;
        if (run->array[RUN_UPSTREAM])
            upstream[r] = run_read(run->array[RUN_UPSTREAM], run_element(run, RUN_UPSTREAM, row));
        if (run->array[RUN_ROW_WEIGHTS])
            weight[r] = run_read(run->array[RUN_ROW_WEIGHTS], run_element(run, RUN_ROW_WEIGHTS, row));
        if (weight[r] == run->job.forgiven || run->mean[0] == 0)
            panel->fate[r] = REEL_XENT_OUT_OF_IT;
    }
    const reel_pair mean = {reel_vector_of(run->mean[0]), reel_vector_of(run->mean[1])};
    for (REEL_EACH_VECTOR(i)) {
        reel_pair factor = reel_pair_product(true, reel_load(upstream + i), reel_load(weight + i));
        if (run->array[RUN_UPSTREAM])
            factor = reel_pair_div(true, factor, mean);
        reel_vector rounded = reel_pair_value(true, factor), rest = (factor.hi - rounded) + factor.lo;
        const reel_vector one = reel_vector_of(1);
        reel_mask finite = reel_magnitude(rounded) < INFINITY;
        reel_store(panel->late + i, reel_select(finite, one, rounded));
        reel_store(panel->upstream[0] + i, reel_select(finite, rounded, one));
        reel_store(panel->upstream[1] + i, reel_select(reel_magnitude(rest) < INFINITY, rest, (reel_vector){0}));
    }
}

static void run_take_values(const struct xent_run *run, int64_t first, reel_xent_panel *panel, double sum[2])
{
    for (int r = 0; r < panel->rows; r++) {
        panel->value[0][r] *= panel->late[r];
        if (panel->fate[r] != REEL_XENT_COUNTS) {
            panel->value[0][r] = panel->fate[r] == REEL_XENT_SPOILT ? NAN : 0;
            panel->value[1][r] = 0;
        }
        run_add(sum, panel->value[0][r]);
        sum[1] += panel->value[1][r];
    }
    if (run->attributes->reduction == REEL_REDUCTION_NONE) {
        const reel_array *out = run->by_row;
        char *at = (char *)out->data + first * (int64_t)reel_dtype_size(out->dtype);
        reel_convert(out->dtype, at, REEL_F64, panel->value[0], panel->rows);
    }
}

static void run_blocks(void *context, int64_t begin, int64_t end)
{
    const struct xent_run *run = context;
    for (int64_t block = begin; block < end; block++) {
        int64_t first = block * run->block_rows, last = first + run->block_rows;
        double sum[2] = {0, 0};
        for (int64_t row = first; row < last && row < run->rows; row += REEL_XENT_ROWS) {
            reel_xent_panel panel;
            int64_t left = run->rows - row;
            panel.rows = (int)(left < REEL_XENT_ROWS ? left : REEL_XENT_ROWS);
            run_set_rows(run, row, &panel);
            run_set_upstream(run, row, &panel);
            reel_xent_rows(&run->job, &panel);
            if (run->by_row)
                run_take_values(run, row, &panel, sum);
        }
        if (run->by_row && run->attributes->reduction != REEL_REDUCTION_NONE)
            memcpy(run->partial + 2 * block, sum, sizeof sum);
    }
}

/* ---- The forward --------------------------------------------------------------------------------------- */

static void run_reduce(const struct xent_run *run, int64_t blocks)
{
    double sum[2] = {0, 0};
    for (int64_t block = 0; block < blocks; block++) {
        run_add(sum, run->partial[2 * block]);
        sum[1] += run->partial[2 * block + 1];
    }
    const reel_pair total = {reel_vector_of(sum[0]), reel_vector_of(sum[1])};
    const reel_pair mean = {reel_vector_of(run->mean[0]), reel_vector_of(run->mean[1])};
    double result = run->mean[0] == 0 ? 0 : reel_pair_value(true, reel_pair_div(true, total, mean))[0];
    reel_convert(run->by_row->dtype, run->by_row->data, REEL_F64, &result, 1);
}

bool reel_xent_forward(const reel_call *call)
{
    const reel_cross_entropy *attributes = call->attributes;
    reel_xent_shape shape = reel_xent_shape_of(attributes, &call->in[0], &call->in[1]);
    if (!reel_xent_check_labels(call, &shape))
        return false;
    struct xent_run run;
    run_prepare(&run, call, &shape);
    int64_t blocks = (run.rows + run.block_rows - 1) / run.block_rows;
    reel_call_parallel(call, blocks, 1, run_blocks, &run);
    if (run.by_row && attributes->reduction != REEL_REDUCTION_NONE)
        run_reduce(&run, blocks);
    return true;
}
