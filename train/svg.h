/* SVG files: text put together piece by piece. An error is kept until the end. */
#ifndef REEL_TRAIN_SVG_H
#define REEL_TRAIN_SVG_H

#include "train/file.h"

typedef struct reel_svg {
    reel_file     file;
    bool          good;
    unsigned char rest[3];                          /* bytes that wait to be written in base 64    */
    int           rests;
} reel_svg;

/* Opens a picture of that size on white; where it fails, nothing is open. */
bool reel_svg_open(reel_svg *svg, int width, int height, const char *path, const reel_io *io,
                   char error[REEL_TRAIN_MESSAGE]);

/* For texts without floating numbers, of at most 500 bytes. */
void reel_svg_put(reel_svg *svg, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Words that may hold anything; NULL is none. */
void reel_svg_words(reel_svg *svg, const char *words);
void reel_svg_number(reel_svg *svg, double v, int decimals);
void reel_svg_attribute(reel_svg *svg, const char *name, double v);         /* name="12.3"          */

/* Bytes in base 64 (RFC 4648); `count` 0 ends them. `user` is a reel_svg. */
bool reel_svg_base64(void *user, const void *bytes, size_t count);

/* <line x1= ... rest/>, and <text x= y= rest>, whose words and "</text>" come after it. */
void reel_svg_line(reel_svg *svg, double x1, double y1, double x2, double y2, const char *rest);
void reel_svg_text_at(reel_svg *svg, double x, double y, const char *rest);

/* Closes the picture and puts the file in place. */
bool reel_svg_close(reel_svg *svg);

#endif
