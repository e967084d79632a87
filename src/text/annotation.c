#include "text/annotation.h"

#include "base/utf8.h"

#include <string.h>

enum { MAX_OCR_CHARS = 24 };

static const char *const names[BQB_FIELDS] = {
    [BQB_CAPTION] = "caption", [BQB_EMOTION] = "emotion", [BQB_EMOTION_LABEL] = "emotion_label",
    [BQB_STYLE] = "style",     [BQB_OCR] = "ocr",
};

/* As the records of the data set name them. */
static const struct {
    const char *name;
    bqb_field field;
} aliases[] = {{"emotion_class", BQB_EMOTION}, {"style_class", BQB_STYLE}, {"ocr_text", BQB_OCR}};

const char *bqb_field_name(bqb_field f) { return (unsigned)f < BQB_FIELDS ? names[f] : ""; }

static bool equal(const char *s, const char *name, size_t n) { return strlen(s) == n && !memcmp(s, name, n); }

bqb_field bqb_field_parse(const char *name, size_t n) {
    for (unsigned f = 0; f < BQB_FIELDS; f++)
        if (equal(names[f], name, n)) return (bqb_field)f;
    for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++)
        if (equal(aliases[i].name, name, n)) return aliases[i].field;
    return BQB_FIELDS;
}

/* Only labels: a picture may well say 其他. */
bool bqb_label_is_neutral(bqb_field f, const char *s) {
    static const char *const neutral[] = {"其他类型", "其他/中性", "其他", "中性"};
    if (f == BQB_CAPTION || f == BQB_OCR) return false;
    for (size_t i = 0; i < sizeof neutral / sizeof *neutral; i++)
        if (!strcmp(s, neutral[i])) return true;
    return false;
}

/* Bytes of the first max_chars characters. */
static size_t prefix_bytes(const char *s, size_t n, size_t max_chars) {
    size_t i = 0;
    uint32_t cp;
    while (i < n && max_chars--) i += bqb_utf8_next(s + i, n - i, &cp, NULL);
    return i;
}

bqb_status bqb_annotation_text(bqb_buf *out, const bqb_annotation *a, bqb_rand *shuffle, bqb_err *err) {
    uint32_t order[BQB_FIELDS];
    size_t n_fields = 0;
    for (unsigned f = 0; f < BQB_FIELDS; f++) {
        const char *s = a->field[f];
        if (s && *s && !bqb_label_is_neutral((bqb_field)f, s)) order[n_fields++] = f;
    }
    if (shuffle) bqb_rand_shuffle(shuffle, order, n_fields);
    bqb_status status = bqb_buf_append(out, "", 0, err);
    for (size_t i = 0; !status && i < n_fields; i++) {
        const char *s = a->field[order[i]];
        size_t n = strlen(s);
        if (order[i] == BQB_OCR) n = prefix_bytes(s, n, MAX_OCR_CHARS);
        if (i) status = bqb_buf_puts(out, "；", err);
        if (!status) status = bqb_buf_append(out, s, n, err);
    }
    return status;
}
