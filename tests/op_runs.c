/* Checks that an op and its gradients give the same bits however they are run: again, on more threads,
 * rewound, replayed, through views, re-recorded in f64, and with each allocation failing in turn.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/op_checks.h"

#include <stdlib.h>
#include <string.h>

/* The outputs, a gradient into each input, and for each of those a gradient into each input and upstream. */
enum { RUNS_RESULTS = TEST_OUTPUTS + REEL_SAMPLE_INPUTS * (1 + REEL_SAMPLE_INPUTS + TEST_OUTPUTS) };

/* An op on a tape, with what was computed from it. */
typedef struct runs_recording {
    reel_tensor  in[REEL_SAMPLE_INPUTS], direction[REEL_SAMPLE_INPUTS], upstream[TEST_OUTPUTS];
    reel_tensor  out[TEST_OUTPUTS], gradient[REEL_SAMPLE_INPUTS];
    reel_tensor  result[RUNS_RESULTS];              /* all of the above that was computed          */
    int          results;
    reel_section section;                           /* the records between the leaves and the end  */
} runs_recording;

/* What the results hold. */
typedef struct runs_bits {
    int    count;
    void  *bytes[RUNS_RESULTS];
    size_t size[RUNS_RESULTS];
} runs_bits;


/* ---- Bits ---------------------------------------------------------------------------------------- */

static void runs_bits_free(runs_bits *bits)
{
    for (int i = 0; i < bits->count; i++)
        free(bits->bytes[i]);
    bits->count = 0;
}

static runs_bits runs_read(const reel_tensor result[], int results)
{
    runs_bits bits = {.count = results};
    for (int i = 0; i < results; i++) {
        int64_t count = reel_count(result[i]);
        bits.size[i] = (size_t)(count > 0 ? count : 0) * reel_dtype_size(reel_dtype_of(result[i]));
        bits.bytes[i] = calloc(bits.size[i] + 1, 1);
        if (count < 0 || !reel_read(result[i], bits.bytes[i], bits.size[i]))
            bits.size[i] = (size_t)-1;
    }
    return bits;
}

/* Compares, and frees `got`. */
static void runs_compare(const test_case *c, const char *what, const runs_bits *want, runs_bits got,
                         test_report *report)
{
    if (want->count != got.count)
        test_complain(report, "%s: %s: %d results, not %d", c->label, what, got.count, want->count);
    for (int i = 0; i < got.count && i < want->count; i++) {
        if (got.size[i] == (size_t)-1)
            test_complain(report, "%s: %s: result %d cannot be read", c->label, what, i);
        else if (got.size[i] != want->size[i] || memcmp(got.bytes[i], want->bytes[i], got.size[i]) != 0)
            test_complain(report, "%s: %s: other bits in result %d", c->label, what, i);
    }
    runs_bits_free(&got);
}


/* ---- Recording ----------------------------------------------------------------------------------- */

static void runs_leaves(const test_case *c, reel_tape *tape, runs_recording *r)
{
    memset(r, 0, sizeof *r);
    test_case_wrap(c, tape, r->in);
    for (int i = 0; i < c->inputs; i++)
        if (c->direction[i].memory)
            r->direction[i] = test_wrap(tape, &c->direction[i], false);
    for (int o = 0; o < c->op->outputs; o++)
        if (c->upstream[o].memory)
            r->upstream[o] = test_wrap(tape, &c->upstream[o], true);
}

static void runs_second(const test_case *c, runs_recording *r, int of)
{
    reel_tensor x[REEL_SAMPLE_INPUTS + TEST_OUTPUTS];
    size_t count = 0;
    for (int i = 0; i < c->inputs; i++)
        if (test_case_wants(c, i))
            x[count++] = r->in[i];
    for (int o = 0; o < c->op->outputs; o++)
        if (r->upstream[o].tape)
            x[count++] = r->upstream[o];
    reel_tensor inner = reel_sum(reel_mul(r->gradient[of], r->direction[of]));
    reel_gradient(inner, reel_tensors_of(x, count), &r->result[r->results]);
    r->results += (int)count;
}

static void runs_gradients(const test_case *c, runs_recording *r, bool second)
{
    test_case_gradient(c, r->in, r->out, r->upstream, r->gradient);
    for (int i = 0; i < c->inputs; i++)
        if (test_case_wants(c, i))
            r->result[r->results++] = r->gradient[i];
    for (int i = 0; i < c->inputs && second; i++)
        if (test_case_wants(c, i))
            runs_second(c, r, i);
}

/* The op on the leaves of `r`, and its gradients. */
static void runs_record(const test_case *c, reel_tape *tape, runs_recording *r, bool second)
{
    r->results = 0;
    reel_mark from = reel_tape_mark(tape);
    test_case_apply(c, r->in, r->out);
    for (int o = 0; o < c->outputs; o++)
        r->result[r->results++] = r->out[o];
    if (test_case_has_gradient(c))
        runs_gradients(c, r, second);
    if (!reel_failed(tape))
        r->section = reel_tape_section(from, reel_tape_mark(tape));
}

/* The plain run that all others are compared with: on a tape of its own, with one thread. */
static runs_bits runs_plain_with(test_case *c, int threads, test_report *report)
{
    reel_tape *tape = reel_tape_new_with(.threads = threads);
    runs_recording r;
    runs_leaves(c, tape, &r);
    runs_record(c, tape, &r, true);
    if (reel_failed(tape))
        test_complain(report, "%s: %s", c->label, reel_error_message(tape));
    runs_bits bits = runs_read(r.result, r.results);
    reel_tape_free(tape);
    test_case_restore(c);
    return bits;
}

static runs_bits runs_plain(test_case *c, test_report *report)
{
    return runs_plain_with(c, 1, report);
}


/* ---- Again, and on more threads ------------------------------------------------------------------ */

static void runs_rewound(test_case *c, const runs_bits *want, test_report *report)
{
    reel_tape *tape = reel_tape_new();
    runs_recording r;
    runs_leaves(c, tape, &r);
    reel_mark start = reel_tape_mark(tape);
    for (int round = 0; round < 3; round++) {
        runs_record(c, tape, &r, true);
        runs_compare(c, "recorded after a rewind", want, runs_read(r.result, r.results), report);
        reel_tape_rewind(tape, start);
        test_case_restore(c);
    }
    reel_tape_free(tape);
}

static void runs_repeated(test_case *c, test_report *report)
{
    runs_bits want = runs_plain(c, report);
    runs_compare(c, "run again", &want, runs_plain(c, report), report);
    for (int threads = 2; threads <= 3; threads++)
        runs_compare(c, threads == 2 ? "2 threads" : "3 threads", &want, runs_plain_with(c, threads, report),
                     report);
    runs_rewound(c, &want, report);
    runs_bits_free(&want);
}

void test_op_repeated(const reel_op *op, test_report *report)
{
    test_each_case(op, report, runs_repeated);
}


/* ---- Replayed ------------------------------------------------------------------------------------ */

static void runs_replay(test_case *c, runs_recording *r, reel_section section, const runs_bits *want,
                        const char *what, test_report *report)
{
    if (!reel_tape_replay(section))
        test_complain(report, "%s: %s: %s", c->label, what, reel_error_message(section.tape));
    runs_compare(c, what, want, runs_read(r->result, r->results), report);
    test_case_restore(c);
}

/* Recorded with some values, replayed with others and then with the first ones again: each time what a
 * recording gives. */
static void runs_replayed(test_case *c, test_report *report)
{
    uint64_t seed = test_hash(c->label);
    runs_bits first = runs_plain(c, report);
    reel_tape *tape = reel_tape_new();
    runs_recording r;
    runs_leaves(c, tape, &r);
    runs_record(c, tape, &r, true);
    test_case_fill(c, seed + 7);
    runs_bits other = runs_plain(c, report);
    runs_replay(c, &r, r.section, &other, "replayed with other values", report);
    test_case_fill(c, seed);
    runs_replay(c, &r, r.section, &first, "replayed with the first values", report);
    reel_section pruned = reel_section_prune(r.section, reel_tensors_of(r.result, (size_t)r.results));
    test_case_fill(c, seed + 7);
    runs_replay(c, &r, pruned, &other, "pruned and replayed with other values", report);
    test_case_fill(c, seed);
    reel_tape_free(tape);
    runs_bits_free(&first);
    runs_bits_free(&other);
}

void test_op_replayed(const reel_op *op, test_report *report)
{
    test_each_case(op, report, runs_replayed);
}


/* ---- Re-recorded in f64 -------------------------------------------------------------------------- */

static void runs_promoted(test_case *c, test_report *report)
{
    test_case twin;
    test_case_promote(&twin, c);
    runs_bits want = runs_plain(&twin, report);
    reel_tape *tape = reel_tape_new();
    runs_recording r;
    runs_leaves(c, tape, &r);
    runs_record(c, tape, &r, true);
    test_case_restore(c);
    reel_section in_f64 = reel_section_in_f64(r.section);
    for (int i = 0; i < r.results; i++)
        r.result[i] = reel_counterpart(in_f64, r.result[i]);
    if (reel_failed(tape))
        test_complain(report, "%s: re-recorded in f64: %s", c->label, reel_error_message(tape));
    runs_compare(c, "re-recorded in f64", &want, runs_read(r.result, r.results), report);
    for (int i = 0; i < c->inputs; i++)
        if (!test_case_unchanged(c, i))
            test_complain(report, "%s: re-recorded in f64: input %d was written", c->label, i);
    if (!reel_tape_replay(in_f64))
        test_complain(report, "%s: the f64 section's replay: %s", c->label, reel_error_message(tape));
    reel_tape_free(tape);
    runs_bits_free(&want);
    test_case_close(&twin);
}

void test_op_promoted(const reel_op *op, test_report *report)
{
    test_each_case(op, report, runs_promoted);
}


/* ---- Through views ------------------------------------------------------------------------------- */

/* The same layout as a view of a contiguous leaf that holds the same memory. */
static reel_tensor runs_view(reel_tape *tape, const test_buffer *buffer, enum reel_layout layout)
{
    reel_shape shape = buffer->shape;
    reel_tensor x = test_wrap(tape, buffer, true);
    if (shape.rank == 0 || test_count(shape) == 0 || layout == REEL_CONTIGUOUS || layout == REEL_EVERY_OTHER)
        return x;
    test_buffer base = *buffer;
    base.first = base.memory;
    if (layout == REEL_TRANSPOSED && shape.rank >= 2) {
        base.shape.size[shape.rank - 1] = shape.size[shape.rank - 2];
        base.shape.size[shape.rank - 2] = shape.size[shape.rank - 1];
        base.strides[shape.rank - 1] = buffer->strides[shape.rank - 2];
        base.strides[shape.rank - 2] = buffer->strides[shape.rank - 1];
        return reel_transpose(test_wrap(tape, &base, true));
    }
    if (layout == REEL_STRETCHED) {
        base.shape.size[0] = 1;
        return reel_broadcast(test_wrap(tape, &base, true), shape);
    }
    for (int axis = 0; axis < shape.rank; axis++)
        base.strides[axis] = -buffer->strides[axis];
    x = test_wrap(tape, &base, true);
    for (int axis = 0; axis < shape.rank; axis++)
        x = reel_slice(x, axis, REEL_END, REEL_END, -1);
    return x;
}

static void runs_viewed(test_case *c, test_report *report)
{
    if (c->op->writes)
        return;
    runs_bits want = runs_plain(c, report);
    reel_tape *tape = reel_tape_new();
    runs_recording r;
    runs_leaves(c, tape, &r);
    for (int i = 0; i < c->inputs; i++)
        if (reel_dtype_is_float(c->in[i].dtype))
            r.in[i] = runs_view(tape, &c->in[i], c->sample->in[i].layout);
    runs_record(c, tape, &r, true);
    if (reel_failed(tape))
        test_complain(report, "%s: through views: %s", c->label, reel_error_message(tape));
    runs_compare(c, "through views", &want, runs_read(r.result, r.results), report);
    reel_tape_free(tape);
    runs_bits_free(&want);
}

void test_op_viewed(const reel_op *op, test_report *report)
{
    test_each_case(op, report, runs_viewed);
}


/* ---- Each allocation failing --------------------------------------------------------------------- */

/* Records on a tape whose request number `fail_at` fails, then once more with memory back. False when
 * there was no such request. */
static bool runs_starved(test_case *c, const runs_bits *want, uint64_t fail_at, bool fail_on, bool second,
                         test_report *report)
{
    test_memory memory = {.fail_at = fail_at, .fail_on = fail_on};
    reel_tape *tape = test_tape_on(&memory, .each_request = true);
    reel_mark start = tape ? reel_tape_mark(tape) : (reel_mark){0};
    runs_recording r;
    if (tape) {
        runs_leaves(c, tape, &r);
        runs_record(c, tape, &r, second);
        runs_bits got = runs_read(r.result, r.results);
        if (!reel_failed(tape))
            runs_compare(c, "with a failed allocation", want, got, report);
        else
            runs_bits_free(&got);
        if (reel_failed(tape) && !strstr(reel_error_message(tape), "memory"))
            test_complain(report, "%s: request %llu fails: \"%s\"", c->label, (unsigned long long)fail_at,
                          reel_error_message(tape));
        memory.fail_at = 0;
        test_case_restore(c);
        if (!reel_tape_rewind(tape, start) || (reel_failed(tape) && !reel_error_clear(tape)))
            test_complain(report, "%s: request %llu fails: the error stays", c->label,
                          (unsigned long long)fail_at);
        runs_leaves(c, tape, &r);
        runs_record(c, tape, &r, second);
        runs_compare(c, "with memory back", want, runs_read(r.result, r.results), report);
        test_case_restore(c);
    }
    bool refused = memory.refused > 0;
    reel_tape_free(tape);
    test_memory_check(&memory, report);
    return refused;
}

/* Second order for an op's first sample only: its allocations are those of the same ops again. */
static void runs_memory(test_case *c, test_report *report)
{
    bool second = c->sample == c->op->samples;
    if (c->dtype != REEL_F32 && test_sample_varies(c->op, c->sample))
        return;
    reel_tape *tape = reel_tape_new();
    runs_recording r;
    runs_leaves(c, tape, &r);
    runs_record(c, tape, &r, second);
    runs_bits want = runs_read(r.result, r.results);
    reel_tape_free(tape);
    test_case_restore(c);
    for (int fail_on = 0; fail_on <= 1; fail_on++)
        for (uint64_t request = 1; runs_starved(c, &want, request, fail_on, second, report); request++)
            if (report->failures)
                break;
    runs_bits_free(&want);
}

void test_op_memory(const reel_op *op, test_report *report)
{
    test_each_case(op, report, runs_memory);
}
