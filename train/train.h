/* What the files of the training kit share: memory, messages, numbers as text and random numbers. */
#ifndef REEL_TRAIN_TRAIN_H
#define REEL_TRAIN_TRAIN_H

#include <reel_train.h>

/* `allocator` may be NULL. NULL on failure; `pointer` is then as it was. */
void *reel_train_resize(reel_allocator allocator, void *user, void *pointer, size_t old_bytes, size_t bytes);
void  reel_train_release(reel_allocator allocator, void *user, void *pointer, size_t bytes);

/* Puts one line into `error`. Always false. */
bool reel_train_fail(char error[REEL_TRAIN_MESSAGE], const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Numbers as text, the same in every locale: with so many digits behind the point; and with the fewest digits
 * that read back as the same number. Both return the length. */
enum { REEL_TRAIN_NUMBER = 48 };                    /* bytes of a number's text, its 0 included    */

int reel_train_fixed(char text[REEL_TRAIN_NUMBER], double v, int decimals);
int reel_train_shortest(char text[REEL_TRAIN_NUMBER], double v);

/* SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014): draw i of a
 * stream is a mix of its start + i gamma. */
#define REEL_TRAIN_GAMMA UINT64_C(0x9e3779b97f4a7c15)

static inline uint64_t reel_train_mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static inline uint64_t reel_train_draw(uint64_t *stream)
{
    return reel_train_mix(*stream += REEL_TRAIN_GAMMA);
}

/* The start of stream (major, minor) of a seed. */
static inline uint64_t reel_train_stream(uint64_t seed, uint64_t major, uint64_t minor)
{
    uint64_t start = reel_train_mix(seed + REEL_TRAIN_GAMMA);
    start = reel_train_mix(start + major + REEL_TRAIN_GAMMA);
    return reel_train_mix(start + minor + REEL_TRAIN_GAMMA);
}

/* Even over [low, high), in steps of 2^-24 of its width: exact in f32, so the same everywhere. */
static inline float reel_train_uniform(uint64_t *stream, float low, float high)
{
    return low + (high - low) * ((float)(reel_train_draw(stream) >> 40) * 0x1p-24f);
}

#endif
