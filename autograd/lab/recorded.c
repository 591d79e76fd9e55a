/* Whether a recorded gradient is all of it on the tape. A VJP that computes numbers by itself and records
 * them as a constant gives the right gradient here, but one that does not follow when its inputs move:
 * replayed at other inputs it differs from the gradient that is recorded there. The gradient of such a
 * gradient misses those numbers, and differences of it miss them too, so that they must be looked for. */
#include "autograd/lab/lab.h"

#include <math.h>

/* Two recordings of one gradient agree to the last digits. */
static const double recorded_tolerance = 1e-9;

static void recorded_move(reel_lab *lab, bool back)
{
    for (size_t i = 0; i < lab->inputs; i++)
        for (int64_t e = 0; e < lab->input[i].count; e++) {
            const reel_lab_input *input = &lab->input[i];
            double step = input->scale[e] * (reel_random_uniform01(&lab->random) - 0.5) / 64;
            *reel_lab_element(input, e) = input->origin[e] + (back ? 0 : step);
        }
}

static bool recorded_replay(reel_lab *lab, reel_section gradients, bool *ran)
{
    *ran = reel_tape_replay_at(lab->file, lab->line, lab->whole) &&
           reel_tape_replay_at(lab->file, lab->line, gradients);
    return lab->tape->error != REEL_ERROR;
}

/* The element that differs most, if any does. */
static bool recorded_compare(reel_lab *lab, const reel_lab_input *input, reel_tensor replayed,
                             reel_tensor fresh, reel_finding *finding)
{
    double *a = reel_lab_get(lab, (size_t)input->count, sizeof *a);
    double *b = reel_lab_get(lab, (size_t)input->count, sizeof *b);
    if (!a || !b || !reel_read_f64_at(lab->file, lab->line, replayed, a, (size_t)input->count) ||
        !reel_read_f64_at(lab->file, lab->line, fresh, b, (size_t)input->count))
        return false;
    double largest = 0, worst = 0;
    for (int64_t e = 0; e < input->count; e++)
        largest = fmax(largest, isfinite(b[e]) ? fabs(b[e]) : 0);
    for (int64_t e = 0; e < input->count; e++) {
        double gap = fabs(a[e] - b[e]);
        if (!(gap > worst) || gap <= recorded_tolerance * largest)
            continue;
        worst = gap;
        *finding = (reel_finding){
            .verdict = REEL_FAIL, .order = lab->order + 1, .x = input->x, .name = input->name, .element = e,
            .analytic = a[e], .numeric = b[e], .ratio = a[e] / b[e], .recorded = a[e],
            .severity = gap / largest,
        };
    }
    return true;
}

/* `gradient` was recorded in nodes [first, end); it is recorded again elsewhere. */
bool reel_lab_is_all_recorded(reel_lab *lab, uint32_t first, const reel_tensor *upstream,
                              const reel_tensor *gradient,
                              bool (*record)(const reel_lab *lab, const reel_tensor *upstream,
                                             reel_tensor *gradient))
{
    reel_tape *tape = lab->tape;
    uint32_t end = tape->nodes;
    reel_tensor *fresh = reel_lab_get(lab, lab->inputs, sizeof *fresh);
    if (!fresh)
        return false;
    if (first == end)
        return true;
    reel_section section = {tape, first, end, end - 1, reel_node_at(tape, end - 1)->generation};
    bool ran, done = true;
    recorded_move(lab, false);
    if (!recorded_replay(lab, section, &ran))
        return false;
    reel_finding finding = {.verdict = REEL_PASS};
    if (ran && !record(lab, upstream, fresh))
        return false;
    for (size_t i = 0; ran && done && i < lab->inputs && finding.verdict == REEL_PASS; i++)
        done = recorded_compare(lab, &lab->input[i], gradient[i], fresh[i], &finding);
    recorded_move(lab, true);
    if (!done || !recorded_replay(lab, section, &ran))
        return false;
    if (finding.verdict != REEL_FAIL)
        return true;
    reel_lab_note(lab, &finding);
    lab->report->failed++;
    lab->report->cause = REEL_CAUSE_NOT_RECORDED;
    lab->guessed = INFINITY;
    return lab->no_blame || reel_lab_find_blame(lab, lab->order + 1);
}
