/* Plots as SVG: two axes with ticks, a grid, series as lines or dots, and a legend at the right.
 *
 * The text is put together in a small buffer and handed to the I/O table whenever that is full. Numbers are
 * written digit by digit, since printf's decimal point depends on the locale. */
#include "train/train.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { PLOT_WIDTH = 960, PLOT_HEIGHT = 540, PLOT_LEFT = 96, PLOT_TOP = 56, PLOT_RIGHT = 28, PLOT_LEGEND = 220,
       PLOT_BOTTOM = 66, PLOT_NAMES = 70, PLOT_TICKS = 7, PLOT_COLOURS = 8 };
enum { PLOT_BUFFER = 4096, PLOT_PIECE = 512 };

/* One axis: the value v stands at from + (v - low)/(high - low) (to - from), or its logarithm does. */
typedef struct plot_scale {
    const reel_plot_axis *axis;
    double low, high;                               /* logarithms of base 10 on a logarithmic axis */
    double from, to;
    double step;                                    /* from tick to tick                           */
} plot_scale;

typedef struct plot_paper {
    reel_io    io;
    int        file;
    bool       good;
    size_t     used;
    char       buffer[PLOT_BUFFER];
    plot_scale x, y;
} plot_paper;

/* Masataka Okabe and Kei Ito's colours, which the colour-blind tell apart, 2008. */
static const char *const plot_colour[PLOT_COLOURS] = {
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8a7a00",
};


/* ---- Writing ------------------------------------------------------------------------------------ */

static void plot_flush(plot_paper *paper)
{
    for (size_t at = 0; paper->good && at < paper->used;) {
        int64_t put = paper->io.write(paper->io.user, paper->file, paper->buffer + at, paper->used - at);
        paper->good = put > 0;
        at += put > 0 ? (size_t)put : 0;
    }
    paper->used = 0;
}

static void plot_char(plot_paper *paper, char c)
{
    if (paper->used == PLOT_BUFFER)
        plot_flush(paper);
    paper->buffer[paper->used++] = c;
}

/* For texts without floating numbers. */
__attribute__((format(printf, 2, 3)))
static void plot_put(plot_paper *paper, const char *format, ...)
{
    char piece[PLOT_PIECE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(piece, sizeof piece, format, arguments);
    va_end(arguments);
    for (const char *c = piece; *c; c++)
        plot_char(paper, *c);
}

static void plot_escaped(plot_paper *paper, const char *text)
{
    for (; text && *text; text++)
        if (*text == '<' || *text == '&')
            plot_put(paper, *text == '<' ? "&lt;" : "&amp;");
        else
            plot_char(paper, *text);
}

/* |v| < 1e15, with `decimals` digits behind the point. */
static void plot_number(plot_paper *paper, double v, int decimals)
{
    int64_t unit = 1, scaled;
    for (int i = 0; i < decimals; i++)
        unit *= 10;
    scaled = llround(fabs(v) * (double)unit);
    plot_put(paper, "%s%lld", v < 0 && scaled ? "-" : "", (long long)(scaled / unit));
    if (decimals)
        plot_put(paper, ".%0*lld", decimals, (long long)(scaled % unit));
}

/* name="12.3" */
static void plot_attribute(plot_paper *paper, const char *name, double v)
{
    plot_put(paper, " %s=\"", name);
    plot_number(paper, v, 1);
    plot_char(paper, '"');
}

static void plot_line(plot_paper *paper, double x1, double y1, double x2, double y2, const char *rest)
{
    plot_put(paper, "<line");
    plot_attribute(paper, "x1", x1);
    plot_attribute(paper, "y1", y1);
    plot_attribute(paper, "x2", x2);
    plot_attribute(paper, "y2", y2);
    plot_put(paper, " %s/>\n", rest);
}

/* Opens a text; its words and plot_put("</text>") come after it. */
static void plot_text_at(plot_paper *paper, double x, double y, const char *rest)
{
    plot_put(paper, "<text");
    plot_attribute(paper, "x", x);
    plot_attribute(paper, "y", y);
    plot_put(paper, " %s>", rest);
}


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
        plot_put(paper, "10<tspan dy=\"-6\" font-size=\"11\">%d</tspan>", (int)lround(at));
        return;
    }
    int exponent = (int)floor(log10(scale->step) + 1e-9);
    bool scaled = exponent < -5 || exponent > 5;
    plot_number(paper, scaled ? at / pow(10, exponent) : at, scaled || exponent > 0 ? 0 : -exponent);
    if (scaled && fabs(at) > scale->step / 2)
        plot_put(paper, "e%d", exponent);
}

static void plot_x_tick(plot_paper *paper, double at)
{
    const plot_scale *x = &paper->x, *y = &paper->y;
    double place = x->from + (at - x->low) / (x->high - x->low) * (x->to - x->from);
    plot_line(paper, place, y->from, place, y->to, "stroke=\"#e2e2e2\"");
    if (!x->axis->names) {
        plot_text_at(paper, place, y->from + 22, "text-anchor=\"middle\"");
        plot_tick_text(paper, x, at);
    } else {
        plot_put(paper, "<text text-anchor=\"end\" font-size=\"12\" transform=\"translate(");
        plot_number(paper, place + 4, 1);
        plot_char(paper, ' ');
        plot_number(paper, y->from + 16, 1);
        plot_put(paper, ") rotate(-35)\">");
        plot_escaped(paper, x->axis->names[lround(at)]);
    }
    plot_put(paper, "</text>\n");
}

static void plot_y_tick(plot_paper *paper, double at)
{
    const plot_scale *x = &paper->x, *y = &paper->y;
    double place = y->from + (at - y->low) / (y->high - y->low) * (y->to - y->from);
    plot_line(paper, x->from, place, x->to, place, "stroke=\"#e2e2e2\"");
    plot_text_at(paper, x->from - 9, place + 5, "text-anchor=\"end\"");
    plot_tick_text(paper, y, at);
    plot_put(paper, "</text>\n");
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
    plot_line(paper, x->from, y->from, x->to, y->from, "stroke=\"#333\"");
    plot_line(paper, x->from, y->from, x->from, y->to, "stroke=\"#333\"");
    plot_text_at(paper, middle_x, PLOT_TOP - 22, "text-anchor=\"middle\" font-size=\"19\"");
    plot_escaped(paper, plot->title);
    plot_put(paper, "</text>\n");
    plot_text_at(paper, middle_x, PLOT_HEIGHT - 16, "text-anchor=\"middle\" font-size=\"15\"");
    plot_escaped(paper, plot->x.label);
    plot_put(paper, "</text>\n<g transform=\"translate(26 %d) rotate(-90)\">", (int)middle_y);
    plot_text_at(paper, 0, 0, "text-anchor=\"middle\" font-size=\"15\"");
    plot_escaped(paper, plot->y.label);
    plot_put(paper, "</text></g>\n");
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
            plot_put(paper, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"2.2\"%s points=\"", colour,
                     series->style == REEL_PLOT_DASHES ? " stroke-dasharray=\"7 5\"" : "");
        if (shown) {
            plot_number(paper, plot_near(plot_place(&paper->x, series->x[k])), 1);
            plot_char(paper, ',');
            plot_number(paper, plot_near(plot_place(&paper->y, series->y[k])), 1);
            plot_char(paper, ' ');
        }
        if (open && !shown)
            plot_put(paper, "\"/>\n");
        open = shown;
    }
}

static void plot_dot(plot_paper *paper, double x, double y, const char *colour)
{
    plot_put(paper, "<circle r=\"3.6\" fill=\"%s\"", colour);
    plot_attribute(paper, "cx", x);
    plot_attribute(paper, "cy", y);
    plot_put(paper, "/>\n");
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
            plot_line(paper, x, y, x + 28, y, style);
        if (plot_has_dots(series))
            plot_dot(paper, x + 14, y, plot_colour_of(plot, i));
        plot_text_at(paper, x + 36, y + 5, "");
        plot_escaped(paper, series->name);
        plot_put(paper, "</text>\n");
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
    plot_put(paper, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\"", PLOT_WIDTH, PLOT_HEIGHT);
    plot_put(paper, " width=\"%d\" height=\"%d\"", PLOT_WIDTH, PLOT_HEIGHT);
    plot_put(paper, " font-family=\"Helvetica, Arial, sans-serif\" font-size=\"14\" fill=\"#222\">\n");
    plot_put(paper, "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n");
    plot_axes(paper, plot);
    plot_put(paper, "<clipPath id=\"inside\"><rect");
    plot_attribute(paper, "x", paper->x.from - 4);
    plot_attribute(paper, "y", paper->y.to - 4);
    plot_attribute(paper, "width", paper->x.to - paper->x.from + 8);
    plot_attribute(paper, "height", paper->y.from - paper->y.to + 8);
    plot_put(paper, "/></clipPath>\n<g clip-path=\"url(#inside)\">\n");
    for (size_t i = 0; i < plot->count; i++)
        plot_draw_series(paper, &plot->series[i], plot_colour_of(plot, i));
    plot_put(paper, "</g>\n");
    plot_legend(paper, plot);
    plot_put(paper, "</svg>\n");
}

/* Members left out of the table take the standard ones. */
static reel_io plot_io(const reel_io *given)
{
    reel_io io = given ? *given : *reel_io_standard();
    io.open = io.open ? io.open : reel_io_standard()->open;
    io.write = io.write ? io.write : reel_io_standard()->write;
    io.close = io.close ? io.close : reel_io_standard()->close;
    return io;
}

bool reel_plot_svg(reel_plot *plot, const char *path, const reel_io *io)
{
    plot_paper paper;
    paper.io = plot_io(io);
    paper.used = 0;
    paper.file = path ? paper.io.open(paper.io.user, path, true) : -1;
    paper.good = paper.file >= 0;
    if (!paper.good)
        return reel_train_fail(plot->error, "%.300s: cannot be opened for writing", path ? path : "NULL");
    plot_lay_out(&paper, plot);
    plot_picture(&paper, plot);
    plot_flush(&paper);
    if (paper.io.close(paper.io.user, paper.file) < 0 || !paper.good)
        return reel_train_fail(plot->error, "%.300s: cannot be written", path);
    plot->error[0] = 0;
    return true;
}
