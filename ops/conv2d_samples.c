/* What the ops of conv2d.h are tried on. The lists go through the same convolutions: where one has x
 * [2,2,5,4] and w [3,2,3,2], the others have g [2,3,3,3] and one of the two. */
#include "ops/conv2d.h"

#define CONV_IN(...)         {.shape = REEL_SIZES(__VA_ARGS__)}
#define CONV_LAID(how, ...)  {.shape = REEL_SIZES(__VA_ARGS__), .layout = how}
#define CONV_ANY(...)        {.shape = REEL_SIZES(__VA_ARGS__), .dtype = REEL_F64}

/* Strides, paddings, dilations, groups, and the size of the result where the op does not know it. */
#define CONV_BY(sh, sw, ph, pw, dh, dw, groups, h, w)                                                \
    .attributes = &(const reel_conv2d){{sh, sw}, {ph, pw}, {dh, dw}, groups, {h, w}}

const reel_sample reel_conv2d_samples[REEL_CONV2D_SAMPLES] = {
    {.note = "small", .in = {CONV_IN(1, 1, 3, 3), CONV_IN(1, 1, 2, 2)}, CONV_BY(1, 1, 0, 0, 1, 1, 1, 0, 0)},
    {.note = "plain", .in = {CONV_IN(2, 2, 5, 4), CONV_IN(3, 2, 3, 2)}, CONV_BY(1, 1, 0, 0, 1, 1, 1, 0, 0)},
    {.note = "padded", .in = {CONV_IN(1, 2, 4, 3), CONV_IN(2, 2, 3, 3)}, CONV_BY(1, 1, 1, 2, 1, 1, 1, 0, 0)},
    {.note = "strided", .in = {CONV_IN(2, 1, 6, 7), CONV_IN(2, 1, 2, 3)}, CONV_BY(2, 3, 1, 0, 1, 1, 1, 0, 0)},
    {.note = "dilated", .in = {CONV_IN(1, 2, 5, 7), CONV_IN(2, 2, 3, 2)}, CONV_BY(1, 2, 2, 1, 2, 3, 1, 0, 0)},
    {.note = "groups", .in = {CONV_IN(2, 4, 3, 3), CONV_IN(6, 2, 3, 3)}, CONV_BY(1, 1, 1, 1, 1, 1, 2, 0, 0)},
    {.note = "many images",
     .in = {CONV_IN(20, 2, 2, 2), CONV_IN(3, 2, 1, 1)}, CONV_BY(1, 1, 0, 0, 1, 1, 1, 0, 0)},
    {.note = "more padding than image", .in = {CONV_IN(1, 1, 1, 2), CONV_IN(1, 1, 2, 2)},
     CONV_BY(2, 2, 3, 3, 1, 2, 1, 0, 0)},
    {.note = "no images",
     .in = {CONV_IN(0, 2, 3, 3), CONV_IN(2, 2, 3, 3)}, CONV_BY(1, 1, 1, 1, 1, 1, 1, 0, 0)},
    {.note = "transposed and reversed", .in = {CONV_LAID(REEL_TRANSPOSED, 2, 2, 4, 5),
     CONV_LAID(REEL_REVERSED, 2, 2, 2, 3)}, CONV_BY(1, 2, 1, 1, 1, 1, 1, 0, 0)},
    {.note = "every other and stretched", .in = {CONV_LAID(REEL_EVERY_OTHER, 2, 2, 3, 4),
     CONV_LAID(REEL_STRETCHED, 2, 1, 2, 2)}, CONV_BY(1, 1, 1, 0, 1, 1, 2, 0, 0)},
    {.note = "channels differ",
     .in = {CONV_IN(2, 3, 5, 5), CONV_IN(4, 2, 3, 3)}, CONV_BY(1, 1, 0, 0, 1, 1, 1, 0, 0),
     .error = "[4,2,3,3] f32 does not fit [2,3,5,5] f32 in 1 groups: [4,3,3,3] is wanted"},
    {.note = "a large window",
     .in = {CONV_IN(1, 1, 3, 3), CONV_IN(1, 1, 3, 2)}, CONV_BY(1, 1, 0, 0, 2, 1, 1, 0, 0),
     .error = "a window of 3, dilation 2, does not fit in 3 with a padding of 0"},
};

const reel_sample reel_conv2d_input_gradient_samples[REEL_CONV2D_SAMPLES] = {
    {.note = "small", .in = {CONV_IN(1, 1, 2, 2), CONV_IN(1, 1, 2, 2)}, CONV_BY(1, 1, 0, 0, 1, 1, 1, 3, 3)},
    {.note = "plain", .in = {CONV_IN(2, 3, 3, 3), CONV_IN(3, 2, 3, 2)}, CONV_BY(1, 1, 0, 0, 1, 1, 1, 5, 4)},
    {.note = "padded", .in = {CONV_IN(1, 2, 4, 5), CONV_IN(2, 2, 3, 3)}, CONV_BY(1, 1, 1, 2, 1, 1, 1, 4, 3)},
    {.note = "strided", .in = {CONV_IN(2, 2, 4, 2), CONV_IN(2, 1, 2, 3)}, CONV_BY(2, 3, 1, 0, 1, 1, 1, 6, 7)},
    {.note = "dilated", .in = {CONV_IN(1, 2, 5, 3), CONV_IN(2, 2, 3, 2)}, CONV_BY(1, 2, 2, 1, 2, 3, 1, 5, 7)},
    {.note = "groups", .in = {CONV_IN(2, 6, 3, 3), CONV_IN(6, 2, 3, 3)}, CONV_BY(1, 1, 1, 1, 1, 1, 2, 3, 3)},
    {.note = "many images",
     .in = {CONV_IN(20, 3, 2, 2), CONV_IN(3, 2, 1, 1)}, CONV_BY(1, 1, 0, 0, 1, 1, 1, 2, 2)},
    {.note = "more padding than image", .in = {CONV_IN(1, 1, 3, 3), CONV_IN(1, 1, 2, 2)},
     CONV_BY(2, 2, 3, 3, 1, 2, 1, 1, 2)},
    {.note = "no images",
     .in = {CONV_IN(0, 2, 3, 3), CONV_IN(2, 2, 3, 3)}, CONV_BY(1, 1, 1, 1, 1, 1, 1, 3, 3)},
    {.note = "transposed and reversed", .in = {CONV_LAID(REEL_TRANSPOSED, 2, 2, 5, 3),
     CONV_LAID(REEL_REVERSED, 2, 2, 2, 3)}, CONV_BY(1, 2, 1, 1, 1, 1, 1, 4, 5)},
    {.note = "every other and stretched", .in = {CONV_LAID(REEL_EVERY_OTHER, 2, 2, 4, 3),
     CONV_LAID(REEL_STRETCHED, 2, 1, 2, 2)}, CONV_BY(1, 1, 1, 0, 1, 1, 2, 3, 4)},
    {.note = "sizes differ",
     .in = {CONV_IN(2, 3, 3, 4), CONV_IN(3, 2, 3, 2)}, CONV_BY(1, 1, 0, 0, 1, 1, 1, 5, 4),
     .error = "[2,3,3,4] f32 does not fit [3,2,3,2] f32 in 1 groups: [2,3,3,3] is wanted"},
    {.note = "dtypes differ",
     .in = {CONV_IN(2, 3, 3, 3), CONV_ANY(3, 2, 3, 2)}, CONV_BY(1, 1, 0, 0, 1, 1, 1, 5, 4),
     .error = "dtypes differ"},
};

const reel_sample reel_conv2d_weight_gradient_samples[REEL_CONV2D_SAMPLES] = {
    {.note = "small", .in = {CONV_IN(1, 1, 3, 3), CONV_IN(1, 1, 2, 2)}, CONV_BY(1, 1, 0, 0, 1, 1, 1, 2, 2)},
    {.note = "plain", .in = {CONV_IN(2, 2, 5, 4), CONV_IN(2, 3, 3, 3)}, CONV_BY(1, 1, 0, 0, 1, 1, 1, 3, 2)},
    {.note = "padded", .in = {CONV_IN(1, 2, 4, 3), CONV_IN(1, 2, 4, 5)}, CONV_BY(1, 1, 1, 2, 1, 1, 1, 3, 3)},
    {.note = "strided", .in = {CONV_IN(2, 1, 6, 7), CONV_IN(2, 2, 4, 2)}, CONV_BY(2, 3, 1, 0, 1, 1, 1, 2, 3)},
    {.note = "dilated", .in = {CONV_IN(1, 2, 5, 7), CONV_IN(1, 2, 5, 3)}, CONV_BY(1, 2, 2, 1, 2, 3, 1, 3, 2)},
    {.note = "groups", .in = {CONV_IN(2, 4, 3, 3), CONV_IN(2, 6, 3, 3)}, CONV_BY(1, 1, 1, 1, 1, 1, 2, 3, 3)},
    {.note = "many images",
     .in = {CONV_IN(20, 2, 2, 2), CONV_IN(20, 3, 2, 2)}, CONV_BY(1, 1, 0, 0, 1, 1, 1, 1, 1)},
    {.note = "more padding than image", .in = {CONV_IN(1, 1, 1, 2), CONV_IN(1, 1, 3, 3)},
     CONV_BY(2, 2, 3, 3, 1, 2, 1, 2, 2)},
    {.note = "no images",
     .in = {CONV_IN(0, 2, 3, 3), CONV_IN(0, 2, 3, 3)}, CONV_BY(1, 1, 1, 1, 1, 1, 1, 3, 3)},
    {.note = "transposed and reversed", .in = {CONV_LAID(REEL_TRANSPOSED, 2, 2, 4, 5),
     CONV_LAID(REEL_REVERSED, 2, 2, 5, 3)}, CONV_BY(1, 2, 1, 1, 1, 1, 1, 2, 3)},
    {.note = "every other and stretched", .in = {CONV_LAID(REEL_EVERY_OTHER, 2, 2, 3, 4),
     CONV_LAID(REEL_STRETCHED, 2, 2, 4, 3)}, CONV_BY(1, 1, 1, 0, 1, 1, 2, 2, 2)},
    {.note = "images differ",
     .in = {CONV_IN(2, 2, 5, 4), CONV_IN(3, 3, 3, 3)}, CONV_BY(1, 1, 0, 0, 1, 1, 1, 3, 2),
     .error = "[3,3,3,3] f32 does not fit [2,2,5,4] f32 in 1 groups: [2,3,3,3] is wanted"},
    {.note = "a matrix", .in = {CONV_IN(2, 2), CONV_IN(2, 3, 3, 3)}, CONV_BY(1, 1, 0, 0, 1, 1, 1, 3, 2),
     .error = "[2,2] f32 is not of four dimensions"},
};
