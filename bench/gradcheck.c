/* gradcheck_32x10: the full check of the unreduced v2 loss in f64, 32 rows of 10 classes, into the logits and
 * the labels: 640 derivatives. Mode `rows` perturbs the rows together, since each row's loss depends on that
 * row alone; mode `elements` perturbs one element at a time. */
#include "bench/bench.h"

#include <stdlib.h>

enum { GRADCHECK_ROWS = 32, GRADCHECK_CLASSES = 10 };

struct gradcheck_job {
    reel_tensor logits, labels, loss;
    bool        one_by_one;
};

static reel_gradcheck_report gradcheck(const struct bench_job *job)
{
    const struct gradcheck_job *g = job->data;
    return reel_gradcheck(g->loss, REEL_TENSORS(g->logits, g->labels), .one_by_one = g->one_by_one);
}

static void step_gradcheck(struct bench_job *job)
{
    gradcheck(job);
}

static bool start_gradcheck(const struct bench_run *run, const struct bench_workload *w,
                            struct bench_job *job)
{
    (void)w;
    struct gradcheck_job *g = job->data = calloc(1, sizeof *g);
    reel_tape *tape = job->tape = reel_tape_new_with(.threads = run->threads);
    if (!g || !tape)
        return false;
    reel_shape shape = REEL_SHAPE(GRADCHECK_ROWS, GRADCHECK_CLASSES);
    g->one_by_one = !run->rows;
    g->logits = reel_random_uniform(tape, shape, REEL_F64, -3, 3);
    g->labels = reel_softmax(reel_random_uniform(tape, shape, REEL_F64, -1, 1), -1);
    g->loss = reel_softmax_cross_entropy_with_logits(.labels = g->labels, .logits = g->logits);
    job->step = step_gradcheck;
    return gradcheck(job).verdict == REEL_PASS;
}

const struct bench_workload bench_gradcheck_workloads[] = {
    {"gradcheck_32x10", BENCH_ELEMENTS | BENCH_ROWS, start_gradcheck, GRADCHECK_ROWS, GRADCHECK_CLASSES, 0},
    {0},
};
