/* reel-gradcheck [--order N] [--verbose] [--help] [OP ...]: checks the gradients of every op in the table,
 * or of those named, on their samples, and prints what the lab says.
 *
 * A line is one op: how many derivatives were compared with differences at each order, in f64, and how
 * many decimal digits of the gradient the smaller dtypes keep at worst. Samples that lie on a kink are
 * counted apart: there CANNOT TELL is the right answer. Exit status: 0 where all is well, 1 where
 * something fails or cannot be told, 2 for wrong usage, an unknown op included. */
#include "tools/op_samples.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct gradcheck_command {
    int    order;
    bool   verbose;
    char **op;                                      /* their names; none: all                      */
    int    ops;
};

struct gradcheck_tally {
    int64_t passed, undecided, failed, kinks;
    int     samples, broken;
    double  digits[REEL_DTYPES];
};

/* The outputs of a sample as one tensor: their weighted sum where there are several. */
static reel_tensor gradcheck_joined(const reel_tensor output[], int outputs)
{
    reel_tensor sum = output[0];
    for (int i = 0; i < outputs && outputs > 1; i++) {
        reel_tensor term = reel_affine(reel_sum(output[i]), 1 + i * 0.7, 0);
        sum = i ? reel_add(sum, term) : term;
    }
    return sum;
}

static void gradcheck_count(struct gradcheck_tally *tally, const reel_gradcheck_report *report, bool kink)
{
    tally->passed += report->passed;
    tally->failed += report->failed;
    *(kink ? &tally->kinks : &tally->undecided) += report->undecided;
}

/* On a sample that is said to be forward only, inputs that no gradient goes into at all are data beside
 * those that one goes into. */
static void gradcheck_drop_data(op_sample *sample, reel_tensor y)
{
    reel_tensor gradient[REEL_SAMPLE_INPUTS];
    reel_tensor wanted[REEL_SAMPLE_INPUTS];
    int kept = 0;
    reel_mark mark = reel_tape_mark(y.tape);
    if (!reel_gradient(y, reel_tensors_of(sample->x, (size_t)sample->xs), gradient, .upstream = y))
        return;
    for (int i = 0; i < sample->xs; i++) {
        reel_tensor largest = reel_max(reel_maximum(gradient[i], reel_neg(gradient[i])));
        if (reel_item(largest) != 0)
            wanted[kept++] = sample->x[i];
    }
    if (kept) {
        memcpy(sample->x, wanted, (size_t)kept * sizeof wanted[0]);
        sample->xs = kept;
    }
    reel_tape_rewind(y.tape, mark);
}

/* One sample in one dtype. A half dtype that an op refuses is no fault. */
static void gradcheck_sample(const struct gradcheck_command *command, const reel_op *op, int index,
                             reel_dtype dtype, struct gradcheck_tally *tally)
{
    reel_tape *tape = reel_tape_new();
    op_sample sample;
    reel_tensor output[OP_SAMPLE_OUTPUTS];
    int outputs = op_sample_make(&sample, tape, op, index, dtype)
                      ? op_sample_apply(&sample, op, sample.input, output) : 0;
    bool kink = op->samples[index].kink, small = dtype != REEL_F64;
    reel_tensor y = outputs ? gradcheck_joined(output, outputs) : REEL_NONE;
    if (outputs && kink)
        gradcheck_drop_data(&sample, y);
    if (outputs && sample.xs) {
        reel_gradcheck_report report = reel_gradcheck(y, reel_tensors_of(sample.x, (size_t)sample.xs),
                                                      .order = small ? 1 : command->order);
        if (!kink && !(tally->digits[dtype] <= report.digits) && !isnan(report.digits))
            tally->digits[dtype] = report.digits;
        if (!small)
            gradcheck_count(tally, &report, kink);
        tally->samples += !small;
        bool bad = report.verdict == REEL_FAIL || (!small && !kink && report.verdict != REEL_PASS);
        tally->failed += small && report.verdict == REEL_FAIL;
        if (command->verbose || bad) {
            printf("%s, sample %d (%s), %s\n", op->name, index, op->samples[index].note,
                   reel_dtype_name(dtype));
            fflush(stdout);
            reel_gradcheck_print(&report, NULL);
        }
    }
    if (reel_failed(tape) && (!small || outputs)) {
        printf("%s, sample %d: %s\n", op->name, index, reel_error_message(tape));
        tally->broken++;
    }
    reel_tape_free(tape);
    op_sample_free(&sample);
}

static bool gradcheck_is_varied(const reel_op *op, const reel_sample *sample)
{
    for (int i = 0; i < (sample->inputs ? sample->inputs : op->inputs); i++)
        if (sample->in[i].dtype == REEL_NO_DTYPE)
            return true;
    return false;
}

static void gradcheck_line(const reel_op *op, const struct gradcheck_tally *t)
{
    const char *verdict = t->failed ? "FAIL" : t->undecided ? "CANNOT TELL" : t->broken ? "ERROR" : "PASS";
    printf("%-24s %-11s %5d %9lld %7lld %7lld %6lld ", op->name, verdict, t->samples, (long long)t->passed,
           (long long)t->undecided, (long long)t->failed, (long long)t->kinks);
    for (reel_dtype dtype = REEL_F32; dtype >= REEL_F16; dtype--)
        if (isnan(t->digits[dtype]))
            printf("    -");
        else
            printf(" %4.1f", t->digits[dtype]);
    printf("\n");
}

/* False where the op is at fault. */
static bool gradcheck_op(const struct gradcheck_command *command, const reel_op *op)
{
    struct gradcheck_tally tally = {.digits = {NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN}};
    bool any = false;
    for (int i = 0; i < (int)op->sample_count; i++) {
        if (!op_sample_has_gradient(op, i))
            continue;
        any = true;
        gradcheck_sample(command, op, i, REEL_F64, &tally);
        for (reel_dtype dtype = REEL_F16; dtype <= REEL_F32 && gradcheck_is_varied(op, &op->samples[i]);
             dtype++)
            gradcheck_sample(command, op, i, dtype, &tally);
    }
    if (any)
        gradcheck_line(op, &tally);
    else
        printf("%-24s no gradient\n", op->name);
    return !tally.failed && !tally.undecided && !tally.broken;
}

static bool gradcheck_is_wanted(const struct gradcheck_command *command, const char *name)
{
    for (int i = 0; i < command->ops; i++)
        if (!strcmp(command->op[i], name))
            return true;
    return command->ops == 0;
}

static const char gradcheck_help[] =
    "usage: reel-gradcheck [--order N] [--verbose] [OP ...]\n"
    "Checks the gradients of all ops, or of those named, against finite differences.\n"
    "  --order N   up to this order of derivatives, 1 to 4 (default 2)\n"
    "  --verbose   the whole report of every call, not only of those at fault\n"
    "  --help      this text\n"
    "Exit status: 0 all is well; 1 a gradient is wrong or cannot be told; 2 wrong usage.\n";

static int gradcheck_wrong_usage(const char *why, const char *what)
{
    fprintf(stderr, "reel-gradcheck: %s%s\n%s", why, what, gradcheck_help);
    return 2;
}

static int gradcheck_read_order(struct gradcheck_command *command, const char *number)
{
    char *end;
    if (!number)
        return gradcheck_wrong_usage("--order needs a number", "");
    long order = strtol(number, &end, 10);
    if (end == number || *end || order < 1 || order > 4)
        return gradcheck_wrong_usage("the order must be 1 to 4, not ", number);
    command->order = (int)order;
    return 0;
}

static bool gradcheck_is_op(const char *name)
{
    for (size_t i = 0; i < reel_op_count(); i++)
        if (!strcmp(reel_op_in_table(i)->name, name))
            return true;
    return false;
}

/* 0, or the exit status. The names of ops are gathered at the front of argv. */
static int gradcheck_read_arguments(struct gradcheck_command *command, int argc, char **argv)
{
    int usage = 0;
    command->op = argv;
    for (int i = 1; i < argc && !usage; i++) {
        if (!strcmp(argv[i], "--verbose"))
            command->verbose = true;
        else if (!strcmp(argv[i], "--order"))
            usage = gradcheck_read_order(command, argv[++i]);
        else if (argv[i][0] == '-')
            usage = gradcheck_wrong_usage("unknown option ", argv[i]);
        else if (!gradcheck_is_op(argv[i]))
            usage = gradcheck_wrong_usage("no op has the name ", argv[i]);
        else
            command->op[command->ops++] = argv[i];
    }
    return usage;
}

static bool gradcheck_wants_help(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
            return true;
    return false;
}

int main(int argc, char **argv)
{
    if (gradcheck_wants_help(argc, argv))
        return fputs(gradcheck_help, stdout) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
    struct gradcheck_command command = {.order = 2};
    int usage = gradcheck_read_arguments(&command, argc, argv), checked = 0, bad = 0;
    if (usage)
        return usage;
    printf("%-24s %-11s %5s %9s %7s %7s %6s  %s\n", "op", "verdict", "calls", "pass", "cannot", "fail",
           "kinks", "digits: f32, bf16, f16");
    for (size_t i = 0; i < reel_op_count(); i++) {
        const reel_op *op = reel_op_in_table(i);
        if (!gradcheck_is_wanted(&command, op->name))
            continue;
        checked++;
        bad += !gradcheck_op(&command, op);
    }
    printf("%d ops, %d at fault\n", checked, bad);
    return bad ? EXIT_FAILURE : EXIT_SUCCESS;
}
