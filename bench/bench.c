/* Clock, rounds, medians, memory. */
#include "bench/bench.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum { BENCH_ROUNDS = 9 };

double bench_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static double seconds_of(struct bench_job *job, int steps)
{
    double start = bench_seconds();
    for (int i = 0; i < steps; i++)
        job->step(job);
    return (bench_seconds() - start) / steps;
}

void bench_warm(struct bench_job *job)
{
    double once = seconds_of(job, 1);
    for (double spent = once; spent < .05; spent += once)
        once = seconds_of(job, 1);
    job->steps = once < .02 ? (int)(.02 / once) + 1 : 1;
}

double bench_round(struct bench_job *job)
{
    seconds_of(job, (job->steps + 9) / 10);
    return seconds_of(job, job->steps);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_median(struct bench_job *job)
{
    double round[BENCH_ROUNDS];
    for (int i = 0; i < BENCH_ROUNDS; i++)
        round[i] = bench_round(job);
    qsort(round, BENCH_ROUNDS, sizeof *round, by_size);
    return round[BENCH_ROUNDS / 2];
}

void bench_job_free(struct bench_job *job)
{
    reel_tape_free(job->tape);
    if (job->stop)
        job->stop(job);
    free(job->data);
}

void *bench_memory(size_t bytes)
{
    size_t huge = 2 << 20, size = (bytes + huge - 1) / huge * huge;
    void *memory = aligned_alloc(huge, size ? size : huge);
    if (memory)
        madvise(memory, size, MADV_HUGEPAGE);
    return memory;
}

double bench_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;     /* Knuth's MMIX generator */
    return (double)(*state >> 33) / (double)(1u << 30) - 1;
}

struct tape_job {
    void (*record)(struct bench_job *job);
};

static void step_replayed(struct bench_job *job)
{
    reel_tape_replay(job->section);
}

static void step_recorded(struct bench_job *job)
{
    ((struct tape_job *)job->data)->record(job);
    reel_tape_rewind(job->tape, job->mark);
}

/* A job's own data begins with a struct tape_job. */
bool bench_tape_job(const struct bench_run *run, struct bench_job *job, void (*record)(struct bench_job *job))
{
    ((struct tape_job *)job->data)->record = record;
    job->mark = reel_tape_mark(job->tape);
    job->step = step_recorded;
    if (run->replay) {
        record(job);
        job->section = reel_tape_section(job->mark, reel_tape_mark(job->tape));
        if (job->needed.tape)
            job->section = reel_section_prune(job->section, REEL_TENSORS(job->needed));
        job->step = step_replayed;
    }
    return !reel_failed(job->tape);
}
