/* Reading lines of text off prepared pictures, with Tesseract, in a process of its own.
 *
 * libtesseract is opened when it is first asked for, so that bqb builds, starts
 * and runs without it; this is the only place that knows it. What it does with a
 * picture, a crash or an endless search, costs that picture: the next one is read
 * in a new process. Its own threads stay off: callers read several pictures at
 * once, each thread with a reader, and so a process, of its own. */
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

/* A reader for one thread at a time. advice (may be NULL): "" or a sentence on one language that is missing, the other is used.
 * BQB_EUNSUPPORTED: libtesseract or every language is missing; the message says what to install. BQB_EFORMAT: a language
 * file is damaged. BQB_EIO: no process can be had. */
enum { BQB_OCR_ADVICE = 200 };
bqb_status bqb_ocr_open(bqb_ocr **out, char advice[BQB_OCR_ADVICE], bqb_err *err);
void bqb_ocr_close(bqb_ocr *o); /* accepts NULL */

/* Who reads, for the catalogue: "tesseract 5.3.0 chi_sim+eng". */
const char *bqb_ocr_name(const bqb_ocr *o);

/* Another sticker begins; it has BQB_OCR_LIMIT_MS of processor time, and six times that by the clock. */
enum { BQB_OCR_LIMIT_MS = 60000 };
void bqb_ocr_begin(bqb_ocr *o);

/* Has Tesseract crashed on this sticker, or run out of time? It would again. */
bool bqb_ocr_hopeless(const bqb_ocr *o);

/* Processor time that reading has taken since this reader was opened, but for processes that ended before their time. */
double bqb_ocr_cpu_s(const bqb_ocr *o);

/* Append the lines on gray [h,w], dark on light, to out. `frame` and `reader` are noted in each line.
 * The places are within the picture given. Lines are cleaned (bqb_line_clean); empty ones left out.
 * w, h: 1 … 10,000, at most 16 million pixels, else BQB_EINVAL. BQB_EFORMAT: Tesseract crashed; BQB_ELIMIT: out of time; BQB_EIO:
 * its process was killed, or none can be had. The messages speak of the sticker: "Tesseract crashes on it". */
bqb_status bqb_ocr_read(bqb_ocr *o, bqb_readout *out, const uint8_t *gray, size_t w, size_t h, bqb_ocr_layout layout,
                        uint8_t frame, uint8_t reader, bqb_err *err);

#endif
