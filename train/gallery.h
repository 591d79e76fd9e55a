/* Galleries: SVG files of images side by side, with words under each of them. */
#ifndef REEL_TRAIN_GALLERY_H
#define REEL_TRAIN_GALLERY_H

#include "train/picture.h"
#include "train/svg.h"

typedef struct reel_gallery {
    reel_svg     svg;
    reel_picture picture;                           /* made before, of the images' size: the one at hand */
    int          columns, lines;
    double       width, height;                     /* of an image on the paper                    */
} reel_gallery;

/* Opens a file for `count` images with so many lines under each. */
bool reel_gallery_open(reel_gallery *gallery, size_t count, int lines, const char *title, const char *path,
                       const reel_io *io, char error[REEL_TRAIN_MESSAGE]);

/* The picture in place number `i`. */
void reel_gallery_image(reel_gallery *gallery, size_t i);

/* Opens a text in line `line`, from 0 on, under place `i`, with these attributes; its words and "</text>"
 * come after it. */
void reel_gallery_text(reel_gallery *gallery, size_t i, int line, const char *style);

/* The class's name, or its number. */
void reel_gallery_name(reel_gallery *gallery, const char *const *names, int64_t class);

#endif
