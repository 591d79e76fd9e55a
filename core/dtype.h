/* Dtypes: conversion of runs of elements between all of them.
 *
 *     floating -> floating    rounds once, to nearest, ties to even
 *     integer  -> floating    likewise, once also from i64 to a half type
 *     floating -> integer     truncates towards zero, clamps to the range; NaN becomes 0
 *     integer  -> integer     clamps to the range
 *     a dtype  -> itself      copies bit for bit
 *
 * reel_dtype_name(), _size() and _is_float() are declared in reel.h and take any value; what is no dtype
 * is "none", has size 0 and is not floating.
 */
#ifndef REEL_CORE_DTYPE_H
#define REEL_CORE_DTYPE_H

#include <reel.h>

/* Converts `count` contiguous elements. dst and src are aligned for their dtypes and do not overlap. Where
 * either is no dtype, or count is not positive, nothing happens. */
void reel_convert(reel_dtype to, void *dst, reel_dtype from, const void *src, int64_t count);

/* The same with strides, in elements; they may be 0 (src: one value for all) or negative. */
void reel_convert_strided(reel_dtype to, void *dst, int64_t dst_stride, reel_dtype from, const void *src,
                          int64_t src_stride, int64_t count);

/* Fills `count` contiguous elements of values->to. False, and nothing written, where the values are a list
 * of another length, or a list that is not there, or their dtypes are none. */
bool reel_values_copy(const reel_values *values, void *dst, int64_t count);

#endif
