#include "train/pretrain_keep.h"

#include "base/fs.h"
#include "base/utf8.h"
#include "text/bpe_learn.h"
#include "train/checkpoint.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char kind[] = "bqb language model checkpoint 1", name[] = "checkpoint.safetensors";
static const char *const added[] = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
enum { ADDED = 3, MAX_DOCUMENT = 1 << 20, TOKEN_BYTES = 12 };

static char *path_of(const bqb_pretrain_options *o, const char *file, bqb_err *err) {
    char *path = bqb_path_join(o->out, file);
    if (!path) bqb_fail_nomem(err, o->out, strlen(o->out));
    return path;
}

bqb_status bqb_pretrain_settings(bqb_buf *out, const bqb_pretrain_options *o, bqb_err *err) {
    return bqb_buf_printf(out, err,
                          "width %zu layers %zu heads %zu kv_heads %zu mlp %zu context %zu steps %zu batch %zu warmup %zu lr %.9g weight_decay %.9g "
                          "clip_norm %.9g seed %" PRIu64 " precision %s%s%s%s",
                          o->width, o->layers, o->heads, o->kv_heads, o->mlp, o->context, o->steps, o->batch, o->warmup, o->lr, o->weight_decay,
                          o->clip_norm, o->seed, bqb_precision_name(o->precision), o->answers ? " answers" : "",
                          o->recall ? " recall " : "", o->recall ? o->recall : "");
}

/* ---- checkpoint ---- */

bool bqb_pretrain_begun(const bqb_pretrain_options *o) {
    char *path = bqb_path_join(o->out, name);
    bool there = path && !access(path, F_OK);
    free(path);
    return there;
}

bqb_status bqb_pretrain_save(const bqb_pretrain_options *o, bqb_decoder *m, const float *mom, const float *var, const bqb_pretrain_place *at,
                             bqb_err *err) {
    size_t n = bqb_decoder_weight_count(m);
    const bqb_tensor t[] = {bqb_checkpoint_block("moment1", mom, n), bqb_checkpoint_block("moment2", var, n),
                            bqb_checkpoint_block("weights", bqb_decoder_weights(m), n)};
    char place[80];
    snprintf(place, sizeof place, "%" PRIu64 " %" PRIu64 " %" PRIu64, at->step, at->document, at->tokens);
    bqb_buf settings = {.max = 4096};
    bqb_status s = bqb_pretrain_settings(&settings, o, err);
    const char *meta[] = {"kind", kind, "place", place, "settings", settings.data, NULL};
    char *path = s ? NULL : path_of(o, name, err);
    if (!s) s = path ? bqb_safetensors_write(path, t, 3, meta, err) : BQB_ENOMEM;
    free(path);
    bqb_buf_free(&settings);
    return s;
}

static bqb_status read_checkpoint(const bqb_safetensors *st, const bqb_pretrain_options *o, bqb_decoder *m, float *mom, float *var,
                                  bqb_pretrain_place *at, const char *path, bqb_err *err) {
    const char *place = bqb_safetensors_metadata(st, "place"), *old = bqb_safetensors_metadata(st, "settings");
    if (!place || !old || sscanf(place, "%" SCNu64 " %" SCNu64 " %" SCNu64, &at->step, &at->document, &at->tokens) != 3)
        return bqb_fail(err, BQB_EFORMAT, "%s: does not say how far the training was", path);
    bqb_buf now = {.max = 4096};
    bqb_status s = bqb_pretrain_settings(&now, o, err);
    if (!s && strcmp(now.data, old))
        s = bqb_fail(err, BQB_EINVAL, "%s was made with other settings and can be resumed with these only: %s; asked for: %s", path, old, now.data);
    bqb_buf_free(&now);
    size_t n = bqb_decoder_weight_count(m);
    if (!s) s = bqb_checkpoint_take(mom, st, "moment1", n, path, err);
    if (!s) s = bqb_checkpoint_take(var, st, "moment2", n, path, err);
    return s ? s : bqb_checkpoint_take(bqb_decoder_weights(m), st, "weights", n, path, err);
}

bqb_status bqb_pretrain_load(const bqb_pretrain_options *o, bqb_decoder *m, float *mom, float *var, bqb_pretrain_place *at, bqb_err *err) {
    char *path = path_of(o, name, err);
    if (!path) return BQB_ENOMEM;
    bqb_safetensors *st = NULL;
    bqb_status s = bqb_checkpoint_open(&st, path, kind, "not a checkpoint of bqb pretrain", err);
    if (!s) s = read_checkpoint(st, o, m, mom, var, at, path, err);
    bqb_safetensors_close(st);
    free(path);
    return s;
}

/* ---- tokenizer ---- */

static bqb_status copy_file(const char *to, const char *from, bqb_err *err) {
    char *data = NULL;
    size_t n = 0;
    bqb_status s = bqb_file_read(&data, &n, from, 64 << 20, err);
    if (!s) s = bqb_file_write(to, data, n, err);
    free(data);
    return s;
}

/* Punctuation: ASCII's but for the apostrophe, and that of general, Chinese and full-width writing. */
static bool is_mark(uint32_t c) {
    if (c < 0x80) return strchr("!\"#$%&()*+,-./:;<=>?@[\\]^_`{|}~", (int)c) && c;
    return c == 0xb7 || (c >= 0x2010 && c <= 0x22ff) || (c >= 0x3000 && c <= 0x303f) || (c >= 0xff00 && c <= 0xff0f) || (c >= 0xff1a && c <= 0xff20);
}

/* By the cutting rule a mark before letters is one piece with them. Learnt from apart, it stays a token of
 * its own, and what comes after it has the same tokens as anywhere else. Added tokens are no text. */
static bqb_status take_text(bqb_bpe_learner *l, const char *text, size_t n, bqb_err *err) {
    bqb_status s = BQB_OK;
    for (size_t at = 0, from = 0; at <= n && !s;) {
        uint32_t c = 0;
        bool ok = true;
        size_t size = at < n ? bqb_utf8_next(text + at, n - at, &c, &ok) : 1, skip = 0;
        for (size_t i = 0; i < ADDED && at < n; i++)
            if (!strncmp(text + at, added[i], strlen(added[i]))) skip = strlen(added[i]);
        if (at == n || skip || is_mark(c)) {
            if (at > from) s = bqb_bpe_learner_add(l, text + from, at - from, err);
            if (!s && at < n && !skip) s = bqb_bpe_learner_add(l, text + at, size, err);
            from = at + (skip ? skip : size);
        }
        at += skip ? skip : size;
    }
    return s;
}

static bqb_status learn_tokenizer(const char *path, const bqb_pretrain_options *o, bqb_err *err) {
    bqb_bpe_learner *l = NULL;
    bqb_buf text = {.max = MAX_DOCUMENT};
    bqb_status s = bqb_bpe_learner_new(&l, TOKEN_BYTES, err);
    for (uint64_t i = 0; i < o->vocab_documents && !s; i++) {
        text.len = 0;
        s = o->source(o->source_ctx, false, i, &text, err);
        if (!s && text.len) s = take_text(l, text.data, text.len, err);
    }
    if (!s && o->vocab < 256 + ADDED) s = bqb_fail(err, BQB_EINVAL, "a vocabulary of %zu tokens: 259 are the least", o->vocab);
    if (!s) s = bqb_bpe_learner_write(l, path, o->vocab - ADDED, added, ADDED, NULL, o->progress, o->ctx, err);
    bqb_buf_free(&text);
    bqb_bpe_learner_free(l);
    return s;
}

bqb_status bqb_pretrain_tokenizer(bqb_llm_tokenizer **tok, const bqb_pretrain_options *o, bqb_err *err) {
    char *path = path_of(o, "tokenizer.json", err);
    *tok = NULL;
    if (!path) return BQB_ENOMEM;
    bqb_status s = BQB_OK;
    char *theirs = o->init && !o->tokenizer ? bqb_path_join(o->init, "tokenizer.json") : NULL;
    if (!o->resume && theirs) s = copy_file(path, theirs, err);
    else if (!o->resume) s = o->tokenizer ? copy_file(path, o->tokenizer, err) : learn_tokenizer(path, o, err);
    if (!s) s = bqb_llm_tokenizer_open(tok, path, err);
    if (!s && (bqb_llm_tokenizer_added(*tok, "<|endoftext|>") < 0 || bqb_llm_tokenizer_added(*tok, "<|im_end|>") < 0))
        s = bqb_fail(err, BQB_EFORMAT, "%s: has no added tokens <|endoftext|> and <|im_end|>", path);
    free(theirs);
    free(path);
    return s;
}

/* ---- tables ---- */

bqb_status bqb_pretrain_line(const bqb_pretrain_options *o, const char *table, bqb_err *err, const char *fmt, ...) {
    char *path = path_of(o, table, err);
    if (!path) return BQB_ENOMEM;
    FILE *f = fopen(path, "a");
    bqb_status s = f ? BQB_OK : bqb_fail_errno(err, "%s", path);
    if (f) {
        va_list ap;
        va_start(ap, fmt);
        bool bad = vfprintf(f, fmt, ap) < 0;
        va_end(ap);
        if (fclose(f) || bad) s = bqb_fail_errno(err, "%s", path);
    }
    free(path);
    return s;
}
