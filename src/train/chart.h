/* The figures of a set of stickers as one picture. */
#ifndef BQB_TRAIN_CHART_H
#define BQB_TRAIN_CHART_H

#include "train/figures.h"

/* Append the chart as SVG. title: one line, any text. */
bqb_status bqb_chart_draw(bqb_buf *svg, const bqb_figures *f, const char *title, bqb_err *err);

/* Draw it into a file: SVG, or a PNG at twice the size where the name ends in
 * .png. Appears in one step. */
bqb_status bqb_chart_write(const char *path, const bqb_figures *f, const char *title, bqb_err *err);

#endif
