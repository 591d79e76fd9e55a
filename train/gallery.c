/* Galleries: see gallery.h. The images lie in the SVG file as PNG in base 64 (RFC 2397). */
#include "train/gallery.h"

#include <math.h>

enum { GALLERY_TILE = 128, GALLERY_GAP = 20, GALLERY_LINE = 18, GALLERY_TOP = 64, GALLERY_LEAST = 340 };

static double gallery_x(const reel_gallery *gallery, size_t i)
{
    return GALLERY_GAP + (double)(i % (size_t)gallery->columns) * (GALLERY_TILE + GALLERY_GAP);
}

static double gallery_row(const reel_gallery *gallery)
{
    return gallery->height + gallery->lines * GALLERY_LINE + 1.5 * GALLERY_GAP;
}

static double gallery_y(const reel_gallery *gallery, size_t i)
{
    return GALLERY_TOP + (double)(i / (size_t)gallery->columns) * gallery_row(gallery);
}

/* Three columns to two rows, or one more where that fills the last row. */
static int gallery_columns(size_t count)
{
    size_t columns = count > 0 ? (size_t)ceil(sqrt(1.5 * (double)count)) : 1;
    return (int)(columns + (count % columns > 0 && count % (columns + 1) == 0));
}

bool reel_gallery_open(reel_gallery *gallery, size_t count, int lines, const char *title, const char *path,
                       const reel_io *io, char error[REEL_TRAIN_MESSAGE])
{
    double wide = (double)gallery->picture.width, high = (double)gallery->picture.height;
    double times = GALLERY_TILE / fmax(wide, high);
    times = times > 1 ? floor(times) : times;       /* so that small images keep square pixels     */
    gallery->width = wide * times;
    gallery->height = high * times;
    gallery->lines = lines;
    gallery->columns = gallery_columns(count);
    size_t rows = (count + (size_t)gallery->columns - 1) / (size_t)gallery->columns;
    int width = gallery->columns * (GALLERY_TILE + GALLERY_GAP) + GALLERY_GAP;
    int height = GALLERY_TOP + (int)((double)rows * gallery_row(gallery));
    width = width > GALLERY_LEAST ? width : GALLERY_LEAST;
    if (!reel_svg_open(&gallery->svg, width, height, path, io, error))
        return false;
    reel_svg_text_at(&gallery->svg, width / 2.0, 34, "text-anchor=\"middle\" font-size=\"19\"");
    reel_svg_words(&gallery->svg, title);
    reel_svg_put(&gallery->svg, "</text>\n");
    return true;
}

void reel_gallery_image(reel_gallery *gallery, size_t i)
{
    reel_svg *svg = &gallery->svg;
    reel_svg_put(svg, "<image");
    reel_svg_attribute(svg, "x", gallery_x(gallery, i) + (GALLERY_TILE - gallery->width) / 2);
    reel_svg_attribute(svg, "y", gallery_y(gallery, i));
    reel_svg_attribute(svg, "width", gallery->width);
    reel_svg_attribute(svg, "height", gallery->height);
    reel_svg_put(svg, " image-rendering=\"optimizeSpeed\" style=\"image-rendering:pixelated\"");
    reel_svg_put(svg, " href=\"data:image/png;base64,");
    bool good = reel_png_encode(&gallery->picture, reel_svg_base64, svg);
    if (!good && gallery->picture.error[0])
        reel_train_fail(svg->file.error, "%s", gallery->picture.error);
    svg->good = svg->good && good;
    reel_svg_base64(svg, NULL, 0);
    reel_svg_put(svg, "\"/>\n");
}

void reel_gallery_text(reel_gallery *gallery, size_t i, int line, const char *style)
{
    double y = gallery_y(gallery, i) + gallery->height + (line + 1) * GALLERY_LINE;
    reel_svg_text_at(&gallery->svg, gallery_x(gallery, i) + GALLERY_TILE / 2.0, y, style);
}

void reel_gallery_name(reel_gallery *gallery, const char *const *names, int64_t class)
{
    if (names)
        reel_svg_words(&gallery->svg, names[class]);
    else
        reel_svg_put(&gallery->svg, "%lld", (long long)class);
}
