/* xent_v1_NxC, xent_v2_NxC, xent_sparse_NxC: the mean over rows of the loss, f32, and its gradient into the logits
 * (v2: and the labels). hvp_1024x1000: the Hessian of the dense mean loss times a vector. */
#include "bench/bench.h"

#include <stdlib.h>

enum { XENT_V1, XENT_V2, XENT_SPARSE, XENT_HVP };

struct xent_job {
    void      (*record)(struct bench_job *job);     /* first: see bench_tape_job()                 */
    int         kind;
    reel_tensor logits, labels, direction;
};

static void record_loss(struct bench_job *job)
{
    const struct xent_job *x = job->data;
    reel_tensor loss, gradients[2];
    if (x->kind == XENT_SPARSE)
        loss = reel_sparse_softmax_cross_entropy_with_logits(.labels = x->labels, .logits = x->logits,
                                                             .reduction = REEL_REDUCTION_MEAN);
    else if (x->kind == XENT_V1)
        loss = reel_softmax_cross_entropy_with_logits_v1(.labels = x->labels, .logits = x->logits,
                                                         .reduction = REEL_REDUCTION_MEAN);
    else
        loss = reel_softmax_cross_entropy_with_logits(.labels = x->labels, .logits = x->logits,
                                                      .reduction = REEL_REDUCTION_MEAN);
    const reel_tensor xs[2] = {x->logits, x->labels};
    reel_gradient(loss, reel_tensors_of(xs, x->kind == XENT_V2 ? 2 : 1), gradients, .final = true);
}

static void record_hvp(struct bench_job *job)
{
    const struct xent_job *x = job->data;
    reel_tensor gradient;
    reel_tensor loss = reel_softmax_cross_entropy_with_logits_v1(.labels = x->labels, .logits = x->logits,
                                                                 .reduction = REEL_REDUCTION_MEAN);
    reel_gradient(loss, REEL_TENSORS(x->logits), &gradient);
    reel_gradient(gradient, REEL_TENSORS(x->logits), &job->needed, .upstream = x->direction, .final = true);
}

static float *random_rows(int rows, int classes, bool distribution)
{
    uint64_t state = 1 + distribution;
    float *data = bench_memory((size_t)rows * (size_t)classes * sizeof *data);
    for (int i = 0; data && i < rows; i++) {
        float *row = data + (int64_t)i * classes, sum = 0;
        for (int c = 0; c < classes; c++)
            sum += row[c] = (float)(distribution ? bench_random(&state) + 1.001 : 3 * bench_random(&state));
        for (int c = 0; c < classes && distribution; c++)
            row[c] /= sum;
    }
    return data;
}

static reel_tensor leaf_of(reel_tape *tape, int rows, int classes, bool distribution)
{
    float *data = random_rows(rows, classes, distribution);
    reel_tensor leaf = data ? reel_variable(tape, REEL_SHAPE(rows, classes),
                                            reel_values_of(REEL_F32, data, (size_t)rows * (size_t)classes))
                            : REEL_NONE;
    free(data);
    return leaf;
}

static reel_tensor sparse_labels(reel_tape *tape, int rows, int classes)
{
    uint64_t state = 3;
    int32_t *label = malloc((size_t)rows * sizeof *label);
    for (int i = 0; label && i < rows; i++)
        label[i] = (int32_t)((bench_random(&state) + 1) / 2 * classes);
    reel_tensor leaf = label ? reel_constant(tape, REEL_SHAPE(rows), reel_values_of(REEL_I32, label, (size_t)rows))
                             : REEL_NONE;
    free(label);
    return leaf;
}

static bool start_xent(const struct bench_run *run, const struct bench_workload *w, struct bench_job *job)
{
    struct xent_job *x = job->data = calloc(1, sizeof *x);
    job->tape = reel_tape_new_with(.threads = run->threads);
    if (!x || !job->tape)
        return false;
    x->kind = w->kind;
    x->logits = leaf_of(job->tape, w->rows, w->classes, false);
    x->labels = w->kind == XENT_SPARSE ? sparse_labels(job->tape, w->rows, w->classes)
                                       : leaf_of(job->tape, w->rows, w->classes, true);
    if (w->kind == XENT_HVP)
        x->direction = leaf_of(job->tape, w->rows, w->classes, false);
    return bench_tape_job(run, job, w->kind == XENT_HVP ? record_hvp : record_loss);
}

#define XENT(kind_name, KIND, n, c) {"xent_" kind_name "_" #n "x" #c, BENCH_BOTH, start_xent, n, c, KIND}
#define XENT_SIZES(kind_name, KIND)                                                                  \
    XENT(kind_name, KIND, 128, 10), XENT(kind_name, KIND, 4096, 10), XENT(kind_name, KIND, 1024, 1000), \
        XENT(kind_name, KIND, 256, 50257)

const struct bench_workload bench_xent_workloads[] = {
    XENT_SIZES("v1", XENT_V1),
    XENT_SIZES("v2", XENT_V2),
    XENT_SIZES("sparse", XENT_SPARSE),
    {"hvp_1024x1000", BENCH_BOTH, start_xent, 1024, 1000, XENT_HVP},
    {0},
};
