/* Text, and the shortest decimal form of a floating number.
 *
 * A floating number v stands for all real numbers nearer to it than to its neighbours. We want the fewest
 * digits that land among them. With v = rest/unit, and the distances to the midpoints below and above it
 * as below/unit and above/unit, all whole numbers, the digits are the quotients of 10 rest by unit, one
 * after the other, until what is left is smaller than one of the distances.
 *
 * G. Steele, J. White, "How to print floating-point numbers accurately", PLDI 1990; R. Burger, R. Dybvig,
 * "Printing floating-point numbers quickly and accurately", PLDI 1996. Nothing is rounded on the way, so
 * that one routine serves every floating dtype.
 */
#include "core/text.h"
#include "core/dtype.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>


/* ---- Appending --------------------------------------------------------------------------------- */

reel_text reel_text_in(char *buffer, size_t size)
{
    if (buffer == NULL || size == 0)
        return (reel_text){NULL, 0, 0};
    buffer[0] = 0;
    return (reel_text){buffer, size, 0};
}

void reel_text_char(reel_text *text, char c)
{
    size_t place = text->length++;
    if (place + 1 < text->size) {
        text->buffer[place] = c;
        text->buffer[place + 1] = 0;
    }
}

void reel_text_add(reel_text *text, const char *format, ...)
{
    size_t used = text->length < text->size ? text->length : text->size;
    char *end = text->size > 0 ? text->buffer + used : NULL;
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(end, text->size - used, format, arguments);
    va_end(arguments);
    text->length += length > 0 ? (size_t)length : 0;
}


/* ---- Whole numbers of any length ---------------------------------------------------------------- */

/* The longest is 10 rest for the smallest f64, below 10 2^1076. */
enum { TEXT_WORDS = 36 };

/* The sum of word[i] 2^(32 i) for i < count; the uppermost word is not 0. */
typedef struct text_whole {
    int      count;
    uint32_t word[TEXT_WORDS];
} text_whole;

/* m 2^shift, for 0 < m < 2^56 and shift <= 1074. */
static text_whole text_whole_of(uint64_t m, int shift)
{
    text_whole x = {shift / 32 + 2, {0}};
    uint32_t *word = x.word + shift / 32;
    int bits = shift % 32;
    uint64_t upper = (m >> 32 << bits) + ((m & UINT32_MAX) << bits >> 32);
    word[0] = (uint32_t)(m << bits);
    word[1] = (uint32_t)upper;
    if (upper >> 32 != 0)
        word[2] = (uint32_t)(upper >> 32), x.count++;
    else if (upper == 0)
        x.count--;
    return x;
}

static void text_multiply(text_whole *x, uint32_t factor)
{
    uint64_t carry = 0;
    for (int i = 0; i < x->count; i++) {
        carry += (uint64_t)x->word[i] * factor;
        x->word[i] = (uint32_t)carry;
        carry >>= 32;
    }
    if (carry != 0)
        x->word[x->count++] = (uint32_t)carry;
}

static void text_multiply_power_of_10(text_whole *x, int exponent)
{
    for (; exponent >= 9; exponent -= 9)
        text_multiply(x, 1000000000);
    for (; exponent > 0; exponent--)
        text_multiply(x, 10);
}

/* -1, 0 or 1, as x is less than y, equal or greater. */
static int text_compare(const text_whole *x, const text_whole *y)
{
    if (x->count != y->count)
        return x->count < y->count ? -1 : 1;
    int i = x->count - 1;
    while (i >= 0 && x->word[i] == y->word[i])
        i--;
    return i < 0 ? 0 : x->word[i] < y->word[i] ? -1 : 1;
}

/* Compares x + y with z. */
static int text_compare_sum(const text_whole *x, const text_whole *y, const text_whole *z)
{
    text_whole sum = {x->count > y->count ? x->count : y->count, {0}};
    uint64_t carry = 0;
    for (int i = 0; i < sum.count; i++) {
        carry += (i < x->count ? x->word[i] : 0) + (uint64_t)(i < y->count ? y->word[i] : 0);
        sum.word[i] = (uint32_t)carry;
        carry >>= 32;
    }
    if (carry != 0)
        sum.word[sum.count++] = (uint32_t)carry;
    return text_compare(&sum, z);
}

/* x = x - y, for x >= y. */
static void text_subtract(text_whole *x, const text_whole *y)
{
    uint64_t borrow = 0;
    for (int i = 0; i < x->count; i++) {
        uint64_t difference = x->word[i] - borrow - (i < y->count ? y->word[i] : 0);
        x->word[i] = (uint32_t)difference;
        borrow = difference >> 63;
    }
    while (x->count > 0 && x->word[x->count - 1] == 0)
        x->count--;
}

/* x / y, which is less than 10; the remainder stays in x. */
static int text_divide(text_whole *x, const text_whole *y)
{
    int quotient = 0;
    for (; text_compare(x, y) >= 0; quotient++)
        text_subtract(x, y);
    return quotient;
}


/* ---- The shortest digits ------------------------------------------------------------------------ */

/* 0.d1 d2 d3 ... 10^point */
typedef struct text_digits {
    int  count, point;
    char digit[17];                                 /* as many as an f64 can need                  */
} text_digits;

/* A positive number m 2^exponent. Below a power of two its neighbour is half as far away. */
typedef struct text_binary {
    uint64_t m;
    int      exponent;
    bool     nearer_below;
} text_binary;

/* floor(log10 2^p), for |p| <= 1100, where it was compared with the exact one: log10(2) is 78913.2 / 2^18. */
static int text_log10_of_power(int p)
{
    return p * 78913 >> 18;
}

/* Whether the last digit is rounded up: where only the upper side is near enough, or it is the nearer one;
 * in the middle, where it is odd. */
static bool text_rounds_up(bool low, bool high, const text_whole *rest, const text_whole *unit, int digit)
{
    if (low != high)
        return high;
    int middle = text_compare_sum(rest, rest, unit);
    return middle > 0 || (middle == 0 && digit % 2 == 1);
}

/* The midpoints themselves read back as v where m is even, since ties round to even: the comparisons then
 * include equality. */
static text_digits text_shortest(text_binary v)
{
    int up = v.exponent > 0 ? v.exponent : 0, down = up - v.exponent, even = v.m % 2 == 0;
    text_whole rest = text_whole_of(4 * v.m, up), unit = text_whole_of(4, down);
    text_whole below = text_whole_of(v.nearer_below ? 1 : 2, up), above = text_whole_of(2, up);
    text_digits d = {0, text_log10_of_power(v.exponent + 63 - __builtin_clzll(v.m)) + 1, {0}};
    text_multiply_power_of_10(&unit, d.point);
    text_multiply_power_of_10(&rest, -d.point);
    text_multiply_power_of_10(&below, -d.point);
    text_multiply_power_of_10(&above, -d.point);
    if (text_compare(&rest, &unit) >= 0) {          /* 2^p was below this power of ten, v is not   */
        text_multiply(&unit, 10);
        d.point++;
    }
    for (bool low = false, high = false; !low && !high;) {
        text_multiply(&rest, 10);
        text_multiply(&below, 10);
        text_multiply(&above, 10);
        int digit = text_divide(&rest, &unit);
        low = text_compare(&rest, &below) < even;
        high = text_compare_sum(&rest, &above, &unit) > -even;
        if (low || high)
            digit += text_rounds_up(low, high, &rest, &unit, digit);
        d.digit[d.count++] = (char)('0' + digit);
    }
    if (d.digit[0] > '9') {                         /* 9.99... was rounded up; it has one digit then */
        d.digit[0] = '1';
        d.point++;
    }
    return d;
}


/* ---- Numbers ------------------------------------------------------------------------------------- */

/* x > 0, exact in the dtype, in units of its last place. */
static text_binary text_binary_of(reel_dtype dtype, double x)
{
    static const struct {
        int precision, least;                       /* bits of m; exponent of the subnormals       */
    } format[REEL_DTYPES] = {
        [REEL_F16] = {11, -24}, [REEL_BF16] = {8, -133}, [REEL_F32] = {24, -149}, [REEL_F64] = {53, -1074},
    };
    int precision = format[dtype].precision, least = format[dtype].least, exponent;
    frexp(x, &exponent);
    exponent = exponent - precision > least ? exponent - precision : least;
    uint64_t m = (uint64_t)ldexp(x, -exponent);
    return (text_binary){m, exponent, m == (uint64_t)1 << (precision - 1) && exponent > least};
}

static void text_positional(reel_text *text, const text_digits *d)
{
    int end = d->count > d->point ? d->count : d->point;
    for (int i = d->point < 1 ? d->point - 1 : 0; i < end; i++) {
        if (i == d->point)
            reel_text_char(text, '.');
        reel_text_char(text, i < 0 || i >= d->count ? '0' : d->digit[i]);
    }
    if (d->count <= d->point)
        reel_text_char(text, '.');
}

static void text_scientific(reel_text *text, const text_digits *d)
{
    int exponent = d->point - 1;
    for (int i = 0; i < d->count; i++) {
        if (i == 1)
            reel_text_char(text, '.');
        reel_text_char(text, d->digit[i]);
    }
    reel_text_add(text, "e%c%02d", exponent < 0 ? '-' : '+', exponent < 0 ? -exponent : exponent);
}

static void text_real(reel_text *text, reel_dtype dtype, double x)
{
    if (signbit(x) && !isnan(x))
        reel_text_char(text, '-');
    x = fabs(x);
    if (isnan(x) || isinf(x) || x == 0) {
        reel_text_add(text, "%s", isnan(x) ? "nan" : x == 0 ? "0." : "inf");
        return;
    }
    text_digits digits = text_shortest(text_binary_of(dtype, x));
    if (x < 1e-4 || x >= 1e16)
        text_scientific(text, &digits);
    else
        text_positional(text, &digits);
}

void reel_text_element(reel_text *text, reel_dtype dtype, const void *element)
{
    double real;
    int64_t integer;
    if (reel_dtype_is_float(dtype)) {
        reel_convert(REEL_F64, &real, dtype, element, 1);
        text_real(text, dtype, real);
    } else if (reel_dtype_size(dtype) > 0) {
        reel_convert(REEL_I64, &integer, dtype, element, 1);
        reel_text_add(text, "%lld", (long long)integer);
    }
}

void reel_text_number(reel_text *text, reel_dtype dtype, double value)
{
    double element;                                 /* memory for one element of any dtype         */
    reel_convert(dtype, &element, REEL_F64, &value, 1);
    reel_text_element(text, dtype, &element);
}
