/* Decimal numbers in text, read as the nearest floating number. */
#ifndef REEL_TRAIN_DECIMAL_H
#define REEL_TRAIN_DECIMAL_H

#include "train/train.h"

typedef enum reel_decimal {
    REEL_DECIMAL_GOOD,
    REEL_DECIMAL_NO_NUMBER,
    REEL_DECIMAL_TOO_LARGE                          /* finite, but not in the dtype                */
} reel_decimal;

/* [+-] digits [. digits] [e [+-] digits], with a digit before the e, or [+-] nan, inf or infinity, in any
 * case: the whole text, rounded once to f32 or f64, ties to even. A number too small for the dtype is a
 * zero. */
reel_decimal reel_decimal_read(const char *text, size_t length, reel_dtype dtype, double *value);

#endif
