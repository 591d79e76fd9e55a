/* The forward of the softmax cross-entropy ops: rows in panels of eight, panels in blocks, blocks on threads,
 * and the reduction over the rows.
 *
 *     none    l_i = r_i loss_i
 *     sum     l = sum r_i loss_i
 *     mean    l = sum r_i loss_i / W, 0 where W is 0;  W = sum r_i, or sum r_i w_(label i) of integer labels
 *
 * and so the factor of row i in a gradient is u r_i, or u r_i / W. In EXACT semantics a row weight of 0 takes
 * its row out, whatever the row holds. */
#include "ops/cross_entropy_run.h"
#include "autograd/joint.h"
#include "core/dtype.h"
#include "ops/kernels/pair.h"

#include <math.h>
#include <string.h>

static bool run_reduces(const reel_xent_run *run)
{
    return run->by_row && run->attributes->reduction != REEL_REDUCTION_NONE;
}

static reel_vector run_if_finite(reel_vector x)
{
    return reel_select(reel_magnitude(x) < INFINITY, x, (reel_vector){0});
}

/* ---- Panels ------------------------------------------------------------------------------------ */

/* Rows that lie evenly are as far apart in each panel but the last. Those beyond the last row repeat the first. */
static void run_set_rows(const reel_xent_run *run, int64_t first, reel_xent_panel *panel)
{
    for (int i = 0; i < run->operands; i++) {
        const int which = run->operand[i];
        const bool evenly = run->rank == 1;
        panel->first[which] = evenly ? first * run->stride[which][0] : reel_xent_element(run, which, first);
        for (int r = 1; r < panel->rows && !evenly; r++)
            panel->apart[which][r] = reel_xent_element(run, which, first + r) - panel->first[which];
        for (int r = panel->rows; r < REEL_XENT_ROWS; r++)
            panel->apart[which][r] = 0;
    }
}

static void run_read_labels(const reel_xent_run *run, int64_t first, reel_xent_panel *panel)
{
    for (int r = 0; r < REEL_XENT_ROWS; r++) {
        reel_xent_label label = reel_xent_row_label(run, first + (r < panel->rows ? r : 0));
        panel->label[r] = label.class;
        panel->fate[r] = label.fate;
    }
}

/* Of integer labels that all count, as they lie. Where there are no weights, no panel takes a row out. */
static void run_take_labels(const reel_xent_run *run, int64_t first, reel_xent_panel *panel)
{
    const reel_array *labels = run->array[REEL_XENT_INTEGERS];
    const int64_t step = run->stride[REEL_XENT_INTEGERS][0];
    for (int r = 0; r < REEL_XENT_ROWS && !run->uniform; r++)
        panel->fate[r] = REEL_XENT_COUNTS;
    if (labels->dtype == REEL_I32 && step == 1 && panel->rows == REEL_XENT_ROWS) {
        const int32_t *restrict i32 = (const int32_t *)labels->data + first;
        int64_t *restrict label = panel->label;
        #pragma omp simd
        for (int r = 0; r < REEL_XENT_ROWS; r++)
            label[r] = i32[r];
        return;
    }
    for (int r = 0; r < REEL_XENT_ROWS; r++)
        panel->label[r] = reel_xent_class_at(labels, (first + (r < panel->rows ? r : 0)) * step);
}

static void run_set_labels(const reel_xent_run *run, int64_t first, reel_xent_panel *panel)
{
    if (run->attributes->sparse && run->all_count && run->rank == 1)
        run_take_labels(run, first, panel);
    else if (run->attributes->sparse)
        run_read_labels(run, first, panel);
    else
        for (int r = 0; r < REEL_XENT_ROWS; r++) {
            panel->label[r] = -1;
            panel->fate[r] = REEL_XENT_COUNTS;
        }
}

/* u r, or u r / W. One that is not finite is multiplied in when all is done. */
static void run_set_upstream(const reel_xent_run *run, int64_t first, reel_xent_panel *panel)
{
    double upstream[REEL_XENT_ROWS], weight[REEL_XENT_ROWS];
    for (int r = 0; r < REEL_XENT_ROWS; r++) {
        int64_t row = first + (r < panel->rows ? r : 0);
        upstream[r] = reel_xent_row_number(run, REEL_XENT_UPSTREAM, row);
        weight[r] = reel_xent_row_number(run, REEL_XENT_ROW_WEIGHTS, row);
        if (weight[r] == run->job.forgiven || run->mean[0] == 0)
            panel->fate[r] = REEL_XENT_OUT_OF_IT;
    }
    const reel_pair mean = {reel_vector_of(run->mean[0]), reel_vector_of(run->mean[1])};
    const reel_vector one = reel_vector_of(1);
    for (REEL_EACH_VECTOR(i)) {
        reel_pair factor = reel_pair_product(true, reel_load(upstream + i), reel_load(weight + i));
        if (run->array[REEL_XENT_UPSTREAM])
            factor = reel_pair_div(true, factor, mean);
        reel_vector rounded = reel_pair_value(true, factor), rest = (factor.hi - rounded) + factor.lo;
        reel_mask finite = reel_magnitude(rounded) < INFINITY;
        reel_store(panel->late + i, reel_select(finite, one, rounded));
        reel_store(panel->upstream[0] + i, reel_select(finite, rounded, one));
        reel_store(panel->upstream[1] + i, run_if_finite(rest));
    }
}

/* Only what differs from panel to panel. One behind the last row has none, and repeats that. */
static void run_turn_to(const reel_xent_run *run, int64_t first, int64_t last, reel_xent_panel *panel)
{
    int64_t left = last - first;
    panel->rows = left < 0 ? 0 : left < run->panel_rows ? (int)left : run->panel_rows;
    panel->whole = run->uniform && run->all_count && panel->rows == REEL_XENT_ROWS;
    first = left > 0 ? first : last - 1;
    run_set_rows(run, first, panel);
    if (run->attributes->sparse || !run->uniform)
        run_set_labels(run, first, panel);
    if (!run->uniform)
        run_set_upstream(run, first, panel);
}

static void run_take_values(const reel_xent_run *run, int64_t first, reel_xent_panel *panel, reel_xent_total *total)
{
    const bool plain = panel->whole && panel->late[0] == 1;
    for (int r = 0; r < REEL_XENT_ROWS && !plain; r++) {
        bool there = r < panel->rows, counts = panel->fate[r] == REEL_XENT_COUNTS;
        panel->value[0][r] *= run->job.joint ? 1 : panel->late[r];
        if (!there || !counts) {
            panel->value[0][r] = there && panel->fate[r] == REEL_XENT_SPOILT ? NAN : 0;
            panel->value[1][r] = 0;
        }
    }
    if (run_reduces(run)) {
        run->add(panel, total);
        return;
    }
    const reel_array *out = run->by_row;
    char *at = (char *)out->data + first * (int64_t)reel_dtype_size(out->dtype);
    reel_convert(out->dtype, at, REEL_F64, panel->value[0], panel->rows);
}

static void run_one_block(const reel_xent_run *run, int64_t first, int64_t last, double sum[2])
{
    reel_xent_panel panel[REEL_XENT_PANELS] = {run->start, run->start};
    reel_xent_total total = {{0}, {0}};
    for (int64_t row = first; row < last; row += run->panels * run->panel_rows) {
        for (int p = 0; p < run->panels; p++)
            run_turn_to(run, row + p * run->panel_rows, last, &panel[p]);
        run->kernel(&run->job, panel);
        for (int p = 0; p < run->panels && run->by_row; p++)
            run_take_values(run, row + p * run->panel_rows, &panel[p], &total);
    }
    for (int r = 0; r < REEL_XENT_ROWS; r++) {
        reel_xent_add(sum, total.sum[r]);
        sum[1] += isfinite(total.sum[r]) ? total.rest[r] : 0;
    }
}

static void run_blocks(void *context, int64_t begin, int64_t end)
{
    const reel_xent_run *run = context;
    for (int64_t block = begin; block < end; block++) {
        int64_t first = block * run->block_rows, last = first + run->block_rows;
        double sum[2] = {0, 0};
        run_one_block(run, first, last < run->rows ? last : run->rows, sum);
        if (run_reduces(run))
            memcpy(run->partial + 2 * block, sum, sizeof sum);
    }
}

/* ---- The forward ------------------------------------------------------------------------------- */

static void run_reduce(const reel_xent_run *run, int64_t blocks)
{
    double sum[2] = {0, 0};
    for (int64_t block = 0; block < blocks; block++) {
        reel_xent_add(sum, run->partial[2 * block]);
        sum[1] += run->partial[2 * block + 1];
    }
    const reel_pair total = {reel_vector_of(sum[0]), reel_vector_of(sum[1])};
    const reel_pair mean = {reel_vector_of(run->mean[0]), reel_vector_of(run->mean[1])};
    double result = run->mean[0] == 0 ? 0 : reel_pair_value(true, reel_pair_div(true, total, mean))[0];
    reel_convert(run->by_row->dtype, run->by_row->data, REEL_F64, &result, 1);
}

/* An error is the first call's that meets it. */
static bool run_check_labels(const reel_call *call, const reel_xent_shape *shape)
{
    const reel_node *joined = reel_joined(call->tape, 0);
    reel_call first = *call;
    first.op = joined ? joined->op : call->op;
    return reel_xent_check_labels(&first, shape);
}

bool reel_xent_forward(const reel_call *call)
{
    reel_xent_run run;
    reel_xent_shape shape = reel_xent_shape_of(call->attributes, &call->in[0], &call->in[1]);
    reel_xent_prepare(&run, call, &shape);
    if (!(run.attributes->sparse && run.all_count) && !run_check_labels(call, &shape))
        return false;
    if (run.uniform && run.rows > 0) {
        run_set_labels(&run, 0, &run.start);
        run_set_upstream(&run, 0, &run.start);
    }
    int64_t blocks = (run.rows + run.block_rows - 1) / run.block_rows;
    reel_call_parallel(call, blocks, 1, run_blocks, &run);
    if (run_reduces(&run))
        run_reduce(&run, blocks);
    return true;
}
