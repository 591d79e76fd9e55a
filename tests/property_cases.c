/* Drawing random cases, laying them out, and asking Reel. Gaps in memory hold NaN, so that a stride that was
 * ignored shows.
 */
#include "tests/property_cases.h"
#include "tests/ulp.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t property_bits(property_random *random)
{
    uint64_t z = random->state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

int64_t property_below(property_random *random, int64_t end)
{
    return (int64_t)(property_bits(random) % (uint64_t)end);
}

double property_between(property_random *random, double low, double high)
{
    return low + (high - low) * (double)(property_bits(random) >> 11) * 0x1p-53;
}

bool property_chance(property_random *random, double probability)
{
    return property_between(random, 0, 1) < probability;
}

static void *property_allocate(int64_t count, size_t size)
{
    void *memory = calloc((size_t)count + 1, size);
    if (!memory) {
        fputs("out of memory\n", stderr);
        exit(2);
    }
    return memory;
}

static double property_round(reel_dtype dtype, double x)
{
    long double ulp = reel_ulp(dtype, x);
    return isfinite(x) ? (double)(nearbyintl(x / ulp) * ulp) : x;
}


/* ---- Shapes -------------------------------------------------------------------------------------- */

/* Some sizes become 1, save the kept one, and ones in front may go, up to the last so many. */
static reel_shape property_shrink(property_random *random, reel_shape shape, int keep_size, int keep_last)
{
    int front = 0;
    for (int i = 0; i < shape.rank; i++)
        if (i != keep_size && property_chance(random, 0.2))
            shape.size[i] = 1;
    while (shape.rank - front > keep_last && shape.size[front] == 1 && property_chance(random, 0.5))
        front++;
    shape.rank -= front;
    memmove(shape.size, shape.size + front, (size_t)shape.rank * sizeof shape.size[0]);
    return shape;
}

static void property_draw_shape(property_random *random, property_case *c)
{
    bool raw = c->call >= PROPERTY_RAW, wide = property_chance(random, 0.03);
    int rank = raw ? 2 : 1 + (int)property_below(random, 8);
    int axis = raw ? 1 : (int)property_below(random, rank);
    c->both.rank = rank;
    for (int i = 0; i < rank; i++)
        c->both.size[i] = 1 + property_below(random, rank > 4 ? 2 : 5);
    if (rank > 1 && property_chance(random, 0.02))
        c->both.size[axis == 0] = 0;
    int64_t most = property_chance(random, 0.7) ? 900 : 3700;       /* beyond 2048 fewer exponentials are kept */
    c->both.size[axis] = wide ? 300 + property_below(random, most) : 1 + property_below(random, 20);
    c->ask.axis = raw || property_chance(random, 0.5) ? axis - rank : axis;
    c->rows = reel_truth_without(c->both, axis);
}

static void property_draw_shapes(property_random *random, property_case *c)
{
    bool sparse = c->call == PROPERTY_SPARSE || c->call == PROPERTY_RAW_SPARSE;
    int rank = c->both.rank, axis = c->ask.axis < 0 ? c->ask.axis + rank : c->ask.axis;
    c->ask.logits_shape = c->both;
    c->ask.labels_shape = sparse ? c->rows : c->both;
    if (c->call == PROPERTY_RAW_SPARSE || property_chance(random, 0.6))
        return;
    if (sparse && property_chance(random, 0.5))
        c->ask.labels_shape = property_shrink(random, c->rows, -1, rank);
    else if (sparse)
        c->ask.logits_shape = property_shrink(random, c->both, axis, rank);
    else if (property_chance(random, 0.5))
        c->ask.labels_shape = property_shrink(random, c->both, -1, 0);
    else
        c->ask.logits_shape = property_shrink(random, c->both, -1, rank - axis);
    if (c->ask.axis >= 0)
        c->ask.axis -= rank - c->ask.logits_shape.rank;
    c->broadcast = memcmp(&c->ask.logits_shape, &c->both, sizeof c->both) != 0
                   || memcmp(&c->ask.labels_shape, sparse ? &c->rows : &c->both, sizeof c->both) != 0;
}

static int property_from_end(const property_case *c)
{
    return c->ask.axis < 0 ? -c->ask.axis : c->ask.logits_shape.rank - c->ask.axis;
}

/* The shape of class weights. */
static reel_shape property_classes(const property_case *c)
{
    return (reel_shape){1, {c->both.size[c->both.rank - property_from_end(c)]}};
}


/* ---- Numbers ------------------------------------------------------------------------------------- */

static double *property_numbers(property_random *random, const property_case *c, reel_shape shape, double low,
                                double high)
{
    int64_t count = reel_truth_count(shape);
    double *numbers = property_allocate(count, sizeof *numbers);
    for (int64_t i = 0; i < count; i++)
        numbers[i] = property_round(c->dtype, property_between(random, low, high));
    return numbers;
}

/* Logits, in a tenth of the cases with masked classes; one class is never masked, so that no row is lost. */
static double *property_draw_logits(property_random *random, const property_case *c, int axis_from_end)
{
    static const double spread[] = {0.5, 3, 3, 10, 40, 400};
    double most = spread[property_below(random, 6)], offset = property_chance(random, 0.2) ? 100 : 0;
    double *logits = property_numbers(random, c, c->ask.logits_shape, offset - most, offset + most);
    int64_t count = reel_truth_count(c->ask.logits_shape), inner = 1, classes = 1;
    for (int i = 1; i <= axis_from_end && i <= c->ask.logits_shape.rank; i++)
        *(i == axis_from_end ? &classes : &inner) *= c->ask.logits_shape.size[c->ask.logits_shape.rank - i];
    const int64_t kept = property_chance(random, 0.1) ? property_below(random, classes) : -1;
    for (int64_t i = 0; kept >= 0 && i < count; i++)
        if (i / inner % classes != kept && property_chance(random, 0.3))
            logits[i] = -INFINITY;
    return logits;
}

enum { LABELS_SOFT, LABELS_ONE_HOT, LABELS_ANY, LABELS_ZERO, LABELS_KINDS };

/* Rows of labels along the class axis; where the classes are broadcast a row is one number. */
static double *property_draw_labels(property_random *random, property_case *c, int axis_from_end)
{
    reel_shape shape = c->ask.labels_shape;
    int64_t kind = property_below(random, LABELS_KINDS), count = reel_truth_count(shape), inner = 1,
            classes = 1;
    double *labels =
        property_numbers(random, c, shape, kind == LABELS_ANY ? -1 : 0, kind == LABELS_ANY ? 2 : 1);
    for (int i = 1; i <= axis_from_end && i <= shape.rank; i++)
        *(i == axis_from_end ? &classes : &inner) *= shape.size[shape.rank - i];
    c->validate = kind == LABELS_ONE_HOT && classes == property_classes(c).size[0];
    for (int64_t r = 0; r < count / classes && kind != LABELS_ANY; r++) {
        double sum = 0, *row = labels + r / inner * inner * classes + r % inner;
        int64_t hot = property_below(random, classes);
        for (int64_t i = 0; i < classes; i++)
            sum += row[i * inner];
        for (int64_t i = 0; i < classes; i++)
            row[i * inner] = kind == LABELS_ZERO ? 0 : kind == LABELS_ONE_HOT ? i == hot
                             : property_round(c->dtype, row[i * inner] / (sum + 1e-3));
    }
    return labels;
}

static int64_t *property_draw_index(property_random *random, property_case *c)
{
    int64_t count = reel_truth_count(c->ask.labels_shape), classes = property_classes(c).size[0];
    int64_t *index = property_allocate(count, sizeof *index);
    bool stray = c->call == PROPERTY_SPARSE && c->ask.out_of_range != REEL_LABELS_ERROR;
    for (int64_t i = 0; i < count; i++) {
        index[i] = property_below(random, classes);
        if (c->ask.ignore_index != REEL_NO_INDEX && property_chance(random, 0.3))
            index[i] = c->ask.ignore_index;
        else if (stray && property_chance(random, 0.1))
            index[i] = property_chance(random, 0.5) ? -1 - property_below(random, 5)
                                                    : classes + property_below(random, 5);
    }
    return index;
}

/* Weights, some of them 0. */
static double *property_weights(property_random *random, const property_case *c, reel_shape shape, double low)
{
    double *weights = property_numbers(random, c, shape, low, 2);
    for (int64_t i = 0; i < reel_truth_count(shape); i++)
        weights[i] = property_chance(random, 0.1) ? 0 : weights[i];
    return weights;
}

static void property_draw_options(property_random *random, property_case *c)
{
    reel_shape classes = property_classes(c);
    bool mean = false;
    if (c->call >= PROPERTY_RAW)
        return;
    if (property_chance(random, 0.5))
        mean = (c->ask.reduction = (reel_reduction)property_below(random, 3)) == REEL_REDUCTION_MEAN;
    if (property_chance(random, 0.3))
        c->ask.smoothing = property_chance(random, 0.1) ? 1 : property_between(random, 0, 0.5);
    if (property_chance(random, 0.3))
        c->ask.class_weights = property_weights(random, c, classes, 0.25);
    if (property_chance(random, 0.3))
        c->ask.row_weights = property_weights(random, c, c->rows, mean ? 0.25 : -1);
    if (c->call != PROPERTY_SPARSE)
        return;
    if (property_chance(random, 0.3))
        c->ask.ignore_index = property_chance(random, 0.5) ? -100 : property_below(random, classes.size[0]);
    if (property_chance(random, 0.3))
        c->ask.out_of_range = (reel_label_policy)(1 + property_below(random, 2));
}

/* Numbers that are the same along the stretched axis. */
static void property_flatten(reel_shape shape, int axis, double *numbers, int64_t *index)
{
    int64_t inner = 1, size = shape.size[axis], count = reel_truth_count(shape);
    for (int i = axis + 1; i < shape.rank; i++)
        inner *= shape.size[i];
    for (int64_t i = 0; i < count; i++) {
        int64_t first = i - i / inner % size * inner;
        if (numbers)
            numbers[i] = numbers[first];
        if (index)
            index[i] = index[first];
    }
}

static property_placing property_draw_placing(property_random *random, reel_shape shape, double *numbers,
                                              int64_t *index)
{
    property_placing placing = {.layout = PROPERTY_CONTIGUOUS};
    if (shape.rank == 0 || property_chance(random, 0.3))
        return placing;
    placing.layout = (property_layout)property_below(random, PROPERTY_LAYOUTS);
    placing.axis = (int)property_below(random, shape.rank);
    for (int i = 0; i < shape.rank; i++) {
        int j = (int)property_below(random, i + 1);
        placing.order[i] = placing.order[j];
        placing.order[j] = i;
    }
    if (placing.layout == PROPERTY_STRETCHED)
        property_flatten(shape, placing.axis, numbers, index);
    return placing;
}

/* From 1/2 to 2, or where the dtype has the room for it smaller by up to a power of two. */
static double *property_draw_upstream(property_random *random, const property_case *c)
{
    const reel_shape shape = c->ask.reduction == REEL_REDUCTION_NONE ? c->rows : (reel_shape){.rank = 0};
    const double unit = c->dtype != REEL_F16 && property_chance(random, 0.3) ? ldexp(1, -(int)property_below(random, 60)) : 1;
    double *upstream = property_numbers(random, c, shape, 0.5, 2);
    for (int64_t i = 0; i < reel_truth_count(shape); i++)
        upstream[i] *= unit;
    return upstream;
}

void property_draw(property_random *random, property_case *c)
{
    static const reel_dtype dtypes[] = {REEL_F16, REEL_BF16, REEL_F32, REEL_F32, REEL_F64};
    *c = (property_case){.call = (property_call)property_below(random, PROPERTY_CALLS)};
    c->dtype = dtypes[property_below(random, 5)];
    c->index_dtype = property_chance(random, 0.5) ? REEL_I32 : REEL_I64;
    c->semantics = (reel_semantics)property_below(random, 3);
    c->ask.ignore_index = REEL_NO_INDEX;
    c->ask.tensorflow = c->semantics == REEL_TENSORFLOW
                        || (c->semantics == REEL_SEMANTICS_DEFAULT && c->call >= PROPERTY_RAW);
    property_draw_shape(random, c);
    property_draw_shapes(random, c);
    property_draw_options(random, c);

    int from_end = property_from_end(c);
    double *logits = property_draw_logits(random, c, from_end), *labels = NULL;
    int64_t *index = NULL;
    if (c->call == PROPERTY_SPARSE || c->call == PROPERTY_RAW_SPARSE)
        index = property_draw_index(random, c);
    else
        labels = property_draw_labels(random, c, from_end);
    c->logits_placing = property_draw_placing(random, c->ask.logits_shape, logits, NULL);
    c->labels_placing = property_draw_placing(random, c->ask.labels_shape, labels, index);
    c->validate &= c->labels_placing.layout != PROPERTY_STRETCHED;
    c->ask.logits = logits;
    c->ask.labels = labels;
    c->ask.index = index;
    if (property_chance(random, 0.7))
        c->ask.upstream = property_draw_upstream(random, c);
    if (property_chance(random, 0.25))
        c->ask.v = property_numbers(random, c, c->ask.logits_shape, -1, 1);
}

void property_case_free(property_case *c)
{
    const void *memory[] = {c->ask.logits, c->ask.labels, c->ask.index, c->ask.class_weights,
                            c->ask.row_weights, c->ask.upstream, c->ask.v};
    for (size_t i = 0; i < sizeof memory / sizeof memory[0]; i++)
        free((void *)memory[i]);
}


/* ---- Laying out ---------------------------------------------------------------------------------- */

/* Where each element of a tensor of this shape goes in a block of `count` elements. */
typedef struct property_block {
    reel_shape shape;                               /* of the leaf                                 */
    int64_t    strides[REEL_MAX_RANK], offset, count;   /* of the tensor in it                     */
} property_block;

static property_block property_block_of(reel_shape shape, const property_placing *placing)
{
    property_block block = {.shape = shape};
    int64_t own[REEL_MAX_RANK], stride = 1;
    int axis = placing->axis;
    if (placing->layout == PROPERTY_PERMUTED)
        for (int i = 0; i < shape.rank; i++)
            block.shape.size[placing->order[i]] = shape.size[i];
    else if (placing->layout == PROPERTY_EVERY_OTHER)
        block.shape.size[axis] = 2 * shape.size[axis] + 1;
    else if (placing->layout == PROPERTY_STRETCHED)
        block.shape.size[axis] = 1;
    else if (placing->layout == PROPERTY_PADDED)
        block.shape.size[shape.rank - 1] += 3;
    for (int i = shape.rank - 1; i >= 0; i--) {
        own[i] = stride;
        stride *= block.shape.size[i];
    }
    block.count = stride;
    for (int i = 0; i < shape.rank; i++)
        block.strides[i] = own[placing->layout == PROPERTY_PERMUTED ? placing->order[i] : i];
    if (placing->layout == PROPERTY_EVERY_OTHER) {
        block.offset = own[axis];
        block.strides[axis] = 2 * own[axis];
    } else if (placing->layout == PROPERTY_REVERSED) {
        block.offset = (shape.size[axis] - 1) * own[axis];
        block.strides[axis] = -own[axis];
    } else if (placing->layout == PROPERTY_STRETCHED) {
        block.strides[axis] = 0;
    } else if (placing->layout == PROPERTY_PADDED) {
        block.offset = 1;
    }
    return block;
}

/* The place of element i. */
static int64_t property_place(reel_shape shape, const property_block *block, int64_t i)
{
    int64_t at = block->offset;
    for (int k = shape.rank - 1; k >= 0; i /= shape.size[k--])
        at += i % shape.size[k] * block->strides[k];
    return at;
}

static reel_tensor property_view(reel_tensor leaf, reel_shape shape, const property_placing *placing)
{
    int last = shape.rank - 1;
    switch (placing->layout) {
    case PROPERTY_PERMUTED:
        return reel_permute(leaf, reel_make_axes(shape.rank, placing->order));
    case PROPERTY_EVERY_OTHER:
        return reel_slice(leaf, placing->axis, 1, REEL_END, 2);
    case PROPERTY_REVERSED:
        return reel_slice(leaf, placing->axis, REEL_END, REEL_END, -1);
    case PROPERTY_STRETCHED:
        return reel_broadcast(leaf, shape);
    case PROPERTY_PADDED:
        return reel_slice(leaf, last, 1, 1 + shape.size[last], 1);
    default:
        return leaf;
    }
}

/* A tensor laid out so: a leaf, and a view of it. */
static reel_tensor property_floats(reel_tape *tape, const property_case *c, reel_shape shape,
                                   const double *numbers, const property_placing *placing)
{
    property_block block = property_block_of(shape, placing);
    int64_t count = reel_truth_count(shape);
    double *memory = property_allocate(block.count, sizeof *memory);
    for (int64_t i = 0; i < block.count; i++)
        memory[i] = NAN;
    for (int64_t i = 0; i < count; i++)
        memory[property_place(shape, &block, i)] = numbers[i];
    reel_tensor leaf =
        reel_variable(tape, block.shape, reel_values_from_f64(c->dtype, memory, (size_t)block.count));
    free(memory);
    return property_view(leaf, shape, placing);
}

static reel_tensor property_integers(reel_tape *tape, const property_case *c)
{
    reel_shape shape = c->ask.labels_shape;
    property_block block = property_block_of(shape, &c->labels_placing);
    int64_t count = reel_truth_count(shape);
    int64_t *wide = property_allocate(block.count, sizeof *wide);
    int32_t *narrow = property_allocate(block.count, sizeof *narrow);
    for (int64_t i = 0; i < block.count; i++)
        narrow[i] = (int32_t)(wide[i] = INT32_MAX);
    for (int64_t i = 0; i < count; i++) {
        int64_t place = property_place(shape, &block, i);
        narrow[place] = (int32_t)(wide[place] = c->ask.index[i]);
    }
    const void *data = c->index_dtype == REEL_I32 ? (const void *)narrow : wide;
    reel_tensor leaf =
        reel_constant(tape, block.shape, reel_values_of(c->index_dtype, data, (size_t)block.count));
    free(wide);
    free(narrow);
    return property_view(leaf, shape, &c->labels_placing);
}


/* ---- Asking Reel --------------------------------------------------------------------------------- */

static reel_tensor property_plain(reel_tape *tape, const property_case *c, reel_shape shape,
                                  const double *numbers)
{
    if (!numbers)
        return REEL_NONE;
    return reel_constant(tape, shape,
                         reel_values_from_f64(c->dtype, numbers, (size_t)reel_truth_count(shape)));
}

static reel_tensor property_loss(const property_case *c, reel_tensor z, reel_tensor y, reel_tensor *counted,
                                 reel_tensor *backprop)
{
    int axis = c->ask.axis;
    reel_tensor of_classes = property_plain(z.tape, c, property_classes(c), c->ask.class_weights);
    reel_tensor of_rows = property_plain(z.tape, c, c->rows, c->ask.row_weights);
    reel_loss_and_backprop raw;
    switch (c->call) {
    case PROPERTY_V2:
        return reel_softmax_cross_entropy_with_logits(.logits = z, .labels = y, .axis = axis,
                                                      .counted = counted, .semantics = c->semantics,
                                                      .reduction = c->ask.reduction,
                                                      .label_smoothing = c->ask.smoothing,
                                                      .class_weights = of_classes, .row_weights = of_rows,
                                                      .validate = c->validate);
    case PROPERTY_DIM:
        return reel_softmax_cross_entropy_with_logits_v2(.logits = z, .labels = y, .dim = axis,
                                                         .counted = counted, .semantics = c->semantics,
                                                         .reduction = c->ask.reduction,
                                                         .label_smoothing = c->ask.smoothing,
                                                         .class_weights = of_classes, .row_weights = of_rows,
                                                         .validate = c->validate);
    case PROPERTY_V1:
        return reel_softmax_cross_entropy_with_logits_v1(.logits = z, .labels = y, .axis = axis,
                                                         .counted = counted, .semantics = c->semantics,
                                                         .reduction = c->ask.reduction,
                                                         .label_smoothing = c->ask.smoothing,
                                                         .class_weights = of_classes, .row_weights = of_rows,
                                                         .validate = c->validate);
    case PROPERTY_SPARSE:
        return reel_sparse_softmax_cross_entropy_with_logits(.logits = z, .labels = y, .axis = axis,
            .counted = counted, .semantics = c->semantics, .reduction = c->ask.reduction,
            .label_smoothing = c->ask.smoothing, .class_weights = of_classes, .row_weights = of_rows,
            .ignore_index = c->ask.ignore_index, .out_of_range = c->ask.out_of_range);
    case PROPERTY_RAW:
        raw = reel_raw_softmax_cross_entropy_with_logits(.features = z, .labels = y,
                                                         .semantics = c->semantics);
        break;
    default:
        raw = reel_raw_sparse_softmax_cross_entropy_with_logits(.features = z, .labels = y,
                                                                .semantics = c->semantics);
    }
    *backprop = raw.backprop;
    return raw.loss;
}

static double *property_read(reel_tensor x)
{
    int64_t count = reel_count(x);
    double *numbers = property_allocate(count < 0 ? 0 : count, sizeof *numbers);
    if (count >= 0)
        reel_read_f64(x, numbers, (size_t)count);
    return numbers;
}

void property_answer_of(const property_case *c, property_answer *answer)
{
    reel_tape *tape = reel_tape_new();
    reel_tensor counted = REEL_NONE, backprop = REEL_NONE;
    reel_tensor first[2] = {REEL_NONE, REEL_NONE}, second[2] = {REEL_NONE, REEL_NONE};
    reel_tensor x[] = {
        property_floats(tape, c, c->ask.logits_shape, c->ask.logits, &c->logits_placing),
        c->ask.index ? property_integers(tape, c)
                     : property_floats(tape, c, c->ask.labels_shape, c->ask.labels, &c->labels_placing),
    };
    reel_tensors xs = reel_tensors_of(x, c->ask.index ? 1 : 2);
    reel_tensor loss = property_loss(c, x[0], x[1], &counted, &backprop);
    if (c->ask.upstream)
        reel_gradient(loss, xs, first,
                      .upstream = property_plain(tape, c, reel_shape_of(loss), c->ask.upstream));
    else
        reel_gradient(loss, xs, first);
    if (c->ask.v)
        reel_gradient(first[0], xs, second,
                      .upstream = property_plain(tape, c, c->ask.logits_shape, c->ask.v));
    *answer = (property_answer){
        .loss = property_read(loss),
        .backprop = property_read(backprop),
        .grad_logits = property_read(first[0]),
        .grad_labels = property_read(first[1]),
        .hvp_logits = property_read(second[0]),
        .hvp_labels = property_read(second[1]),
        .counted = reel_is_valid(counted) ? reel_item(counted) : -1,
    };
    snprintf(answer->failure, sizeof answer->failure, "%s", reel_error_message(tape));
    reel_tape_free(tape);
}

void property_answer_free(property_answer *answer)
{
    free(answer->loss);
    free(answer->backprop);
    free(answer->grad_logits);
    free(answer->grad_labels);
    free(answer->hvp_logits);
    free(answer->hvp_labels);
}

static int property_shape_text(reel_shape shape, char *text, size_t bytes)
{
    int at = snprintf(text, bytes, "[");
    for (int i = 0; i < shape.rank && (size_t)at < bytes; i++)
        at += snprintf(text + at, bytes - (size_t)at, "%s%lld", i ? "," : "", (long long)shape.size[i]);
    return at + snprintf(text + at, bytes - (size_t)at, "]");
}

void property_describe(const property_case *c, char text[512])
{
    static const char *const calls[] = {"v2", "v2 dim", "v1", "sparse", "raw", "raw sparse"};
    static const char *const layouts[] = {
        "", " permuted", " every other", " reversed", " stretched", " padded",
    };
    char logits[100], labels[100];
    property_shape_text(c->ask.logits_shape, logits, sizeof logits);
    property_shape_text(c->ask.labels_shape, labels, sizeof labels);
    snprintf(text, 512,
             "%s %s logits %s%s labels %s%s axis %d semantics %d reduction %d smoothing %.3g%s%s%s%s",
             calls[c->call], reel_dtype_name(c->dtype), logits, layouts[c->logits_placing.layout], labels,
             layouts[c->labels_placing.layout], c->ask.axis, c->semantics, c->ask.reduction, c->ask.smoothing,
             c->ask.class_weights ? " class_weights" : "", c->ask.row_weights ? " row_weights" : "",
             c->ask.upstream ? " upstream" : "", c->ask.v ? " v" : "");
}
