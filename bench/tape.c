/* chain_1000: scalars in f64, 500 times y = y a, y = y + b; forward and the gradient into a and b. */
#include "bench/bench.h"

#include <stdlib.h>

enum { TAPE_LINKS = 500 };

struct chain_job {
    void      (*record)(struct bench_job *job);     /* first: see bench_tape_job()                 */
    reel_tensor a, b;
};

static void record_chain(struct bench_job *job)
{
    const struct chain_job *c = job->data;
    reel_tensor y = c->a, gradients[2];
    for (int i = 0; i < TAPE_LINKS; i++) {
        y = reel_mul(y, c->a);
        y = reel_add(y, c->b);
    }
    reel_gradient(y, REEL_TENSORS(c->a, c->b), gradients, .final = true);
}

static bool start_chain(const struct bench_run *run, const struct bench_workload *w, struct bench_job *job)
{
    (void)w;
    struct chain_job *c = job->data = calloc(1, sizeof *c);
    job->tape = reel_tape_new_with(.threads = run->threads);
    if (!c || !job->tape)
        return false;
    c->a = reel_variable(job->tape, REEL_SHAPE(), REEL_F64_VALUES(.999));
    c->b = reel_variable(job->tape, REEL_SHAPE(), REEL_F64_VALUES(.001));
    return bench_tape_job(run, job, record_chain);
}

const struct bench_workload bench_tape_workloads[] = {
    {"chain_1000", BENCH_BOTH, start_chain, 0, 0, 0},
    {0},
};
