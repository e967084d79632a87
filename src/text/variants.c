#include "text/variants.h"

#include "base/utf8.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

static const char pairs[][7] = {
#include "text/variants_table.h"
};

size_t bqb_variants_count(void) { return sizeof pairs / sizeof *pairs; }

enum { FIRST = 0x3400, LAST = 0x9FFF };

/* One bit a character, set for those in the table: most are not, and every character of every text is asked for.
 * Filled by whoever comes first; two at once write the same. */
static _Atomic uint64_t changed[(LAST - FIRST) / 64 + 1];
static _Atomic bool filled;

static void fill(void) {
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        uint32_t cp;
        bqb_utf8_next(pairs[i], 3, &cp, NULL);
        if (cp >= FIRST && cp <= LAST)
            atomic_fetch_or_explicit(&changed[(cp - FIRST) / 64], (uint64_t)1 << ((cp - FIRST) % 64), memory_order_relaxed);
    }
    atomic_store_explicit(&filled, true, memory_order_release);
}

uint32_t bqb_simplified(uint32_t cp) {
    char key[4];
    if (cp < FIRST || cp > LAST) return cp;
    if (!atomic_load_explicit(&filled, memory_order_acquire)) fill();
    if (!(atomic_load_explicit(&changed[(cp - FIRST) / 64], memory_order_relaxed) >> ((cp - FIRST) % 64) & 1)) return cp;
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
