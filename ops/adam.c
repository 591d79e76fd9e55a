/* adam and adamw: one step over all parameters, as PyTorch defines it (Kingma and Ba, "Adam: a method for
 * stochastic optimization", 2015; Loshchilov and Hutter, "Decoupled weight decay regularization", 2019;
 * amsgrad: Reddi, Kale and Kumar, "On the convergence of Adam and beyond", 2018). In step t, counted from 1,
 *
 *     adam:  g = gradient + weight_decay w        adamw:  g = gradient; w = w - learning_rate weight_decay w
 *     m = beta1 m + (1 - beta1) g                 v = beta2 v + (1 - beta2) g g
 *     amsgrad: u = max(u, v), else u = v
 *     w = w - learning_rate / (1 - beta1^t) m / (sqrt(u) / sqrt(1 - beta2^t) + epsilon)
 *
 * A parameter's state is m, v, then u with amsgrad; t is its step count. */
#include "ops/update.h"
#include "core/options.h"

#include <math.h>

struct adam {
    reel_update update;
    double      beta1, beta2, epsilon, weight_decay;
    bool        decoupled, amsgrad;
};

enum { ADAM_KEEP, ADAM_DECAY, ADAM_NEW1, ADAM_BETA2, ADAM_NEW2, ADAM_RATE, ADAM_ROOT, ADAM_EPSILON };

static void adam_numbers(const void *attributes, double rate, double step, double *number)
{
    const struct adam *adam = attributes;
    number[ADAM_KEEP] = adam->decoupled ? 1 - rate * adam->weight_decay : 1;
    number[ADAM_DECAY] = adam->decoupled ? 0 : adam->weight_decay;
    number[ADAM_NEW1] = 1 - adam->beta1;
    number[ADAM_BETA2] = adam->beta2;
    number[ADAM_NEW2] = 1 - adam->beta2;
    number[ADAM_RATE] = rate / (1 - pow(adam->beta1, step));
    number[ADAM_ROOT] = sqrt(1 - pow(adam->beta2, step));
    number[ADAM_EPSILON] = adam->epsilon;
}

/* m is moved as m + (1 - beta1) (g - m), which rounds less than beta1 m + (1 - beta1) g. */
#define ADAM_KERNEL(NAME, TYPE, SQRT)                                                                \
    REEL_UPDATE_LOOP NAME##_loop(int64_t n, void *const x[], const double *number, bool amsgrad)     \
    {                                                                                                \
        TYPE *w = x[0], *m = x[2], *v = x[3], *u = x[amsgrad ? 4 : 3];                               \
        const TYPE *gradient = x[1];                                                                 \
        TYPE keep = (TYPE)number[ADAM_KEEP], decay = (TYPE)number[ADAM_DECAY];                       \
        TYPE new1 = (TYPE)number[ADAM_NEW1], beta2 = (TYPE)number[ADAM_BETA2];                       \
        TYPE new2 = (TYPE)number[ADAM_NEW2], rate = (TYPE)number[ADAM_RATE];                         \
        TYPE root = (TYPE)number[ADAM_ROOT], epsilon = (TYPE)number[ADAM_EPSILON];                   \
        _Pragma("omp simd")                                                                          \
        for (int64_t i = 0; i < n; i++) {                                                            \
            TYPE g = decay != 0 ? gradient[i] + decay * w[i] : gradient[i];                          \
            m[i] += new1 * (g - m[i]);                                                               \
            TYPE most = v[i] = v[i] * beta2 + new2 * g * g;                                          \
            if (amsgrad)                                                                             \
                most = u[i] = most > u[i] || most != most ? most : u[i];                             \
            w[i] = w[i] * keep - rate * m[i] / (SQRT(most) / root + epsilon);                        \
        }                                                                                            \
    }                                                                                                \
    static void NAME(int64_t n, void *const x[], const double *number, const void *attributes)       \
    {                                                                                                \
        if (((const struct adam *)attributes)->amsgrad)                                              \
            NAME##_loop(n, x, number, true);                                                         \
        else                                                                                         \
            NAME##_loop(n, x, number, false);                                                        \
    }
ADAM_KERNEL(adam_f32, float, sqrtf)
ADAM_KERNEL(adam_f64, double, sqrt)

static const reel_update_rule adam_rule = {adam_f32, adam_f64, adam_numbers};

static bool adam_forward(const reel_call *call)
{
    return reel_update_run(call, &adam_rule);
}

/* By the textbook: both means are corrected, then divided. */
static void adam_reference(const void *attributes, const reel_reference_array *in, int inputs,
                           reel_reference_array *out, int outputs)
{
    (void)inputs;
    (void)outputs;
    const struct adam *adam = attributes;
    int64_t n = in[1].count, last = adam->update.parts * n;
    const double *old = in[3].value;
    double *state = out[1].value, rate = in[0].value[0], t = state[last] = old[last] + 1;
    for (int64_t i = 0; i < n; i++) {
        double w = in[1].value[i], g = in[2].value[i];
        if (adam->decoupled)
            w *= 1 - rate * adam->weight_decay;
        else if (adam->weight_decay != 0)
            g += adam->weight_decay * w;
        double m = state[i] = old[i] + (1 - adam->beta1) * (g - old[i]);
        double v = state[n + i] = adam->beta2 * old[n + i] + (1 - adam->beta2) * g * g;
        if (adam->amsgrad)
            v = state[2 * n + i] = isnan(v) || isnan(old[2 * n + i]) ? NAN : fmax(v, old[2 * n + i]);
        double m_hat = m / (1 - pow(adam->beta1, t)), root = sqrt(v) / sqrt(1 - pow(adam->beta2, t));
        out[0].value[i] = w - rate * m_hat / (root + adam->epsilon);
    }
}

static const struct adam adam_plain = {{3, 2}, .9, .999, 1e-8, .01, false, false};
static const struct adam adam_decoupled = {{3, 2}, .9, .999, 1e-8, .1, true, false};
static const struct adam adam_amsgrad = {{3, 3}, .8, .95, 1e-8, 0, false, true};
static const struct adam adamw_amsgrad = {{3, 3}, .8, .95, 1e-8, .1, true, true};

#define ADAM_SAMPLE(N, STATE, ATTRIBUTES)                                                            \
    .inputs = 4, .attributes = ATTRIBUTES,                                                           \
    .in = {{.low = .01, .high = .02}, {.shape = REEL_SIZES(N)}, {.shape = REEL_SIZES(N)},            \
           {.shape = REEL_SIZES(STATE), .low = .1, .high = 1}}
#define ADAM_HALF(DTYPE, ATTRIBUTES)                                                                 \
    .inputs = 4, .attributes = ATTRIBUTES,                                                           \
    .in = {{.dtype = DTYPE, .low = .01, .high = .02}, {.shape = REEL_SIZES(3), .dtype = DTYPE},      \
           {.shape = REEL_SIZES(3), .dtype = DTYPE},                                                 \
           {.shape = REEL_SIZES(7), .dtype = REEL_F32, .low = .1, .high = 1}}
#define ADAM_TRANSPOSED(ATTRIBUTES)                                                                  \
    .inputs = 4, .attributes = ATTRIBUTES,                                                           \
    .in = {{.low = .01, .high = .02}, {.shape = REEL_SIZES(3, 4), .layout = REEL_TRANSPOSED},        \
           {.shape = REEL_SIZES(3, 4)}, {.shape = REEL_SIZES(25), .low = .1, .high = 1}}

static const reel_sample adam_samples[] = {
    {.note = "plain", ADAM_SAMPLE(6, 13, &adam_plain)},
    {.note = "amsgrad", ADAM_SAMPLE(5, 16, &adam_amsgrad)},
    {.note = "longer than a block", ADAM_SAMPLE(1100, 2201, &adam_plain)},
    {.note = "f16", ADAM_HALF(REEL_F16, &adam_plain)},
    {.note = "bf16", ADAM_HALF(REEL_BF16, &adam_plain)},
    {.note = "empty", ADAM_SAMPLE(0, 1, &adam_plain)},
    {.note = "transposed", ADAM_TRANSPOSED(&adam_plain)},
    {.note = "state of another parameter", ADAM_SAMPLE(6, 12, &adam_plain),
     .error = "must be 13 elements of f32"},
};
static const reel_sample adamw_samples[] = {
    {.note = "plain", ADAM_SAMPLE(6, 13, &adam_decoupled)},
    {.note = "amsgrad", ADAM_SAMPLE(5, 16, &adamw_amsgrad)},
    {.note = "f16", ADAM_HALF(REEL_F16, &adam_decoupled)},
    {.note = "bf16", ADAM_HALF(REEL_BF16, &adam_decoupled)},
    {.note = "empty", ADAM_SAMPLE(0, 1, &adam_decoupled)},
    {.note = "transposed", ADAM_TRANSPOSED(&adam_decoupled)},
    {.note = "state without u", ADAM_SAMPLE(5, 11, &adamw_amsgrad), .error = "must be 16 elements of f32"},
};

#define ADAM_OP(NAME, SAMPLES, DECAY, FORMULA)                                                       \
    {                                                                                                \
        .size = sizeof(reel_op), .name = NAME, .inputs = REEL_ANY, .outputs = 0,                     \
        .attributes = sizeof(struct adam), .flags = REEL_NO_GRADIENT, .writes = reel_update_writes,  \
        .shape = reel_update_shape, .forward = adam_forward, .formula = FORMULA,                     \
        .example = "reel_" NAME "(.parameters = REEL_TENSORS(b), .gradients = REEL_TENSORS(c), "     \
                   ".states = REEL_TENSORS(d), .learning_rate = a, .weight_decay = " DECAY ")",      \
        REEL_TRUTH(adam_reference), REEL_SAMPLES(SAMPLES),                                           \
    }

const reel_op reel_op_adam = ADAM_OP("adam", adam_samples, ".01",
    "g = gradient + weight_decay w; m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g g; "
    "w = w - learning_rate m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + epsilon)");
const reel_op reel_op_adamw = ADAM_OP("adamw", adamw_samples, ".1",
    "w = w - learning_rate weight_decay w; m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g g; "
    "w = w - learning_rate m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + epsilon)");

/* ---- The calls ----------------------------------------------------------------------------------- */

static bool adam_record(REEL_PLACE, const reel_op *op, const reel_adam_options *options, bool decoupled)
{
    reel_adam_options o;
    reel_known_options(&o, sizeof o, options);
    reel_tape *tape = reel_update_tape(o.learning_rate, o.parameters);
    if (reel_failed(tape))
        return false;
    if (!(o.beta1 >= 0 && o.beta1 < 1) || !(o.beta2 >= 0 && o.beta2 < 1) || !(o.epsilon >= 0) ||
        !(o.weight_decay >= 0)) {
        reel_error_set_at(file, line, tape, "%s: beta1 and beta2 must be in [0, 1), epsilon and weight_decay "
                          "at least 0", op->name);
        return false;
    }
    struct adam adam = {{3, o.amsgrad ? 3 : 2}, o.beta1, o.beta2, o.epsilon, o.weight_decay, decoupled,
                        o.amsgrad};
    return reel_update_record(file, line, op, o.learning_rate, o.parameters, o.gradients, o.states, &adam);
}

bool reel_adam_at(REEL_PLACE, const reel_adam_options *options)
{
    return adam_record(file, line, &reel_op_adam, options, false);
}

bool reel_adamw_at(REEL_PLACE, const reel_adam_options *options)
{
    return adam_record(file, line, &reel_op_adamw, options, true);
}
