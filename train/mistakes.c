/* The worst mistakes: of the rows that were classified wrongly those of the highest loss, and a picture of
 * them.
 *
 *     loss = log sum exp(z - m) + m - z_label,   m = max z */
#include "train/gallery.h"

#include <math.h>
#include <string.h>

enum { MISTAKES_USUAL = 24 };                       /* as many as are kept where nobody says       */

/* Logits that are NaN, or infinite, have no probabilities: nothing is worse. */
static reel_mistake mistakes_judge(const float *logits, int32_t label, int64_t classes)
{
    reel_mistake mistake = {.label = label, .predicted = reel_predicted(logits, classes), .loss = INFINITY};
    if (mistake.predicted < 0)
        return mistake;
    double most = (double)logits[mistake.predicted], sum = 0;
    for (int64_t c = 0; c < classes; c++)
        sum += exp((double)logits[c] - most);
    if (isfinite(sum)) {
        mistake.probability = 1 / sum;
        mistake.loss = log(sum) + most - (double)logits[label];
    }
    return mistake;
}

/* Among those of the same loss, the earlier one stays in front. */
static void mistakes_insert(reel_mistakes *mistakes, reel_mistake mistake)
{
    size_t most = mistakes->most > 0 ? mistakes->most : MISTAKES_USUAL;
    most = most < REEL_MISTAKES ? most : REEL_MISTAKES;
    size_t at = mistakes->count;
    while (at > 0 && mistakes->worst[at - 1].loss < mistake.loss)
        at--;
    if (at >= most)
        return;
    mistakes->count += mistakes->count < most;
    memmove(&mistakes->worst[at + 1], &mistakes->worst[at], (mistakes->count - 1 - at) * sizeof mistake);
    mistakes->worst[at] = mistake;
}

void reel_mistakes_add(reel_mistakes *mistakes, const float *logits, const int32_t *labels, int64_t rows,
                       int64_t first)
{
    int64_t classes = mistakes->classes;
    for (int64_t i = 0; i < rows; i++) {
        if (labels[i] < 0 || labels[i] >= classes)
            continue;
        reel_mistake mistake = mistakes_judge(logits + i * classes, labels[i], classes);
        mistake.image = first + i;
        if (mistake.predicted != mistake.label)
            mistakes_insert(mistakes, mistake);
    }
}


/* ---- The picture --------------------------------------------------------------------------------- */

#define MISTAKES_WRONG "text-anchor=\"middle\" fill=\"#d55e00\""
#define MISTAKES_RIGHT "text-anchor=\"middle\""

/* The image, what it was taken for and how surely, and what it is. */
static void mistakes_tile(reel_gallery *gallery, const reel_mistakes *mistakes, const reel_planes *images,
                          size_t i)
{
    const reel_mistake *mistake = &mistakes->worst[i];
    reel_planes_draw(&gallery->picture, images, mistake->image);
    reel_gallery_image(gallery, i);
    reel_gallery_text(gallery, i, 0, MISTAKES_WRONG);
    if (mistake->predicted < 0)
        reel_svg_put(&gallery->svg, "none");
    else
        reel_gallery_name(gallery, mistakes->names, mistake->predicted);
    if (mistake->probability > 0) {
        reel_svg_put(&gallery->svg, " ");
        reel_svg_number(&gallery->svg, 100 * mistake->probability, 0);
        reel_svg_put(&gallery->svg, " %%");
    }
    reel_svg_put(&gallery->svg, "</text>\n");
    reel_gallery_text(gallery, i, 1, MISTAKES_RIGHT);
    reel_svg_put(&gallery->svg, "is ");
    reel_gallery_name(gallery, mistakes->names, mistake->label);
    reel_svg_put(&gallery->svg, "</text>\n");
}

static bool mistakes_check(reel_mistakes *mistakes, const reel_planes *images, reel_picture *picture)
{
    if (!reel_planes_check(picture, images))
        return reel_train_fail(mistakes->error, "%s", picture->error);
    for (size_t i = 0; i < mistakes->count; i++)
        if (mistakes->worst[i].image < 0 || mistakes->worst[i].image >= images->count)
            return reel_train_fail(mistakes->error, "mistakes: image %lld of %lld",
                                   (long long)mistakes->worst[i].image, (long long)images->count);
    return reel_picture_make(picture, images->width, images->height, images->channels, 0) ||
           reel_train_fail(mistakes->error, "%s", picture->error);
}

bool reel_mistakes_svg(reel_mistakes *mistakes, const reel_planes *images, const char *path,
                       const reel_io *io)
{
    reel_gallery gallery = {.picture = {.allocator = mistakes->allocator,
                                        .allocator_user = mistakes->allocator_user}};
    const char *title = mistakes->title ? mistakes->title : "worst mistakes";
    bool good = mistakes_check(mistakes, images, &gallery.picture) &&
                reel_gallery_open(&gallery, mistakes->count, 2, title, path, io, mistakes->error);
    if (good) {
        for (size_t i = 0; i < mistakes->count; i++)
            mistakes_tile(&gallery, mistakes, images, i);
        good = reel_svg_close(&gallery.svg);
    }
    reel_picture_free(&gallery.picture);
    return good;
}
