/* The IDX format's header: used for arrays and for images. */
#ifndef REEL_TRAIN_IDX_H
#define REEL_TRAIN_IDX_H

#include "train/file.h"

/* Takes the header of the open file, and checks that what follows is as long as it says. */
bool reel_idx_take_header(reel_file *file, reel_idx_type *type, reel_shape *shape);

#endif
