/* Sixteen rows of a few classes at a time, turned, so that each row has a lane. cross_entropy_f32.h tells the rest. Halves
 * are widened on the way, and results rounded to them. */
#include "ops/kernels/cross_entropy_f32.h"
#include "core/dtype.h"

#include <string.h>

/* Groups: the sixteen rows' numbers of one class side by side. Arrays follow each other closely, as all that starts at
 * multiples of 4096 bytes competes for the same few lines of the level-1 cache. */
enum { ACROSS_ARRAYS = 6, ACROSS_NUMBERS = ACROSS_ARRAYS * REEL_XENT_FEW * REEL_LANES_F32 };

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
                a[i] = reel_take_fours_f32(array + class, sizeof *array, row + lane + i);
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

/* While these rows are in hand, the next sixteen come. */
REEL_INLINE void across_fetch(const float *array, const int64_t row[REEL_LANES_F32], int64_t classes, bool back)
{
    const float *next = array + row[0] + REEL_LANES_F32 * (row[1] - row[0]);
    for (int64_t class = 0; class < classes; class++)
        if (back)
            __builtin_prefetch(next + class * REEL_LANES_F32, 1);
        else
            __builtin_prefetch(next + class * REEL_LANES_F32);
}

/* All sixteen rows between memory of f32 and the room. */
static void across_turn_rows(const reel_xent_job *job, enum reel_xent_operand which, const int64_t row[REEL_LANES_F32],
                             float *groups, bool back)
{
    float *array = job->array[which].data;
    across_fetch(array, row, job->classes, back);
    if (back)
        across_put_rows(array, row, job->classes, groups);
    else
        across_take_rows(array, row, job->classes, groups);
}

/* ... and memory of halves, by way of the rows as f32 side by side. */
static void across_turn_halves(const reel_xent_job *job, enum reel_xent_operand which, const int64_t row[REEL_LANES_F32],
                               float *groups, bool back)
{
    float wide[REEL_LANES_F32 * REEL_XENT_FEW];
    int64_t wide_row[REEL_LANES_F32];
    uint16_t *array = job->array[which].data;
    const reel_dtype dtype = job->array[which].dtype;
    for (int r = 0; r < REEL_LANES_F32; r++)
        wide_row[r] = r * job->classes;
    if (back)
        across_put_rows(wide, wide_row, job->classes, groups);
    for (int r = 0; r < REEL_LANES_F32; r++)
        if (back)
            reel_convert(dtype, array + row[r], REEL_F32, wide + wide_row[r], job->classes);
        else
            reel_convert(REEL_F32, wide + wide_row[r], dtype, array + row[r], job->classes);
    if (!back)
        across_take_rows(wide, wide_row, job->classes, groups);
}

/* From memory into the room, or back. */
static void across_turn(const reel_xent_job *job, const reel_xent_panel panel[2], enum reel_xent_operand which,
                        float *groups, bool back)
{
    const reel_dtype dtype = job->array[which].dtype;
    const int64_t step = job->array[which].step;
    int64_t row[REEL_LANES_F32];
    for (int p = 0; p < 2; p++)
        #pragma omp simd
        for (int r = 0; r < REEL_XENT_ROWS; r++)
            row[p * REEL_XENT_ROWS + r] = reel_xent_row_at(&panel[p], which, r);
    const int rows = back ? panel[0].rows + panel[1].rows : REEL_LANES_F32;
    if (step == 1 && rows == REEL_LANES_F32 && job->classes >= 4 && (dtype == REEL_F32 || !XENT_ONE_WAY)) {
        (dtype == REEL_F32 ? across_turn_rows : across_turn_halves)(job, which, row, groups, back);
        return;
    }
    for (int r = 0; r < rows; r++) {
        char *there = (char *)job->array[which].data + row[r] * (int64_t)reel_dtype_size(dtype);
        if (back)
            reel_convert_strided(dtype, there, step, REEL_F32, groups + r, REEL_LANES_F32, job->classes);
        else
            reel_convert_strided(REEL_F32, groups + r, REEL_LANES_F32, dtype, there, step, job->classes);
    }
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

/* -1 for rows that have none that counts. */
static void across_find_labels(const reel_xent_panel *panel, int32_t label[REEL_XENT_ROWS])
{
    if (panel->whole)
        #pragma omp simd
        for (int r = 0; r < REEL_XENT_ROWS; r++)
            label[r] = (int32_t)panel->label[r];
    for (int r = 0; r < REEL_XENT_ROWS && !panel->whole; r++) {
        const bool counts = r < panel->rows && panel->label[r] >= 0 && panel->fate[r] == REEL_XENT_COUNTS;
        label[r] = counts ? (int32_t)panel->label[r] : -1;
    }
}

static void across_add_labels(const int32_t label[REEL_LANES_F32], const float z[REEL_LANES_F32], xent_f32_sums *sums)
{
    double *labels = sums->of[XENT_F32_LABELS], *labels_z = sums->of[XENT_F32_LABELS_Z];
    #pragma omp simd
    for (int lane = 0; lane < REEL_LANES_F32; lane++)
        labels[lane] = label[lane] >= 0;
    for (int lane = 0; lane < REEL_LANES_F32; lane += REEL_WIDTH)
        reel_store(labels_z + lane, reel_load_f32(z + lane));
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

typedef struct across_tile {
    xent_f32_sums    sums;
    xent_f32_largest largest;
    xent_f32_numbers numbers;
    int32_t          label[REEL_LANES_F32];
    float            label_z[REEL_LANES_F32], label_e[REEL_LANES_F32];     /* there                */
    _Alignas(64) float room[ACROSS_NUMBERS];        /* vectors that cross lines of the cache take longer */
    xent_f32_groups  at;
} across_tile;

static void across_read(const reel_xent_job *job, const reel_xent_panel panel[2], across_tile *tile)
{
    const int size = (int)job->classes * REEL_LANES_F32;
    float *room = tile->room;
    tile->at = (xent_f32_groups){.count = size, .e = room, .out = room + size, .label_out = room + 2 * size,
                                 .z = across_take(job, panel, REEL_XENT_LOGITS, room + 3 * size),
                                 .y = across_take(job, panel, REEL_XENT_LABELS, room + 4 * size),
                                 .v = across_take(job, panel, REEL_XENT_DIRECTION, room + 5 * size)};
}

/* The largest logit of those rows whose reference will not do. */
static REEL_RARE void across_take_largest(const xent_f32_groups *at, xent_f32_largest *largest)
{
    float all[REEL_LANES_F32];
    for (int lane = 0; lane < REEL_LANES_F32; lane++)
        all[lane] = -INFINITY;
    reel_xent_f32_largest(at->z, at->count, all);
    for (int lane = 0; lane < REEL_LANES_F32; lane++)
        if (!xent_f32_will_do(largest->reference[lane], all[lane]))
            largest->max[lane] = largest->reference[lane] = all[lane];
}

/* The first logit of each row, if it is an ordinary number, else the largest. */
static void across_choose_references(const xent_f32_groups *at, xent_f32_largest *largest)
{
    const reel_vector_f32 most = reel_spread_f32(REEL_EXP_F32_ORDINARY);
    bool ordinary = true;
    for (REEL_EACH_VECTOR_F32(i)) {
        const reel_vector_f32 first = reel_numbers_f32(at->z + i);
        ordinary = ordinary && reel_all_f32(reel_less_f32(first, most) & reel_less_f32(-first, most));
        reel_put_f32(largest->reference + i, first);
        reel_put_f32(largest->max + i, first);
    }
    if (!ordinary)
        across_take_largest(at, largest);
}

/* Whether a row's largest logit turned out to lie too far above the reference. It is the reference from then on. */
static bool across_went_too_far(const xent_f32_groups *at, xent_f32_largest *largest)
{
    bool near = true;
    for (REEL_EACH_VECTOR_F32(i)) {
        const reel_vector_f32 above = reel_numbers_f32(largest->max + i) - reel_numbers_f32(largest->reference + i);
        near = near && reel_none_f32(reel_less_f32(reel_spread_f32(REEL_EXP_F32_MOST), above));
    }
    if (!near)
        across_take_largest(at, largest);
    return !near;
}

static bool across_is_any_confident(const across_tile *tile)
{
    unsigned confident = 0;
    for (int lane = 0; lane < REEL_LANES_F32; lane += REEL_WIDTH)
        confident |= reel_condition_bits(reel_lanes_less(reel_load(tile->sums.of[XENT_F32_ALL] + lane),
                                                         reel_load_f32(tile->largest.e + lane) * XENT_F32_CONFIDENT));
    return confident != 0;
}

static void across_add(const reel_xent_job *job, const reel_xent_panel panel[2], across_tile *tile)
{
    across_choose_references(&tile->at, &tile->largest);
    do {
        reel_xent_f32_no_sums(XENT_F32_SUMS, &tile->sums);
        reel_xent_f32_add_classes(job, &tile->at, tile->largest.reference, tile->largest.max, &tile->sums);
    } while (across_went_too_far(&tile->at, &tile->largest));
    reel_xent_f32_find_largest(&tile->largest);
    if (across_is_any_confident(tile))
        reel_xent_f32_add_others(&tile->at, tile->largest.e, &tile->sums);
    if (tile->at.y)
        return;
    for (int p = 0; p < 2; p++)
        across_find_labels(&panel[p], tile->label + p * REEL_XENT_ROWS);
    reel_xent_f32_look_up(&tile->at, tile->label, tile->label_z, tile->label_e);
    across_add_labels(tile->label, tile->label_z, &tile->sums);
}

static void across_write(const reel_xent_job *job, const reel_xent_panel panel[2], const across_tile *tile)
{
    _Alignas(64) xent_f32_rows lanes;
    float at_label[REEL_LANES_F32];
    reel_xent_f32_lanes(job, &tile->largest, &tile->numbers, &lanes);
    reel_xent_f32_write(job, &tile->at, &lanes);
    if (!tile->at.y && xent_wants(job, REEL_XENT_GRADIENT)) {
        reel_xent_f32_at_labels(&tile->numbers, tile->label_e, at_label);
        reel_xent_f32_put_labels(&tile->at, tile->label, at_label);
    }
    for (int p = 0; p < 2; p++)
        across_fill(&panel[p], p * REEL_XENT_ROWS, job->classes, &tile->at);
    if (xent_wants(job, REEL_XENT_GRADIENT | REEL_XENT_SECOND))
        across_turn(job, panel, REEL_XENT_OUT, tile->at.out, true);
    if (xent_wants(job, REEL_XENT_LABEL_GRADIENT))
        across_turn(job, panel, xent_f32_label_out(job), tile->at.label_out, true);
}

void reel_xent_f32_across(const reel_xent_job *job, reel_xent_panel panel[2], xent_f32_unsuited unsuited[2])
{
    _Alignas(64) across_tile tile;
    across_read(job, panel, &tile);
    across_add(job, panel, &tile);
    reel_xent_f32_finish(job, &tile.sums, &tile.largest, 2, panel, &tile.numbers, unsuited);
    if (job->array[REEL_XENT_OUT].data)
        across_write(job, panel, &tile);
}
