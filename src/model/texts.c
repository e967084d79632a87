#include "model/texts.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { TEXTS_AT_ONCE = 64 };

typedef struct {
    size_t length, text;
} text_order;

static int by_length(const void *a, const void *b) {
    const text_order *x = a, *y = b;
    if (x->length != y->length) return x->length < y->length ? -1 : 1;
    return (x->text > y->text) - (x->text < y->text);
}

bqb_status bqb_embed_texts(float *out, bqb_clip *m, const bqb_tokenizer *tok, const char *const *texts, size_t n,
                           bqb_progress_fn progress, void *ctx, bqb_err *err) {
    const bqb_clip_config *c = bqb_clip_get_config(m);
    size_t L = c->context, D = c->embed;
    text_order *order = bqb_calloc(n, sizeof *order);
    int32_t *ids = bqb_calloc(n * L, sizeof *ids), *block = bqb_calloc(TEXTS_AT_ONCE * L, sizeof *block);
    float *rows = bqb_calloc(TEXTS_AT_ONCE * D, sizeof *rows);
    bqb_status s = BQB_OK;
    if (!order || !ids || !block || !rows) s = bqb_fail_nomem(err, "tokens", n * L * sizeof *ids);
    for (size_t i = 0; i < n && !s; i++)
        order[i] = (text_order){bqb_tokenizer_encode(tok, ids + i * L, L, texts[i], strlen(texts[i])), i};
    if (!s) qsort(order, n, sizeof *order, by_length);
    for (size_t at = 0; at < n && !s; at += TEXTS_AT_ONCE) {
        size_t here = n - at < TEXTS_AT_ONCE ? n - at : TEXTS_AT_ONCE, longest = order[at + here - 1].length;
        for (size_t k = 0; k < here; k++)
            memcpy(block + k * longest, ids + order[at + k].text * L, longest * sizeof *ids);
        s = bqb_clip_encode_tokens(m, rows, block, here, longest, err);
        for (size_t k = 0; k < here && !s; k++)
            memcpy(out + order[at + k].text * D, rows + k * D, D * sizeof *rows);
        if (!s && progress && progress(ctx, "encoding texts", at + here, n))
            s = bqb_fail(err, BQB_ECANCEL, "stopped while encoding texts");
    }
    free(order);
    free(ids);
    free(block);
    free(rows);
    return s;
}
