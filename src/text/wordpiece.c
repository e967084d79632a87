#include "text/wordpiece.h"

#include "base/fs.h"
#include "base/mem.h"
#include "base/utf8.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#define MAX_VOCAB_BYTES ((size_t)64 << 20)
#define MAX_VOCAB_TOKENS ((size_t)1 << 22)
enum {
    MAX_WORD = 200, /* code points; a longer word is [UNK], as in the reference */
    MAX_PROBES = 1024,
    NO_TOKEN = -1
};

/* Token strings lie in `text`, one after another, each with a NUL. */
struct bqb_wordpiece {
    char *text;
    uint32_t *offset, *length; /* [n], bytes */
    size_t n;
    int32_t *slot; /* open addressing: a token id or NO_TOKEN */
    uint32_t mask;
    size_t longest; /* code points of the longest piece, "##" not counted */
    int32_t unk, cls, sep, pad;
};

/* FNV-1a. The state can be carried on, which lets the matcher hash all
 * prefixes of a word in one pass. */
static const uint32_t HASH_START = 2166136261u;

static uint32_t hash_bytes(uint32_t h, const char *s, size_t n) {
    for (size_t i = 0; i < n; i++) h = (h ^ (uint8_t)s[i]) * 16777619u;
    return h;
}

static uint32_t first_slot(const bqb_wordpiece *wp, uint32_t h) { return (h ^ h >> 15) & wp->mask; }

/* The token that is `prefix` (0 or 2 '#') followed by s[0 … n-1], or NO_TOKEN. */
static int32_t find(const bqb_wordpiece *wp, uint32_t hash, size_t prefix, const char *s, size_t n) {
    for (uint32_t i = first_slot(wp, hash);; i = (i + 1) & wp->mask) {
        int32_t id = wp->slot[i];
        if (id == NO_TOKEN) return NO_TOKEN;
        const char *token = wp->text + wp->offset[id];
        if (wp->length[id] == prefix + n && !memcmp(token, "##", prefix) && !memcmp(token + prefix, s, n))
            return id;
    }
}

static int32_t find_token(const bqb_wordpiece *wp, const char *s) {
    size_t n = strlen(s);
    return find(wp, hash_bytes(HASH_START, s, n), 0, s, n);
}

static bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* Cut the text into tokens in place. */
static bqb_status split_lines(bqb_wordpiece *wp, size_t size, const char *path, bqb_err *err) {
    char *s = wp->text, *end = s + size;
    if (size >= 3 && !memcmp(s, "\xEF\xBB\xBF", 3)) s += 3;
    while (s < end) {
        char *next = memchr(s, '\n', (size_t)(end - s)), *stop = next ? next : end;
        while (s < stop && is_blank(*s)) s++;
        while (stop > s && is_blank(stop[-1])) stop--;
        size_t length = (size_t)(stop - s);
        int64_t line = (int64_t)wp->n + 1;
        if (memchr(s, 0, length) || bqb_utf8_check(s, length) != length)
            return bqb_fail_at(err, BQB_EFORMAT, line, "%s: line %lld is not UTF-8 text", path,
                               (long long)line);
        wp->offset[wp->n] = (uint32_t)(s - wp->text);
        wp->length[wp->n] = (uint32_t)length;
        wp->n++;
        *stop = 0;
        size_t chars = bqb_utf8_count(s, length);
        if (length > 2 && s[0] == '#' && s[1] == '#') chars -= 2;
        if (chars > wp->longest) wp->longest = chars;
        s = next ? next + 1 : end;
    }
    if (wp->longest > MAX_WORD) wp->longest = MAX_WORD;
    return BQB_OK;
}

/* Of two equal lines the later one counts, as in the reference. */
static bqb_status index_tokens(bqb_wordpiece *wp, const char *path, bqb_err *err) {
    size_t slots = 64;
    while (slots < wp->n * 2) slots *= 2;
    wp->slot = bqb_calloc(slots, sizeof *wp->slot);
    if (!wp->slot) return bqb_fail_nomem(err, path, slots * sizeof *wp->slot);
    memset(wp->slot, 0xff, slots * sizeof *wp->slot);
    wp->mask = (uint32_t)(slots - 1);
    for (size_t id = 0; id < wp->n; id++) {
        const char *s = wp->text + wp->offset[id];
        uint32_t i = first_slot(wp, hash_bytes(HASH_START, s, wp->length[id]));
        for (unsigned probes = 0; wp->slot[i] != NO_TOKEN; i = (i + 1) & wp->mask) {
            int32_t other = wp->slot[i];
            if (wp->length[other] == wp->length[id] &&
                !memcmp(wp->text + wp->offset[other], s, wp->length[id]))
                break;
            if (++probes == MAX_PROBES)
                return bqb_fail_at(err, BQB_ELIMIT, (int64_t)id + 1,
                                   "%s: line %zu: more than %d tokens share a hash", path, id + 1,
                                   MAX_PROBES);
        }
        wp->slot[i] = (int32_t)id;
    }
    return BQB_OK;
}

static bqb_status find_special(int32_t *out, const bqb_wordpiece *wp, const char *token, const char *path,
                               bqb_err *err) {
    *out = find_token(wp, token);
    return *out == NO_TOKEN ? bqb_fail(err, BQB_EFORMAT, "%s: the vocabulary has no %s", path, token)
                            : BQB_OK;
}

/* wp->text holds `size` bytes, one token a line. */
static bqb_status make(bqb_wordpiece *wp, size_t size, const char *path, bqb_err *err) {
    size_t lines = 1;
    for (size_t i = 0; i < size; i++) lines += wp->text[i] == '\n';
    if (lines > MAX_VOCAB_TOKENS)
        return bqb_fail(err, BQB_ELIMIT, "%s: %zu lines, at most %zu are allowed", path, lines, MAX_VOCAB_TOKENS);
    wp->offset = bqb_calloc(lines, sizeof *wp->offset);
    wp->length = bqb_calloc(lines, sizeof *wp->length);
    if (!wp->offset || !wp->length) return bqb_fail_nomem(err, path, 2 * lines * sizeof *wp->offset);
    bqb_status s = split_lines(wp, size, path, err);
    if (!s) s = index_tokens(wp, path, err);
    if (!s) s = find_special(&wp->unk, wp, "[UNK]", path, err);
    if (!s) s = find_special(&wp->cls, wp, "[CLS]", path, err);
    if (!s) s = find_special(&wp->sep, wp, "[SEP]", path, err);
    if (!s) s = find_special(&wp->pad, wp, "[PAD]", path, err);
    return s;
}

bqb_status bqb_wordpiece_open(bqb_wordpiece **out, const char *path, bqb_err *err) {
    *out = NULL;
    bqb_wordpiece *wp = bqb_calloc(1, sizeof *wp);
    if (!wp) return bqb_fail_nomem(err, path, sizeof *wp);
    size_t size = 0;
    bqb_status s = bqb_file_read(&wp->text, &size, path, MAX_VOCAB_BYTES, err);
    if (!s) s = make(wp, size, path, err);
    if (s) bqb_wordpiece_close(wp);
    else *out = wp;
    return s;
}

static int by_id(const void *a, const void *b) {
    const bqb_bpe_entry *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

/* A line of a vocab.txt could not hold it. */
static bool breaks_lines(const bqb_bpe_entry *e) {
    return !e->n || memchr(e->s, '\n', e->n) || is_blank(e->s[0]) || is_blank(e->s[e->n - 1]);
}

bqb_status bqb_wordpiece_new(bqb_wordpiece **out, bqb_bpe_entry *token, size_t n, const char *path, bqb_err *err) {
    *out = NULL;
    bqb_wordpiece *wp = bqb_calloc(1, sizeof *wp);
    if (!wp) return bqb_fail_nomem(err, path, sizeof *wp);
    bqb_buf lines = {.max = MAX_VOCAB_BYTES};
    bqb_status s = n ? BQB_OK : bqb_fail(err, BQB_EFORMAT, "%s: the vocabulary is empty", path);
    qsort(token, n, sizeof *token, by_id);
    for (size_t i = 0; i < n && !s; i++) {
        const bqb_bpe_entry *e = &token[i];
        int shown = e->n < 40 ? (int)e->n : 40;
        if (e->id != (int64_t)i)
            s = bqb_fail(err, BQB_EFORMAT, "%s: ids run from 0 without a gap; \"%.*s\" has %lld instead of %zu", path, shown, e->s,
                         (long long)e->id, i);
        else if (breaks_lines(e)) s = bqb_fail(err, BQB_EFORMAT, "%s: token %zu (\"%.*s\") is empty or has white space at an end", path, i, shown, e->s);
        if (!s) s = bqb_buf_append(&lines, e->s, e->n, err);
        if (!s) s = bqb_buf_append(&lines, "\n", 1, err);
    }
    wp->text = lines.data;
    if (!s) s = make(wp, lines.len, path, err);
    if (s) bqb_wordpiece_close(wp);
    else *out = wp;
    return s;
}

void bqb_wordpiece_close(bqb_wordpiece *wp) {
    if (!wp) return;
    free(wp->text);
    free(wp->offset);
    free(wp->length);
    free(wp->slot);
    free(wp);
}

size_t bqb_wordpiece_size(const bqb_wordpiece *wp) { return wp->n; }

const char *bqb_wordpiece_token(const bqb_wordpiece *wp, size_t id) {
    return id < wp->n ? wp->text + wp->offset[id] : NULL;
}

int32_t bqb_wordpiece_pad(const bqb_wordpiece *wp) { return wp->pad; }

/* ---- characters, as the reference sees them ---- */

static bool is_cjk(uint32_t c) {
    return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0xF900 && c <= 0xFAFF) ||
           (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2CEAF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

static bool is_ascii_letter(uint32_t c) { return (c | 32) >= 'a' && (c | 32) <= 'z'; }

/* All ASCII symbols count, in addition to the categories P*. */
static bool is_punctuation(uint32_t c) {
    if (c < 0x80) return c > ' ' && c < 0x7f && !(c >= '0' && c <= '9') && !is_ascii_letter(c);
    utf8proc_category_t cat = utf8proc_category((utf8proc_int32_t)c);
    return cat >= UTF8PROC_CATEGORY_PC && cat <= UTF8PROC_CATEGORY_PO;
}

/* Unicode's Cased, without the letters that are Case_Ignorable, too. */
static bool is_cased(uint32_t c) {
    if (c < 0x80) return is_ascii_letter(c);
    utf8proc_category_t cat = utf8proc_category((utf8proc_int32_t)c);
    return cat == UTF8PROC_CATEGORY_LU || cat == UTF8PROC_CATEGORY_LL || cat == UTF8PROC_CATEGORY_LT ||
           c == 0xAA || c == 0xBA || (c >= 0x2160 && c <= 0x217F) || (c >= 0x24B6 && c <= 0x24E9) ||
           (c >= 0x1F130 && c <= 0x1F149) || (c >= 0x1F150 && c <= 0x1F169) || (c >= 0x1F170 && c <= 0x1F189);
}

static bool is_case_ignorable(uint32_t c) {
    switch (c) {
    case 0x27:
    case 0x2E:
    case 0x3A:
    case 0xB7:
    case 0x387:
    case 0x55F:
    case 0x5F4:
    case 0x2018:
    case 0x2019:
    case 0x2024:
    case 0x2027:
    case 0xFE13:
    case 0xFE52:
    case 0xFE55:
    case 0xFF07:
    case 0xFF0E:
    case 0xFF1A:
        return true;
    default:
        break;
    }
    switch (utf8proc_category((utf8proc_int32_t)c)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK:
        return true;
    default:
        return false;
    }
}

/* ---- from text to words ---- */

typedef struct {
    const bqb_wordpiece *wp;
    int32_t *ids;
    size_t n_ids, limit; /* room for [SEP] is kept outside of limit */
    uint32_t word[MAX_WORD];
    size_t len, barrier; /* combining marks are put in order only after barrier */
    bool too_long;
    const char *text;
    size_t n_bytes, seen; /* text[0 … seen-1] is accounted for in cased_before */
    bool cased_before;
} encoder;

static void emit(encoder *e, int32_t id) {
    if (e->n_ids < e->limit) e->ids[e->n_ids++] = id;
}

/* Greedy: the longest piece that starts here, then the longest that follows it;
 * a rest without a piece makes the whole word [UNK]. */
static void emit_word(encoder *e) {
    char bytes[MAX_WORD * 4];
    uint32_t at[MAX_WORD + 1], hash[MAX_WORD];
    int32_t piece[MAX_WORD];
    size_t n = 0, n_pieces = 0;
    for (size_t i = 0; i < e->len; i++) {
        at[i] = (uint32_t)n;
        n += bqb_utf8_put(bytes + n, e->word[i]);
    }
    at[e->len] = (uint32_t)n;
    for (size_t start = 0; start < e->len;) {
        size_t prefix = start ? 2 : 0, end = e->len;
        if (end - start > e->wp->longest) end = start + e->wp->longest;
        uint32_t h = hash_bytes(HASH_START, "##", prefix);
        for (size_t i = start; i < end; i++) hash[i] = h = hash_bytes(h, bytes + at[i], at[i + 1] - at[i]);
        int32_t id = NO_TOKEN;
        for (; end > start; end--) {
            id = find(e->wp, hash[end - 1], prefix, bytes + at[start], at[end] - at[start]);
            if (id != NO_TOKEN) break;
        }
        if (id == NO_TOKEN) {
            emit(e, e->wp->unk);
            return;
        }
        piece[n_pieces++] = id;
        start = end;
    }
    for (size_t i = 0; i < n_pieces; i++) emit(e, piece[i]);
}

static void end_word(encoder *e) {
    if (e->too_long) emit(e, e->wp->unk);
    else if (e->len) emit_word(e);
    e->len = e->barrier = 0;
    e->too_long = false;
}

static void add_char(encoder *e, uint32_t c) {
    if (e->len == MAX_WORD) e->too_long = true;
    else e->word[e->len++] = c;
}

static void add_alone(encoder *e, uint32_t c) {
    end_word(e);
    add_char(e, c);
    end_word(e);
}

static int combining_class(uint32_t c) {
    return c < 0x300 ? 0 : utf8proc_get_property((utf8proc_int32_t)c)->combining_class;
}

/* One code point of the canonical decomposition. Accents (Mn) go away; the few
 * other combining marks are brought into canonical order. */
static void add_decomposed(encoder *e, uint32_t c) {
    int ccc = combining_class(c);
    bool accent = utf8proc_category((utf8proc_int32_t)c) == UTF8PROC_CATEGORY_MN;
    if (is_punctuation(c)) {
        add_alone(e, c);
    } else if (!accent) {
        bool full = e->len == MAX_WORD;
        add_char(e, c);
        for (size_t i = e->len; !full && ccc && i - 1 > e->barrier && combining_class(e->word[i - 2]) > ccc;
             i--) {
            e->word[i - 1] = e->word[i - 2];
            e->word[i - 2] = c;
        }
    }
    if (!ccc) e->barrier = e->len;
}

static void add_lower(encoder *e, uint32_t c) {
    if (c < 0x80) {
        if (c == ' ' || c == '\t' || c == '\n' || c == '\r') end_word(e);
        else if (c < ' ' || c == 0x7f) return;
        else if (is_punctuation(c)) add_alone(e, c);
        else {
            add_char(e, c);
            e->barrier = e->len;
        }
        return;
    }
    if (c >= 0x4E00 && c <= 0x9FFF) { /* most of what we see: decomposes to itself */
        add_alone(e, c);
        return;
    }
    if (c == BQB_UTF8_BAD) return;
    utf8proc_category_t cat = utf8proc_category((utf8proc_int32_t)c);
    if (cat == UTF8PROC_CATEGORY_CC || cat == UTF8PROC_CATEGORY_CF) return;
    bool cjk = is_cjk(c), space = cat >= UTF8PROC_CATEGORY_ZS && cat <= UTF8PROC_CATEGORY_ZP;
    if (cjk || space) end_word(e);
    if (space) return;
    utf8proc_int32_t parts[16];
    int boundary = 0;
    utf8proc_ssize_t n =
        utf8proc_decompose_char((utf8proc_int32_t)c, parts, 16, UTF8PROC_DECOMPOSE, &boundary);
    for (utf8proc_ssize_t i = 0; i < n && i < 16; i++) add_decomposed(e, (uint32_t)parts[i]);
    if (cjk) end_word(e);
}

/* Does the Σ that lies at text[i] end a word? Unicode's Final_Sigma, as str.lower() of Python has it. */
static bool is_final_sigma(encoder *e, size_t i) {
    uint32_t c;
    while (e->seen < i) {
        e->seen += bqb_utf8_next(e->text + e->seen, e->n_bytes - e->seen, &c, NULL);
        if (!is_case_ignorable(c)) e->cased_before = is_cased(c);
    }
    if (!e->cased_before) return false;
    for (i += 2; i < e->n_bytes;) {
        i += bqb_utf8_next(e->text + i, e->n_bytes - i, &c, NULL);
        if (!is_case_ignorable(c)) return !is_cased(c);
    }
    return true;
}

static void add(encoder *e, uint32_t c, size_t at) {
    if (c < 0x80) add_lower(e, c >= 'A' && c <= 'Z' ? c + 32 : c);
    else if (c >= 0x4E00 && c <= 0x9FFF) add_lower(e, c);
    else if (c == 0x201C || c == 0x201D) add_lower(e, '"');
    else if (c == 0x3A3) add_lower(e, is_final_sigma(e, at) ? 0x3C2 : 0x3C3);
    else if (c == 0x130) {
        add_lower(e, 'i');
        add_lower(e, 0x307);
    } else add_lower(e, (uint32_t)utf8proc_tolower((utf8proc_int32_t)c));
}

size_t bqb_wordpiece_encode(const bqb_wordpiece *wp, int32_t *ids, size_t max_ids, const char *text,
                            size_t n_bytes) {
    assert(max_ids >= 2);
    encoder e = {.wp = wp, .ids = ids, .limit = max_ids - 1, .text = text, .n_bytes = n_bytes};
    emit(&e, wp->cls);
    for (size_t i = 0; i < n_bytes && e.n_ids < e.limit;) {
        uint32_t c;
        size_t k = bqb_utf8_next(text + i, n_bytes - i, &c, NULL);
        add(&e, c, i);
        i += k;
    }
    end_word(&e);
    ids[e.n_ids++] = wp->sep;
    for (size_t i = e.n_ids; i < max_ids; i++) ids[i] = wp->pad;
    return e.n_ids;
}
