/* reel-bench [--threads N] [--json] [WORKLOAD ...]
 *
 * Times what the peers are timed on. Each workload is warmed up, then measured in at least seven rounds of 20 ms
 * or more; the median round is quoted, in seconds a step. `record` records each step and rewinds it; `replay` plays
 * a step that was recorded once. bench/compare.py runs this program beside TensorFlow, PyTorch, JAX and ADOL-C.
 */
#include "bench/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct bench_workload *const workloads[] = {
    bench_xent_workloads, bench_linear_workloads, bench_tape_workloads, bench_limit_workloads,
};

static bool wanted(const char *name, int count, char **names)
{
    for (int i = 0; i < count; i++)
        if (!strcmp(names[i], name))
            return true;
    return count == 0;
}

static void report(const struct bench_run *run, const char *name, const char *mode, double seconds)
{
    if (run->json)
        printf("{\"peer\":\"reel\",\"workload\":\"%s\",\"mode\":\"%s\",\"threads\":%d,\"sec\":%.9g}\n", name, mode,
               run->threads, seconds);
    else
        printf("%-22s %-8s %12.3f us\n", name, mode, seconds * 1e6);
    fflush(stdout);
}

/* A workload that cannot be set up says so and fails the program. */
static bool measure(struct bench_run *run, const struct bench_workload *workload)
{
    static const char *const mode_name[] = {"record", "replay"};
    for (int mode = 0; mode < 2; mode++) {
        if (!(workload->modes >> mode & 1))
            continue;
        run->replay = mode == 1;
        struct bench_job job = {0};
        if (!workload->start(run, workload, &job)) {
            fprintf(stderr, "%s (%s): %s\n", workload->name, mode_name[mode], job.tape ? reel_error_message(job.tape) : "no memory");
            bench_job_free(&job);
            return false;
        }
        double seconds = bench_median(&job);
        bool failed = job.tape && reel_failed(job.tape);
        if (failed)
            fprintf(stderr, "%s (%s): %s\n", workload->name, mode_name[mode], reel_error_message(job.tape));
        else
            report(run, workload->name, mode_name[mode], seconds);
        bench_job_free(&job);
        if (failed)
            return false;
    }
    return true;
}

static int usage(const char *program)
{
    fprintf(stderr, "usage: %s [--threads N] [--json] [WORKLOAD ...]\nworkloads:\n", program);
    for (size_t i = 0; i < sizeof workloads / sizeof *workloads; i++)
        for (const struct bench_workload *w = workloads[i]; w->name; w++)
            fprintf(stderr, "  %s\n", w->name);
    return 2;
}

static bool known(const char *name)
{
    for (size_t i = 0; i < sizeof workloads / sizeof *workloads; i++)
        for (const struct bench_workload *w = workloads[i]; w->name; w++)
            if (!strcmp(w->name, name))
                return true;
    return false;
}

int main(int count, char **arguments)
{
    struct bench_run run = {.threads = 1};
    int names = 0;
    for (int i = 1; i < count; i++)
        if (!strcmp(arguments[i], "--json"))
            run.json = true;
        else if (!strcmp(arguments[i], "--threads") && i + 1 < count && atoi(arguments[i + 1]) > 0)
            run.threads = atoi(arguments[++i]);
        else if (known(arguments[i]))
            arguments[names++] = arguments[i];
        else
            return usage(arguments[0]);
    bool done = true;
    for (size_t i = 0; i < sizeof workloads / sizeof *workloads; i++)
        for (const struct bench_workload *w = workloads[i]; w->name; w++)
            if (wanted(w->name, names, arguments))
                done &= measure(&run, w);
    return done ? 0 : 1;
}
