/* What readers make out on a picture: lines of characters, each with a place and
 * a belief, and the putting together of several such readings to one.
 *
 * Every way of preparing a picture loses some words and invents others; what
 * several of them see in the same place is most likely there. Lines are laid
 * together by place, in each place the line is chosen that the others agree
 * with most, and places that hold nothing but noise are dropped. Pure functions; any thread. */
#ifndef BQB_TEXT_READOUT_H
#define BQB_TEXT_READOUT_H

#include "base/err.h"
#include "base/mem.h"

#include <stdbool.h>

enum { BQB_LINE_MOST = 64 }; /* characters of a line; longer ones are cut */

typedef struct {
    uint32_t cp;      /* the character */
    float belief;     /* 0 … 1 */
} bqb_read_char;

typedef struct {
    bqb_read_char c[BQB_LINE_MOST];
    size_t n;
    float x0, y0, x1, y1; /* where, in widths and heights of the picture */
    uint8_t frame, reader; /* which frame, which way of preparing it */
} bqb_read_line;

typedef struct {
    bqb_read_line *line;
    size_t n, cap;
} bqb_readout;

enum { BQB_READOUT_MOST = 4096 }; /* lines; more are left out */

/* A copy of l at the end. BQB_ENOMEM. */
bqb_status bqb_readout_add(bqb_readout *r, const bqb_read_line *l, bqb_err *err);
void bqb_readout_free(bqb_readout *r);

/* Chinese, Japanese or Korean: no spaces stand between such characters. */
bool bqb_is_cjk(uint32_t cp);

/* What is certainly no writing goes: spaces between Chinese characters, strokes and
 * symbols, lone Latin letters among Chinese that the reader itself doubts. The line may become empty. */
void bqb_line_clean(bqb_read_line *l);

/* Mean belief of its letters and characters, 0 for an empty line. */
double bqb_line_belief(const bqb_read_line *l);

/* A value from 0 (nothing in common) to 1: length of the longest common
 * subsequence of letters and characters, by the mean of both lengths. */
double bqb_line_likeness(const bqb_read_line *a, const bqb_read_line *b);

/* Joined: the words of the picture from top to bottom, a space between lines; "" when it has none.
 * belief: mean of its characters. All: distinct lines of all readings, "WEIGHT\tLINE\n" in falling
 * order of weight (bqb_catalogue_put_reading). n_ways: how many ways of preparing each frame was read in. */
typedef struct {
    bqb_buf joined, all;
    double belief;
} bqb_merged;
bqb_status bqb_readout_merge(bqb_merged *out, const bqb_readout *r, bqb_err *err);
void bqb_merged_free(bqb_merged *m);

#endif
