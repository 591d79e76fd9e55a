/* Filling a set of images: used by what reads them and by what draws them. */
#ifndef REEL_TRAIN_IMAGES_H
#define REEL_TRAIN_IMAGES_H

#include "train/train.h"

/* Room for more records behind those of `images`, whose sizes are set and whose count the caller raises once
 * they are good; NULL and an error in `data` where there is no memory. */
uint8_t *reel_images_grow(reel_image_data *data, reel_images *images, int64_t records);

/* Bytes of a label and its image. */
static inline size_t reel_images_record(const reel_images *images)
{
    return 1 + (size_t)reel_image_values(images);
}

/* Classes "0" to the one before `classes`. */
void reel_images_number_classes(reel_image_data *data, int classes);

/* Frees the images and keeps the error. */
void reel_image_data_empty(reel_image_data *data);

#endif
