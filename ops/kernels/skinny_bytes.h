/* Skinny products of bytes in contiguous rows, images as they are stored; included by skinny.c.
 *
 *     C[i, j] = sum_p A[i, p] B[p, j]
 *
 * The lanes are rows of A, as many as a vector has numbers. Sixteen bytes of each row are turned at a time, so
 * that byte p of all of them lies in one vector; widened, it meets the numbers of row p of B, each of which has a
 * register of sums. (With the columns of B in the lanes, as in skinny_rows.h, six of sixteen would be idle for ten
 * classes.) Where there are but sixteen registers, more than ten columns take A twice.
 *
 * Rows beyond the last are the last once more, columns of B beyond n are zeros; nobody reads their sums. The last
 * sixteen bytes reach back over some before, which meet zeros in the place of B. */
enum {
    BYTES_ROWS = REEL_WIDTH_F32,
    BYTES_TEN = 10,                                 /* columns at a time, as a classifier's; and of others */
    BYTES_MOST = REEL_VECTOR_BYTES == 64 ? REEL_SKINNY_MOST : REEL_VECTOR_BYTES == 32 ? 8 : BYTES_TEN,
    BYTES_TURNED = 16,                              /* terms                                       */
    BYTES_BLOCKS = 8,                               /* of rows, that meet a part of B while it is in the cache */
    BYTES_LINE = 64
};

/* A part of the product: some terms of some columns. */
typedef struct bytes_part {
    const reel_skinny *s;
    int64_t            column, columns, first, terms;
    int64_t            together;                    /* columns that are computed: no less          */
    const float       *b;                           /* ... of B, in sixteens of terms              */
    int64_t            b_row;
} bytes_part;

/* A block of rows, of all terms of a part, and the rows after it: to be fetched. */
typedef struct bytes_rows {
    const uint8_t *a, *next;
    int64_t        row[BYTES_ROWS], next_row;
} bytes_rows;

/* ---- Sums ------------------------------------------------------------------------------------------------- */

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

/* Where the last sixteen terms begin. Fewer are filled up with zeros. */
static int64_t bytes_last(int64_t terms)
{
    return terms < BYTES_TURNED ? 0 : terms - BYTES_TURNED;
}

/* total[j] += the products of a block of rows with column j of B. */
REEL_INLINE void bytes_add(int columns, const bytes_part *part, const bytes_rows *rows, reel_vector_f32 *total)
{
    const int64_t terms = part->terms, last = bytes_last(terms), b_row = part->b_row;
    const float *b = part->b;
    reel_vector_f32 sum[REEL_SKINNY_MOST] = {{0}};
    for (int64_t p = 0; p < terms; p += BYTES_TURNED) {
        reel_bits_f32 turned[4];
        const int64_t *row = rows->row;
        REEL_HIDE(row);
        bytes_turn(rows->a + skinny_smaller(p, last), row, turned);
        for (int i = 0; i < BYTES_ROWS && p % BYTES_LINE == 0; i++)
            __builtin_prefetch(rows->next + i * rows->next_row + p);
        for (int q = 0; q < 4; q++)
#pragma GCC unroll 4
            for (int byte = 0; byte < 4; byte++, b += b_row) {
                reel_vector_f32 x = reel_next_byte_f32(&turned[q], byte);
#pragma GCC unroll 16
                for (int j = 0; j < columns; j++)
                    sum[j] = reel_fma_f32(x, reel_spread_f32(b[j]), sum[j]);
            }
    }
#pragma GCC unroll 16
    for (int j = 0; j < columns; j++)
        total[j] += sum[j];
}

/* In functions by themselves, since else compilers keep sums in memory. Where the most are ten, one is enough. */
static __attribute__((noinline)) void bytes_add_ten(const bytes_part *part, const bytes_rows *rows,
                                                    reel_vector_f32 *total)
{
    bytes_add(BYTES_TEN, part, rows, total);
}

static __attribute__((noinline, unused)) void bytes_add_most(const bytes_part *part, const bytes_rows *rows,
                                                             reel_vector_f32 *total)
{
    bytes_add(BYTES_MOST, part, rows, total);
}

/* ---- Operands --------------------------------------------------------------------------------------------- */

/* How many columns are best computed together. */
static int64_t bytes_together(int64_t n)
{
    return n <= BYTES_TEN && (n > BYTES_MOST || BYTES_TEN < BYTES_MOST) ? BYTES_TEN : BYTES_MOST;
}

/* B where it lies, or as the packed copy. */
static void bytes_take_b(bytes_part *part, float *packed)
{
    const reel_skinny *s = part->s;
    const float *b = (const float *)s->b + part->first * s->b_row + part->column * s->b_col;
    bool fits = s->b_col == 1 && part->columns == part->together && part->terms % BYTES_TURNED == 0;
    part->b = fits ? b : packed;
    part->b_row = fits ? s->b_row : part->together;
    if (fits)
        return;
    const int64_t rest = part->terms % BYTES_TURNED, whole = part->terms - rest;
    const int64_t back = rest > 0 && whole > 0 ? BYTES_TURNED - rest : 0;
    memset(packed, 0, (size_t)((whole + BYTES_TURNED) * part->together) * sizeof *packed);
    for (int64_t p = 0; p < part->terms; p++, b += s->b_row)
        for (int64_t j = 0; j < part->columns; j++)
            packed[(p < whole ? p : p + back) * part->together + j] = b[j * s->b_col];
}

/* The rows from row i on where they lie, or as copies in the tile. */
static void bytes_take_a(const bytes_part *part, int64_t i, bytes_rows *rows, uint8_t *tile)
{
    const reel_skinny *s = part->s;
    const uint8_t *first = (const uint8_t *)s->a + i * s->a_row + part->first * s->a_col;
    const int64_t terms = part->terms;
    bool fits = s->a_col == 1 && terms >= BYTES_TURNED;
    rows->a = fits ? first : tile;
    for (int64_t r = 0; r < BYTES_ROWS; r++, tile += SKINNY_DEPTH) {
        int64_t apart = skinny_smaller(r, s->m - 1 - i) * s->a_row;
        rows->row[r] = fits ? apart : r * SKINNY_DEPTH;
        if (fits)
            continue;
        for (int64_t p = 0; p < terms; p++)
            tile[p] = first[apart + p * s->a_col];
        if (terms < BYTES_TURNED)
            memset(tile + terms, 0, (size_t)(BYTES_TURNED - terms));
    }
}

/* ---- The product ------------------------------------------------------------------------------------------ */

/* C[i ..., column ...] = total */
static void bytes_write(const bytes_part *part, int64_t i, int64_t rows, const reel_vector_f32 *total)
{
    const reel_skinny *s = part->s;
    float sum[REEL_SKINNY_MOST][BYTES_ROWS];
    memcpy(sum, total, sizeof sum);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t j = 0; j < part->columns; j++)
            ((float *)s->c)[(i + r) * s->c_row + (part->column + j) * s->c_col] = sum[j][r];
}

/* total += the part's terms of a block of rows, `r` of `left` behind row i. */
static void bytes_block(const bytes_part *part, int64_t i, int64_t r, int64_t left, reel_vector_f32 *total)
{
    const reel_skinny *s = part->s;
    const bool more = left - r > BYTES_ROWS;        /* else row i's next terms follow              */
    const int64_t next = more ? i + r + BYTES_ROWS : i, next_term = more ? part->first : part->first + part->terms;
    bytes_rows rows = {.next_row = s->a_row};
    uint8_t tile[BYTES_ROWS * SKINNY_DEPTH];
    rows.next = (const uint8_t *)s->a + next * s->a_row + next_term * s->a_col;
    bytes_take_a(part, i + r, &rows, tile);
    if (BYTES_MOST == BYTES_TEN || part->together == BYTES_TEN)
        bytes_add_ten(part, &rows, total);
    else
        bytes_add_most(part, &rows, total);
}

/* Blocks of rows from row i on: some columns of C, all terms. */
static void bytes_blocks(bytes_part *part, int64_t i)
{
    const reel_skinny *s = part->s;
    const int64_t left = skinny_smaller(s->m - i, BYTES_BLOCKS * BYTES_ROWS);
    float packed[(SKINNY_DEPTH + BYTES_TURNED) * REEL_SKINNY_MOST];
    reel_vector_f32 total[BYTES_BLOCKS][REEL_SKINNY_MOST] = {{{0}}};
    for (part->first = 0; part->first < s->k; part->first += part->terms) {
        part->terms = skinny_smaller(s->k - part->first, SKINNY_DEPTH);
        bytes_take_b(part, packed);
        for (int64_t r = 0; r < left; r += BYTES_ROWS)
            bytes_block(part, i, r, left, total[r / BYTES_ROWS]);
    }
    for (int64_t r = 0; r < left; r += BYTES_ROWS)
        bytes_write(part, i + r, skinny_smaller(left - r, BYTES_ROWS), total[r / BYTES_ROWS]);
}

static void skinny_bytes(const reel_skinny *s)
{
    bytes_part part = {.s = s, .together = bytes_together(s->n)};
    for (; part.column < s->n; part.column += part.together) {
        part.columns = skinny_smaller(s->n - part.column, part.together);
        for (int64_t i = 0; i < s->m; i += BYTES_BLOCKS * BYTES_ROWS)
            bytes_blocks(&part, i);
    }
}
