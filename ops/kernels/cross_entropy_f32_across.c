/* Sixteen rows of a few classes at a time, turned, so that each row has a lane. cross_entropy_f32.h tells the rest. */
#include "ops/kernels/cross_entropy_f32.h"
#include "core/dtype.h"

#include <string.h>

enum { ACROSS_NUMBERS = REEL_XENT_FEW * REEL_LANES_F32 };

/* Groups: the sixteen rows' numbers of one class side by side. */
typedef struct across_room {
    float z[ACROSS_NUMBERS], y[ACROSS_NUMBERS], v[ACROSS_NUMBERS], power[ACROSS_NUMBERS], rise[ACROSS_NUMBERS],
        out[ACROSS_NUMBERS], label_out[ACROSS_NUMBERS];
} across_room;

/* ---- Turning --------------------------------------------------------------------------------------------- */

typedef uint32_t across_eight __attribute__((vector_size(32)));

#define ACROSS_UNROLL _Pragma("GCC unroll 8")        /* so that the arrays are registers            */
#define ACROSS_MIX(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)

/* Eight times eight numbers of 4 bytes: number j of from[i] becomes number i of to[j]. First ones change places, then
 * twos, then fours. */
REEL_INLINE void across_turn_square(const float *const from[8], float *const to[8])
{
    across_eight a[8], b[8];
    ACROSS_UNROLL
    for (int i = 0; i < 8; i++)
        memcpy(&a[i], from[i], sizeof a[i]);
    ACROSS_UNROLL
    for (int i = 0; i < 8; i += 2) {
        b[i] = ACROSS_MIX(a[i], a[i + 1], 0, 8, 2, 10, 4, 12, 6, 14);
        b[i + 1] = ACROSS_MIX(a[i], a[i + 1], 1, 9, 3, 11, 5, 13, 7, 15);
    }
    ACROSS_UNROLL
    for (int i = 0; i < 8; i += 4)
        ACROSS_UNROLL
        for (int k = i; k < i + 2; k++) {
            a[k] = ACROSS_MIX(b[k], b[k + 2], 0, 1, 8, 9, 4, 5, 12, 13);
            a[k + 2] = ACROSS_MIX(b[k], b[k + 2], 2, 3, 10, 11, 6, 7, 14, 15);
        }
    ACROSS_UNROLL
    for (int i = 0; i < 4; i++) {
        b[i] = ACROSS_MIX(a[i], a[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
        b[i + 4] = ACROSS_MIX(a[i], a[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
    }
    ACROSS_UNROLL
    for (int i = 0; i < 8; i++)
        memcpy(to[i], &b[i], sizeof b[i]);
}

/* Eight rows of f32 from or to lanes `first` on. The last square reaches back over the one before. */
static void across_turn_eight(char *const row[8], int64_t classes, float *groups, int first, bool back)
{
    const float *from[8];
    float *to[8];
    for (int64_t k = 0; k < classes; k += 8) {
        int64_t start = k + 8 <= classes ? k : classes - 8;
        for (int i = 0; i < 8; i++) {
            float *group = groups + (start + i) * REEL_LANES_F32 + first, *there = (float *)(void *)row[i] + start;
            from[i] = back ? group : there;
            to[i] = back ? there : group;
        }
        across_turn_square(from, to);
    }
}

/* The rows of one panel from or to lanes `first` on. */
static void across_turn_panel(const reel_xent_job *job, const reel_xent_panel *panel, enum reel_xent_operand which,
                              float *groups, int first, bool back)
{
    int64_t step = job->array[which].step;
    int rows = back ? panel->rows : REEL_XENT_ROWS;
    char *row[REEL_XENT_ROWS];
    for (int r = 0; r < rows; r++)
        row[r] = (char *)job->array[which].data + panel->row[which][r] * (int64_t)sizeof(float);
    if (step == 1 && rows == REEL_XENT_ROWS && job->classes >= 8) {
        across_turn_eight(row, job->classes, groups, first, back);
        return;
    }
    for (int r = 0; r < rows; r++) {
        float *lane = groups + first + r;
        if (back)
            reel_convert_strided(REEL_F32, row[r], step, REEL_F32, lane, REEL_LANES_F32, job->classes);
        else
            reel_convert_strided(REEL_F32, lane, REEL_LANES_F32, REEL_F32, row[r], step, job->classes);
    }
}

/* From memory into the room, or back. NULL where there is no such operand. */
static float *across_turn(const reel_xent_job *job, const reel_xent_panel panel[2], enum reel_xent_operand which,
                          float *groups, bool back)
{
    if (!job->array[which].data)
        return NULL;
    for (int p = 0; p < 2; p++)
        across_turn_panel(job, &panel[p], which, groups, p * REEL_XENT_ROWS, back);
    return groups;
}

/* ---- Integer labels -------------------------------------------------------------------------------------- */

/* Where a row's label is among the groups; -1: it has none that counts. */
static int64_t across_label(const reel_xent_panel *panel, int row, int first)
{
    bool counts = row < panel->rows && panel->label[row] >= 0 && panel->fate[row] == REEL_XENT_COUNTS;
    return counts ? panel->label[row] * REEL_LANES_F32 + first + row : -1;
}

static void across_add_labels(const reel_xent_panel *panel, int first, const xent_f32_groups *at, xent_f32_sums *sums)
{
    for (int r = 0; r < panel->rows; r++) {
        int64_t label = across_label(panel, r, first);
        if (label < 0)
            continue;
        sums->of[XENT_LABELS][first + r] = 1;
        sums->of[XENT_DISTANCE][first + r] = (double)at->z[label];
    }
}

static void across_write_labels(const reel_xent_panel *panel, int first, const xent_rows *rows, const xent_f32_groups *at)
{
    float z[REEL_XENT_ROWS], gradient[REEL_XENT_ROWS];
    for (int r = 0; r < REEL_XENT_ROWS; r++) {
        int64_t label = across_label(panel, r, first);
        z[r] = label < 0 ? 0 : at->z[label];
    }
    reel_xent_f32_at_labels(rows, z, gradient);
    for (int r = 0; r < panel->rows; r++) {
        int64_t label = across_label(panel, r, first);
        if (label >= 0)
            at->out[label] = gradient[r];
    }
}

/* Rows that do not count. */
static void across_fill(const reel_xent_panel *panel, int first, int64_t classes, const xent_f32_groups *at)
{
    for (int r = 0; r < panel->rows; r++) {
        if (panel->fate[r] == REEL_XENT_COUNTS)
            continue;
        for (int64_t k = 0; k < classes; k++) {
            int64_t there = k * REEL_LANES_F32 + first + r;
            at->out[there] = at->label_out[there] = xent_f32_instead(panel->fate[r]);
        }
    }
}

/* ---- Sixteen rows ---------------------------------------------------------------------------------------- */

static void across_write(const reel_xent_job *job, const reel_xent_panel panel[2], const xent_rows rows[2],
                         const xent_f32_groups *at)
{
    _Alignas(64) xent_f32_rows lanes;
    for (int p = 0; p < 2; p++)
        reel_xent_f32_lanes(job, &rows[p], p * REEL_XENT_ROWS, &lanes);
    reel_xent_f32_write(job, at, &lanes);
    for (int p = 0; p < 2; p++) {
        if (!at->y && xent_wants(job, REEL_XENT_GRADIENT))
            across_write_labels(&panel[p], p * REEL_XENT_ROWS, &rows[p], at);
        across_fill(&panel[p], p * REEL_XENT_ROWS, job->classes, at);
    }
    if (xent_wants(job, REEL_XENT_GRADIENT | REEL_XENT_SECOND))
        across_turn(job, panel, REEL_XENT_OUT, at->out, true);
    if (xent_wants(job, REEL_XENT_LABEL_GRADIENT))
        across_turn(job, panel, xent_f32_label_out(job), at->label_out, true);
}

void reel_xent_f32_across(const reel_xent_job *job, reel_xent_panel panel[2], xent_f32_unsuited unsuited[2])
{
    _Alignas(64) xent_f32_sums sums;
    _Alignas(64) xent_rows rows[2];
    _Alignas(64) across_room room;
    float max[REEL_LANES_F32];
    xent_f32_groups at = {.groups = (int)job->classes, .power = room.power, .rise = room.rise, .out = room.out, .label_out = room.label_out};
    at.z = across_turn(job, panel, REEL_XENT_LOGITS, room.z, false);
    at.y = across_turn(job, panel, REEL_XENT_LABELS, room.y, false);
    at.v = across_turn(job, panel, REEL_XENT_DIRECTION, room.v, false);
    for (int lane = 0; lane < REEL_LANES_F32; lane++)
        max[lane] = -INFINITY;
    reel_xent_f32_no_sums(job, &sums);
    reel_xent_f32_largest(at.z, at.groups, max);
    reel_xent_f32_add_classes(job, &at, max, &sums);
    for (int p = 0; p < 2; p++) {
        for (int r = 0; r < REEL_XENT_ROWS; r++)
            rows[p].max[r] = (double)max[p * REEL_XENT_ROWS + r];
        across_add_labels(&panel[p], p * REEL_XENT_ROWS, &at, &sums);
        reel_xent_f32_finish(job, &sums, p * REEL_XENT_ROWS, &panel[p], &rows[p], &unsuited[p]);
    }
    if (job->array[REEL_XENT_OUT].data)
        across_write(job, panel, rows, &at);
}
