/* UTF-8 decoding: ends, stays inside, and agrees with itself. */
#include "base/utf8.h"
#include "target.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *s = (const char *)data;
    size_t at = 0, count = 0, first_bad = size;
    while (at < size) {
        uint32_t cp;
        bool ok;
        size_t n = bqb_utf8_next(s + at, size - at, &cp, &ok);
        if (n == 0 || n > size - at) abort();
        if (!ok && first_bad == size) first_bad = at;
        char again[4];
        if (ok && bqb_utf8_put(again, cp) != n) abort();
        at += n;
        count++;
    }
    if (bqb_utf8_check(s, size) != first_bad || bqb_utf8_count(s, size) != count) abort();
    return 0;
}
