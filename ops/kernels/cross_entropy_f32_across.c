/* Sixteen rows of a few classes at a time, turned, so that each row has a lane. cross_entropy_f32.h tells the rest. */
#include "ops/kernels/cross_entropy_f32.h"
#include "core/dtype.h"

#include <string.h>

/* Groups: the sixteen rows' numbers of one class side by side, and of each array one group more, where rows without an
 * integer label have it. Arrays follow each other closely, as all that starts at multiples of 4096 bytes competes for the
 * same few lines of the level-1 cache. */
enum { ACROSS_ARRAYS = 6, ACROSS_NUMBERS = ACROSS_ARRAYS * (REEL_XENT_FEW + 1) * REEL_LANES_F32 };

/* ---- Turning --------------------------------------------------------------------------------------------- */

#define ACROSS_EACH_OF_FOUR(i) _Pragma("GCC unroll 4") for (int i = 0; i < 4; i++)    /* in registers */

/* The last four classes reach back over those before. */
#define ACROSS_EACH_FOUR(class, classes)                                                                               \
    int64_t next_ = 0, class;                                                                                          \
    class = next_ + 4 <= (classes) ? next_ : (classes) - 4, next_ < (classes);                                         \
    next_ += 4

/* All sixteen rows, of at least four classes that lie side by side. */
static void across_take_rows(const float *array, const int64_t row[REEL_LANES_F32], int64_t classes, float *groups)
{
    for (ACROSS_EACH_FOUR(class, classes))
        for (REEL_EACH_VECTOR_F32(lane)) {
            reel_vector_f32 a[4];
            ACROSS_EACH_OF_FOUR(i)
                a[i] = reel_take_fours_f32(array + class, row + lane + i);
            reel_turn_fours_f32(a);
            ACROSS_EACH_OF_FOUR(i)
                reel_put_f32(groups + (class + i) * REEL_LANES_F32 + lane, a[i]);
        }
}

static void across_put_rows(float *array, const int64_t row[REEL_LANES_F32], int64_t classes, const float *groups)
{
    for (ACROSS_EACH_FOUR(class, classes))
        for (REEL_EACH_VECTOR_F32(lane)) {
            reel_vector_f32 a[4];
            ACROSS_EACH_OF_FOUR(i)
                a[i] = reel_numbers_f32(groups + (class + i) * REEL_LANES_F32 + lane);
            reel_turn_fours_f32(a);
            ACROSS_EACH_OF_FOUR(i)
                reel_put_fours_f32(array + class, row + lane + i, a[i]);
        }
}

/* From memory into the room, or back. */
static void across_turn(const reel_xent_job *job, const reel_xent_panel panel[2], enum reel_xent_operand which,
                        float *groups, bool back)
{
    const int64_t step = job->array[which].step;
    float *array = job->array[which].data;
    int64_t row[REEL_LANES_F32];
    for (int p = 0; p < 2; p++)
        memcpy(row + p * REEL_XENT_ROWS, panel[p].row[which], sizeof panel[p].row[which]);
    const int rows = back ? panel[0].rows + panel[1].rows : REEL_LANES_F32;
    if (step == 1 && rows == REEL_LANES_F32 && job->classes >= 4) {
        if (back)
            across_put_rows(array, row, job->classes, groups);
        else
            across_take_rows(array, row, job->classes, groups);
        return;
    }
    for (int r = 0; r < rows; r++)
        if (back)
            reel_convert_strided(REEL_F32, array + row[r], step, REEL_F32, groups + r, REEL_LANES_F32, job->classes);
        else
            reel_convert_strided(REEL_F32, groups + r, REEL_LANES_F32, REEL_F32, array + row[r], step, job->classes);
}

/* Into the room; NULL where there is no such operand. */
REEL_INLINE float *across_take(const reel_xent_job *job, const reel_xent_panel panel[2], enum reel_xent_operand which,
                               float *groups)
{
    if (!job->array[which].data)
        return NULL;
    across_turn(job, panel, which, groups, false);
    return groups;
}

/* ---- Integer labels -------------------------------------------------------------------------------------- */

#define ACROSS_EACH_LANE(lane) _Pragma("GCC unroll 8") for (int lane = 0; lane < REEL_LANES_F32; lane++)

/* Where the rows' labels are among the groups; behind them (`size` numbers) for rows that have none that counts. */
static void across_find_labels(const reel_xent_panel *panel, int size, int first, int at[REEL_XENT_ROWS])
{
    if (panel->whole)
        #pragma omp simd
        for (int r = 0; r < REEL_XENT_ROWS; r++)
            at[r] = (int)panel->label[r] * REEL_LANES_F32 + first + r;
    for (int r = 0; r < REEL_XENT_ROWS && !panel->whole; r++) {
        const bool counts = r < panel->rows && panel->label[r] >= 0 && panel->fate[r] == REEL_XENT_COUNTS;
        at[r] = (counts ? (int)panel->label[r] * REEL_LANES_F32 : size) + first + r;
    }
}

static void across_add_labels(const int label[REEL_LANES_F32], int size, float *z, xent_f32_sums *sums)
{
    float own[REEL_LANES_F32], there[REEL_LANES_F32];
    for (REEL_EACH_VECTOR_F32(i))
        reel_put_f32(z + size + i, (reel_vector_f32){0});
    ACROSS_EACH_LANE(lane)
        own[lane] = z[label[lane]];
    #pragma omp simd
    for (int lane = 0; lane < REEL_LANES_F32; lane++)
        there[lane] = label[lane] < size ? 1 : 0;
    for (int lane = 0; lane < REEL_LANES_F32; lane += REEL_WIDTH) {
        reel_store(sums->of[XENT_F32_LABELS] + lane, reel_load_f32(there + lane));
        reel_store(sums->of[XENT_F32_LABELS_Z] + lane, reel_load_f32(own + lane));
    }
}

static void across_write_labels(const int label[REEL_LANES_F32], const xent_rows rows[2], const xent_f32_groups *at)
{
    float e[REEL_LANES_F32], gradient[REEL_LANES_F32];
    for (REEL_EACH_VECTOR_F32(i))
        reel_put_f32(at->e + at->count + i, (reel_vector_f32){0});
    ACROSS_EACH_LANE(lane)
        e[lane] = at->e[label[lane]];
    for (int p = 0; p < 2; p++)
        reel_xent_f32_at_labels(&rows[p], e + p * REEL_XENT_ROWS, gradient + p * REEL_XENT_ROWS);
    ACROSS_EACH_LANE(lane)
        at->out[label[lane]] = gradient[lane];
}

/* Rows that do not count. */
static void across_fill(const reel_xent_panel *panel, int first, int64_t classes, const xent_f32_groups *at)
{
    for (int r = 0; r < panel->rows && !panel->whole; r++)
        for (int64_t k = 0; k < classes && panel->fate[r] != REEL_XENT_COUNTS; k++) {
            int64_t there = k * REEL_LANES_F32 + first + r;
            at->out[there] = at->label_out[there] = xent_f32_instead(panel->fate[r]);
        }
}

/* ---- Sixteen rows ---------------------------------------------------------------------------------------- */

static void across_write(const reel_xent_job *job, const reel_xent_panel panel[2], const xent_rows rows[2],
                         const int label[REEL_LANES_F32], const xent_f32_groups *at)
{
    _Alignas(64) xent_f32_rows lanes;
    for (int p = 0; p < 2; p++)
        reel_xent_f32_lanes(job, &rows[p], p * REEL_XENT_ROWS, &lanes);
    reel_xent_f32_write(job, at, &lanes);
    if (!at->y && xent_wants(job, REEL_XENT_GRADIENT))
        across_write_labels(label, rows, at);
    for (int p = 0; p < 2; p++)
        across_fill(&panel[p], p * REEL_XENT_ROWS, job->classes, at);
    if (xent_wants(job, REEL_XENT_GRADIENT | REEL_XENT_SECOND))
        across_turn(job, panel, REEL_XENT_OUT, at->out, true);
    if (xent_wants(job, REEL_XENT_LABEL_GRADIENT))
        across_turn(job, panel, xent_f32_label_out(job), at->label_out, true);
}

static bool across_is_any_confident(const xent_f32_largest *largest, const xent_f32_sums *sums)
{
    unsigned confident = 0;
    for (int lane = 0; lane < REEL_LANES_F32; lane += REEL_WIDTH)
        confident |= reel_condition_bits(reel_lanes_less(reel_load(sums->of[XENT_F32_ALL] + lane),
                                                         reel_load_f32(largest->e + lane) * XENT_F32_CONFIDENT));
    return confident != 0;
}

void reel_xent_f32_across(const reel_xent_job *job, reel_xent_panel panel[2], xent_f32_unsuited unsuited[2])
{
    _Alignas(64) xent_f32_sums sums;
    _Alignas(64) xent_f32_largest largest;
    _Alignas(64) xent_rows rows[2];
    _Alignas(64) float room[ACROSS_NUMBERS];
    const int size = (int)job->classes * REEL_LANES_F32, stride = size + REEL_LANES_F32;
    int label[REEL_LANES_F32];
    xent_f32_groups at = {.count = size, .e = room, .out = room + stride, .label_out = room + 2 * stride};
    float *z = across_take(job, panel, REEL_XENT_LOGITS, room + 3 * stride);
    at.z = z;
    at.y = across_take(job, panel, REEL_XENT_LABELS, room + 4 * stride);
    at.v = across_take(job, panel, REEL_XENT_DIRECTION, room + 5 * stride);
    for (REEL_EACH_VECTOR_F32(i))
        reel_put_f32(largest.max + i, reel_spread_f32(-INFINITY));
    reel_xent_f32_no_sums(&sums);
    reel_xent_f32_largest(at.z, size, largest.max);
    reel_xent_f32_find_largest(&largest);
    reel_xent_f32_add_classes(job, &at, largest.max, &sums);
    if (across_is_any_confident(&largest, &sums))
        reel_xent_f32_add_others(&at, largest.e, &sums);
    if (!at.y) {
        for (int p = 0; p < 2; p++)
            across_find_labels(&panel[p], size, p * REEL_XENT_ROWS, label + p * REEL_XENT_ROWS);
        across_add_labels(label, size, z, &sums);
    }
    for (int p = 0; p < 2; p++)
        reel_xent_f32_finish(job, &sums, &largest, p * REEL_XENT_ROWS, &panel[p], &rows[p], &unsuited[p]);
    if (job->array[REEL_XENT_OUT].data)
        across_write(job, panel, rows, label, &at);
}
