/* The words on a sticker: its frames prepared in several ways, each read, the readings put together. */
#ifndef BQB_LIBRARY_READER_H
#define BQB_LIBRARY_READER_H

#include "library/ocr.h"
#include "text/readout.h"

/* The ways of reading, at most 32; the first alone is the plain reading. */
size_t bqb_reader_ways(void);
const char *bqb_reader_way_name(size_t way);

typedef struct {
    uint32_t ways;   /* bit i: way i; 0: all */
} bqb_reader_options;

/* Read the picture in data; options NULL: all ways. readout (may be NULL) gets every line of every reading, added to what it holds.
 * Errors: of decoding (BQB_EFORMAT, BQB_ELIMIT), of reading (bqb_ocr_read; whether it would fail again: bqb_ocr_hopeless), BQB_ENOMEM. */
bqb_status bqb_read_sticker(bqb_merged *out, bqb_readout *readout, bqb_ocr *o, const void *data, size_t size,
                            const char *name, const bqb_reader_options *options, bqb_err *err);

#endif
