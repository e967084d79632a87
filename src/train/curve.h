/* OUT/curve.svg: loss and held-out recall against steps, drawn from log.csv and valid.csv. */
#ifndef BQB_TRAIN_CURVE_H
#define BQB_TRAIN_CURVE_H

#include "base/err.h"

/* Reads DIR/log.csv and, when there, DIR/valid.csv; nothing is drawn when there is nothing yet. */
bqb_status bqb_curve_draw(const char *dir, bqb_err *err);

#endif
