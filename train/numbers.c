/* Numbers as text. The C library's own conversions have the locale's decimal point, so it is asked for the
 * digits alone, and the point is put between them here. */
#include "train/train.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBERS_DIGITS = 17 };                       /* as many as an f64 can need                  */

static int numbers_special(char text[REEL_TRAIN_NUMBER], double v)
{
    return snprintf(text, REEL_TRAIN_NUMBER, "%s", isnan(v) ? "nan" : v > 0 ? "inf" : "-inf");
}

int reel_train_fixed(char text[REEL_TRAIN_NUMBER], double v, int decimals)
{
    int64_t unit = 1;
    for (int i = 0; i < decimals; i++)
        unit *= 10;
    if (!isfinite(v))
        return numbers_special(text, v);
    if (fabs(v) * (double)unit >= 0x1p63)
        return reel_train_shortest(text, v);
    int64_t scaled = llround(fabs(v) * (double)unit);
    int length = snprintf(text, REEL_TRAIN_NUMBER, "%s%lld", v < 0 && scaled ? "-" : "",
                          (long long)(scaled / unit));
    if (decimals)
        length += snprintf(text + length, REEL_TRAIN_NUMBER - (size_t)length, ".%0*lld", decimals,
                           (long long)(scaled % unit));
    return length;
}

/* v = d.ddd 10^exponent, v > 0: the digits without a point. */
static int numbers_digits(char digit[NUMBERS_DIGITS + 1], int *exponent, double v)
{
    char all[REEL_TRAIN_NUMBER], *end;
    int count = 0;
    do
        snprintf(all, sizeof all, "%.*e", count++, v);
    while (count < NUMBERS_DIGITS && strtod(all, NULL) != v);
    end = strchr(all, 'e');
    *exponent = (int)strtol(end + 1, NULL, 10);
    count = 0;
    for (char *c = all; c < end; c++)
        if (*c >= '0' && *c <= '9')
            digit[count++] = *c;
    digit[count] = 0;
    return count;
}

/* As JavaScript and Python do, positional unless that takes many zeros: 1e-05, 0.0001, 12.5, 1e+16. */
int reel_train_shortest(char text[REEL_TRAIN_NUMBER], double v)
{
    if (!isfinite(v))
        return numbers_special(text, v);
    const char *sign = signbit(v) ? "-" : "";
    if (v == 0)
        return snprintf(text, REEL_TRAIN_NUMBER, "%s0", sign);
    char digit[NUMBERS_DIGITS + 1];
    int exponent, count = numbers_digits(digit, &exponent, fabs(v));
    static const char zeros[] = "0000000000000000";
    if (exponent < -4 || exponent >= 16)
        return snprintf(text, REEL_TRAIN_NUMBER, "%s%c%s%se%c%02d", sign, digit[0], count > 1 ? "." : "",
                        digit + 1, exponent < 0 ? '-' : '+', abs(exponent));
    if (exponent < 0)
        return snprintf(text, REEL_TRAIN_NUMBER, "%s0.%.*s%s", sign, -exponent - 1, zeros, digit);
    if (count <= exponent + 1)
        return snprintf(text, REEL_TRAIN_NUMBER, "%s%s%.*s", sign, digit, exponent + 1 - count, zeros);
    return snprintf(text, REEL_TRAIN_NUMBER, "%s%.*s.%s", sign, exponent + 1, digit, digit + exponent + 1);
}
