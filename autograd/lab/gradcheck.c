/* The check as it is called: what is asked for is looked over, the lab works above the tape's end, and the
 * tape is left as it was. */
#include "autograd/lab/lab.h"
#include "core/options.h"

#include <math.h>

static const double gradcheck_tolerance = 1e-6;

static bool gradcheck_fail(const reel_lab *lab, const char *text)
{
    return reel_tape_fail(lab->tape, lab->file, lab->line, "gradcheck", "%s", text);
}

static bool gradcheck_usable(const reel_lab *lab, const reel_gradcheck_options *o)
{
    if (!reel_usable(lab->file, lab->line, "gradcheck", o->y))
        return false;
    if (!o->xs.tensor || !o->xs.count)
        return gradcheck_fail(lab, "no xs");
    if (o->order < 0 || o->order > 16 || o->directions < 0 || !(o->tolerance >= 0))
        return gradcheck_fail(lab, "order must be 0 to 16, directions and tolerance not negative");
    for (size_t i = 0; i < o->xs.count; i++)
        if (!reel_usable_input(lab->tape, lab->file, lab->line, "gradcheck", (int)i + 1, o->xs.tensor[i]))
            return false;
    return true;
}

/* A replay that an op refused is no error of the caller's. */
static void gradcheck_forget_refusals(reel_tape *tape)
{
    if (tape->error == REEL_REPLAY_ERROR)
        tape->error = REEL_FINE;
}

reel_gradcheck_report reel_gradcheck_at(REEL_PLACE, const reel_gradcheck_options *options)
{
    reel_gradcheck_options o;
    reel_known_options(&o, sizeof o, options);
    reel_gradcheck_report report = reel_lab_no_report();
    reel_tape *tape = o.y.tape;
    reel_lab lab = {
        .tape = tape, .file = file, .line = line, .xs = (int)o.xs.count,
        .tolerance = o.tolerance ? o.tolerance : gradcheck_tolerance, .roundoff = 0x1p-53, .grid = REEL_F64,
        .directions = o.directions, .one_by_one = o.one_by_one, .no_blame = o.no_blame, .budget = INFINITY,
        .random = {.seed = o.seed},
    };
    if (reel_failed(tape) || !gradcheck_usable(&lab, &o))
        return report;
    reel_lab_open_report(&lab, &report, o.elements, o.element_room);
    reel_mark mark = reel_tape_mark(tape);
    bool done = reel_lab_levels(&lab, 1, reel_tensors_of(&o.y, 1), o.xs, o.order ? o.order : 1);
    gradcheck_forget_refusals(tape);
    reel_lab_close_report(&lab, done && !reel_failed(tape));
    reel_tape_rewind_at(file, line, tape, mark);
    return report;
}
