#include "text/emoji.h"

#include "base/utf8.h"

#include <string.h>

typedef struct {
    const char *emoji; /* without selectors */
    const char *names; /* a|b|c */
} entry;

static const entry table[] = {
#include "text/emoji_table.h"
};
enum { ENTRIES = sizeof table / sizeof *table, LONGEST = 64 };

/* The entry that is exactly these bytes. */
static const entry *find(const char *key, size_t n) {
    size_t lo = 0, hi = ENTRIES;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        size_t len = strlen(table[mid].emoji);
        int order = memcmp(table[mid].emoji, key, len < n ? len : n);
        if (!order) order = len < n ? -1 : len > n;
        if (!order) return &table[mid];
        if (order < 0) lo = mid + 1;
        else hi = mid;
    }
    return NULL;
}

static bool is_selector(uint32_t cp) { return cp >= 0xFE00 && cp <= 0xFE0F; }
static bool is_skin(uint32_t cp) { return cp >= 0x1F3FB && cp <= 0x1F3FF; }

/* The longest entry at the beginning of the text; what belongs to it but has no name of its own is skipped. */
static const entry *match(const char *text, size_t n, size_t *length) {
    char key[LONGEST];
    size_t len = 0;
    const entry *best = NULL;
    bool joined = false;
    *length = 0;
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        size_t k = bqb_utf8_next(text + i, n - i, &cp, NULL);
        if (!i && cp < 0x2300) return NULL;
        bool extra = is_selector(cp) || is_skin(cp);
        if (i && !best && !extra) break;
        if (!is_selector(cp)) {
            if (len + k > LONGEST) break;
            memcpy(key + len, text + i, k);
            len += k;
        }
        const entry *e = find(key, len);
        i += k;
        if (e) best = e;
        if (e || extra || (joined && cp >= 0x2190)) *length = i;
        else if (cp != 0x200D) break; /* a joiner may lead to a longer one */
        joined = cp == 0x200D;
    }
    if (!best) *length = 0;
    return best;
}

static size_t count_names(const char *names) {
    size_t n = 1;
    for (; (names = strchr(names, '|')); names++) n++;
    return n;
}

size_t bqb_emoji_at(const char *text, size_t n_bytes, size_t *length) {
    const entry *e = match(text, n_bytes, length);
    return e ? count_names(e->names) : 0;
}

static bqb_status put_name(bqb_buf *out, const char *names, size_t which, bqb_err *err) {
    const char *bar;
    while (which-- && (bar = strchr(names, '|'))) names = bar + 1;
    bqb_status s = out->len && out->data[out->len - 1] != ' ' ? bqb_buf_append(out, " ", 1, err) : BQB_OK;
    if (!s) s = bqb_buf_append(out, names, strcspn(names, "|"), err);
    return s ? s : bqb_buf_append(out, " ", 1, err);
}

bqb_status bqb_emoji_words(bqb_buf *out, const char *text, size_t which, size_t *most, bqb_err *err) {
    size_t found = 0, last = 0;
    bqb_status s = bqb_buf_append(out, "", 0, err);
    for (size_t i = 0, n = strlen(text); i < n && !s;) {
        size_t length, k = bqb_utf8_next(text + i, n - i, &(uint32_t){0}, NULL);
        const entry *e = match(text + i, n - i, &length);
        if (e) {
            size_t names = count_names(e->names);
            found = names > found ? names : found;
            s = put_name(out, e->names, which, err);
            k = length;
            last = out->len;
        } else s = bqb_buf_append(out, text + i, k, err);
        i += k;
    }
    if (!s && last && last == out->len) out->data[--out->len] = 0; /* no space at the end */
    if (most) *most = found;
    return s;
}
