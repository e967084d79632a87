/* Characters that reading takes for each other. */
#ifndef BQB_TEXT_CONFUSIONS_H
#define BQB_TEXT_CONFUSIONS_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint32_t cp;
    double share; /* 0 … 1: of the times that cp was read, how often the other character stood there */
} bqb_confusion;

/* What may have been read where cp stands, most likely first; at most `max`. Both in folded form (bqb_text_fold).
 * Returns how many. Any thread.
 * Source: Tesseract's readings of characters drawn small in five fonts; tools/make-confusions.sh. */
size_t bqb_confusions(bqb_confusion *out, size_t max, uint32_t cp);

size_t bqb_confusions_count(void); /* pairs in the table */

#endif
