/* Decimal numbers, rounded once, whatever the locale.
 *
 *     v = d 10^e = d 5^e 2^e,  d whole
 *
 * Where d has at most 19 digits and |e| <= 27, as in nearly all files, d 5^e is a whole number of at most 127
 * bits, or d 2^k / 5^-e is divided in 128 bits to more digits than any dtype has, and it is seen whether anything
 * is left. In all other cases the same is done with whole numbers of any length. */
#include "train/decimal.h"

#include <math.h>
#include <string.h>

/* 768 digits tell every middle of two f64 from what lies beside it; of what follows them it matters alone
 * whether it is 0. The longest whole number is 10^1132 2^57, of 3,818 bits. */
enum { DECIMAL_DIGITS = 800, DECIMAL_WORDS = 122 };

/* 0.d1 d2 d3 ... 10^point; no zeros at either end. */
typedef struct decimal_digits {
    int     count;
    int64_t point;
    uint8_t digit[DECIMAL_DIGITS + 1];
} decimal_digits;

/* ---- Text ---------------------------------------------------------------------------------------- */

static bool decimal_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static void decimal_add_digit(decimal_digits *number, char c, bool fraction)
{
    const bool leading = number->count == 0 && c == '0';
    number->point += leading ? -fraction : !fraction;
    if (!leading && number->count < DECIMAL_DIGITS)
        number->digit[number->count++] = (uint8_t)(c - '0');
    else if (c != '0') {                            /* not 0 behind the digits that are kept       */
        number->count = DECIMAL_DIGITS + 1;
        number->digit[DECIMAL_DIGITS] = 1;
    }
}

/* Exponents are cut at 10^17, beyond any that digits in memory could make up for. */
static bool decimal_take_exponent(const char **at, const char *end, int64_t *point)
{
    const char *c = *at + 1;
    const bool negative = c < end && *c == '-';
    int64_t exponent = 0;
    c += c < end && (*c == '-' || *c == '+');
    if (c == end || !decimal_is_digit(*c))
        return false;
    for (; c < end && decimal_is_digit(*c); c++)
        exponent = exponent < INT64_C(10000000000000000) ? 10 * exponent + (*c - '0') : exponent;
    *point += negative ? -exponent : exponent;
    *at = c;
    return true;
}

static bool decimal_take(const char *at, const char *end, decimal_digits *number)
{
    bool any = false, fraction = false;
    number->count = 0;
    number->point = 0;
    for (; at < end && (decimal_is_digit(*at) || (*at == '.' && !fraction)); at++)
        if (*at == '.')
            fraction = true;
        else {
            any = true;
            decimal_add_digit(number, *at, fraction);
        }
    if (any && at < end && (*at == 'e' || *at == 'E') && !decimal_take_exponent(&at, end, &number->point))
        return false;
    while (number->count > 0 && number->digit[number->count - 1] == 0)
        number->count--;
    return any && at == end;
}

/* ---- Whole numbers of any length ----------------------------------------------------------------- */

/* The sum of word[i] 2^(32 i) for i < count; the uppermost word is not 0. */
typedef struct decimal_whole {
    int      count;
    uint32_t word[DECIMAL_WORDS];
} decimal_whole;

/* x = x factor + more */
static void decimal_multiply(decimal_whole *x, uint32_t factor, uint32_t more)
{
    uint64_t carry = more;
    for (int i = 0; i < x->count; i++) {
        carry += (uint64_t)x->word[i] * factor;
        x->word[i] = (uint32_t)carry;
        carry >>= 32;
    }
    if (carry)
        x->word[x->count++] = (uint32_t)carry;
}

static void decimal_multiply_power_of_10(decimal_whole *x, int64_t exponent)
{
    for (; exponent >= 9; exponent -= 9)
        decimal_multiply(x, 1000000000, 0);
    for (; exponent > 0; exponent--)
        decimal_multiply(x, 10, 0);
}

static void decimal_shift_up(decimal_whole *x, int bits)
{
    const int words = bits / 32;
    memmove(x->word + words, x->word, (size_t)x->count * sizeof x->word[0]);
    memset(x->word, 0, (size_t)words * sizeof x->word[0]);
    x->count += words;
    decimal_multiply(x, (uint32_t)1 << bits % 32, 0);
}

static void decimal_trim(decimal_whole *x)
{
    while (x->count > 0 && x->word[x->count - 1] == 0)
        x->count--;
}

static void decimal_halve(decimal_whole *x)
{
    for (int i = 0; i < x->count; i++)
        x->word[i] = x->word[i] >> 1 | (i + 1 < x->count ? x->word[i + 1] << 31 : 0);
    decimal_trim(x);
}

static int decimal_bits(const decimal_whole *x)
{
    return 32 * x->count - __builtin_clz(x->word[x->count - 1]);
}

static bool decimal_is_less(const decimal_whole *x, const decimal_whole *y)
{
    if (x->count != y->count)
        return x->count < y->count;
    int i = x->count - 1;
    while (i >= 0 && x->word[i] == y->word[i])
        i--;
    return i >= 0 && x->word[i] < y->word[i];
}

/* x = x - y, for x >= y. */
static void decimal_subtract(decimal_whole *x, const decimal_whole *y)
{
    uint64_t borrow = 0;
    for (int i = 0; i < x->count; i++) {
        uint64_t difference = x->word[i] - borrow - (i < y->count ? y->word[i] : 0);
        x->word[i] = (uint32_t)difference;
        borrow = difference >> 63;
    }
    decimal_trim(x);
}

/* floor(x / y), which is below 2^56; the remainder stays in x. */
static uint64_t decimal_divide(decimal_whole *x, decimal_whole *y)
{
    uint64_t quotient = 0;
    decimal_shift_up(y, 56);
    for (int i = 0; i < 56; i++) {
        decimal_halve(y);
        bool bit = !decimal_is_less(x, y);
        quotient = quotient << 1 | bit;
        if (bit)
            decimal_subtract(x, y);
    }
    return quotient;
}

/* ---- Rounding ------------------------------------------------------------------------------------ */

__extension__ typedef unsigned __int128 decimal_wide;

static int decimal_precision(reel_dtype dtype)
{
    return dtype == REEL_F32 ? 24 : 53;
}

/* The exponent of the dtype's smallest number. */
static int decimal_least(reel_dtype dtype)
{
    return dtype == REEL_F32 ? -149 : -1074;
}

/* Of 0 too, which counts as having one. */
static int decimal_wide_bits(decimal_wide m)
{
    uint64_t high = (uint64_t)(m >> 64), low = (uint64_t)m | 1;
    return high ? 128 - __builtin_clzll(high) : 64 - __builtin_clzll(low);
}

/* v = (m + f) 2^exponent, where 0 <= f < 1, and f > 0 if there is more. There only is where m has more bits than
 * the dtype, or the exponent is below its least one. */
static double decimal_nearest(decimal_wide m, int exponent, bool more, reel_dtype dtype)
{
    const int over = decimal_wide_bits(m) - decimal_precision(dtype), under = decimal_least(dtype) - exponent;
    const int drop = over > under ? over : under;
    if (drop <= 0)
        return ldexp((double)(uint64_t)m, exponent);
    const decimal_wide lost = m & (((decimal_wide)1 << drop) - 1), half = (decimal_wide)1 << (drop - 1);
    uint64_t kept = (uint64_t)(m >> drop);
    kept += lost > half || (lost == half && (more || kept % 2));
    return ldexp((double)kept, exponent + drop);
}

/* v = x / y. With b the bits of x less those of y, 2^(b-1) < v < 2^(b+1); so the floor of v / 2^shift has one bit
 * or two more than the dtype, or as many less as v is below its normal numbers. */
static double decimal_round_long(const decimal_digits *number, reel_dtype dtype)
{
    const int64_t exponent = number->point - number->count;
    decimal_whole x = {0, {0}}, y = {1, {1}};
    for (int i = 0; i < number->count; i++)
        decimal_multiply(&x, 10, number->digit[i]);
    decimal_multiply_power_of_10(&x, exponent);
    decimal_multiply_power_of_10(&y, -exponent);
    int shift = decimal_bits(&x) - decimal_bits(&y) - decimal_precision(dtype);
    shift = (shift > decimal_least(dtype) ? shift : decimal_least(dtype)) - 1;
    decimal_shift_up(shift > 0 ? &y : &x, shift > 0 ? shift : -shift);
    const uint64_t quotient = decimal_divide(&x, &y);
    return decimal_nearest(quotient, shift, x.count > 0, dtype);
}

static double decimal_round(const decimal_digits *number, reel_dtype dtype)
{
    const int64_t exponent = number->point - number->count;
    if (number->count > 19 || exponent > 27 || exponent < -27)
        return decimal_round_long(number, dtype);
    uint64_t d = 0, power = 1;
    for (int i = 0; i < number->count; i++)
        d = 10 * d + number->digit[i];
    for (int64_t i = exponent < 0 ? -exponent : exponent; i > 0; i--)
        power *= 5;
    if (exponent >= 0)
        return decimal_nearest((decimal_wide)d * power, (int)exponent, false, dtype);
    const int up = 64 + __builtin_clzll(d);         /* the quotient then has 65 bits at the least  */
    const decimal_wide x = (decimal_wide)d << up;
    return decimal_nearest(x / power, (int)exponent - up, x % power != 0, dtype);
}

static bool decimal_is(const char *at, const char *end, const char *word)
{
    for (; at < end && *word && (*at | 0x20) == *word; at++)
        word++;
    return at == end && !*word;
}

reel_decimal reel_decimal_read(const char *text, size_t length, reel_dtype dtype, double *value)
{
    const char *end = text + length;
    const bool negative = length > 0 && *text == '-';
    decimal_digits number;
    text += length > 0 && (*text == '-' || *text == '+');
    bool is_infinite = decimal_is(text, end, "inf") || decimal_is(text, end, "infinity");
    if (is_infinite || decimal_is(text, end, "nan"))
        *value = is_infinite ? (double)INFINITY : (double)NAN;
    else if (!decimal_take(text, end, &number))
        return REEL_DECIMAL_NO_NUMBER;
    else if (number.count == 0 || number.point < -330)
        *value = 0;
    else if (number.point > 310)
        return REEL_DECIMAL_TOO_LARGE;
    else
        *value = decimal_round(&number, dtype);
    if (!is_infinite && *value > (dtype == REEL_F32 ? 0x1.fffffep127 : 0x1.fffffffffffffp1023))
        return REEL_DECIMAL_TOO_LARGE;
    *value = negative ? -*value : *value;
    return REEL_DECIMAL_GOOD;
}
