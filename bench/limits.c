/* The machine's own limits: the bandwidth of a triad a = b + s c over arrays of each xent size (reported as the
 * seconds of one pass over three such arrays), and BLIS's best square product (seconds of one, 1024 x 1024). */
#include "bench/bench.h"

#include <stdlib.h>

enum { LIMIT_SQUARE = 1024 };

struct limit_job {
    int64_t n;
    float  *a, *b, *c;                              /* one piece of memory, a at its start          */
    reel_mark mark;
    reel_tensor x, y;
};

static void step_triad(struct bench_job *job)
{
    const struct limit_job *l = job->data;
    float *restrict a = l->a;
    const float *restrict b = l->b, *restrict c = l->c;
    for (int64_t i = 0; i < l->n; i++)
        a[i] = b[i] + 3 * c[i];
    __asm__ volatile("" ::: "memory");
}

static bool start_triad(const struct bench_run *run, const struct bench_workload *w, struct bench_job *job)
{
    (void)run;
    int64_t n = (int64_t)w->rows * w->classes, header = 64;
    struct limit_job *l = job->data = bench_memory((size_t)(header + 3 * n) * sizeof(float) + sizeof *l);
    if (!l)
        return false;
    l->n = n;
    l->a = (float *)l + (sizeof *l / sizeof(float) + 64) / 64 * 64;
    l->b = l->a + n;
    l->c = l->b + n;
    for (int64_t i = 0; i < 3 * n; i++)
        l->a[i] = 1;
    job->step = step_triad;
    return true;
}

static void step_product(struct bench_job *job)
{
    const struct limit_job *l = job->data;
    reel_matmul(l->x, l->y);
    reel_tape_rewind(job->tape, l->mark);
}

static bool start_product(const struct bench_run *run, const struct bench_workload *w, struct bench_job *job)
{
    (void)w;
    struct limit_job *l = job->data = calloc(1, sizeof *l);
    job->tape = reel_tape_new_with(.threads = run->threads);
    if (!l || !job->tape)
        return false;
    l->x = reel_random_uniform(job->tape, REEL_SHAPE(LIMIT_SQUARE, LIMIT_SQUARE), REEL_F32, -1, 1);
    l->y = reel_random_uniform(job->tape, REEL_SHAPE(LIMIT_SQUARE, LIMIT_SQUARE), REEL_F32, -1, 1);
    l->mark = reel_tape_mark(job->tape);
    job->step = step_product;
    return !reel_failed(job->tape);
}

const struct bench_workload bench_limit_workloads[] = {
    {"limit_copy_128x10", BENCH_RECORD, start_triad, 128, 10, 0},
    {"limit_copy_4096x10", BENCH_RECORD, start_triad, 4096, 10, 0},
    {"limit_copy_1024x1000", BENCH_RECORD, start_triad, 1024, 1000, 0},
    {"limit_copy_256x50257", BENCH_RECORD, start_triad, 256, 50257, 0},
    {"limit_gemm", BENCH_RECORD, start_product, 0, 0, 0},
    {0},
};
