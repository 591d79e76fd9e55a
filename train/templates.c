/* The templates of a linear model, as images.
 *
 * Each is drawn symmetrically about zero, 127.5 + 127.5 w / max |w|, rounded; so a weight of zero is the same
 * middle grey in all of them, and what is lighter speaks for the class. */
#include "train/gallery.h"

#include <math.h>

static double templates_weight(const reel_templates *t, int64_t class, int64_t feature)
{
    return (double)t->weights[feature * t->classes + class];
}

/* The largest finite |w| of a class; 1 where all are zero. */
static double templates_most(const reel_templates *t, int64_t class)
{
    double most = 0;
    for (int64_t i = 0; i < t->channels * t->height * t->width; i++) {
        double w = fabs(templates_weight(t, class, i));
        most = isfinite(w) && w > most ? w : most;
    }
    return most > 0 ? most : 1;
}

static uint8_t templates_level(double w, double most)
{
    return isnan(w) ? 128 : (uint8_t)lround(127.5 + 127.5 * fmax(-1, fmin(1, w / most)));
}

static void templates_draw(reel_picture *picture, const reel_grid *grid, int64_t tile,
                           const reel_templates *t, int64_t class)
{
    double most = templates_most(t, class);
    int64_t plane = t->height * t->width;
    for (int channel = 0; channel < t->channels; channel++)
        for (int64_t at = 0; at < plane; at++)
            reel_grid_dot(picture, grid, tile, at, channel,
                          templates_level(templates_weight(t, class, channel * plane + at), most));
}

bool reel_draw_templates(reel_picture *picture, const reel_templates *templates, const reel_sheet *sheet)
{
    const reel_templates *t = templates;
    reel_grid grid = {.width = t->width, .height = t->height};
    if (!reel_grid_takes(picture, t->channels, t->height, t->width) ||
        !reel_grid_make(picture, &grid, sheet, t->classes, t->channels))
        return false;
    for (int64_t c = 0; c < t->classes; c++)
        templates_draw(picture, &grid, c, t, c);
    return true;
}

bool reel_templates_svg(reel_templates *templates, const char *path, const reel_io *io)
{
    reel_templates *t = templates;
    reel_gallery gallery = {.picture = {.allocator = t->allocator, .allocator_user = t->allocator_user}};
    reel_grid grid = {.width = t->width, .height = t->height};
    const char *title = t->title ? t->title : "what each class looks for";
    bool good = reel_grid_takes(&gallery.picture, t->channels, t->height, t->width) &&
                reel_grid_make(&gallery.picture, &grid, NULL, 1, t->channels);
    if (!good)
        reel_train_fail(t->error, "%s", gallery.picture.error);
    size_t count = t->classes > 0 ? (size_t)t->classes : 0;
    good = good && reel_gallery_open(&gallery, count, 1, title, path, io, t->error);
    if (good) {
        for (size_t i = 0; i < count; i++) {
            templates_draw(&gallery.picture, &grid, 0, t, (int64_t)i);
            reel_gallery_image(&gallery, i);
            reel_gallery_text(&gallery, i, 0, "text-anchor=\"middle\"");
            reel_gallery_name(&gallery, t->names, (int64_t)i);
            reel_svg_put(&gallery.svg, "</text>\n");
        }
        good = reel_svg_close(&gallery.svg);
    }
    reel_picture_free(&gallery.picture);
    return good;
}
