#include "train/pretrain_text.h"

#include "base/fs.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_BYTES = 1 << 30, HELD = 50 };
static const char END[] = "<|endoftext|>";

typedef struct {
    const char *s;
    size_t n;
} span;

struct bqb_text_documents {
    char **file;
    size_t n_files;
    span *doc;
    size_t n, cap;
};

static bqb_status add(bqb_text_documents *d, const char *s, size_t n, bqb_err *err) {
    while (n && (*s == '\n' || *s == '\r')) s++, n--;
    while (n && (s[n - 1] == '\n' || s[n - 1] == '\r')) n--;
    if (!n) return BQB_OK;
    span *grown = bqb_grow(d->doc, d->n, &d->cap, sizeof *grown, 1024);
    if (!grown) return bqb_fail_nomem(err, "documents", d->n * sizeof *grown);
    d->doc = grown;
    d->doc[d->n++] = (span){s, n};
    return BQB_OK;
}

/* Where the next document's end is, and how long what divides it from the one after. */
static const char *divider(const char *at, bool marked, size_t *n) {
    const char *end = strstr(at, marked ? END : "\n\n");
    *n = marked ? strlen(END) : 2;
    return end;
}

static bqb_status cut(bqb_text_documents *d, const char *text, size_t size, bqb_err *err) {
    bool marked = strstr(text, END) != NULL;
    bqb_status s = BQB_OK;
    const char *at = text, *end;
    for (size_t n; !s && (end = divider(at, marked, &n)); at = end + n) s = add(d, at, (size_t)(end - at), err);
    return s ? s : add(d, at, size - (size_t)(at - text), err);
}

bqb_status bqb_text_documents_open(bqb_text_documents **out, const char *const *path, size_t n, bqb_err *err) {
    *out = NULL;
    bqb_text_documents *d = bqb_calloc(1, sizeof *d);
    if (d) d->file = bqb_calloc(n, sizeof *d->file);
    if (!d || !d->file) {
        free(d);
        return bqb_fail_nomem(err, "documents", n * sizeof *d->file);
    }
    bqb_status s = BQB_OK;
    size_t left = MAX_BYTES;
    for (size_t i = 0; i < n && !s; i++) {
        size_t size = 0;
        s = bqb_file_read(&d->file[i], &size, path[i], left, err);
        if (s) break;
        d->n_files++;
        left -= size;
        if (strlen(d->file[i]) != size) s = bqb_fail(err, BQB_EFORMAT, "%s: holds a NUL byte; text is needed", path[i]);
        else s = cut(d, d->file[i], size, err);
    }
    if (!s && d->n < HELD) s = bqb_fail(err, BQB_EINVAL, "%zu documents; at least %d are needed, divided by %s or empty lines", d->n, HELD, END);
    if (s) bqb_text_documents_close(d);
    else *out = d;
    return s;
}

void bqb_text_documents_close(bqb_text_documents *d) {
    if (!d) return;
    for (size_t i = 0; i < d->n_files; i++) free(d->file[i]);
    free(d->file);
    free(d->doc);
    free(d);
}

size_t bqb_text_documents_count(const bqb_text_documents *d, bool held_out) { return held_out ? d->n / HELD : d->n - d->n / HELD; }

bqb_status bqb_text_document(void *ctx, bool held_out, uint64_t i, bqb_buf *out, bqb_err *err) {
    const bqb_text_documents *d = ctx;
    i %= bqb_text_documents_count(d, held_out);
    /* Held out are HELD - 1, 2 · HELD - 1, …; the others lie between. */
    uint64_t at = held_out ? i * HELD + HELD - 1 : i + i / (HELD - 1);
    return bqb_buf_append(out, d->doc[at].s, d->doc[at].n, err);
}
