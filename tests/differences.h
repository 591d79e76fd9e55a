/* Derivatives from differences: the slow, independent opinion on a gradient.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef REEL_TESTS_DIFFERENCES_H
#define REEL_TESTS_DIFFERENCES_H

/* (f(h) - f(-h)) / 2h of some f, not finite where f cannot be asked; sets *noise to about the rounding error
 * in it. */
typedef double (*test_slope)(void *context, double h, double *noise);

/* f'(0), from steps that start at about max(1, size) / 11 and are halved; *error estimates what it is off by.
 * NaN where no step gave a finite slope. */
double test_derivative(test_slope slope, void *context, double size, double *error);

#endif
