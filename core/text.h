/* Text: appended piece by piece to a buffer of fixed size, and numbers in their shortest form.
 *
 * Nothing here depends on the locale.
 */
#ifndef REEL_CORE_TEXT_H
#define REEL_CORE_TEXT_H

#include <reel.h>

/* `buffer` is closed with a 0 always. What does not fit is cut, but `length` goes on counting the whole
 * text, so that a text can be measured without a buffer (NULL, or size 0). */
typedef struct reel_text {
    char  *buffer;
    size_t size;
    size_t length;
} reel_text;

/* An empty text. */
reel_text reel_text_in(char *buffer, size_t size);

void reel_text_char(reel_text *text, char c);

/* `format` is that of printf, for integers, characters and strings. Floating numbers go through
 * reel_text_number(), since printf writes them with the locale's decimal point. */
void reel_text_add(reel_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A number of a floating dtype, after rounding to it, with the fewest digits that read back as the same
 * value of that dtype, and of those the nearest ones to it; written as NumPy does:
 *     0.16984601    1.    -0.    1e+16    1.5e-07    nan    inf    -inf
 * (an exponent from 1e16 on and below 1e-4). Of an integer dtype: truncated, clamped, without a point. */
void reel_text_number(reel_text *text, reel_dtype dtype, double value);

/* The same for the element at `element`; of an i64 too every digit is right. */
void reel_text_element(reel_text *text, reel_dtype dtype, const void *element);

#endif
