/* The references of the ops of conv2d.h: their sums, term by term. */
#include "ops/conv2d.h"

#include <stdbool.h>

static int64_t conv_reference_at(const reel_reference_array *x, int64_t a, int64_t b, int64_t c, int64_t d)
{
    return ((a * x->shape[1] + b) * x->shape[2] + c) * x->shape[3] + d;
}

/* Calls visit() with the places in x, w and g of each term of the trilinear form; -1 in x: outside of the
 * image. */
static void conv_reference_terms(const reel_conv2d *conv, const reel_reference_array *x,
                                 const reel_reference_array *w, const reel_reference_array *g,
                                 void (*visit)(void *context, int64_t x, int64_t w, int64_t g), void *context)
{
    int64_t per_group = w->shape[0] / conv->groups;
    for (int64_t i = 0; i < g->count; i++) {
        int64_t ow = i % g->shape[3], oh = i / g->shape[3] % g->shape[2];
        int64_t o = i / g->shape[3] / g->shape[2] % g->shape[1],
                n = i / g->shape[3] / g->shape[2] / g->shape[1];
        for (int64_t c = 0; c < w->shape[1]; c++)
            for (int64_t kh = 0; kh < w->shape[2]; kh++)
                for (int64_t kw = 0; kw < w->shape[3]; kw++) {
                    int64_t h = oh * conv->stride[0] - conv->padding[0] + kh * conv->dilation[0];
                    int64_t v = ow * conv->stride[1] - conv->padding[1] + kw * conv->dilation[1];
                    bool inside = h >= 0 && h < x->shape[2] && v >= 0 && v < x->shape[3];
                    int64_t channel = o / per_group * w->shape[1] + c;
                    visit(context, inside ? conv_reference_at(x, n, channel, h, v) : -1,
                          conv_reference_at(w, o, c, kh, kw), i);
                }
    }
}

struct conv_reference {
    const double *x, *w, *g;                        /* NULL: the result                            */
    double       *result;
};

/* Outside of the image x is 0, and 0 times infinity is NaN as it is everywhere. */
static void conv_reference_visit(void *context, int64_t x, int64_t w, int64_t g)
{
    struct conv_reference *r = context;
    double x_value = r->x && x >= 0 ? r->x[x] : 0;
    if (!r->g)
        r->result[g] += x_value * r->w[w];
    else if (!r->w)
        r->result[w] += x_value * r->g[g];
    else if (x >= 0)
        r->result[x] += r->w[w] * r->g[g];
}

static double *conv_reference_clear(reel_reference_array *out)
{
    for (int64_t i = 0; i < out->count; i++)
        out->value[i] = 0;
    return out->value;
}

void reel_conv2d_reference(const void *attributes, const reel_reference_array *in, int inputs,
                           reel_reference_array *out, int outputs)
{
    (void)inputs;
    (void)outputs;
    struct conv_reference r = {.x = in[0].value, .w = in[1].value, .result = conv_reference_clear(out)};
    conv_reference_terms(attributes, &in[0], &in[1], out, conv_reference_visit, &r);
}

void reel_conv2d_input_gradient_reference(const void *attributes, const reel_reference_array *in, int inputs,
                                          reel_reference_array *out, int outputs)
{
    (void)inputs;
    (void)outputs;
    struct conv_reference r = {.g = in[0].value, .w = in[1].value, .result = conv_reference_clear(out)};
    conv_reference_terms(attributes, out, &in[1], &in[0], conv_reference_visit, &r);
}

void reel_conv2d_weight_gradient_reference(const void *attributes, const reel_reference_array *in, int inputs,
                                           reel_reference_array *out, int outputs)
{
    (void)inputs;
    (void)outputs;
    struct conv_reference r = {.x = in[0].value, .g = in[1].value, .result = conv_reference_clear(out)};
    conv_reference_terms(attributes, &in[0], out, &in[1], conv_reference_visit, &r);
}
