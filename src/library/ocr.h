/* Reading lines of text off prepared pictures, with Tesseract.
 *
 * libtesseract is opened when it is first asked for, so that bqb builds, starts
 * and runs without it; this is the only place that knows it. Its own threads
 * stay off: callers read several pictures at once, each thread with a reader of its own. */
#ifndef BQB_LIBRARY_OCR_H
#define BQB_LIBRARY_OCR_H

#include "text/readout.h"

typedef struct bqb_ocr bqb_ocr;

/* How the text lies on the picture that is given. */
typedef enum {
    BQB_OCR_PAGE,   /* lines of one block */
    BQB_OCR_SPARSE, /* anything anywhere */
    BQB_OCR_LINE,   /* one line, and nothing else */
    BQB_OCR_RAW     /* the same, as it is: no search for the line */
} bqb_ocr_layout;

/* Can text be read here? Tries in a process of its own, which a damaged language
 * file may bring down. BQB_EUNSUPPORTED: libtesseract or every language is
 * missing; the message says what to install. BQB_EFORMAT: a language file is
 * damaged. advice: "" or a sentence on one language that is missing, the other is used. */
enum { BQB_OCR_ADVICE = 200 };
bqb_status bqb_ocr_check(char advice[BQB_OCR_ADVICE], bqb_err *err);

/* A reader for one thread at a time; errors as bqb_ocr_check, which should be asked first. */
bqb_status bqb_ocr_open(bqb_ocr **out, bqb_err *err);
void bqb_ocr_close(bqb_ocr *o);

/* Who reads, for the catalogue: "tesseract 5.3.0 chi_sim+eng". */
const char *bqb_ocr_name(const bqb_ocr *o);

/* Append the lines on gray [h,w], dark on light, to out. `frame` and `reader` are noted in each line.
 * The places are within the picture given. Lines are cleaned (bqb_line_clean); empty ones left out. */
bqb_status bqb_ocr_read(bqb_ocr *o, bqb_readout *out, const uint8_t *gray, size_t w, size_t h, bqb_ocr_layout layout,
                        uint8_t frame, uint8_t reader, bqb_err *err);

#endif
