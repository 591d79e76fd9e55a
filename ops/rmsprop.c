/* rmsprop: one step over all parameters, as PyTorch defines it (Tieleman and Hinton, "Lecture 6.5: rmsprop",
 * 2012; centred: Graves, "Generating sequences with recurrent neural networks", 2013).
 *
 *     g = gradient + weight_decay w              s = alpha s + (1 - alpha) g g
 *     centred: a = alpha a + (1 - alpha) g       r = sqrt(s - a a) + epsilon, else sqrt(s) + epsilon
 *     momentum: b = momentum b + g / r           w = w - learning_rate b, else w - learning_rate g / r
 *
 * A parameter's state is s, then b where momentum is used, then a where it is centred. */
#include "ops/update.h"
#include "core/options.h"

#include <math.h>

struct rmsprop {
    reel_update update;
    double      alpha, epsilon, momentum, weight_decay;
    bool        centred;
};

enum { RMSPROP_RATE, RMSPROP_DECAY, RMSPROP_ALPHA, RMSPROP_NEW, RMSPROP_EPSILON, RMSPROP_MOMENTUM };

static void rmsprop_numbers(const void *attributes, double rate, double step, double *number)
{
    const struct rmsprop *r = attributes;
    (void)step;
    number[RMSPROP_RATE] = rate;
    number[RMSPROP_DECAY] = r->weight_decay;
    number[RMSPROP_ALPHA] = r->alpha;
    number[RMSPROP_NEW] = 1 - r->alpha;
    number[RMSPROP_EPSILON] = r->epsilon;
    number[RMSPROP_MOMENTUM] = r->momentum;
}

/* A mean is moved as a + (1 - alpha) (g - a), which rounds less than alpha a + (1 - alpha) g. */
#define RMSPROP_KERNEL(NAME, TYPE, SQRT)                                                             \
    REEL_UPDATE_LOOP NAME##_loop(int64_t n, void *const x[], const double *number, bool moves, bool centred) \
    {                                                                                                \
        TYPE *w = x[0], *s = x[2], *b = x[moves ? 3 : 2], *a = x[centred ? (moves ? 4 : 3) : 2];     \
        const TYPE *gradient = x[1];                                                                 \
        TYPE rate = (TYPE)number[RMSPROP_RATE], decay = (TYPE)number[RMSPROP_DECAY];                 \
        TYPE alpha = (TYPE)number[RMSPROP_ALPHA], fresh = (TYPE)number[RMSPROP_NEW];                 \
        TYPE epsilon = (TYPE)number[RMSPROP_EPSILON], momentum = (TYPE)number[RMSPROP_MOMENTUM];     \
        _Pragma("omp simd")                                                                          \
        for (int64_t i = 0; i < n; i++) {                                                            \
            TYPE g = decay != 0 ? gradient[i] + decay * w[i] : gradient[i];                          \
            TYPE square = s[i] = s[i] * alpha + fresh * g * g;                                       \
            if (centred) {                                                                           \
                a[i] += fresh * (g - a[i]);                                                          \
                square -= a[i] * a[i];                                                               \
            }                                                                                        \
            TYPE root = SQRT(square) + epsilon;                                                      \
            if (moves)                                                                               \
                b[i] = b[i] * momentum + g / root;                                                   \
            w[i] -= moves ? rate * b[i] : rate * g / root;                                           \
        }                                                                                            \
    }                                                                                                \
    static void NAME(int64_t n, void *const x[], const double *number, const void *attributes)       \
    {                                                                                                \
        const struct rmsprop *r = attributes;                                                        \
        if (r->momentum != 0)                                                                        \
            r->centred ? NAME##_loop(n, x, number, true, true) : NAME##_loop(n, x, number, true, false); \
        else                                                                                         \
            r->centred ? NAME##_loop(n, x, number, false, true) : NAME##_loop(n, x, number, false, false); \
    }
RMSPROP_KERNEL(rmsprop_f32, float, sqrtf)
RMSPROP_KERNEL(rmsprop_f64, double, sqrt)

static const reel_update_rule rmsprop_rule = {rmsprop_f32, rmsprop_f64, rmsprop_numbers};

static bool rmsprop_forward(const reel_call *call)
{
    return reel_update_run(call, &rmsprop_rule);
}

static void rmsprop_reference(const void *attributes, const reel_reference_array *in, int inputs,
                              reel_reference_array *out, int outputs)
{
    (void)inputs;
    (void)outputs;
    const struct rmsprop *r = attributes;
    int64_t n = in[1].count, last = r->update.parts * n;
    const double *old = in[3].value;
    double *state = out[1].value;
    for (int64_t i = 0; i < n; i++) {
        double g = in[2].value[i], mean = 0;
        if (r->weight_decay != 0)
            g += r->weight_decay * in[1].value[i];
        state[i] = r->alpha * old[i] + (1 - r->alpha) * g * g;
        if (r->centred)
            mean = state[last - n + i] = old[last - n + i] + (1 - r->alpha) * (g - old[last - n + i]);
        double step = g / (sqrt(state[i] - mean * mean) + r->epsilon);
        if (r->momentum != 0)
            step = state[n + i] = r->momentum * old[n + i] + step;
        out[0].value[i] = in[1].value[i] - in[0].value[0] * step;
    }
    state[last] = old[last] + 1;
}

static const struct rmsprop rmsprop_plain = {{3, 1}, .9, 1e-8, 0, .01, false};
static const struct rmsprop rmsprop_with_momentum = {{3, 2}, .9, 1e-8, .8, 0, false};
static const struct rmsprop rmsprop_centred = {{3, 2}, .9, 1e-8, 0, 0, true};
static const struct rmsprop rmsprop_with_both = {{3, 3}, .9, 1e-8, .8, 0, true};

/* State: means of squares are no smaller than squared means. */
static const double rmsprop_state[] = {1, 2, 3, .2, .3, .4, .1, .2, -.3, 4};

#define RMSPROP_SAMPLE(N, STATE, ATTRIBUTES)                                                         \
    .inputs = 4, .attributes = ATTRIBUTES,                                                           \
    .in = {{.low = .01, .high = .02}, {.shape = REEL_SIZES(N)}, {.shape = REEL_SIZES(N)},            \
           {.shape = REEL_SIZES(STATE), .low = .1, .high = 1}}
#define RMSPROP_THREE(STATE, ATTRIBUTES, FIRST)                                                      \
    .inputs = 4, .attributes = ATTRIBUTES,                                                           \
    .in = {{.low = .01, .high = .02}, {.shape = REEL_SIZES(3)}, {.shape = REEL_SIZES(3)},            \
           {.shape = REEL_SIZES(STATE), .values = rmsprop_state + FIRST}}
#define RMSPROP_HALF(DTYPE)                                                                          \
    .inputs = 4, .attributes = &rmsprop_plain,                                                       \
    .in = {{.dtype = DTYPE, .low = .01, .high = .02}, {.shape = REEL_SIZES(3), .dtype = DTYPE},      \
           {.shape = REEL_SIZES(3), .dtype = DTYPE},                                                 \
           {.shape = REEL_SIZES(4), .dtype = REEL_F32, .low = .1, .high = 1}}

static const reel_sample rmsprop_samples[] = {
    {.note = "plain", RMSPROP_SAMPLE(6, 7, &rmsprop_plain)},
    {.note = "momentum", RMSPROP_SAMPLE(6, 13, &rmsprop_with_momentum)},
    {.note = "centred", RMSPROP_THREE(7, &rmsprop_centred, 0)},
    {.note = "centred, with momentum", RMSPROP_THREE(10, &rmsprop_with_both, 0)},
    {.note = "longer than a block", RMSPROP_SAMPLE(1100, 1101, &rmsprop_plain)},
    {.note = "f16", RMSPROP_HALF(REEL_F16)},
    {.note = "bf16", RMSPROP_HALF(REEL_BF16)},
    {.note = "empty", RMSPROP_SAMPLE(0, 1, &rmsprop_plain)},
    {.note = "transposed", .inputs = 4, .attributes = &rmsprop_plain,
     .in = {{.low = .01, .high = .02}, {.shape = REEL_SIZES(3, 4), .layout = REEL_TRANSPOSED},
            {.shape = REEL_SIZES(3, 4)}, {.shape = REEL_SIZES(13), .low = .1, .high = 1}}},
    {.note = "state too short", RMSPROP_SAMPLE(6, 7, &rmsprop_with_momentum),
     .error = "must be 13 elements of f32"},
    {.note = "no state", .inputs = 3, .attributes = &rmsprop_plain,
     .in = {{.shape = REEL_SIZES(1)}, {.shape = REEL_SIZES(2)}, {.shape = REEL_SIZES(2)}},
     .error = "3 inputs are not a learning rate and 3"},
};

const reel_op reel_op_rmsprop = {
    .size = sizeof(reel_op), .name = "rmsprop", .inputs = REEL_ANY, .outputs = 0,
    .attributes = sizeof(struct rmsprop), .flags = REEL_NO_GRADIENT, .writes = reel_update_writes,
    .shape = reel_update_shape, .forward = rmsprop_forward,
    .example = "reel_rmsprop(.parameters = REEL_TENSORS(b), .gradients = REEL_TENSORS(c), .states = REEL_TENSORS(d), "
               ".learning_rate = a, .alpha = .9, .weight_decay = .01)",
    .formula = "s = alpha s + (1 - alpha) g g; w = w - learning_rate g / (sqrt(s) + epsilon)",
    REEL_TRUTH(rmsprop_reference), REEL_SAMPLES(rmsprop_samples),
};

/* ---- The call ------------------------------------------------------------------------------------ */

bool reel_rmsprop_at(REEL_PLACE, const reel_rmsprop_options *options)
{
    reel_rmsprop_options o;
    reel_known_options(&o, sizeof o, options);
    reel_tape *tape = reel_update_tape(o.learning_rate, o.parameters);
    if (reel_failed(tape))
        return false;
    if (!(o.alpha >= 0 && o.alpha < 1) || !(o.epsilon >= 0) || !(o.momentum >= 0 && o.momentum < 1) ||
        !(o.weight_decay >= 0)) {
        reel_error_set_at(file, line, tape, "rmsprop: alpha and momentum must be in [0, 1), epsilon and "
                          "weight_decay at least 0");
        return false;
    }
    int parts = 1 + (o.momentum != 0) + o.centred;
    struct rmsprop r = {{3, parts}, o.alpha, o.epsilon, o.momentum, o.weight_decay, o.centred};
    return reel_update_record(file, line, &reel_op_rmsprop, o.learning_rate, o.parameters, o.gradients,
                              o.states, &r);
}
