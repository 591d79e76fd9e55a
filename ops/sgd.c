/* sgd: one step of stochastic gradient descent over all parameters, as PyTorch defines it.
 *
 *     g = gradient + weight_decay w      v = momentum v + g      w = w - learning_rate v
 *
 * With Nesterov's momentum the step is g + momentum v (Sutskever et al., "On the importance of initialization
 * and momentum in deep learning", 2013). Decoupled weight decay leaves the gradient alone and shrinks w
 * first, by 1 - learning_rate weight_decay (Loshchilov and Hutter, "Decoupled weight decay regularization",
 * 2019). */
#include "ops/update.h"
#include "core/options.h"

struct sgd {
    reel_update update;
    double      momentum, weight_decay;
    bool        nesterov, decoupled;
};

enum { SGD_RATE, SGD_KEEP, SGD_DECAY, SGD_MOMENTUM };

static void sgd_numbers(const void *attributes, double rate, double step, double *number)
{
    const struct sgd *sgd = attributes;
    (void)step;
    number[SGD_RATE] = rate;
    number[SGD_KEEP] = sgd->decoupled ? 1 - rate * sgd->weight_decay : 1;
    number[SGD_DECAY] = sgd->decoupled ? 0 : sgd->weight_decay;
    number[SGD_MOMENTUM] = sgd->momentum;
}

#define SGD_KERNEL(NAME, TYPE)                                                                       \
    REEL_UPDATE_LOOP NAME##_loop(int64_t n, void *const x[], const double *number, bool moves, bool nesterov) \
    {                                                                                                \
        TYPE *w = x[0], *v = x[moves ? 2 : 0];                                                       \
        const TYPE *g = x[1];                                                                        \
        TYPE rate = (TYPE)number[SGD_RATE], keep = (TYPE)number[SGD_KEEP];                           \
        TYPE decay = (TYPE)number[SGD_DECAY], momentum = (TYPE)number[SGD_MOMENTUM];                 \
        REEL_LONG_VECTORS_##TYPE                                                                     \
        for (int64_t i = 0; i < n; i++) {                                                            \
            TYPE step = decay != 0 ? g[i] + decay * w[i] : g[i];                                     \
            if (moves) {                                                                             \
                v[i] = momentum * v[i] + step;                                                       \
                step = nesterov ? step + momentum * v[i] : v[i];                                     \
            }                                                                                        \
            w[i] = w[i] * keep - rate * step;                                                        \
        }                                                                                            \
    }                                                                                                \
    static void NAME(int64_t n, void *const x[], const double *number, const void *attributes)       \
    {                                                                                                \
        const struct sgd *sgd = attributes;                                                          \
        if (sgd->update.group == 2)                                                                  \
            NAME##_loop(n, x, number, false, false);                                                 \
        else if (sgd->nesterov)                                                                      \
            NAME##_loop(n, x, number, true, true);                                                   \
        else                                                                                         \
            NAME##_loop(n, x, number, true, false);                                                  \
    }
SGD_KERNEL(sgd_f32, float)
SGD_KERNEL(sgd_f64, double)

static const reel_update_rule sgd_rule = {sgd_f32, sgd_f64, sgd_numbers};

static bool sgd_forward(const reel_call *call)
{
    return reel_update_run(call, &sgd_rule);
}

/* out: the new w and v of the one parameter that the samples have. */
static void sgd_reference(const void *attributes, const reel_reference_array *in, int inputs,
                          reel_reference_array *out, int outputs)
{
    const struct sgd *sgd = attributes;
    double rate = in[0].value[0];
    for (int64_t i = 0; i < in[1].count; i++) {
        double w = in[1].value[i], step = in[2].value[i];
        if (sgd->decoupled)
            w *= 1 - rate * sgd->weight_decay;
        else if (sgd->weight_decay != 0)
            step += sgd->weight_decay * w;
        if (inputs == 4 && outputs == 2) {
            double v = out[1].value[i] = sgd->momentum * in[3].value[i] + step;
            step = sgd->nesterov ? sgd->momentum * v + step : v;
        }
        out[0].value[i] = w - rate * step;
    }
}

static const struct sgd sgd_plain = {{2, 0}, 0, .01, false, false};
static const struct sgd sgd_decoupled = {{2, 0}, 0, .1, false, true};
static const struct sgd sgd_with_momentum = {{3, 0}, .9, .01, false, false};
static const struct sgd sgd_with_nesterov = {{3, 0}, .9, .01, true, false};

#define SGD_SAMPLE(SHAPE, LAYOUT, ATTRIBUTES)                                                        \
    .inputs = 4, .attributes = ATTRIBUTES,                                                           \
    .in = {{.low = .1, .high = .2}, {.shape = SHAPE, .layout = LAYOUT}, {.shape = SHAPE},            \
           {.shape = SHAPE}}

static const reel_sample sgd_samples[] = {
    {.note = "momentum", SGD_SAMPLE(REEL_SIZES(2, 3), REEL_CONTIGUOUS, &sgd_with_momentum)},
    {.note = "Nesterov", SGD_SAMPLE(REEL_SIZES(2, 3), REEL_CONTIGUOUS, &sgd_with_nesterov)},
    {.note = "longer than a block", SGD_SAMPLE(REEL_SIZES(1100), REEL_CONTIGUOUS, &sgd_with_momentum)},
    {.note = "every other", SGD_SAMPLE(REEL_SIZES(600), REEL_EVERY_OTHER, &sgd_with_nesterov)},
    {.note = "plain", .inputs = 3, .in = {{.low = .1, .high = .2}, {.shape = REEL_SIZES(5)},
     {.shape = REEL_SIZES(5)}}, .attributes = &sgd_plain},
    {.note = "decoupled", .inputs = 3, .in = {{.low = .1, .high = .2}, {.shape = REEL_SIZES(5)},
     {.shape = REEL_SIZES(5)}}, .attributes = &sgd_decoupled},
    {.note = "transposed", .inputs = 4, .attributes = &sgd_with_momentum,
     .in = {{.low = .1, .high = .2}, {.shape = REEL_SIZES(4, 3), .layout = REEL_TRANSPOSED},
            {.shape = REEL_SIZES(4, 3)}, {.shape = REEL_SIZES(4, 3), .layout = REEL_REVERSED}}},
    {.note = "empty", .inputs = 3, .in = {{.low = .1, .high = .2}, {.shape = REEL_SIZES(0)},
     {.shape = REEL_SIZES(0)}}, .attributes = &sgd_plain},
    {.note = "shapes differ", .inputs = 3, .in = {{.low = .1, .high = .2}, {.shape = REEL_SIZES(5)},
     {.shape = REEL_SIZES(4)}}, .attributes = &sgd_plain, .error = "does not match the parameter"},
    {.note = "a rate of two numbers", .inputs = 3, .in = {{.shape = REEL_SIZES(2)}, {.shape = REEL_SIZES(5)},
     {.shape = REEL_SIZES(5)}}, .attributes = &sgd_plain, .error = "is not a floating scalar"},
};

const reel_op reel_op_sgd = {
    .size = sizeof(reel_op), .name = "sgd", .inputs = REEL_ANY, .outputs = 0,
    .attributes = sizeof(struct sgd), .flags = REEL_NO_GRADIENT, .writes = reel_update_writes,
    .shape = reel_update_shape, .forward = sgd_forward,
    .example = "reel_sgd(.parameters = REEL_TENSORS(b), .gradients = REEL_TENSORS(c), .velocities = REEL_TENSORS(d), "
               ".learning_rate = a, .momentum = .9, .weight_decay = .01)",
    .formula = "g = gradient + weight_decay w; v = momentum v + g; w = w - learning_rate v",
    REEL_TRUTH(sgd_reference), REEL_SAMPLES(sgd_samples),
};

/* ---- The call ------------------------------------------------------------------------------------ */

bool reel_sgd_at(REEL_PLACE, const reel_sgd_options *options)
{
    reel_sgd_options o;
    reel_known_options(&o, sizeof o, options);
    reel_tape *tape = reel_update_tape(o.learning_rate, o.parameters);
    if (reel_failed(tape))
        return false;
    const char *fault = NULL;
    if (!(o.momentum >= 0 && o.momentum < 1) || !(o.weight_decay >= 0))
        fault = "sgd: momentum must be in [0, 1) and weight_decay at least 0";
    else if (o.nesterov && o.momentum == 0)
        fault = "sgd: nesterov needs a momentum";
    if (fault) {
        reel_error_set_at(file, line, tape, "%s", fault);
        return false;
    }
    bool remembers = o.velocities.count || o.momentum != 0;
    struct sgd sgd = {{remembers ? 3 : 2, 0}, o.momentum, o.weight_decay, o.nesterov, o.decoupled};
    return reel_update_record(file, line, &reel_op_sgd, o.learning_rate, o.parameters, o.gradients,
                              o.velocities, &sgd);
}
