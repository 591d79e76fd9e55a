/* What the parts of reel-bench share. */
#ifndef REEL_BENCH_H
#define REEL_BENCH_H

#include <reel.h>

/* How the program was called. */
struct bench_run {
    int  threads;
    bool json, replay;
};

/* One workload, set up: step() does one step. `data` is the job's own memory. */
struct bench_job {
    reel_tape *tape;
    void     (*step)(struct bench_job *job);
    void     (*stop)(struct bench_job *job);        /* frees what `data` points to; may be NULL    */
    reel_mark    mark;
    reel_section section;
    void        *data;
    bool         replay;
};

struct bench_workload {
    const char *name;
    unsigned    modes;                              /* bit 0: record, bit 1: replay                */
    bool      (*start)(const struct bench_run *run, const struct bench_workload *workload, struct bench_job *job);
    int         rows, classes;
    int         kind;
};

enum { BENCH_RECORD = 1, BENCH_REPLAY = 2, BENCH_BOTH = 3 };

/* Lists, each closed by a workload without a name. */
extern const struct bench_workload bench_xent_workloads[], bench_linear_workloads[], bench_tape_workloads[],
    bench_limit_workloads[];

double bench_seconds(void);                         /* a clock                                     */
double bench_median(struct bench_job *job);         /* seconds a step                              */
void   bench_job_free(struct bench_job *job);

/* Memory on huge pages where the system has them, so that no workload is a test of its page tables. */
void *bench_memory(size_t bytes);

/* Reproducible numbers in [-1, 1). */
double bench_random(uint64_t *state);

/* Runs record() between a mark and a rewind, or plays what it recorded once. */
bool bench_tape_job(const struct bench_run *run, struct bench_job *job, void (*record)(struct bench_job *job));

#endif
