/* reel-bench [--threads N] [--json] [WORKLOAD ...]
 * reel-bench [--threads N] --serve
 *
 * Times what the peers are timed on. Each workload is warmed up, then measured in at least seven rounds of
 * 20 ms or more; the median round is quoted, in seconds a step. `record` records each step and rewinds it;
 * `replay` plays a step that was recorded once.
 *
 * With --serve it reads lines `run WORKLOAD` and answers each with one round of every mode, a line of JSON a
 * mode, and an empty line. So bench/compare.py takes turns between this program and its peers.
 */
#include "bench/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MODES = 4 };

static const char *const mode_name[MODES] = {"record", "replay", "elements", "rows"};

static const struct bench_workload *const workloads[] = {
    bench_xent_workloads,      bench_linear_workloads, bench_tape_workloads,
    bench_gradcheck_workloads, bench_limit_workloads,
};

static const struct bench_workload *find(const char *name)
{
    for (size_t i = 0; i < sizeof workloads / sizeof *workloads; i++)
        for (const struct bench_workload *w = workloads[i]; w->name; w++)
            if (!strcmp(w->name, name))
                return w;
    return NULL;
}

static bool wanted(const char *name, int count, char **names)
{
    for (int i = 0; i < count; i++)
        if (!strcmp(names[i], name))
            return true;
    return count == 0;
}

static void report(const struct bench_run *run, const char *name, int mode, double seconds)
{
    if (run->json)
        printf("{\"peer\":\"reel\",\"workload\":\"%s\",\"mode\":\"%s\",\"threads\":%d,\"sec\":%.9g}\n", name,
               mode_name[mode], run->threads, seconds);
    else
        printf("%-22s %-8s %12.3f us\n", name, mode_name[mode], seconds * 1e6);
    fflush(stdout);
}

static bool has(const struct bench_workload *workload, int mode)
{
    return workload->modes >> mode & 1;
}

/* A workload that cannot be set up or run says so, and fails the program. */
static bool complain(const struct bench_workload *workload, int mode, const struct bench_job *job)
{
    const char *why = !job->tape               ? "no memory"
                    : reel_failed(job->tape) ? reel_error_message(job->tape)
                                             : "a wrong result";
    fprintf(stderr, "%s (%s): %s\n", workload->name, mode_name[mode], why);
    return false;
}

static bool open_job(struct bench_run *run, const struct bench_workload *workload, int mode,
                     struct bench_job *job)
{
    *job = (struct bench_job){0};
    run->replay = 1 << mode == BENCH_REPLAY;
    run->rows = 1 << mode == BENCH_ROWS;
    if (!workload->start(run, workload, job))
        return complain(workload, mode, job);
    bench_warm(job);
    return true;
}

static bool time_job(const struct bench_run *run, const struct bench_workload *workload, int mode,
                     double (*seconds_of)(struct bench_job *job), struct bench_job *job)
{
    double seconds = seconds_of(job);
    if (job->tape && reel_failed(job->tape))
        return complain(workload, mode, job);
    report(run, workload->name, mode, seconds);
    return true;
}

static bool measure(struct bench_run *run, const struct bench_workload *workload)
{
    bool done = true;
    for (int mode = 0; mode < MODES && done; mode++) {
        if (!has(workload, mode))
            continue;
        struct bench_job job;
        done = open_job(run, workload, mode, &job) && time_job(run, workload, mode, bench_median, &job);
        bench_job_free(&job);
    }
    return done;
}

/* The workload that is served stays set up, until another one is asked for. */
struct served {
    const struct bench_workload *workload;
    struct bench_job             job[MODES];
};

static void serve_close(struct served *served)
{
    for (int mode = 0; mode < MODES && served->workload; mode++)
        if (has(served->workload, mode))
            bench_job_free(&served->job[mode]);
    *served = (struct served){0};
}

static bool serve_open(struct bench_run *run, const struct bench_workload *workload, struct served *served)
{
    serve_close(served);
    served->workload = workload;
    bool done = true;
    for (int mode = 0; mode < MODES && done; mode++)
        if (has(workload, mode))
            done = open_job(run, workload, mode, &served->job[mode]);
    return done;
}

static bool serve_round(struct bench_run *run, const char *name, struct served *served)
{
    const struct bench_workload *workload = find(name);
    bool done = workload && (workload == served->workload || serve_open(run, workload, served));
    for (int mode = 0; mode < MODES && done; mode++)
        if (has(workload, mode))
            done = time_job(run, workload, mode, bench_round, &served->job[mode]);
    if (done)
        puts("");
    fflush(stdout);
    return done;
}

static bool serve(struct bench_run *run)
{
    struct served served = {0};
    char line[128], name[64];
    bool done = true;
    while (done && fgets(line, sizeof line, stdin))
        done = sscanf(line, "run %63s", name) == 1 && serve_round(run, name, &served);
    serve_close(&served);
    return done;
}

static int usage(const char *program)
{
    fprintf(stderr, "usage: %s [--threads N] [--json | --serve] [WORKLOAD ...]\nworkloads:\n", program);
    for (size_t i = 0; i < sizeof workloads / sizeof *workloads; i++)
        for (const struct bench_workload *w = workloads[i]; w->name; w++)
            fprintf(stderr, "  %s\n", w->name);
    return 2;
}

int main(int count, char **arguments)
{
    struct bench_run run = {.threads = 1};
    int names = 0;
    bool serving = false, done = true;
    for (int i = 1; i < count; i++)
        if (!strcmp(arguments[i], "--json"))
            run.json = true;
        else if (!strcmp(arguments[i], "--serve"))
            run.json = serving = true;
        else if (!strcmp(arguments[i], "--threads") && i + 1 < count && atoi(arguments[i + 1]) > 0)
            run.threads = atoi(arguments[++i]);
        else if (find(arguments[i]))
            arguments[names++] = arguments[i];
        else
            return usage(arguments[0]);
    if (serving)
        return serve(&run) ? 0 : 1;
    for (size_t i = 0; i < sizeof workloads / sizeof *workloads; i++)
        for (const struct bench_workload *w = workloads[i]; w->name; w++)
            if (wanted(w->name, names, arguments))
                done &= measure(&run, w);
    return done ? 0 : 1;
}
