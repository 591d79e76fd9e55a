/* The accuracy table: one row for each call, dtype, group and quantity, Reel's errors beside TensorFlow's,
 * both against the same exact values.
 */
#include "tests/conformance/conformance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TABLE_ROWS = 1024 };

static conformance_row table_row[TABLE_ROWS];
static int             table_rows;

static const char *table_call_name(conformance_call call)
{
    static const char *const names[] = {"nn_v2", "nn_v1", "nn_v1 (v2)", "sparse", "raw", "raw_sparse"};
    return names[call];
}

static int table_compare(const void *a, const void *b)
{
    const conformance_row *x = a, *y = b;
    int api = strcmp(x->api, y->api), dtype = strcmp(x->dtype, y->dtype), group = strcmp(x->group, y->group);
    return api ? api : dtype ? dtype : group ? group : strcmp(x->quantity, y->quantity);
}

/* The semantics is named where it is not the call's own. */
conformance_row *conformance_row_of(const conformance_run *run, reel_truth_quantity quantity)
{
    conformance_row key = {.api = table_call_name(run->c->call),
                           .dtype = reel_dtype_name(run->dtype[quantity])};
    snprintf(key.group, sizeof key.group, "%s", run->c->group);
    snprintf(key.quantity, sizeof key.quantity, "%s%s", reel_truth_quantity_name[quantity],
             run->by_default ? "" : run->tensorflow ? " (TENSORFLOW)" : " (EXACT)");
    for (int i = 0; i < table_rows; i++)
        if (table_compare(&table_row[i], &key) == 0)
            return &table_row[i];
    if (table_rows == TABLE_ROWS) {
        fputs("the table is full\n", stderr);
        exit(2);
    }
    table_row[table_rows] = key;
    return &table_row[table_rows++];
}

static void table_errors(const conformance_errors *errors)
{
    int64_t good = errors->n - errors->wrong;
    if (errors->n == 0)
        printf(" |%9s %9s %9s %5s", "-", "-", "-", "-");
    else
        printf(" |%9.3g %9.3g %9.3g %5lld", errors->largest, good ? errors->total / (double)good : 0,
               errors->scaled, (long long)errors->wrong);
}

void conformance_print_table(void)
{
    qsort(table_row, (size_t)table_rows, sizeof table_row[0], table_compare);
    printf("\nErrors in ulp: the largest and the mean at the exact value, and the largest at the scale."
           "\n\"wrong\" counts NaN and infinity out of place. TensorFlow's own results stand to the right,"
           "\nmeasured against the same exact values.\n\n");
    printf("%-10s %-5s %-9s %-24s %7s |%9s %9s %9s %5s |%9s %9s %9s %5s\n", "api", "dtype", "group",
           "quantity", "n", "max", "mean", "scaled", "wrong", "TF max", "mean", "scaled", "wrong");
    for (int i = 0; i < table_rows; i++) {
        const conformance_row *row = &table_row[i];
        if (row->reel.n == 0)
            continue;
        printf("%-10s %-5s %-9s %-24s %7lld", row->api, row->dtype, row->group, row->quantity,
               (long long)row->reel.n);
        table_errors(&row->reel);
        table_errors(&row->tensorflow);
        puts("");
    }
}
