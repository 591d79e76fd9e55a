/* Skinny products of bytes in contiguous rows, images as they are stored; included by skinny.c.
 *
 *     C[i, j] = sum_p A[i, p] B[p, j]
 *
 * The lanes are rows of A, as many as a vector has numbers. Sixteen bytes of each row are turned at a time, so that
 * byte p of all of them lies in one vector; widened, it meets the ten numbers of row p of B, each of which has a
 * register of sums. (With the columns of B in the lanes, as in skinny_rows.h, six of sixteen would be idle.) More
 * than ten columns take A twice.
 *
 * Rows beyond the last are the last once more, columns of B beyond n are zeros; nobody reads their sums. */
enum {
    BYTES_ROWS = REEL_WIDTH_F32,
    BYTES_COLUMNS = 10,
    BYTES_TURNED = 16,                              /* terms                                       */
    BYTES_BLOCKS = 8,                               /* of rows, that meet a part of B while it is in the level-1 cache */
    BYTES_LINE = 64
};

#define BYTES_EACH_COLUMN(j) _Pragma("GCC unroll 10") for (int j = 0; j < BYTES_COLUMNS; j++)

/* Where byte q of sixteen is in its four. */
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define BYTES_SHIFT(q) (24 - (q) % 4 * 8)
#else
#define BYTES_SHIFT(q) ((q) % 4 * 8)
#endif

/* Of each row sixteen bytes: turned[q] holds bytes 4 q ... 4 q + 3, a row in each lane. */
REEL_INLINE void bytes_turn(const uint8_t *a, const int64_t row[BYTES_ROWS], reel_bits_f32 turned[4])
{
    reel_vector_f32 fours[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++)
        fours[i] = reel_take_fours_f32(a, 1, row + i);
    reel_turn_fours_f32(fours);
    memcpy(turned, fours, sizeof fours);
}

/* total[j] += the products of `terms` bytes, a multiple of sixteen, of a block of rows with column j of B. By itself,
 * since else compilers keep sums in memory. */
static __attribute__((noinline)) void
bytes_sum(int64_t terms, const uint8_t *a, const int64_t row[BYTES_ROWS], const float *b, int64_t b_row,
          const uint8_t *next, reel_vector_f32 total[BYTES_COLUMNS])
{
    reel_vector_f32 sum[BYTES_COLUMNS] = {{0}};
    for (int64_t p = 0; p < terms; p += BYTES_TURNED) {
        reel_bits_f32 turned[4];
        bytes_turn(a + p, row, turned);
        for (int i = 0; i < BYTES_ROWS && p % BYTES_LINE == 0; i++)
            __builtin_prefetch(next + row[i] + p);
#pragma GCC unroll 4
        for (int q = 0; q < BYTES_TURNED; q++, b += b_row) {
            reel_mask_f32 byte = (reel_mask_f32)((turned[q / 4] >> BYTES_SHIFT(q)) & 255);
            reel_vector_f32 x = __builtin_convertvector(byte, reel_vector_f32);
            BYTES_EACH_COLUMN(j)
                sum[j] = reel_fma_f32(x, reel_spread_f32(b[j]), sum[j]);
        }
    }
    BYTES_EACH_COLUMN(j)
        total[j] += sum[j];
}

/* A part of the product: some terms of some columns. */
typedef struct bytes_part {
    const reel_skinny *s;
    int64_t            column, columns, first, terms;
    const float       *b;                           /* ten columns of as many terms, or more: a multiple of sixteen */
    int64_t            b_row;
} bytes_part;

static int64_t bytes_padded(int64_t terms)
{
    return (terms + BYTES_TURNED - 1) / BYTES_TURNED * BYTES_TURNED;
}

/* B where it lies, or as the packed copy. */
static void bytes_take_b(bytes_part *part, float packed[SKINNY_DEPTH * BYTES_COLUMNS])
{
    const reel_skinny *s = part->s;
    const float *b = (const float *)s->b + part->first * s->b_row + part->column * s->b_col;
    bool fits = s->b_col == 1 && part->columns == BYTES_COLUMNS && part->terms % BYTES_TURNED == 0;
    part->b = fits ? b : packed;
    part->b_row = fits ? s->b_row : BYTES_COLUMNS;
    for (int64_t p = 0; p < bytes_padded(part->terms) && !fits; p++, packed += BYTES_COLUMNS)
        for (int64_t j = 0; j < BYTES_COLUMNS; j++)
            packed[j] = p < part->terms && j < part->columns ? b[p * s->b_row + j * s->b_col] : 0;
}

/* A block of rows from row i on, where it lies, or copied. */
static const uint8_t *bytes_take_a(const bytes_part *part, int64_t i, int64_t row[BYTES_ROWS],
                                   uint8_t tile[BYTES_ROWS * SKINNY_DEPTH])
{
    const reel_skinny *s = part->s;
    const uint8_t *a = (const uint8_t *)s->a + i * s->a_row + part->first * s->a_col;
    bool fits = s->a_col == 1 && part->terms % BYTES_TURNED == 0;
    for (int64_t r = 0; r < BYTES_ROWS; r++) {
        row[r] = skinny_smaller(r, s->m - 1 - i) * s->a_row;
        for (int64_t p = 0; p < bytes_padded(part->terms) && !fits; p++)
            tile[r * SKINNY_DEPTH + p] = p < part->terms ? a[row[r] + p * s->a_col] : 0;
        row[r] = fits ? row[r] : r * SKINNY_DEPTH;
    }
    return fits ? a : tile;
}

/* What is needed next: the next rows, or the first ones' next terms. */
static const uint8_t *bytes_next(const bytes_part *part, int64_t i)
{
    const reel_skinny *s = part->s;
    bool more = s->m - i > BYTES_ROWS;
    return (const uint8_t *)s->a + (more ? (i + BYTES_ROWS) * s->a_row + part->first * s->a_col
                                         : (part->first + part->terms) * s->a_col);
}

/* Rows i ... of ten columns of C, or what is left of both, all terms. */
static void bytes_blocks(bytes_part *part, int64_t i)
{
    const reel_skinny *s = part->s;
    const int64_t rows = skinny_smaller(s->m - i, BYTES_BLOCKS * BYTES_ROWS);
    _Alignas(64) float packed[SKINNY_DEPTH * BYTES_COLUMNS], lanes[BYTES_COLUMNS][BYTES_ROWS];
    _Alignas(64) uint8_t tile[BYTES_ROWS * SKINNY_DEPTH];
    reel_vector_f32 total[BYTES_BLOCKS][BYTES_COLUMNS] = {{{0}}};
    for (part->first = 0; part->first < s->k; part->first += part->terms) {
        part->terms = skinny_smaller(s->k - part->first, SKINNY_DEPTH);
        bytes_take_b(part, packed);
        for (int64_t r = 0; r < rows; r += BYTES_ROWS) {
            int64_t row[BYTES_ROWS];
            const uint8_t *a = bytes_take_a(part, i + r, row, tile);
            bytes_sum(bytes_padded(part->terms), a, row, part->b, part->b_row, bytes_next(part, i + r),
                      total[r / BYTES_ROWS]);
        }
    }
    for (int64_t r = 0; r < rows; r++) {
        float *c = (float *)s->c + (i + r) * s->c_row + part->column * s->c_col;
        if (r % BYTES_ROWS == 0)
            memcpy(lanes, total[r / BYTES_ROWS], sizeof lanes);
        for (int64_t j = 0; j < part->columns; j++)
            c[j * s->c_col] = lanes[j][r % BYTES_ROWS];
    }
}

static void skinny_bytes(const reel_skinny *s)
{
    bytes_part part = {.s = s};
    for (; part.column < s->n; part.column += BYTES_COLUMNS) {
        part.columns = skinny_smaller(s->n - part.column, BYTES_COLUMNS);
        for (int64_t i = 0; i < s->m; i += BYTES_BLOCKS * BYTES_ROWS)
            bytes_blocks(&part, i);
    }
}
