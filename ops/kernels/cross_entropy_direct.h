/* Rows straight from memory: those whose numbers lie side by side in the dtype of the results, f32 or f64,
 * unweighted, not smoothed and finite. They are most of what training programs have, and give the same bits as the
 * way through tiles does. */
#ifndef REEL_OPS_KERNELS_CROSS_ENTROPY_DIRECT_H
#define REEL_OPS_KERNELS_CROSS_ENTROPY_DIRECT_H

#include "ops/kernels/cross_entropy_state.h"

/* False, and nothing done, where this panel is not of that kind. */
bool reel_xent_direct(const reel_xent_job *job, reel_xent_panel *panel);

#endif
