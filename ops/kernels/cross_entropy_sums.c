/* The first half of the kernel: what the classes of eight rows add up to; cross_entropy_formulas.h tells how. What costs
 * most is there twice, exact and plain. The rest is exact alone, as that has the same `hi`. */
#include "ops/kernels/cross_entropy_formulas.h"

#include <string.h>

#if XENT_TILES

static const double sums_huge = 0x1p900, sums_shrink = 0x1p-128;

/* ---- A tile ------------------------------------------------------------------------------------ */

/* What fills up the last group has weight 0, so that smoothing gives it no label. */
static void sums_load_weights(const reel_xent_job *job, const reel_xent_panel *panel, reel_xent_place place,
                              double *tile)
{
    if (job->array[REEL_XENT_CLASS_WEIGHTS].data) {
        reel_xent_load(job, panel, REEL_XENT_CLASS_WEIGHTS, place, 0, tile);
        return;
    }
    int filled = job->across ? place.groups * REEL_LANES : place.classes;
    for (int i = 0; i < place.groups * REEL_LANES; i++)
        tile[i] = i < filled;
}

/* y' = w (scale y + shift) */
static void sums_use_labels(const reel_xent_job *job, int groups, xent_tiles *tiles)
{
    const reel_pair scale = {reel_vector_of(job->scale[0]), reel_vector_of(job->scale[1])};
    const reel_pair shift = {reel_vector_of(job->shift[0]), reel_vector_of(job->shift[1])};
    for (int at = 0; at < groups * REEL_LANES; at += REEL_WIDTH) {
        reel_pair y = reel_pair_of(reel_load(tiles->y.hi + at));
        if (!job->labels_as_given) {
            y = reel_pair_add(true, reel_pair_mul(true, scale, y), shift);
            y = reel_pair_mul(true, reel_pair_of(reel_load(tiles->weight + at)), y);
        }
        XENT_PUT(true, &tiles->y, at, y);
    }
}

/* e^(z - m) */
REEL_INLINE void sums_exponentials(bool exact, const xent_rows *rows, int groups, xent_tiles *tiles)
{
    for (XENT_EACH_LANE(at, i, groups)) {
        reel_pair d = xent_distance(exact, rows, i, reel_load(tiles->z + at));
        if (exact)
            d = reel_pair_scale(d, reel_load(rows->grow + i));
        XENT_PUT(exact, &tiles->e, at, reel_pair_exp(exact, d));
    }
}

static void sums_fill(const reel_xent_job *job, const reel_xent_panel *panel, const xent_rows *rows,
                      reel_xent_place place, bool with_e, xent_tiles *tiles)
{
    reel_xent_load(job, panel, REEL_XENT_LOGITS, place, rows->max[0], tiles->z);
    if (with_e && xent_is_exact(job))
        sums_exponentials(true, rows, place.groups, tiles);
    else if (with_e)
        sums_exponentials(false, rows, place.groups, tiles);
    if (xent_wants_direction(job))
        reel_xent_load(job, panel, REEL_XENT_DIRECTION, place, 0, tiles->v);
    if (!job->labels_as_given)
        sums_load_weights(job, panel, place, tiles->weight);
    if (!xent_wants_labels(job))
        return;
    reel_xent_load_labels(job, panel, place, tiles->y.hi);
    if (xent_is_exact(job) || !job->labels_as_given)
        sums_use_labels(job, place.groups, tiles);
}

void reel_xent_fill_tiles(const reel_xent_job *job, const reel_xent_panel *panel, const xent_rows *rows,
                          reel_xent_place place, xent_tiles *tiles)
{
    sums_fill(job, panel, rows, place, xent_wants(job, REEL_XENT_GRADIENT | REEL_XENT_SECOND), tiles);
}

/* ---- Sums -------------------------------------------------------------------------------------- */

/* Group k goes into partial sum k mod 8 across; along, into the eight lanes of the first. */
REEL_INLINE void sums_of_tile(bool exact, const reel_xent_job *job, const xent_rows *rows, int groups,
                              xent_tiles *tiles, xent_sums *sums)
{
    for (int kind = 0; kind < XENT_SUMS; kind++) {
        if (!xent_wants_sum(job, kind))
            continue;
        for (XENT_EACH_LANE(at, i, groups)) {
            xent_class c = xent_class_in(exact, rows, i, tiles, at);
            xent_pairs *to = &sums[job->across ? at / REEL_LANES % REEL_LANES : 0].of[kind];
            reel_pair sum = XENT_AT(exact, to, i);
            XENT_PUT(exact, to, i, xent_add_class(exact, false, kind, &c, job->forgiven, sum));
        }
    }
}

static void sums_of_row(const reel_xent_job *job, const reel_xent_panel *panel, int row, const xent_rows *rows,
                        xent_tiles *tiles, xent_sums *sums)
{
    reel_xent_place place = reel_xent_first(job, row);
    do {
        sums_fill(job, panel, rows, place, true, tiles);
        if (xent_is_exact(job))
            sums_of_tile(true, job, rows, place.groups, tiles, sums);
        else
            sums_of_tile(false, job, rows, place.groups, tiles, sums);
    } while (reel_xent_next(job, &place));
}

/* ---- The largest logit ------------------------------------------------------------------------- */

/* In each lane: the largest logit, and the largest finite magnitude of one. */
static void sums_find_largest(const reel_xent_job *job, const reel_xent_panel *panel, int row, double *z,
                              double max[REEL_LANES], double size[REEL_LANES])
{
    for (int lane = 0; lane < REEL_LANES; lane++) {
        max[lane] = -INFINITY;
        size[lane] = 0;
    }
    reel_xent_place place = reel_xent_first(job, row);
    do {
        reel_xent_load(job, panel, REEL_XENT_LOGITS, place, -INFINITY, z);
        for (XENT_EACH_LANE(at, i, place.groups)) {
            reel_vector here = reel_load(z + at), largest = reel_load(max + i);
            reel_vector magnitude = reel_magnitude(here), most = reel_load(size + i);
            reel_mask larger = (magnitude > most) & (magnitude < INFINITY);
            reel_store(max + i, reel_select(here > largest, here, largest));
            reel_store(size + i, reel_select(larger, magnitude, most));
        }
    } while (reel_xent_next(job, &place));
}

static double sums_largest_of(const double lane[REEL_LANES])
{
    double largest = lane[0];
    for (int i = 1; i < REEL_LANES; i++)
        largest = lane[i] > largest ? lane[i] : largest;
    return largest;
}

static void sums_set_largest(xent_rows *rows, int row, double max, double size)
{
    rows->max[row] = max;
    rows->shrink[row] = size < sums_huge ? 1 : sums_shrink;
    rows->grow[row] = 1 / rows->shrink[row];
}

/* ---- Eight rows -------------------------------------------------------------------------------- */

static void sums_across(const reel_xent_job *job, const reel_xent_panel *panel, xent_rows *rows, xent_tiles *tiles,
                        xent_sums partial[REEL_LANES])
{
    double max[REEL_LANES], size[REEL_LANES];
    sums_find_largest(job, panel, 0, tiles->z, max, size);
    for (int row = 0; row < REEL_LANES; row++)
        sums_set_largest(rows, row, max[row], size[row]);
    sums_of_row(job, panel, 0, rows, tiles, partial);
}

static void sums_along(const reel_xent_job *job, const reel_xent_panel *panel, xent_rows *rows, xent_tiles *tiles,
                       xent_sums partial[REEL_LANES])
{
    for (int row = 0; row < panel->rows; row++) {
        double max[REEL_LANES], size[REEL_LANES];
        xent_rows alone;
        xent_sums lanes;
        memset(&lanes, 0, sizeof lanes);
        sums_find_largest(job, panel, row, tiles->z, max, size);
        sums_set_largest(rows, row, sums_largest_of(max), sums_largest_of(size));
        reel_xent_row_alone(rows, row, &alone);
        sums_of_row(job, panel, row, &alone, tiles, &lanes);
        reel_xent_spread(job, &lanes, partial, row);
    }
}

void reel_xent_sum_rows(const reel_xent_job *job, reel_xent_panel *panel, xent_rows *rows, xent_tiles *tiles)
{
    xent_sums partial[REEL_LANES];
    memset(partial, 0, sizeof partial);
    if (job->across)
        sums_across(job, panel, rows, tiles, partial);
    else
        sums_along(job, panel, rows, tiles, partial);
    reel_xent_join(REEL_LANES, partial);
    reel_xent_finish_rows(job, &partial[0], panel, rows);
}

#endif
