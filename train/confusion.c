/* Confusion matrices: how often class i was taken for class j, and a picture of that.
 *
 * A row's cells are shaded by their share of the row: what is right in blue, what is wrong in orange, which
 * shows from the first few per cent on. */
#include "train/svg.h"

#include <math.h>
#include <stdio.h>

enum { CONFUSION_LEFT = 150, CONFUSION_TOP = 74, CONFUSION_RIGHT = 84, CONFUSION_BOTTOM = 118,
       CONFUSION_CELL = 52, CONFUSION_LEAST = 20, CONFUSION_SIDE = 640, CONFUSION_MOST = 1000 };

/* Of equal logits the first counts. */
int32_t reel_predicted(const float *logits, int64_t classes)
{
    int64_t best = 0;
    for (int64_t c = 0; c < classes; c++) {
        if (isnan(logits[c]))
            return -1;
        best = logits[c] > logits[best] ? c : best;
    }
    return classes > 0 ? (int32_t)best : -1;
}

int64_t reel_confusion_add(reel_confusion *confusion, const float *logits, const int32_t *labels,
                           int64_t rows)
{
    int64_t classes = confusion->classes, correct = 0;
    for (int64_t i = 0; i < rows; i++) {
        if (labels[i] < 0 || labels[i] >= classes)
            continue;
        int32_t predicted = reel_predicted(logits + i * classes, classes);
        confusion->count[labels[i] * (classes + 1) + (predicted < 0 ? classes : predicted)]++;
        correct += predicted == labels[i];
    }
    return correct;
}

/* ---- Sums ---------------------------------------------------------------------------------------- */

static int64_t confusion_at(const reel_confusion *c, int64_t label, int64_t predicted)
{
    return c->count[label * (c->classes + 1) + predicted];
}

static int64_t confusion_row(const reel_confusion *c, int64_t label)
{
    int64_t sum = 0;
    for (int64_t j = 0; j <= c->classes; j++)
        sum += confusion_at(c, label, j);
    return sum;
}

static int64_t confusion_column(const reel_confusion *c, int64_t predicted)
{
    int64_t sum = 0;
    for (int64_t i = 0; i < c->classes; i++)
        sum += confusion_at(c, i, predicted);
    return sum;
}

double reel_confusion_accuracy(const reel_confusion *confusion)
{
    int64_t correct = 0, all = 0;
    for (int64_t i = 0; i < confusion->classes; i++) {
        correct += confusion_at(confusion, i, i);
        all += confusion_row(confusion, i);
    }
    return (double)correct / (double)all;
}


/* ---- The picture --------------------------------------------------------------------------------- */

typedef struct confusion_paper {
    reel_svg              svg;
    const reel_confusion *confusion;
    int64_t               columns;                  /* one more where rows had no prediction       */
    double                cell;
} confusion_paper;

static double confusion_middle(const confusion_paper *paper, int64_t i)
{
    return ((double)i + .5) * paper->cell;
}

static void confusion_name(confusion_paper *paper, int64_t i)
{
    const reel_confusion *c = paper->confusion;
    if (i == c->classes)
        reel_svg_put(&paper->svg, "none");
    else if (c->names)
        reel_svg_words(&paper->svg, c->names[i]);
    else
        reel_svg_put(&paper->svg, "%lld", (long long)i);
    reel_svg_put(&paper->svg, "</text>\n");
}

/* From white, share 0, to the colour, share 1. */
static void confusion_cell(confusion_paper *paper, int64_t i, int64_t j, int64_t row)
{
    static const double right[3] = {0, 114, 178}, wrong[3] = {213, 94, 0};
    int64_t count = confusion_at(paper->confusion, i, j);
    double share = row > 0 ? (double)count / (double)row : 0, depth = i == j ? share : fmin(1, 2 * share);
    int level[3];
    for (int k = 0; k < 3; k++)
        level[k] = (int)lround(255 + depth * ((i == j ? right : wrong)[k] - 255));
    reel_svg_put(&paper->svg, "<rect fill=\"#%02x%02x%02x\"", (unsigned)level[0], (unsigned)level[1],
                 (unsigned)level[2]);
    reel_svg_attribute(&paper->svg, "x", CONFUSION_LEFT + (double)j * paper->cell + .5);
    reel_svg_attribute(&paper->svg, "y", CONFUSION_TOP + (double)i * paper->cell + .5);
    reel_svg_attribute(&paper->svg, "width", paper->cell - 1);
    reel_svg_attribute(&paper->svg, "height", paper->cell - 1);
    reel_svg_put(&paper->svg, "/>\n");
    if (count == 0)
        return;
    reel_svg_text_at(&paper->svg, CONFUSION_LEFT + confusion_middle(paper, j),
                     CONFUSION_TOP + confusion_middle(paper, i) + paper->cell * .1,
                     depth > .6 ? "text-anchor=\"middle\" fill=\"white\"" : "text-anchor=\"middle\"");
    reel_svg_put(&paper->svg, "%lld</text>\n", (long long)count);
}

/* "87 %", or nothing of nothing. */
static void confusion_share(confusion_paper *paper, double x, double y, int64_t some, int64_t all,
                            const char *anchor)
{
    if (all == 0)
        return;
    reel_svg_text_at(&paper->svg, x, y, anchor);
    reel_svg_number(&paper->svg, 100 * (double)some / (double)all, 0);
    reel_svg_put(&paper->svg, " %%</text>\n");
}

static void confusion_row_of(confusion_paper *paper, int64_t i)
{
    double y = CONFUSION_TOP + confusion_middle(paper, i) + paper->cell * .1;
    int64_t row = confusion_row(paper->confusion, i);
    reel_svg_text_at(&paper->svg, CONFUSION_LEFT - 10, y, "text-anchor=\"end\"");
    confusion_name(paper, i);
    for (int64_t j = 0; j < paper->columns; j++)
        confusion_cell(paper, i, j, row);
    confusion_share(paper, CONFUSION_LEFT + (double)paper->columns * paper->cell + 12, y,
                    confusion_at(paper->confusion, i, i), row, "fill=\"#0072b2\"");
}

static void confusion_column_of(confusion_paper *paper, int64_t j)
{
    const reel_confusion *c = paper->confusion;
    double x = CONFUSION_LEFT + confusion_middle(paper, j);
    double y = CONFUSION_TOP + (double)c->classes * paper->cell;
    if (j < c->classes)
        confusion_share(paper, x, y + 20, confusion_at(c, j, j), confusion_column(c, j),
                        "fill=\"#0072b2\" text-anchor=\"middle\"");
    reel_svg_put(&paper->svg, "<text text-anchor=\"end\" transform=\"translate(");
    reel_svg_number(&paper->svg, x + 5, 1);
    reel_svg_put(&paper->svg, " ");
    reel_svg_number(&paper->svg, y + 40, 1);
    reel_svg_put(&paper->svg, ") rotate(-35)\">");
    confusion_name(paper, j);
}

static void confusion_labels(confusion_paper *paper, double width, double height)
{
    const reel_confusion *c = paper->confusion;
    double middle = CONFUSION_LEFT + width / 2, right = CONFUSION_LEFT + width + 12;
    reel_svg_text_at(&paper->svg, middle, 32, "text-anchor=\"middle\" font-size=\"19\"");
    reel_svg_words(&paper->svg, c->title ? c->title : "confusion");
    reel_svg_put(&paper->svg, "</text>\n");
    reel_svg_text_at(&paper->svg, middle, CONFUSION_TOP + height + CONFUSION_BOTTOM - 12,
                     "text-anchor=\"middle\" font-size=\"15\"");
    reel_svg_put(&paper->svg, "predicted</text>\n");
    reel_svg_put(&paper->svg, "<g transform=\"translate(26 %d) rotate(-90)\">",
                 CONFUSION_TOP + (int)height / 2);
    reel_svg_text_at(&paper->svg, 0, 0, "text-anchor=\"middle\" font-size=\"15\"");
    reel_svg_put(&paper->svg, "true class</text></g>\n");
    reel_svg_text_at(&paper->svg, right, CONFUSION_TOP - 12, "fill=\"#0072b2\"");
    reel_svg_put(&paper->svg, "recall</text>\n");
    reel_svg_text_at(&paper->svg, CONFUSION_LEFT - 10, CONFUSION_TOP + height + 20,
                     "text-anchor=\"end\" fill=\"#0072b2\"");
    reel_svg_put(&paper->svg, "precision</text>\n");
}

bool reel_confusion_svg(reel_confusion *confusion, const char *path, const reel_io *io)
{
    int64_t classes = confusion->classes;
    confusion_paper paper = {.confusion = confusion};
    if (classes < 1 || classes > CONFUSION_MOST)
        return reel_train_fail(confusion->error, "confusion: %lld classes; a picture takes 1 to %d",
                               (long long)classes, CONFUSION_MOST);
    paper.columns = classes + (confusion_column(confusion, classes) > 0);
    paper.cell = fmax(CONFUSION_LEAST, fmin(CONFUSION_CELL, CONFUSION_SIDE / (double)paper.columns));
    double width = paper.cell * (double)paper.columns, height = paper.cell * (double)classes;
    if (!reel_svg_open(&paper.svg, CONFUSION_LEFT + (int)width + CONFUSION_RIGHT,
                       CONFUSION_TOP + (int)height + CONFUSION_BOTTOM, path, io, confusion->error))
        return false;
    confusion_labels(&paper, width, height);
    reel_svg_put(&paper.svg, "<g font-size=\"%d\">\n", (int)fmin(14, paper.cell * .36));
    for (int64_t i = 0; i < classes; i++)
        confusion_row_of(&paper, i);
    for (int64_t j = 0; j < paper.columns; j++)
        confusion_column_of(&paper, j);
    reel_svg_put(&paper.svg, "</g>\n");
    return reel_svg_close(&paper.svg);
}
