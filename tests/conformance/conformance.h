/* reel-conformance runs Reel's softmax cross-entropy on golden cases in .safetensors files and measures it.
 *
 *     case.c      a file as a case, and what Reel must make of it: an answer, or an error with certain words
 *     run.c       the calls
 *     judge.c     which values are exact, and how far from them Reel and TensorFlow are
 *     table.c     the accuracy table
 *     conformance.c   the program: a folder's files, one line for each failure, the table, the count
 */
#ifndef REEL_TESTS_CONFORMANCE_H
#define REEL_TESTS_CONFORMANCE_H

#include "core/cpu.h"
#include "tests/cross_entropy_limits.h"
#include "tests/safetensors.h"

/* ---- A case -------------------------------------------------------------------------------------- */

typedef enum conformance_call {
    CALL_V2, CALL_V1, CALL_V1_V2, CALL_SPARSE, CALL_RAW, CALL_RAW_SPARSE
} conformance_call;

typedef struct conformance_case {
    const char  *file;                              /* without its folder                          */
    reel_golden *golden;
    const reel_golden_tensor *logits, *labels, *upstream, *v;
    const char  *api, *group;
    conformance_call call;
    int          axis;
    bool         sparse, raw, expects_error;
    double      *numbers[4];                        /* of logits, labels, upstream and v, as doubles */
    int64_t     *index;                             /* integer labels                              */
    char         failure[512];                      /* what is wrong; "" while the case passes      */
    double       severity;                          /* error over limit of the worst number         */
    int          failures;
} conformance_case;

/* Where Reel must refuse a call: a set of words of which the message has all. */
typedef struct conformance_refusal {
    char word[4][64];
    int  words;
} conformance_refusal;

/* What the caller can do about it, without changing any number. */
typedef enum conformance_remedy { REMEDY_NONE, REMEDY_CAST, REMEDY_RESHAPE } conformance_remedy;

typedef struct conformance_verdict {
    conformance_refusal refusal[4];                 /* the reasons to refuse it; any one may be named */
    int                 refusals;                   /* 0: it must work                             */
    conformance_remedy  remedy;
} conformance_verdict;

bool conformance_open(conformance_case *c, const char *folder, const char *file);
void conformance_close(conformance_case *c);
conformance_verdict conformance_expect(const conformance_case *c);

/* Notes a failure; the most severe one is kept for the report. */
void conformance_fail(conformance_case *c, double severity, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- A run --------------------------------------------------------------------------------------- */

/* One case under one semantics. */
typedef struct conformance_run {
    conformance_case *c;
    bool              tensorflow, by_default;       /* which semantics, and whether it was named   */
    conformance_remedy remedy;
    reel_truth       *truth;
    double           *got[QUANTITIES];              /* NULL where there is nothing to look at      */
    reel_dtype        dtype[QUANTITIES];
} conformance_run;

void conformance_answer(conformance_case *c, conformance_remedy remedy);
void conformance_refuse(conformance_case *c, const conformance_verdict *verdict);

/* ---- Judging and telling ------------------------------------------------------------------------- */

void conformance_judge(conformance_run *run);

/* Errors of one kind: unscaled ulp, scaled ulp, and numbers that are NaN or infinite where they should not be
 * or the other way round, which are not among the others. */
typedef struct conformance_errors {
    int64_t n, wrong;
    double  largest, total, scaled;
} conformance_errors;

typedef struct conformance_row {
    const char        *api, *dtype;                 /* static strings                              */
    char               group[32], quantity[32];
    conformance_errors reel, tensorflow;
} conformance_row;

conformance_row *conformance_row_of(const conformance_run *run, reel_truth_quantity quantity);
void             conformance_print_table(void);

/* The build of the kernels that the cases run on. */
extern reel_cpu_level conformance_level;

#endif
