/* What the parts of reel-bench share. */
#ifndef REEL_BENCH_H
#define REEL_BENCH_H

#include <reel.h>

/* How the program was called. */
struct bench_run {
    int  threads;
    bool json;
    bool replay;                                    /* the mode: replay a step, or record it       */
    bool rows;                                      /* the mode: perturb rows together, or elements */
};

/* One workload, set up: step() does one step. `data` is the job's own memory. */
struct bench_job {
    reel_tape *tape;
    void     (*step)(struct bench_job *job);
    void     (*stop)(struct bench_job *job);        /* frees what `data` points to; may be NULL    */
    reel_mark    mark;
    reel_section section;
    reel_tensor  needed;                            /* set by record(): replay what this takes, no more */
    void        *data;
    bool         replay;
    int          steps;                             /* in a round, so that it takes 20 ms or more  */
};

struct bench_workload {
    const char *name;
    unsigned    modes;
    bool      (*start)(const struct bench_run *run, const struct bench_workload *workload, struct bench_job *job);
    int         rows, classes;
    int         kind;
};

/* Bits of a workload's modes. */
enum { BENCH_RECORD = 1, BENCH_REPLAY = 2, BENCH_BOTH = 3, BENCH_ELEMENTS = 4, BENCH_ROWS = 8 };

/* Lists, each closed by a workload without a name. */
extern const struct bench_workload bench_xent_workloads[], bench_linear_workloads[], bench_tape_workloads[],
    bench_gradcheck_workloads[], bench_limit_workloads[];

double bench_seconds(void);                         /* a clock                                     */
void   bench_warm(struct bench_job *job);           /* runs for 50 ms or so, and sets `steps`      */
double bench_round(struct bench_job *job);          /* seconds a step, after a few that do not count */
double bench_median(struct bench_job *job);         /* of some rounds                              */
void   bench_job_free(struct bench_job *job);

/* Memory on huge pages where the system has them, so that no workload is a test of its page tables. */
void *bench_memory(size_t bytes);

/* Reproducible numbers in [-1, 1). */
double bench_random(uint64_t *state);

/* Runs record() between a mark and a rewind, or plays what it recorded once. */
bool bench_tape_job(const struct bench_run *run, struct bench_job *job, void (*record)(struct bench_job *job));

#endif
