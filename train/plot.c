/* Plots as SVG: two axes with ticks, a grid, series as lines or dots, and a legend at the right. */
#include "train/svg.h"

#include <math.h>
#include <stdio.h>

enum { PLOT_WIDTH = 960, PLOT_HEIGHT = 540, PLOT_LEFT = 96, PLOT_TOP = 56, PLOT_RIGHT = 28, PLOT_LEGEND = 220,
       PLOT_BOTTOM = 66, PLOT_NAMES = 70, PLOT_TICKS = 7, PLOT_COLOURS = 8 };

/* One axis: the value v stands at from + (v - low)/(high - low) (to - from), or its logarithm does. */
typedef struct plot_scale {
    const reel_plot_axis *axis;
    double low, high;                               /* logarithms of base 10 on a logarithmic axis */
    double from, to;
    double step;                                    /* from tick to tick                           */
} plot_scale;

typedef struct plot_paper {
    reel_svg   svg;
    plot_scale x, y;
} plot_paper;

/* Masataka Okabe and Kei Ito's colours, which the colour-blind tell apart, 2008. */
static const char *const plot_colour[PLOT_COLOURS] = {
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8a7a00",
};


/* ---- Scales ------------------------------------------------------------------------------------- */

static bool plot_fits(const reel_plot_axis *axis, double v)
{
    return fabs(v) < 1e300 && (!axis->logarithmic || v > 0);
}

static double plot_place(const plot_scale *scale, double v)
{
    double at = scale->axis->logarithmic ? log10(v) : v;
    return scale->from + (at - scale->low) / (scale->high - scale->low) * (scale->to - scale->from);
}

/* 1, 2 or 5 times a power of ten, such that there are about PLOT_TICKS of them in `span`; whole decades on a
 * logarithmic axis. */
static double plot_step(double span, bool logarithmic)
{
    double rough = span / PLOT_TICKS, power = pow(10, floor(log10(rough))), digit = rough / power;
    double step = power * (digit <= 1 ? 1 : digit <= 2 ? 2 : digit <= 5 ? 5 : 10);
    return logarithmic ? fmax(1, round(step)) : step;
}

/* The range of the points that can be shown, or the caller's. */
static void plot_range(const reel_plot *plot, plot_scale *scale, bool vertical)
{
    const reel_plot_axis *axis = scale->axis;
    double low = INFINITY, high = -INFINITY;
    for (size_t i = 0; i < plot->count; i++)
        for (size_t k = 0; k < plot->series[i].count; k++) {
            double x = plot->series[i].x[k], y = plot->series[i].y[k];
            if (plot_fits(&plot->x, x) && plot_fits(&plot->y, y)) {
                low = fmin(low, vertical ? y : x);
                high = fmax(high, vertical ? y : x);
            }
        }
    if (axis->low < axis->high) {
        low = axis->low;
        high = axis->high;
    }
    if (!(low <= high) || !plot_fits(axis, low))
        low = high = 1;
    scale->low = axis->logarithmic ? log10(low) : low;
    scale->high = axis->logarithmic ? log10(high) : high;
}

/* Out to the next ticks, unless the caller has chosen. */
static void plot_set_scale(const reel_plot *plot, plot_scale *scale, bool vertical)
{
    plot_range(plot, scale, vertical);
    if (scale->axis->names) {
        scale->low = -.5;
        scale->high = (double)scale->axis->name_count - .5;
        scale->step = 1;
        return;
    }
    if (!(scale->high - scale->low > 1e-12 * fmax(fabs(scale->low), fabs(scale->high)))) {
        double room = scale->axis->logarithmic || scale->low == 0 ? 1 : fabs(scale->low) / 2;
        scale->low -= room;
        scale->high += room;
    }
    scale->step = plot_step(scale->high - scale->low, scale->axis->logarithmic);
    if (scale->axis->low < scale->axis->high)
        return;
    scale->low = floor(scale->low / scale->step + 1e-9) * scale->step;
    scale->high = ceil(scale->high / scale->step - 1e-9) * scale->step;
}


/* ---- Axes --------------------------------------------------------------------------------------- */

/* A power of ten on a logarithmic axis, else as many decimals as the step needs; very large and very
 * small steps get a power of ten behind them. */
static void plot_tick_text(plot_paper *paper, const plot_scale *scale, double at)
{
    if (scale->axis->logarithmic) {
        reel_svg_put(&paper->svg, "10<tspan dy=\"-6\" font-size=\"11\">%d</tspan>", (int)lround(at));
        return;
    }
    int exponent = (int)floor(log10(scale->step) + 1e-9);
    bool scaled = exponent < -5 || exponent > 5;
    reel_svg_number(&paper->svg, scaled ? at / pow(10, exponent) : at,
                    scaled || exponent > 0 ? 0 : -exponent);
    if (scaled && fabs(at) > scale->step / 2)
        reel_svg_put(&paper->svg, "e%d", exponent);
}

static void plot_x_tick(plot_paper *paper, double at)
{
    const plot_scale *x = &paper->x, *y = &paper->y;
    double place = x->from + (at - x->low) / (x->high - x->low) * (x->to - x->from);
    reel_svg_line(&paper->svg, place, y->from, place, y->to, "stroke=\"#e2e2e2\"");
    if (!x->axis->names) {
        reel_svg_text_at(&paper->svg, place, y->from + 22, "text-anchor=\"middle\"");
        plot_tick_text(paper, x, at);
    } else {
        reel_svg_put(&paper->svg, "<text text-anchor=\"end\" font-size=\"12\" transform=\"translate(");
        reel_svg_number(&paper->svg, place + 4, 1);
        reel_svg_put(&paper->svg, " ");
        reel_svg_number(&paper->svg, y->from + 16, 1);
        reel_svg_put(&paper->svg, ") rotate(-35)\">");
        reel_svg_words(&paper->svg, x->axis->names[lround(at)]);
    }
    reel_svg_put(&paper->svg, "</text>\n");
}

static void plot_y_tick(plot_paper *paper, double at)
{
    const plot_scale *x = &paper->x, *y = &paper->y;
    double place = y->from + (at - y->low) / (y->high - y->low) * (y->to - y->from);
    reel_svg_line(&paper->svg, x->from, place, x->to, place, "stroke=\"#e2e2e2\"");
    reel_svg_text_at(&paper->svg, x->from - 9, place + 5, "text-anchor=\"end\"");
    plot_tick_text(paper, y, at);
    reel_svg_put(&paper->svg, "</text>\n");
}

static void plot_ticks(plot_paper *paper, const plot_scale *scale, void (*tick)(plot_paper *paper, double at))
{
    double first = ceil(scale->low / scale->step - 1e-9);
    for (int i = 0; i < 64 && (first + i) * scale->step <= scale->high + 1e-9 * scale->step; i++)
        tick(paper, (first + i) * scale->step);
}

static void plot_axes(plot_paper *paper, const reel_plot *plot)
{
    const plot_scale *x = &paper->x, *y = &paper->y;
    double middle_x = (x->from + x->to) / 2, middle_y = (y->from + y->to) / 2;
    plot_ticks(paper, x, plot_x_tick);
    plot_ticks(paper, y, plot_y_tick);
    reel_svg_line(&paper->svg, x->from, y->from, x->to, y->from, "stroke=\"#333\"");
    reel_svg_line(&paper->svg, x->from, y->from, x->from, y->to, "stroke=\"#333\"");
    reel_svg_text_at(&paper->svg, middle_x, PLOT_TOP - 22, "text-anchor=\"middle\" font-size=\"19\"");
    reel_svg_words(&paper->svg, plot->title);
    reel_svg_put(&paper->svg, "</text>\n");
    reel_svg_text_at(&paper->svg, middle_x, PLOT_HEIGHT - 16, "text-anchor=\"middle\" font-size=\"15\"");
    reel_svg_words(&paper->svg, plot->x.label);
    reel_svg_put(&paper->svg, "</text>\n<g transform=\"translate(26 %d) rotate(-90)\">", (int)middle_y);
    reel_svg_text_at(&paper->svg, 0, 0, "text-anchor=\"middle\" font-size=\"15\"");
    reel_svg_words(&paper->svg, plot->y.label);
    reel_svg_put(&paper->svg, "</text></g>\n");
}


/* ---- Series ------------------------------------------------------------------------------------- */

static bool plot_has_line(const reel_plot_series *series)
{
    return series->style != REEL_PLOT_DOTS;
}

static bool plot_has_dots(const reel_plot_series *series)
{
    return series->style == REEL_PLOT_DOTS || series->style == REEL_PLOT_LINE_AND_DOTS;
}

static const char *plot_colour_of(const reel_plot *plot, size_t i)
{
    int own = plot->series[i].colour;
    return plot_colour[(own > 0 ? (size_t)own - 1 : i) % PLOT_COLOURS];
}

/* Far outside the picture is as good as anywhere outside it, and can be written. */
static double plot_near(double place)
{
    return fmax(-1e4, fmin(1e4, place));
}

static bool plot_shows(const plot_paper *paper, const reel_plot_series *series, size_t k)
{
    return plot_fits(paper->x.axis, series->x[k]) && plot_fits(paper->y.axis, series->y[k]);
}

static void plot_draw_line(plot_paper *paper, const reel_plot_series *series, const char *colour)
{
    bool open = false;
    for (size_t k = 0; k <= series->count; k++) {
        bool shown = k < series->count && plot_shows(paper, series, k);
        if (shown && !open)
            reel_svg_put(&paper->svg,
                         "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"2.2\"%s points=\"", colour,
                         series->style == REEL_PLOT_DASHES ? " stroke-dasharray=\"7 5\"" : "");
        if (shown) {
            reel_svg_number(&paper->svg, plot_near(plot_place(&paper->x, series->x[k])), 1);
            reel_svg_put(&paper->svg, ",");
            reel_svg_number(&paper->svg, plot_near(plot_place(&paper->y, series->y[k])), 1);
            reel_svg_put(&paper->svg, " ");
        }
        if (open && !shown)
            reel_svg_put(&paper->svg, "\"/>\n");
        open = shown;
    }
}

static void plot_dot(plot_paper *paper, double x, double y, const char *colour)
{
    reel_svg_put(&paper->svg, "<circle r=\"3.6\" fill=\"%s\"", colour);
    reel_svg_attribute(&paper->svg, "cx", x);
    reel_svg_attribute(&paper->svg, "cy", y);
    reel_svg_put(&paper->svg, "/>\n");
}

static void plot_draw_series(plot_paper *paper, const reel_plot_series *series, const char *colour)
{
    if (plot_has_line(series))
        plot_draw_line(paper, series, colour);
    for (size_t k = 0; plot_has_dots(series) && k < series->count; k++)
        if (plot_shows(paper, series, k))
            plot_dot(paper, plot_near(plot_place(&paper->x, series->x[k])),
                     plot_near(plot_place(&paper->y, series->y[k])), colour);
}

static void plot_legend(plot_paper *paper, const reel_plot *plot)
{
    double x = paper->x.to + 18, y = PLOT_TOP + 12;
    for (size_t i = 0; i < plot->count; i++) {
        const reel_plot_series *series = &plot->series[i];
        if (!series->name)
            continue;
        char style[96];
        snprintf(style, sizeof style, "stroke=\"%s\" stroke-width=\"2.2\"%s", plot_colour_of(plot, i),
                 series->style == REEL_PLOT_DASHES ? " stroke-dasharray=\"7 5\"" : "");
        if (plot_has_line(series))
            reel_svg_line(&paper->svg, x, y, x + 28, y, style);
        if (plot_has_dots(series))
            plot_dot(paper, x + 14, y, plot_colour_of(plot, i));
        reel_svg_text_at(&paper->svg, x + 36, y + 5, "");
        reel_svg_words(&paper->svg, series->name);
        reel_svg_put(&paper->svg, "</text>\n");
        y += 24;
    }
}


/* ---- The picture -------------------------------------------------------------------------------- */

static void plot_lay_out(plot_paper *paper, const reel_plot *plot)
{
    bool legend = false;
    for (size_t i = 0; i < plot->count; i++)
        legend |= plot->series[i].name != NULL;
    paper->x = (plot_scale){.axis = &plot->x, .from = PLOT_LEFT,
                            .to = PLOT_WIDTH - (legend ? PLOT_LEGEND : PLOT_RIGHT)};
    paper->y = (plot_scale){.axis = &plot->y, .to = PLOT_TOP,
                            .from = PLOT_HEIGHT - PLOT_BOTTOM - (plot->x.names ? PLOT_NAMES : 0)};
    plot_set_scale(plot, &paper->x, false);
    plot_set_scale(plot, &paper->y, true);
}

static void plot_picture(plot_paper *paper, const reel_plot *plot)
{
    plot_axes(paper, plot);
    reel_svg_put(&paper->svg, "<clipPath id=\"inside\"><rect");
    reel_svg_attribute(&paper->svg, "x", paper->x.from - 4);
    reel_svg_attribute(&paper->svg, "y", paper->y.to - 4);
    reel_svg_attribute(&paper->svg, "width", paper->x.to - paper->x.from + 8);
    reel_svg_attribute(&paper->svg, "height", paper->y.from - paper->y.to + 8);
    reel_svg_put(&paper->svg, "/></clipPath>\n<g clip-path=\"url(#inside)\">\n");
    for (size_t i = 0; i < plot->count; i++)
        plot_draw_series(paper, &plot->series[i], plot_colour_of(plot, i));
    reel_svg_put(&paper->svg, "</g>\n");
    plot_legend(paper, plot);
}

bool reel_plot_svg(reel_plot *plot, const char *path, const reel_io *io)
{
    plot_paper paper;
    if (!reel_svg_open(&paper.svg, PLOT_WIDTH, PLOT_HEIGHT, path, io, plot->error))
        return false;
    plot_lay_out(&paper, plot);
    plot_picture(&paper, plot);
    return reel_svg_close(&paper.svg);
}
