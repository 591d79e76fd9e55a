/* The forwards of conv2d.h, by matrix products. An image of one group is unfolded into u[c kh kw, oh ow],
 * a column for each place of the window:
 *
 *     y = w u          u' = w' g, folded back into x by adding          w = g u', summed over the images
 *
 * f64 works in f64, all others in f32, and the half types are rounded once. Images are divided among the
 * threads, each of which has scratch memory of its own. Sums over images run in parts that depend on their
 * number alone, so that no bit depends on the number of threads. */
#include "ops/conv2d.h"
#include "autograd/tape.h"
#include "core/dtype.h"
#include "core/shape.h"
#include "ops/kernels/gemm.h"

enum { CONV_PARTS = 16 };

struct conv_run {
    const reel_call *call;
    reel_conv2d_plan plan;
    const reel_array *x, *g;                        /* operands or result                          */
    reel_dtype       works_in;
    size_t           size;                          /* of an element, there                        */
    const char      *w;                             /* [o, depth] of all groups, contiguous        */
    char            *scratch;                       /* of the first piece                          */
    size_t           stretch;                       /* ... and of each                             */
    char            *part;                          /* of conv2d_weight_gradient: sums over some images */
    int64_t          pieces, parts;
    bool             failed;

    void (*image)(struct conv_run *run, int64_t n, int64_t group, int64_t piece);       /* does one        */
};

/* Scratch memory: w where it must be laid out anew, the parts of a sum, and for each piece an unfolded
 * image, and one image of g and of x of one group. */
struct conv_rooms {
    size_t w, parts, unfolded, g, x;
};

static struct conv_rooms conv_rooms(const reel_conv2d_plan *p, size_t size)
{
    int64_t kernels = p->groups * p->o * p->depth, parts = p->n < CONV_PARTS ? p->n : CONV_PARTS;
    return (struct conv_rooms){
        .w = reel_scratch_room(kernels, size), .parts = reel_scratch_room(kernels * parts, size),
        .unfolded = reel_scratch_room(p->depth * p->places, size),
        .g = reel_scratch_room(p->o * p->places, size),
        .x = reel_scratch_room(p->c * p->h * p->w, size),
    };
}

static reel_dtype conv_works_in(reel_dtype dtype)
{
    return dtype == REEL_F64 ? REEL_F64 : REEL_F32;
}

size_t reel_conv2d_scratch(const reel_call *call, const reel_conv2d_plan *plan)
{
    struct conv_rooms rooms = conv_rooms(plan, reel_dtype_size(conv_works_in(call->in[0].dtype)));
    return rooms.w + rooms.parts + (size_t)reel_pieces(call, plan->n) * (rooms.unfolded + rooms.g + rooms.x);
}

static struct conv_run conv_start(const reel_call *call, const reel_array *x, const reel_array *w,
                                  const reel_array *g)
{
    struct conv_run run = {
        .call = call, .plan = reel_conv2d_plan_of(call->attributes, x, w, g), .x = x, .g = g};
    run.works_in = conv_works_in(x->dtype);
    run.size = reel_dtype_size(run.works_in);
    struct conv_rooms rooms = conv_rooms(&run.plan, run.size);
    run.part = (char *)call->scratch + rooms.w;
    run.scratch = run.part + rooms.parts;
    run.stretch = rooms.unfolded + rooms.g + rooms.x;
    run.pieces = reel_pieces(call, run.plan.n);
    run.parts = run.plan.n < CONV_PARTS ? run.plan.n : CONV_PARTS;
    return run;
}

/* Where a piece keeps an unfolded image, an image of g and one of x. */
static char *conv_unfolded(const struct conv_run *run, int64_t piece)
{
    return run->scratch + (size_t)piece * run->stretch;
}

static char *conv_g_room(const struct conv_run *run, int64_t piece)
{
    return conv_unfolded(run, piece) + conv_rooms(&run->plan, run->size).unfolded;
}

static char *conv_x_room(const struct conv_run *run, int64_t piece)
{
    return conv_g_room(run, piece) + conv_rooms(&run->plan, run->size).g;
}

static void conv_multiply(struct conv_run *run, int64_t m, int64_t n, int64_t k, const void *a, int64_t a_row,
                          int64_t a_col, const void *b, int64_t b_row, int64_t b_col, bool add, void *c)
{
    reel_cpu_level cpu = run->call->tape->cpu;
    bool done = run->works_in == REEL_F64
                    ? reel_gemm_f64(cpu, m, n, k, a, a_row, a_col, b, b_row, b_col, add, c, n, 1)
                    : reel_gemm_f32(cpu, m, n, k, a, a_row, a_col, b, b_row, b_col, add, c, n, 1);
    if (!done)
        __atomic_store_n(&run->failed, true, __ATOMIC_RELAXED);
}

/* ---- Operands -------------------------------------------------------------------------------------- */

/* An array from dimension `from` on, whose first element is number `start`: where it lies, or copied to
 * `room`. */
static const char *conv_matrix(const struct conv_run *run, const reel_array *x, int from, int64_t start,
                               char *room)
{
    int64_t size = (int64_t)reel_dtype_size(x->dtype);
    const char *data = (const char *)x->data + start * size;
    if (x->dtype == run->works_in && reel_is_contiguous(x->rank - from, x->shape + from, x->strides + from))
        return data;
    const int64_t *strides[] = {x->strides + from};
    char *to = room;
    reel_walk walk;
    for (reel_walk_start(&walk, x->rank - from, x->shape + from, 1, strides); walk.more;
         reel_walk_next(&walk)) {
        reel_convert_strided(run->works_in, to, 1, x->dtype, data + walk.offset[0] * size, walk.step[0],
                             walk.length);
        to += walk.length * (int64_t)run->size;
    }
    return room;
}

/* Channels of group `group` of image n, as a matrix [o, oh ow]. */
static const char *conv_g_matrix(const struct conv_run *run, int64_t n, int64_t group, int64_t piece)
{
    const reel_conv2d_plan *p = &run->plan;
    reel_array g = *run->g;
    const int64_t shape[] = {g.shape[0], p->o, g.shape[2], g.shape[3]};
    g.shape = shape;
    return conv_matrix(run, &g, 1, n * g.strides[0] + group * p->o * g.strides[1], conv_g_room(run, piece));
}

/* ---- Images ------------------------------------------------------------------------------------- */

/* Pieces [begin, end) of the images. */
static void conv_pieces(void *context, int64_t begin, int64_t end)
{
    struct conv_run *run = context;
    for (int64_t piece = begin; piece < end; piece++)
        for (int64_t n = reel_piece_begin(run->plan.n, run->pieces, piece);
             n < reel_piece_begin(run->plan.n, run->pieces, piece + 1); n++)
            for (int64_t group = 0; group < run->plan.groups; group++)
                run->image(run, n, group, piece);
}

static bool conv_finish(const struct conv_run *run)
{
    return !run->failed || reel_call_error(run->call, "BLIS has no memory to start with");
}

static bool conv_images(struct conv_run *run, int64_t count)
{
    if (count > 0)
        reel_call_parallel(run->call, run->pieces, 1, conv_pieces, run);
    return conv_finish(run);
}

/* ---- conv2d ---------------------------------------------------------------------------------------- */

static void conv_image(struct conv_run *run, int64_t n, int64_t group, int64_t piece)
{
    const reel_conv2d_plan *p = &run->plan;
    const reel_array *y = run->g;
    bool widens = y->dtype != run->works_in;
    char *unfolded = conv_unfolded(run, piece);
    int64_t start = (n * p->groups + group) * p->o * p->places;
    char *to = (char *)y->data + start * (int64_t)reel_dtype_size(y->dtype);
    char *result = widens ? conv_g_room(run, piece) : to;
    reel_conv2d_unfold(p, run->x, n, group, run->works_in, unfolded);
    conv_multiply(run, p->o, p->places, p->depth, run->w + group * p->o * p->depth * (int64_t)run->size,
                  p->depth, 1, unfolded, p->places, 1, false, result);
    if (widens)
        reel_convert(y->dtype, to, run->works_in, result, p->o * p->places);
}

bool reel_conv2d_forward(const reel_call *call)
{
    struct conv_run run = conv_start(call, &call->in[0], &call->in[1], &call->out[0]);
    run.w = conv_matrix(&run, &call->in[1], 0, 0, call->scratch);
    run.image = conv_image;
    return conv_images(&run, call->out[0].count);
}

/* ---- conv2d_input_gradient ------------------------------------------------------------------------- */

static void conv_input_image(struct conv_run *run, int64_t n, int64_t group, int64_t piece)
{
    const reel_conv2d_plan *p = &run->plan;
    const reel_array *x = run->x;
    int64_t count = p->c * p->h * p->w;
    bool widens = x->dtype != run->works_in;
    char *unfolded = conv_unfolded(run, piece);
    char *to = (char *)x->data + (n * p->groups + group) * count * (int64_t)reel_dtype_size(x->dtype);
    char *sum = widens ? conv_x_room(run, piece) : to;
    conv_multiply(run, p->depth, p->places, p->o, run->w + group * p->o * p->depth * (int64_t)run->size, 1,
                  p->depth, conv_g_matrix(run, n, group, piece), p->places, 1, false, unfolded);
    reel_conv2d_fold(p, run->works_in, unfolded, sum);
    if (widens)
        reel_convert(x->dtype, to, run->works_in, sum, count);
}

bool reel_conv2d_input_gradient_forward(const reel_call *call)
{
    struct conv_run run = conv_start(call, &call->out[0], &call->in[1], &call->in[0]);
    run.w = conv_matrix(&run, &call->in[1], 0, 0, call->scratch);
    run.image = conv_input_image;
    return conv_images(&run, call->out[0].count);
}

/* ---- conv2d_weight_gradient ------------------------------------------------------------------------ */

/* One part of the sum, over some images. */
static void conv_weight_part(struct conv_run *run, int64_t part, int64_t piece)
{
    const reel_conv2d_plan *p = &run->plan;
    int64_t first = reel_piece_begin(p->n, run->parts, part),
            last = reel_piece_begin(p->n, run->parts, part + 1);
    int64_t kernels = p->o * p->depth * (int64_t)run->size;
    char *unfolded = conv_unfolded(run, piece), *sum = run->part + part * p->groups * kernels;
    for (int64_t n = first; n < last; n++)
        for (int64_t group = 0; group < p->groups; group++) {
            reel_conv2d_unfold(p, run->x, n, group, run->works_in, unfolded);
            conv_multiply(run, p->o, p->depth, p->places, conv_g_matrix(run, n, group, piece), p->places, 1,
                          unfolded, 1, p->places, n > first, sum + group * kernels);
        }
}

static void conv_weight_pieces(void *context, int64_t begin, int64_t end)
{
    struct conv_run *run = context;
    for (int64_t piece = begin; piece < end; piece++)
        for (int64_t part = reel_piece_begin(run->parts, run->pieces, piece);
             part < reel_piece_begin(run->parts, run->pieces, piece + 1); part++)
            conv_weight_part(run, part, piece);
}

/* The parts added up in f64, each element rounded once. */
static void conv_add_parts(const struct conv_run *run, const reel_array *w)
{
    int64_t size = (int64_t)reel_dtype_size(w->dtype);
    for (int64_t i = 0; i < w->count; i++) {
        double sum = 0, term;
        for (int64_t part = 0; part < run->parts; part++) {
            reel_convert(REEL_F64, &term, run->works_in,
                         run->part + (part * w->count + i) * (int64_t)run->size, 1);
            sum += term;
        }
        reel_convert(w->dtype, (char *)w->data + i * size, REEL_F64, &sum, 1);
    }
}

bool reel_conv2d_weight_gradient_forward(const reel_call *call)
{
    const reel_array *w = &call->out[0];
    struct conv_run run = conv_start(call, &call->in[0], w, &call->in[1]);
    if (w->count > 0 && run.parts > 0)
        reel_call_parallel(call, run.pieces, 1, conv_weight_pieces, &run);
    conv_add_parts(&run, w);
    return conv_finish(&run);
}
