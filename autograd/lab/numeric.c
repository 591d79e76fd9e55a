/* Derivatives by differences, with error bars, and what they say of an analytic one.
 *
 * With y taken a step h up and a step h down,
 *
 *     slope(h) = (y(x+h) - y(x-h)) / 2h = y' + O(h^2)
 *     jump(h)  = right slope - left slope = h y'' + O(h^3)
 *
 * Slopes at halved steps are extrapolated to h = 0, and of all extrapolations the one that agrees best
 * with its neighbours is taken; how far it does not agree is its error bar (C. J. F. Ridders, "Accurate
 * computation of F'(x) and F'(x) F''(x)", Advances in Engineering Software 4, 1982). The noise of y is
 * measured: second differences at steps so small that they would be 0 without it (after J. J. More, S. M.
 * Wild, "Estimating computational noise", SIAM J. Sci. Comput. 33, 2011).
 *
 * Where the jump does not go to 0 with h there is no derivative. A few kinks nearby can look like a smooth
 * function of another slope, so nothing is called wrong, or a kink, before it looks the same at much
 * smaller steps. */
#include "autograd/lab/lab.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { NUMERIC_ORDERS = 7, NUMERIC_FIRST = 2, NUMERIC_LAST = 46, NUMERIC_DEPTHS = 3 };

/* An error bar of this part of a derivative still shows a mistake of one in a hundred. */
static const double numeric_resolution = 1e-3;
/* A derivative is 0 to the last digit where it changes y by no more than this part over a whole scale of
 * x; and what is no more than this part of the values between x and y may be their rounding. */
static const double numeric_zero = 0x1p-43;

struct numeric_slope {
    double step;
    double value, jump;                             /* of one pair of steps                        */
    double noise;                                   /* of the value; the jump has twice as much    */
};

struct numeric_table {
    int    rows;
    double row[NUMERIC_ORDERS];
    double best, error, noise;                      /* the noise of the best entry alone           */
    double jump[2];                                 /* the last one, and its last extrapolation    */
    int    jumps;
    double best_jump, jump_error;
};

struct numeric_search {
    reel_lab             *lab;
    const reel_lab_probe *probe;
    double                analytic, slack, scale, sigma, size;
    struct numeric_table  table;
    int                   level;
    bool                  deep_done;
    int                   depths;
    struct numeric_slope  deep[NUMERIC_DEPTHS];     /* at much smaller steps                       */
    bool                  refused, not_finite;
};

static double numeric_top(double a, double b)
{
    return fmax(fabs(a), fabs(b));
}

static struct numeric_slope numeric_slope_of(const reel_lab_rise *rise, double sigma)
{
    return (struct numeric_slope){
        .value = (rise->above + rise->below) / (rise->up + rise->down),
        .jump = rise->above / rise->up - rise->below / rise->down,
        .noise = 4 * sigma / (rise->up + rise->down),
    };
}

/* Both are as good as 0: over a whole scale of x they would change the last digit of y, or of what the
 * tensor's other elements do to it. */
static bool numeric_is_zero(const reel_lab *lab, const reel_lab_input *input, double analytic, double numeric,
                            double error, double scale, double size)
{
    double limit = numeric_zero * fmax(size, fmax(input->reach, lab->natural));
    return fabs(analytic) * scale <= limit && fabs(numeric) * scale <= limit + error * scale;
}

/* ---- One pair of steps, or two --------------------------------------------------------------------- */

static bool numeric_usable(const reel_lab_rise *rise)
{
    return rise->finite && rise->up > 0 && rise->down > 0;
}

/* Of one pair: the slopes of both sides are `jump` apart, and half of that is the error bar. */
static struct numeric_slope numeric_pair(const reel_lab_rise *rise, double sigma, reel_lab_answer *answer)
{
    struct numeric_slope slope = numeric_slope_of(rise, sigma);
    answer->numeric = slope.value;
    answer->error = fabs(slope.jump) / 2 + slope.noise;
    return slope;
}

/* Of two: slope and jump are extrapolated to a step of 0. */
static struct numeric_slope numeric_two_pairs(const reel_lab_rise rise[2], double sigma,
                                              reel_lab_answer *answer)
{
    struct numeric_slope wide = numeric_slope_of(&rise[0], sigma), narrow = numeric_slope_of(&rise[1], sigma);
    double correction = (narrow.value - wide.value) / 3;
    narrow.value += correction;
    narrow.jump = 2 * narrow.jump - wide.jump;
    answer->numeric = narrow.value;
    answer->error = fabs(correction) + narrow.noise;
    return narrow;
}

bool reel_lab_quick(const reel_lab *lab, const reel_lab_input *input, int64_t element,
                    const reel_lab_rise rise[2], int pairs, reel_lab_answer *answer)
{
    double analytic = input->analytic[element], scale = input->scale[element];
    const reel_lab_rise *last = &rise[pairs - 1];
    if (!numeric_usable(&rise[0]) || !numeric_usable(last) || !isfinite(analytic))
        return false;
    double sigma = 4 * lab->roundoff * last->moved;
    struct numeric_slope slope =
        pairs == 1 ? numeric_pair(last, sigma, answer) : numeric_two_pairs(rise, sigma, answer);
    double top = numeric_top(analytic, slope.value), gap = fabs(analytic - slope.value);
    answer->verdict = REEL_PASS;
    answer->doubt = REEL_NO_DOUBT;
    if (fabs(slope.jump) > lab->tolerance * top + 8 * slope.noise)
        return false;
    return numeric_is_zero(lab, input, analytic, slope.value, 2 * slope.noise, scale, last->size) ||
           (slope.noise <= numeric_resolution * top && answer->error - slope.noise <= 0.01 * top &&
            gap <= lab->tolerance * top + 2 * slope.noise);
}

/* ---- Many steps ------------------------------------------------------------------------------------ */

static void numeric_start(struct numeric_table *table)
{
    *table = (struct numeric_table){.best = NAN, .error = INFINITY, .best_jump = NAN, .jump_error = INFINITY};
}

static void numeric_add_slope(struct numeric_table *table, const struct numeric_slope *slope)
{
    double row[NUMERIC_ORDERS] = {slope->value}, power = 4;
    int orders = table->rows < NUMERIC_ORDERS - 1 ? table->rows : NUMERIC_ORDERS - 1;
    for (int j = 1; j <= orders; j++, power *= 4) {
        row[j] = row[j - 1] + (row[j - 1] - table->row[j - 1]) / (power - 1);
        double error = fmax(fabs(row[j] - row[j - 1]), fabs(row[j] - table->row[j - 1])) + 2 * slope->noise;
        if (error < table->error) {
            table->error = error;
            table->best = row[j];
            table->noise = slope->noise;
        }
    }
    memcpy(table->row, row, sizeof row);
    table->rows = orders + 1;
}

/* The jump at a step of 0, from the last two. */
static void numeric_add_jump(struct numeric_table *table, const struct numeric_slope *slope)
{
    double limit = 2 * slope->jump - table->jump[0];
    double error = fabs(limit - table->jump[1]) + 8 * slope->noise;
    if (table->jumps >= 2 && error < table->jump_error) {
        table->jump_error = error;
        table->best_jump = limit;
    }
    table->jump[0] = slope->jump;
    table->jump[1] = limit;
    table->jumps++;
}

/* False: nothing can be said of this step, or the tape has an error (REEL_LAB_BROKEN). */
static bool numeric_sample(struct numeric_search *s, double step, struct numeric_slope *slope,
                           enum reel_lab_run *run)
{
    reel_lab_rise rise;
    *run = reel_lab_rises(s->lab, s->probe, step, &rise);
    s->refused |= *run == REEL_LAB_REFUSED;
    if (*run != REEL_LAB_RAN)
        return false;
    s->not_finite |= !rise.finite;
    if (!numeric_usable(&rise))
        return false;
    s->size = rise.size;
    *slope = numeric_slope_of(&rise, fmax(s->sigma, 2 * s->lab->roundoff * rise.moved));
    slope->step = step;
    return true;
}

/* Second differences at tiny steps are noise. */
static bool numeric_measure_noise(struct numeric_search *s)
{
    double tiny = s->lab->grid == REEL_F64 ? 0x1p-46 : 0x1p-20;
    for (int i = 0; i < 3; i++, tiny *= 2) {
        reel_lab_rise rise;
        enum reel_lab_run run = reel_lab_rises(s->lab, s->probe, tiny, &rise);
        if (run == REEL_LAB_BROKEN)
            return false;
        if (run == REEL_LAB_RAN && rise.finite)
            s->sigma = fmax(s->sigma, fabs(rise.above - rise.below));
    }
    return true;
}

static bool numeric_go_deep(struct numeric_search *s)
{
    static const double depths[2][NUMERIC_DEPTHS] = {{0x1p-14, 0x1p-20, 0x1p-26}, {0x1p-7, 0x1p-9, 0x1p-11}};
    const double *depth = depths[s->lab->grid == REEL_F32];
    for (int i = 0; i < NUMERIC_DEPTHS && !s->deep_done; i++) {
        enum reel_lab_run run = REEL_LAB_RAN;
        if (depth[i] < ldexp(1, -s->level) && numeric_sample(s, depth[i], &s->deep[s->depths], &run))
            s->depths++;
        else if (run == REEL_LAB_BROKEN)
            return false;
    }
    s->deep_done = true;
    return true;
}

/* ---- Deciding -------------------------------------------------------------------------------------- */

static double numeric_tolerance(const struct numeric_search *s, double top)
{
    return s->lab->tolerance * top + s->slack;
}

static bool numeric_passes(const struct numeric_search *s)
{
    const struct numeric_table *t = &s->table;
    double top = numeric_top(s->analytic, t->best), gap = fabs(s->analytic - t->best);
    if (fabs(t->best_jump) > 4 * t->jump_error + 1e-5 * top)
        return false;
    return numeric_is_zero(s->lab, s->probe->input, s->analytic, t->best, 2 * t->error, s->scale, s->size) ||
           (t->error <= numeric_resolution * top && t->jump_error <= 0.05 * top &&
            gap <= 2 * t->error + numeric_tolerance(s, top));
}

static bool numeric_seems_wrong(const struct numeric_search *s)
{
    const struct numeric_table *t = &s->table;
    double top = numeric_top(s->analytic, t->best), gap = fabs(s->analytic - t->best);
    if (!isfinite(s->analytic))
        return !s->lab->left_out && isfinite(t->best) && t->error <= numeric_resolution * fabs(t->best);
    return gap > 16 * t->error + numeric_tolerance(s, top) && fabs(t->best_jump) <= gap / 8 &&
           gap * s->scale > numeric_zero * s->probe->input->magnitude;
}

/* The analytic derivative may be off by its own rounding: known by then. */
static bool numeric_allow_rounding(struct numeric_search *s)
{
    const reel_lab_input *input = s->probe->input;
    if (!input->jitter && !reel_lab_measure_jitter(s->lab))
        return false;
    if (!s->probe->direction && isfinite(input->jitter[s->probe->first]))
        s->slack = 16 * input->jitter[s->probe->first];
    return true;
}

static bool numeric_seems_kinked(const struct numeric_search *s)
{
    const struct numeric_table *t = &s->table;
    return fabs(t->best_jump) > 8 * t->jump_error + 1e-5 * numeric_top(s->analytic, t->best);
}

/* At every much smaller step that noise lets one see, and at one at least. */
static bool numeric_stays_wrong(const struct numeric_search *s)
{
    double gap = isfinite(s->analytic) ? fabs(s->analytic - s->table.best) : fabs(s->table.best) + DBL_MIN;
    int seen = 0;
    for (int i = 0; i < s->depths; i++) {
        const struct numeric_slope *deep = &s->deep[i];
        if (deep->noise > gap / 16)
            continue;
        double smooth = s->table.jump[0] * ldexp(deep->step, s->level);     /* h y''               */
        if (fabs(deep->value - s->table.best) > gap / 4 || fabs(deep->jump - smooth) > gap / 4)
            return false;
        seen++;
    }
    return seen > 0;
}

static bool numeric_stays_kinked(const struct numeric_search *s)
{
    double jump = fabs(s->table.best_jump);
    int seen = 0;
    for (int i = 0; i < s->depths; i++) {
        const struct numeric_slope *deep = &s->deep[i];
        if (2 * deep->noise > jump / 16)
            continue;
        if (fabs(deep->jump - s->table.best_jump) > jump / 4)
            return false;
        seen++;
    }
    return seen > 0;
}

/* A bar that only hides a gap larger than the tolerance may be narrowed by smaller steps; and that of a
 * direction, which stands for many derivatives, says how small an error it shows. */
static bool numeric_can_improve(const struct numeric_search *s, const struct numeric_slope *slope)
{
    const struct numeric_table *t = &s->table;
    double gap = fabs(s->analytic - t->best);
    bool hides = gap > numeric_tolerance(s, numeric_top(s->analytic, t->best));
    return (s->probe->direction || hides) && t->error > 1e-12 * fabs(t->best) && slope->noise < t->error / 8;
}

static reel_verdict numeric_settle(struct numeric_search *s, const struct numeric_slope *slope,
                                   reel_doubt *doubt, bool *broken)
{
    *broken = false;
    if (numeric_passes(s))
        return numeric_can_improve(s, slope) ? REEL_NOT_CHECKED : REEL_PASS;
    bool wrong = numeric_seems_wrong(s), kinked = numeric_seems_kinked(s);
    *broken = (wrong && !numeric_allow_rounding(s)) || ((wrong || kinked) && !numeric_go_deep(s));
    if (*broken)
        return REEL_NOT_CHECKED;
    wrong = wrong && numeric_seems_wrong(s);
    if (kinked && numeric_stays_kinked(s)) {
        *doubt = REEL_KINK;
        return REEL_CANNOT_TELL;
    }
    return wrong && numeric_stays_wrong(s) ? REEL_FAIL : REEL_NOT_CHECKED;
}

/* Whether smaller steps would show noise alone. */
static bool numeric_is_drowned(const struct numeric_search *s, const struct numeric_slope *slope)
{
    const struct numeric_table *t = &s->table;
    double gap = fabs(s->analytic - t->best);
    return slope->noise > t->error && slope->noise > fmax(isfinite(gap) ? gap : 0, fabs(t->best_jump)) / 8;
}

static reel_doubt numeric_guess_doubt(const struct numeric_search *s)
{
    const struct numeric_table *t = &s->table;
    if (s->refused)
        return REEL_OP_REFUSED;
    if (!isfinite(t->best) || !isfinite(s->analytic))
        return s->not_finite || !isfinite(s->analytic) ? REEL_NOT_FINITE : REEL_CANCELLATION;
    if (numeric_seems_kinked(s) || t->error > 64 * t->noise)
        return REEL_KINK;
    return REEL_CANCELLATION;
}

/* One more pair of steps, each half the last. False where they tell nothing. */
static bool numeric_halve(struct numeric_search *s, struct numeric_slope *slope, bool *broken)
{
    enum reel_lab_run run;
    bool usable = numeric_sample(s, ldexp(1, -++s->level), slope, &run);
    *broken |= run == REEL_LAB_BROKEN;
    if (!usable)
        numeric_start(&s->table);
    else {
        numeric_add_slope(&s->table, slope);
        numeric_add_jump(&s->table, slope);
    }
    return usable;
}

/* A wrong derivative is shown beside a right one with many digits. */
static void numeric_sharpen(struct numeric_search *s, struct numeric_slope *slope, bool *broken)
{
    struct numeric_table kept = s->table;
    for (int i = 0; i < NUMERIC_ORDERS && s->table.error > 1e-9 * fabs(s->table.best); i++)
        if (slope->noise > s->table.error / 8 || !numeric_halve(s, slope, broken))
            break;
    if (!(s->table.error <= kept.error))
        s->table = kept;
}

bool reel_lab_careful(reel_lab *lab, const reel_lab_probe *probe, double analytic, double slack,
                      reel_lab_answer *answer)
{
    struct numeric_search s = {.lab = lab, .probe = probe, .analytic = analytic, .slack = slack,
                               .level = NUMERIC_FIRST - 1,
                               .scale = probe->direction ? 1 : probe->input->scale[probe->first]};
    numeric_start(&s.table);
    *answer = (reel_lab_answer){.verdict = REEL_NOT_CHECKED};
    bool broken = !numeric_measure_noise(&s);
    while (s.level < NUMERIC_LAST && !broken && answer->verdict == REEL_NOT_CHECKED) {
        struct numeric_slope slope;
        if (!numeric_halve(&s, &slope, &broken) || s.table.jumps < 3)
            continue;
        answer->verdict = numeric_settle(&s, &slope, &answer->doubt, &broken);
        if (answer->verdict == REEL_FAIL)
            numeric_sharpen(&s, &slope, &broken);
        else if (numeric_is_drowned(&s, &slope))
            break;
    }
    if (answer->verdict == REEL_NOT_CHECKED) {
        answer->verdict = REEL_CANNOT_TELL;
        answer->doubt = numeric_guess_doubt(&s);
    }
    answer->numeric = s.table.best;
    answer->error = s.table.error;
    return !broken;
}
