#include "text/variants.h"

#include "base/utf8.h"

#include <string.h>

static const char pairs[][7] = {
#include "text/variants_table.h"
};

size_t bqb_variants_count(void) { return sizeof pairs / sizeof *pairs; }

uint32_t bqb_simplified(uint32_t cp) {
    char key[4];
    if (cp < 0x3400 || cp > 0x9FFF) return cp;
    bqb_utf8_put(key, cp);
    size_t lo = 0, hi = sizeof pairs / sizeof *pairs;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int order = memcmp(pairs[mid], key, 3);
        if (!order) {
            bqb_utf8_next(pairs[mid] + 3, 3, &cp, NULL);
            return cp;
        }
        if (order < 0) lo = mid + 1;
        else hi = mid;
    }
    return cp;
}
