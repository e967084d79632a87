#include "text/confusions.h"

#include "base/utf8.h"

#include <string.h>

/* What stands there, what was read, how often: a digit 1 … 9 that is the share in tenths. */
static const char table[][8] = {
#include "text/confusions_table.h"
};

enum { ROWS = sizeof table / sizeof *table };

size_t bqb_confusions_count(void) { return ROWS; }

size_t bqb_confusions(bqb_confusion *out, size_t max, uint32_t cp) {
    char key[4];
    if (cp < 0x800 || cp > 0xFFFF) return 0;
    bqb_utf8_put(key, cp);
    size_t lo = 0, hi = ROWS, n = 0;
    while (lo < hi) { /* the first of its rows */
        size_t mid = lo + (hi - lo) / 2;
        if (memcmp(table[mid], key, 3) < 0) lo = mid + 1;
        else hi = mid;
    }
    for (; lo < ROWS && n < max && !memcmp(table[lo], key, 3); lo++, n++) {
        bqb_utf8_next(table[lo] + 3, 3, &out[n].cp, NULL);
        out[n].share = (table[lo][6] - '0') / 10.0;
    }
    return n;
}
