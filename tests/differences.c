/* Central differences, extrapolated to a step of zero (C. J. F. Ridders, "Accurate computation of F'(x)
 * and F'(x) F''(x)", Advances in Engineering Software 4, 1982).
 *
 * The error of a central difference is a series in h^2, so each halving of h lets one more term be
 * removed:
 *
 *     d[0] = slope(h)      d[j] = d[j-1] + (d[j-1] - previous d[j-1]) / (4^j - 1)
 *
 * Halving goes on until the entries agree or rounding noise, which grows as 1/h, has overtaken their
 * disagreement. Steps that are too wide for f (across a kink, past a pole) only make the early entries
 * disagree.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/differences.h"

#include <math.h>
#include <string.h>

enum { DIFFERENCES_ORDERS = 6, DIFFERENCES_HALVINGS = 1100 };

typedef struct differences_table {
    int    rows;                                    /* so far, at most the orders                  */
    double row[DIFFERENCES_ORDERS];
    double best, error;
} differences_table;

/* Adds the slope at half the last step, and keeps the entry that agrees best with its neighbours. */
static void differences_add(differences_table *table, double slope, double noise)
{
    double row[DIFFERENCES_ORDERS] = {slope}, power = 4;
    int orders = table->rows < DIFFERENCES_ORDERS - 1 ? table->rows : DIFFERENCES_ORDERS - 1;
    for (int j = 1; j <= orders; j++, power *= 4) {
        row[j] = row[j - 1] + (row[j - 1] - table->row[j - 1]) / (power - 1);
        double error = fmax(fabs(row[j] - row[j - 1]), fabs(row[j] - table->row[j - 1])) + noise;
        if (error < table->error) {
            table->error = error;
            table->best = row[j];
        }
    }
    memcpy(table->row, row, sizeof row);
    table->rows = orders + 1;
}

double test_derivative(test_slope slope, void *context, double size, double *error)
{
    differences_table table = {.best = NAN, .error = INFINITY};
    double h = 0.0913 * fmax(1, size);              /* no round number: steps must not end on a tie */
    for (int i = 0; i < DIFFERENCES_HALVINGS && h > 0; i++, h /= 2) {
        double noise, at = slope(context, h, &noise);
        if (!isfinite(at)) {
            table.rows = 0;
            if (h < (size > 0 ? fmin(size, 1) : 1) * 0x1p-20)
                break;
            continue;
        }
        differences_add(&table, at, noise);
        if (table.error <= 1e-13 * fabs(table.best) || (i > 1 && noise > table.error))
            break;
    }
    *error = table.error;
    return table.best;
}
