/* Sixteen rows of a few classes at a time, turned, so that each row has a lane. cross_entropy_f32.h tells the rest. */
#include "ops/kernels/cross_entropy_f32.h"
#include "core/dtype.h"

#include <string.h>

/* Groups: the sixteen rows' numbers of one class side by side. Arrays follow each other closely, as all that starts at
 * multiples of 4096 bytes competes for the same few lines of the level-1 cache. */
enum { ACROSS_ARRAYS = 6, ACROSS_NUMBERS = ACROSS_ARRAYS * REEL_XENT_FEW * REEL_LANES_F32 };

/* ---- Turning --------------------------------------------------------------------------------------------- */

typedef uint32_t across_four __attribute__((vector_size(16)));
typedef uint32_t across_eight __attribute__((vector_size(32)));

#define ACROSS_UNROLL _Pragma("GCC unroll 8")        /* so that the arrays are registers            */
#define ACROSS_MIX(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)

REEL_INLINE across_four across_load(const void *at)
{
    across_four x;
    memcpy(&x, at, sizeof x);
    return x;
}

/* Four times four numbers of 4 bytes in the lower halves, and four times four in the upper ones: number j of a[i] and
 * number i of a[j] change places. */
REEL_INLINE void across_turn_squares(across_eight a[4])
{
    across_eight low[2], high[2];
    ACROSS_UNROLL
    for (int i = 0; i < 2; i++) {
        low[i] = ACROSS_MIX(a[2 * i], a[2 * i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
        high[i] = ACROSS_MIX(a[2 * i], a[2 * i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
    }
    a[0] = ACROSS_MIX(low[0], low[1], 0, 1, 8, 9, 4, 5, 12, 13);
    a[1] = ACROSS_MIX(low[0], low[1], 2, 3, 10, 11, 6, 7, 14, 15);
    a[2] = ACROSS_MIX(high[0], high[1], 0, 1, 8, 9, 4, 5, 12, 13);
    a[3] = ACROSS_MIX(high[0], high[1], 2, 3, 10, 11, 6, 7, 14, 15);
}

/* Four classes of eight rows. */
REEL_INLINE void across_turn_four(char *const row[8], int64_t class, float *group, bool back)
{
    const int64_t byte = class * (int64_t)sizeof(float);
    across_eight a[4];
    ACROSS_UNROLL
    for (int i = 0; i < 4; i++)
        if (back)
            memcpy(&a[i], group + i * REEL_LANES_F32, sizeof a[i]);
        else
            a[i] = ACROSS_MIX(across_load(row[i] + byte), across_load(row[i + 4] + byte), 0, 1, 2, 3, 4, 5, 6, 7);
    across_turn_squares(a);
    ACROSS_UNROLL
    for (int i = 0; i < 4; i++)
        if (back) {
            memcpy(row[i] + byte, &a[i], sizeof(across_four));
            memcpy(row[i + 4] + byte, (char *)&a[i] + sizeof(across_four), sizeof(across_four));
        } else {
            memcpy(group + i * REEL_LANES_F32, &a[i], sizeof a[i]);
        }
}

/* Eight rows of f32 from or to lanes `first` on. The last four classes reach back over those before. */
REEL_INLINE void across_turn_eight(char *const row[8], int64_t classes, float *groups, int first, bool back)
{
    for (int64_t k = 0; k < classes; k += 4) {
        int64_t class = k + 4 <= classes ? k : classes - 4;
        across_turn_four(row, class, groups + class * REEL_LANES_F32 + first, back);
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
    if (step == 1 && rows == REEL_XENT_ROWS && job->classes >= 4) {
        if (back)
            across_turn_eight(row, job->classes, groups, first, true);
        else
            across_turn_eight(row, job->classes, groups, first, false);
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
        sums->of[XENT_F32_LABELS][first + r] = 1;
        sums->of[XENT_F32_LABELS_Z][first + r] = (double)at->z[label];
    }
}

static void across_write_labels(const reel_xent_panel *panel, int first, const xent_rows *rows, const xent_f32_groups *at)
{
    float e[REEL_XENT_ROWS], gradient[REEL_XENT_ROWS];
    for (int r = 0; r < REEL_XENT_ROWS; r++) {
        int64_t label = across_label(panel, r, first);
        e[r] = label < 0 ? 0 : at->e[label];
    }
    reel_xent_f32_at_labels(rows, e, gradient);
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

static bool across_is_any_confident(const xent_f32_largest *largest, const xent_f32_sums *sums)
{
    unsigned confident = 0;
    for (int lane = 0; lane < REEL_LANES_F32; lane += REEL_WIDTH)
        confident |= reel_mask_bits(reel_load(sums->of[XENT_F32_ALL] + lane) <
                                    reel_load_f32(largest->e + lane) * XENT_F32_CONFIDENT);
    return confident != 0;
}

void reel_xent_f32_across(const reel_xent_job *job, reel_xent_panel panel[2], xent_f32_unsuited unsuited[2])
{
    _Alignas(64) xent_f32_sums sums;
    _Alignas(64) xent_f32_largest largest;
    _Alignas(64) xent_rows rows[2];
    _Alignas(64) float room[ACROSS_NUMBERS];
    const int size = (int)job->classes * REEL_LANES_F32;
    xent_f32_groups at = {.count = size, .e = room, .out = room + size, .label_out = room + 2 * size};
    at.z = across_turn(job, panel, REEL_XENT_LOGITS, room + 3 * size, false);
    at.y = across_turn(job, panel, REEL_XENT_LABELS, room + 4 * size, false);
    at.v = across_turn(job, panel, REEL_XENT_DIRECTION, room + 5 * size, false);
    for (int lane = 0; lane < REEL_LANES_F32; lane++)
        largest.max[lane] = -INFINITY;
    reel_xent_f32_no_sums(&sums);
    reel_xent_f32_largest(at.z, size, largest.max);
    reel_xent_f32_find_largest(&largest);
    reel_xent_f32_add_classes(job, &at, largest.max, &sums);
    if (across_is_any_confident(&largest, &sums))
        reel_xent_f32_add_others(&at, largest.e, &sums);
    for (int p = 0; p < 2; p++) {
        across_add_labels(&panel[p], p * REEL_XENT_ROWS, &at, &sums);
        reel_xent_f32_finish(job, &sums, &largest, p * REEL_XENT_ROWS, &panel[p], &rows[p], &unsuited[p]);
    }
    if (job->array[REEL_XENT_OUT].data)
        across_write(job, panel, rows, &at);
}
