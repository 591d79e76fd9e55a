/* SVG files (W3C, "Scalable Vector Graphics 2", 2018): see svg.h. */
#include "train/svg.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { SVG_PIECE = 512 };

bool reel_svg_open(reel_svg *svg, int width, int height, const char *path, const reel_io *io,
                   char error[REEL_TRAIN_MESSAGE])
{
    svg->rests = 0;
    svg->good = path ? reel_file_create(&svg->file, path, io, error)
                     : reel_train_fail(error, "a picture without a path");
    if (!svg->good)
        return false;
    reel_svg_put(svg, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\"", width, height);
    reel_svg_put(svg, " width=\"%d\" height=\"%d\"", width, height);
    reel_svg_put(svg, " font-family=\"Helvetica, Arial, sans-serif\" font-size=\"14\" fill=\"#222\">\n");
    reel_svg_put(svg, "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n");
    return true;
}

static void svg_bytes(reel_svg *svg, const char *bytes, size_t count)
{
    svg->good = svg->good && reel_file_put(&svg->file, bytes, count);
}

void reel_svg_put(reel_svg *svg, const char *format, ...)
{
    char piece[SVG_PIECE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(piece, sizeof piece, format, arguments);
    va_end(arguments);
    svg_bytes(svg, piece, strlen(piece));
}

/* XML has no control characters; and where the words are no UTF-8, only their ASCII is sure. */
void reel_svg_words(reel_svg *svg, const char *words)
{
    size_t bad;
    bool utf8 = words && reel_is_utf8(words, strlen(words), &bad);
    for (; words && *words; words++) {
        unsigned char c = (unsigned char)*words;
        if (c == '<' || c == '&')
            reel_svg_put(svg, c == '<' ? "&lt;" : "&amp;");
        else
            svg_bytes(svg, c < ' ' || c == 0x7f || (c > 0x7f && !utf8) ? "?" : words, 1);
    }
}

void reel_svg_number(reel_svg *svg, double v, int decimals)
{
    char text[REEL_TRAIN_NUMBER];
    svg_bytes(svg, text, (size_t)reel_train_fixed(text, v, decimals));
}

void reel_svg_attribute(reel_svg *svg, const char *name, double v)
{
    reel_svg_put(svg, " %s=\"", name);
    reel_svg_number(svg, v, 1);
    reel_svg_put(svg, "\"");
}

/* Three bytes are four digits of six bits; what is missing at the end is shown by "=". */
static void svg_three(reel_svg *svg)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    unsigned all = (unsigned)svg->rest[0] << 16 | (unsigned)svg->rest[1] << 8 | svg->rest[2];
    char four[4];
    for (int i = 0; i < 4; i++)
        four[i] = i <= svg->rests ? digit[all >> (18 - 6 * i) & 63] : '=';
    svg_bytes(svg, four, 4);
    memset(svg->rest, 0, sizeof svg->rest);
    svg->rests = 0;
}

bool reel_svg_base64(void *user, const void *bytes, size_t count)
{
    reel_svg *svg = user;
    if (count == 0 && svg->rests > 0)
        svg_three(svg);
    for (size_t i = 0; i < count; i++) {
        svg->rest[svg->rests++] = ((const unsigned char *)bytes)[i];
        if (svg->rests == 3)
            svg_three(svg);
    }
    return svg->good;
}

void reel_svg_line(reel_svg *svg, double x1, double y1, double x2, double y2, const char *rest)
{
    reel_svg_put(svg, "<line");
    reel_svg_attribute(svg, "x1", x1);
    reel_svg_attribute(svg, "y1", y1);
    reel_svg_attribute(svg, "x2", x2);
    reel_svg_attribute(svg, "y2", y2);
    reel_svg_put(svg, " %s/>\n", rest);
}

void reel_svg_text_at(reel_svg *svg, double x, double y, const char *rest)
{
    reel_svg_put(svg, "<text");
    reel_svg_attribute(svg, "x", x);
    reel_svg_attribute(svg, "y", y);
    reel_svg_put(svg, " %s>", rest);
}

bool reel_svg_close(reel_svg *svg)
{
    reel_svg_put(svg, "</svg>\n");
    return reel_file_finish(&svg->file, svg->good);
}
