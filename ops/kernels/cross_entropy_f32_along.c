/* Rows one by one, with sixteen classes in the lanes. cross_entropy_f32.h tells the rest.
 *
 * Classes that lie apart are gathered: eight rows together, as their numbers are neighbours in memory then. Halves are
 * widened in the same room, and results rounded to them on their way back. */
#include "ops/kernels/cross_entropy_f32.h"
#include "ops/kernels/cross_entropy_formulas.h"
#include "core/dtype.h"

enum {
    ALONG_TILE  = 1024,                             /* classes                                     */
    ALONG_APART = ALONG_TILE / REEL_XENT_ROWS,      /* ... of each of eight rows                   */
    ALONG_PLACE = ALONG_APART + REEL_LANES_F32,     /* room for them, and for up to a group more   */
    ALONG_ROOM  = ALONG_PLACE * REEL_XENT_ROWS
};

/* Some classes: at least sixteen. (Rows of few classes go across.) */
typedef struct along_stretch {
    int64_t first;
    int     count;
} along_stretch;

/* Room for a stretch of an operand that cannot be used where it lies, of one row or of eight; and for the exponentials, of
 * whole rows where they fit. */
typedef struct along_room {
    float z[ALONG_ROOM], y[ALONG_ROOM], v[ALONG_ROOM], out[ALONG_ROOM], label_out[ALONG_ROOM];
    float e[REEL_XENT_KEPT_F32];
    xent_f32_groups operands[REEL_XENT_ROWS];       /* of each row's last stretch                  */
} along_room;

/* A panel at work. */
typedef struct along_panel {
    const reel_xent_job   *job;
    const reel_xent_panel *panel;
    int                    rows, row[REEL_XENT_ROWS];       /* those that count                    */
    int                    first, end;              /* of these, the ones in hand                  */
    float                 *in_place[REEL_XENT_OPERANDS];    /* arrays that can be used as they lie: f32 side by side */
    bool                   all_in_place;
    int                    label_out;               /* the gradient into the labels                */
    bool                   apart;                   /* the logits' classes do not lie side by side */
    bool                   is_long;                 /* the rows: their exponentials have no room   */
    bool                   kept_in_out;             /* exponentials, where the results will be: so they are at hand there */
    along_room            *room;
    xent_f32_largest       largest;                 /* a lane for each row                         */
    float                  label_e[REEL_LANES_F32]; /* exponentials at the rows' integer labels    */
} along_panel;

/* ---- Stretches ------------------------------------------------------------------------------------------- */

/* The next stretch; false behind the last class. It begins with one of no classes before the first. */
static bool along_next(const along_panel *at, along_stretch *s)
{
    s->first += s->count;
    int64_t left = at->job->classes - s->first;
    int most = at->apart ? ALONG_APART : ALONG_TILE;
    s->count = (int)(left < most + REEL_LANES_F32 ? left : most);
    return left > 0;
}

/* The next rows: one, or where they are gathered all of them. It begins with none before the first. */
static bool along_next_rows(along_panel *at)
{
    at->first = at->end;
    at->end = at->apart ? at->rows : at->first + 1;
    return at->first < at->rows;
}

/* for (ALONG_EACH_ROW(row, at)): of those in hand. */
#define ALONG_EACH_ROW(row, at)                                                                                        \
    int i_ = (at)->first, row; i_ < (at)->end && (row = (at)->row[i_], true); i_++

/* For the exponentials of a row. */
static int64_t along_row_room(const along_panel *at)
{
    return (at->job->classes + REEL_LANES_F32 - 1) / REEL_LANES_F32 * REEL_LANES_F32;
}

static void along_start(along_panel *at)
{
    const reel_xent_job *job = at->job;
    at->all_in_place = true;
    for (int which = 0; which < REEL_XENT_OPERANDS; which++) {
        if (job->array[which].step == 1 && job->array[which].dtype == REEL_F32)
            at->in_place[which] = job->array[which].data;
        at->all_in_place = at->all_in_place && at->in_place[which] == job->array[which].data;
    }
    for (int row = 0; row < at->panel->rows; row++) {
        if (at->panel->fate[row] == REEL_XENT_COUNTS)
            at->row[at->rows++] = row;
        at->room->operands[row].count = 0;
    }
    at->apart = job->array[REEL_XENT_LOGITS].step != 1;
    at->label_out = xent_f32_label_out(job);
    at->is_long = at->panel->rows * along_row_room(at) > REEL_XENT_KEPT_F32;
    at->kept_in_out = at->in_place[REEL_XENT_OUT] && xent_wants(job, REEL_XENT_GRADIENT | REEL_XENT_SECOND);
}

/* Where a row's class lies in memory. */
static char *along_array(const along_panel *at, int which, int row, int64_t class)
{
    const int64_t element = reel_xent_row_at(at->panel, which, row) + class * at->job->array[which].step;
    return (char *)at->job->array[which].data + element * (int64_t)reel_dtype_size(at->job->array[which].dtype);
}

static float *along_place(const along_panel *at, float *room, int row)
{
    return at->apart ? room + row * ALONG_PLACE : room;
}

/* From memory into the room, or back: all rows in hand, of several sixteen classes each in turn. */
static void along_copy(const along_panel *at, int which, along_stretch s, float *room, bool back)
{
    const int64_t step = at->job->array[which].step;
    const reel_dtype dtype = at->job->array[which].dtype;
    const int most = at->apart ? REEL_LANES_F32 : s.count;
    for (int k = 0; k < s.count; k += most)
        for (ALONG_EACH_ROW(row, at)) {
            int count = s.count - k < most ? s.count - k : most;
            float *near = along_place(at, room, row) + k;
            char *far = along_array(at, which, row, s.first + k);
            if (back)
                reel_convert_strided(dtype, far, step, REEL_F32, near, 1, count);
            else
                reel_convert_strided(REEL_F32, near, 1, dtype, far, step, count);
        }
}

/* Into the room what cannot be used where it lies. */
static void along_gather(const along_panel *at, int which, along_stretch s, float *room)
{
    if (at->job->array[which].data && !at->in_place[which])
        along_copy(at, which, s, room, false);
}

/* The logits where they are wanted, and the others. */
static void along_gather_all(const along_panel *at, along_stretch s, bool logits)
{
    if (at->all_in_place)
        return;
    if (logits)
        along_gather(at, REEL_XENT_LOGITS, s, at->room->z);
    along_gather(at, REEL_XENT_LABELS, s, at->room->y);
    along_gather(at, REEL_XENT_DIRECTION, s, at->room->v);
}

/* A row's stretch, where it lies or in the room. NULL where there is no such operand. */
REEL_INLINE float *along_floats(const along_panel *at, int which, int row, along_stretch s, float *room)
{
    if (at->in_place[which])
        return at->in_place[which] + reel_xent_row_at(at->panel, which, row) + s.first;
    return at->job->array[which].data ? along_place(at, room, row) : NULL;
}

/* A stretch that is a whole row is found once. */
static const xent_f32_groups *along_operands(const along_panel *at, int row, along_stretch s)
{
    xent_f32_groups *operands = &at->room->operands[row];
    if (operands->count == at->job->classes)
        return operands;
    int64_t kept = !at->is_long ? row * along_row_room(at) + s.first : at->apart ? row * ALONG_PLACE : 0;
    float *out = along_floats(at, REEL_XENT_OUT, row, s, at->room->out);
    const int64_t next = !at->in_place[REEL_XENT_LOGITS] ? 0 : at->is_long ? s.count : at->job->classes;
    *operands = (xent_f32_groups){.count = s.count, .e = at->kept_in_out ? out : at->room->e + kept,
                                  .z = along_floats(at, REEL_XENT_LOGITS, row, s, at->room->z),
                                  .y = along_floats(at, REEL_XENT_LABELS, row, s, at->room->y),
                                  .v = along_floats(at, REEL_XENT_DIRECTION, row, s, at->room->v), .out = out,
                                  .label_out = along_floats(at, at->label_out, row, s, at->room->label_out),
                                  .ahead_z = at->is_long ? 2 * next : next, .ahead_out = next, .is_long = at->is_long};
    return operands;
}

/* ---- Sums ------------------------------------------------------------------------------------------------ */

static void along_spread(float x, float lanes[REEL_LANES_F32])
{
    for (REEL_EACH_VECTOR_F32(i))
        reel_put_f32(lanes + i, reel_spread_f32(x));
}

/* The largest logit of those rows in hand whose reference will not do. */
static REEL_RARE void along_take_largest(along_panel *at)
{
    float max[REEL_XENT_ROWS][REEL_LANES_F32];
    for (ALONG_EACH_ROW(row, at))
        along_spread(-INFINITY, max[row]);
    for (along_stretch s = {0, 0}; along_next(at, &s);) {
        along_gather(at, REEL_XENT_LOGITS, s, at->room->z);
        for (ALONG_EACH_ROW(row, at))
            reel_xent_f32_largest(along_floats(at, REEL_XENT_LOGITS, row, s, at->room->z), s.count, max[row]);
    }
    for (ALONG_EACH_ROW(row, at)) {
        const float largest = reel_largest_f32(max[row]);
        if (!xent_f32_will_do(at->largest.reference[row], largest))
            at->largest.reference[row] = largest;
    }
}

static float along_first_logit(const along_panel *at, int row)
{
    const float *in_place = at->in_place[REEL_XENT_LOGITS];
    float first;
    if (in_place)
        return in_place[reel_xent_row_at(at->panel, REEL_XENT_LOGITS, row)];
    reel_convert(REEL_F32, &first, at->job->array[REEL_XENT_LOGITS].dtype, along_array(at, REEL_XENT_LOGITS, row, 0), 1);
    return first;
}

/* The first logit of each row, if it is an ordinary number, else the largest. */
static void along_choose_references(along_panel *at)
{
    bool ordinary = true;
    for (ALONG_EACH_ROW(row, at)) {
        at->largest.reference[row] = along_first_logit(at, row);
        ordinary = ordinary && fabsf(at->largest.reference[row]) < REEL_EXP_F32_ORDINARY;
    }
    if (!ordinary)
        along_take_largest(at);
}

/* Adds to the row's lanes; an integer label is the row's whole sum. */
static void along_add_stretch(along_panel *at, int row, along_stretch s, float max[REEL_LANES_F32], xent_f32_sums *lanes,
                              xent_f32_sums *sums)
{
    const xent_f32_groups *operands = along_operands(at, row, s);
    float reference[REEL_LANES_F32];
    along_spread(at->largest.reference[row], reference);
    reel_xent_f32_add_classes(at->job, operands, reference, max, lanes);
    int64_t label = at->panel->label[row] - s.first;
    if (label < 0 || label >= s.count)
        return;
    at->label_e[row] = operands->e[label];
    sums->of[XENT_F32_LABELS][row] = 1;
    sums->of[XENT_F32_LABELS_Z][row] = (double)operands->z[label];
}

/* The exponentials of a stretch once more, if they were not kept. */
static void along_find_exponentials(const along_panel *at, int row, const xent_f32_groups *operands)
{
    float reference[REEL_LANES_F32], max[REEL_LANES_F32];
    if (!at->is_long || at->kept_in_out)
        return;
    along_spread(at->largest.reference[row], reference);
    along_spread(at->largest.max[row], max);
    reel_xent_f32_exponentials(operands, reference, max);
}

/* As a tree. */
static double along_join(const double lanes[REEL_LANES_F32])
{
    double sum[REEL_LANES];
    for (REEL_EACH_VECTOR(i))
        reel_store(sum + i, reel_load(lanes + i) + reel_load(lanes + REEL_LANES + i));
    return ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]));
}

static void along_join_row(const along_panel *at, int row, const xent_f32_sums *lanes, xent_f32_sums *sums)
{
    sums->of[XENT_F32_ALL][row] = along_join(lanes->of[XENT_F32_ALL]);
    if (at->job->array[REEL_XENT_LABELS].data)
        for (int kind = XENT_F32_LABELS; kind <= XENT_F32_LABELS_Z; kind++)
            sums->of[kind][row] = along_join(lanes->of[kind]);
    if (at->job->array[REEL_XENT_DIRECTION].data)
        sums->of[XENT_F32_ALL_V][row] = along_join(lanes->of[XENT_F32_ALL_V]);
}

/* Whether a logit lies too far above its row's reference. The largest is the reference from then on. */
static bool along_went_too_far(along_panel *at)
{
    bool far = false;
    for (ALONG_EACH_ROW(row, at))
        far = far || at->largest.max[row] - at->largest.reference[row] > REEL_EXP_F32_MOST;
    if (far)
        along_take_largest(at);
    return far;
}

/* False where that has to begin anew. */
static bool along_sum_rows(along_panel *at, xent_f32_sums *sums)
{
    xent_f32_sums lanes[REEL_XENT_ROWS];
    float max[REEL_XENT_ROWS][REEL_LANES_F32];
    const bool one = !at->job->array[REEL_XENT_LABELS].data && !at->job->array[REEL_XENT_DIRECTION].data;
    const int kinds = one ? XENT_F32_ALL + 1 : XENT_F32_SUMS;
    for (ALONG_EACH_ROW(row, at)) {
        reel_xent_f32_no_sums(kinds, &lanes[row]);
        along_spread(at->largest.reference[row], max[row]);
    }
    for (along_stretch s = {0, 0}; along_next(at, &s);) {
        along_gather_all(at, s, true);
        for (ALONG_EACH_ROW(row, at)) {
            along_add_stretch(at, row, s, max[row], &lanes[row], sums);
            at->largest.max[row] = reel_largest_f32(max[row]);
        }
        if (along_went_too_far(at))
            return false;
    }
    for (ALONG_EACH_ROW(row, at))
        along_join_row(at, row, &lanes[row], sums);
    return true;
}

static REEL_RARE double along_sum_others(const along_panel *at, int row)
{
    xent_f32_sums lanes;
    float e[REEL_LANES_F32];
    along_spread(at->largest.e[row], e);
    reel_xent_f32_no_sums(XENT_F32_OTHERS + 1, &lanes);
    for (along_stretch s = {0, 0}; along_next(at, &s);) {
        if (at->is_long)
            along_gather(at, REEL_XENT_LOGITS, s, at->room->z);
        const xent_f32_groups *operands = along_operands(at, row, s);
        along_find_exponentials(at, row, operands);
        reel_xent_f32_add_others(operands, e, &lanes);
    }
    return along_join(lanes.of[XENT_F32_OTHERS]);
}

/* Of confident rows. */
static void along_add_others(along_panel *at, xent_f32_sums *sums)
{
    reel_xent_f32_find_largest(&at->largest);
    for (at->end = 0; along_next_rows(at);)
        for (ALONG_EACH_ROW(row, at))
            if (sums->of[XENT_F32_ALL][row] < (double)at->largest.e[row] * XENT_F32_CONFIDENT)
                sums->of[XENT_F32_OTHERS][row] = along_sum_others(at, row);
}

/* ---- Results --------------------------------------------------------------------------------------------- */

static void along_write_stretch(const along_panel *at, int row, along_stretch s, const xent_f32_rows *rows, float at_label)
{
    const xent_f32_groups *operands = along_operands(at, row, s);
    if (xent_wants(at->job, REEL_XENT_GRADIENT | REEL_XENT_SECOND))
        along_find_exponentials(at, row, operands);
    reel_xent_f32_write(at->job, operands, rows);
    int64_t label = at->panel->label[row] - s.first;
    if (xent_wants(at->job, REEL_XENT_GRADIENT) && label >= 0 && label < s.count)
        operands->out[label] = at_label;
}

static void along_put_back(const along_panel *at, along_stretch s)
{
    if (at->all_in_place)
        return;
    if (xent_wants(at->job, REEL_XENT_GRADIENT | REEL_XENT_SECOND) && !at->in_place[REEL_XENT_OUT])
        along_copy(at, REEL_XENT_OUT, s, at->room->out, true);
    if (xent_wants(at->job, REEL_XENT_LABEL_GRADIENT) && !at->in_place[at->label_out])
        along_copy(at, at->label_out, s, at->room->label_out, true);
}

static void along_write_rows(const along_panel *at, const xent_f32_rows *lanes, const float at_label[REEL_LANES_F32])
{
    const bool logits = at->is_long || xent_wants(at->job, REEL_XENT_LABEL_GRADIENT);
    _Alignas(64) xent_f32_rows alone[REEL_XENT_ROWS];
    for (ALONG_EACH_ROW(row, at))
        reel_xent_f32_row_alone(lanes, row, &alone[row]);
    for (along_stretch s = {0, 0}; along_next(at, &s);) {
        along_gather_all(at, s, logits);
        for (ALONG_EACH_ROW(row, at))
            along_write_stretch(at, row, s, &alone[row], at_label[row]);
        along_put_back(at, s);
    }
}

/* Rows that do not count. */
static REEL_RARE void along_fill(const along_panel *at, enum reel_xent_operand which)
{
    for (int row = 0; row < at->panel->rows && at->job->array[which].data; row++) {
        const float filling = xent_f32_instead(at->panel->fate[row]);
        if (at->panel->fate[row] != REEL_XENT_COUNTS)
            reel_convert_strided(at->job->array[which].dtype, along_array(at, which, row, 0), at->job->array[which].step,
                                 REEL_F32, &filling, 0, at->job->classes);
    }
}

static void along_write(along_panel *at, const xent_f32_numbers *numbers)
{
    _Alignas(64) xent_f32_rows lanes;
    float at_label[REEL_LANES_F32];
    reel_xent_f32_lanes(at->job, &at->largest, numbers, &lanes);
    reel_xent_f32_at_labels(numbers, at->label_e, at_label);
    for (at->end = 0; along_next_rows(at);)
        along_write_rows(at, &lanes, at_label);
    along_fill(at, REEL_XENT_OUT);
    along_fill(at, REEL_XENT_LABEL_OUT);
}

void reel_xent_f32_along(const reel_xent_job *job, reel_xent_panel *panel, xent_f32_unsuited *unsuited)
{
    _Alignas(64) xent_f32_sums sums;
    _Alignas(64) xent_f32_numbers numbers;
    _Alignas(64) along_room room;
    along_panel at = {.job = job, .panel = panel, .room = &room};
    along_start(&at);
    reel_xent_f32_no_sums(XENT_F32_SUMS, &sums);
    while (along_next_rows(&at)) {
        along_choose_references(&at);
        while (!along_sum_rows(&at, &sums))
            ;
    }
    along_add_others(&at, &sums);
    reel_xent_f32_finish(job, &sums, &at.largest, 1, panel, &numbers, unsuited);
    if (job->array[REEL_XENT_OUT].data)
        along_write(&at, &numbers);
}
