#include "model/decoder_random.h"

#include "base/fs.h"
#include "base/rand.h"
#include "base/utf8.h"
#include "file/safetensors.h"
#include "model/decoder_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATTERN = 1 << 20, ALIGN = 32 };

typedef struct {
    const bqb_decoder_config *c;
    bqb_row_kind kind;
    bool gguf;
    bqb_buf head;             /* the tensors as the file names them */
    size_t n, at;             /* tensors so far, bytes of data so far */
    uint8_t *pattern[BQB_ROW_KINDS];
    FILE *f;                  /* the second time: write the data */
    bqb_err *err;
    bqb_status status;
} writer;

static void put_f16(uint8_t *to, double x) {
    uint16_t h = bqb_f32_to_f16((float)x);
    memcpy(to, &h, 2);
}

/* Whole blocks whose numbers lie around 0, about 0.02 from it. */
static void fill(uint8_t *out, bqb_row_kind k) {
    bqb_rand r = bqb_rand_seed(9, k);
    size_t block = bqb_row_block_bytes(k), n = PATTERN / block;
    for (size_t i = 0; i < n * block; i++) out[i] = (uint8_t)bqb_rand_u64(&r);
    for (size_t i = 0; i < n; i++) {
        uint8_t *b = out + i * block;
        float x = (float)(0.02 * bqb_rand_normal(&r));
        uint16_t bf = bqb_f32_to_bf16(x);
        switch (k) {
        case BQB_ROW_F32: memcpy(b, &x, 4); break;
        case BQB_ROW_F16: put_f16(b, (double)x); break;
        case BQB_ROW_BF16: memcpy(b, &bf, 2); break;
        case BQB_ROW_Q8_0: put_f16(b, 0.02 / 73); break;
        case BQB_ROW_Q4_K: put_f16(b, 0.02 / 150), put_f16(b + 2, 7.5 * 0.02 / 150); break;
        case BQB_ROW_Q6_K: put_f16(b + 208, 0.02 / 1300); break;
        case BQB_ROW_Q4_0: put_f16(b, 0.02 / 4.6); break;
        case BQB_ROW_Q5_0: put_f16(b, 0.02 / 9.2); break;
        case BQB_ROW_Q5_K: put_f16(b, 0.02 / 300), put_f16(b + 2, 15.5 * 0.02 / 300); break;
        default: break;
        }
    }
}

/* As llama.cpp does. */
static bqb_row_kind finer(bqb_row_kind k) { return k == BQB_ROW_Q4_K ? BQB_ROW_Q5_0 : k == BQB_ROW_Q6_K ? BQB_ROW_Q8_0 : BQB_ROW_F16; }

/* llama.cpp gives more bits to the embedding, and to values and the MLP's last product of half of the layers. */
static bqb_row_kind kind_of(const writer *w, const bqb_decoder_tensor *t) {
    size_t layer = 0, L = w->c->layers;
    bqb_row_kind k = w->kind;
    if (t->vector) return w->gguf ? BQB_ROW_F32 : BQB_ROW_BF16;
    bool inner = sscanf(t->name, "model.layers.%zu.", &layer) == 1;
    bool more = inner ? (bqb_ends_with(t->name, "v_proj.weight") || bqb_ends_with(t->name, "down_proj.weight")) &&
                            (layer < L / 8 || layer >= 7 * L / 8 || (layer - L / 8) % 3 == 2)
                      : true;
    if (k == BQB_ROW_Q4_K && more) k = BQB_ROW_Q6_K;
    while (t->cols % bqb_row_block(k)) k = finer(k);
    return k;
}

static uint32_t gguf_type(bqb_row_kind k) {
    static const uint32_t types[BQB_ROW_KINDS] = {[BQB_ROW_F32] = 0, [BQB_ROW_F16] = 1, [BQB_ROW_BF16] = 30,
                                                  [BQB_ROW_Q8_0] = 8, [BQB_ROW_Q4_K] = 12, [BQB_ROW_Q6_K] = 14,
                                                  [BQB_ROW_Q4_0] = 2,  [BQB_ROW_Q5_0] = 6,  [BQB_ROW_Q5_K] = 13};
    return types[k];
}

/* ---- heads ---- */

static bqb_status put(bqb_buf *b, uint64_t v, size_t n, bqb_err *err) {
    uint8_t bytes[8];
    for (size_t i = 0; i < 8; i++) bytes[i] = (uint8_t)(v >> 8 * i);
    return bqb_buf_append(b, bytes, n, err);
}

static bqb_status put_text(bqb_buf *b, const char *s, bqb_err *err) {
    bqb_status st = put(b, strlen(s), 8, err);
    return st ? st : bqb_buf_puts(b, s, err);
}

static bqb_status describe(writer *w, const bqb_decoder_tensor *t, bqb_row_kind k, size_t bytes) {
    char other[128];
    if (!w->gguf) {
        const char *comma = w->n ? "," : "{";
        if (t->rows)
            return bqb_buf_printf(&w->head, w->err, "%s\"%s\":{\"dtype\":\"BF16\",\"shape\":[%zu,%zu],\"data_offsets\":[%zu,%zu]}", comma, t->name,
                                  t->rows, t->cols, w->at, w->at + bytes);
        return bqb_buf_printf(&w->head, w->err, "%s\"%s\":{\"dtype\":\"BF16\",\"shape\":[%zu],\"data_offsets\":[%zu,%zu]}", comma, t->name, t->cols,
                              w->at, w->at + bytes);
    }
    bqb_status s = put_text(&w->head, bqb_decoder_gguf_name(other, t->name), w->err);
    if (!s) s = put(&w->head, t->rows ? 2 : 1, 4, w->err);
    if (!s) s = put(&w->head, t->cols, 8, w->err);
    if (!s && t->rows) s = put(&w->head, t->rows, 8, w->err);
    if (!s) s = put(&w->head, gguf_type(k), 4, w->err);
    return s ? s : put(&w->head, w->at, 8, w->err);
}

/* ---- data ---- */

/* A vector: norms are 1, biases 0. */
static bool write_vector(writer *w, const bqb_decoder_tensor *t, bqb_row_kind k) {
    float one = bqb_ends_with(t->name, ".bias") ? 0 : 1;
    uint16_t bf = bqb_f32_to_bf16(one);
    for (size_t i = 0; i < t->cols; i++)
        if (fwrite(k == BQB_ROW_F32 ? (void *)&one : (void *)&bf, bqb_row_block_bytes(k), 1, w->f) != 1) return false;
    return true;
}

static bool write_matrix(writer *w, bqb_row_kind k, size_t bytes) {
    size_t block = bqb_row_block_bytes(k), period = PATTERN / block * block;
    if (!w->pattern[k]) {
        w->pattern[k] = bqb_calloc(PATTERN, 1);
        if (!w->pattern[k]) return false;
        fill(w->pattern[k], k);
    }
    for (size_t done = 0; done < bytes; done += period)
        if (fwrite(w->pattern[k], bytes - done < period ? bytes - done : period, 1, w->f) != 1) return false;
    return true;
}

static int each(void *ctx, const bqb_decoder_tensor *t) {
    writer *w = ctx;
    bqb_row_kind k = kind_of(w, t);
    size_t bytes = (t->rows ? t->rows : 1) * bqb_row_bytes(k, t->cols), after = w->gguf ? (ALIGN - bytes % ALIGN) % ALIGN : 0;
    static const char zeros[ALIGN];
    if (!w->f) w->status = describe(w, t, k, bytes);
    else if (!(t->rows ? write_matrix(w, k, bytes) : write_vector(w, t, k)) || (after && fwrite(zeros, after, 1, w->f) != 1))
        w->status = bqb_fail_errno(w->err, "random weights cannot be written");
    w->at += bytes + after;
    w->n++;
    return w->status != BQB_OK;
}

/* ---- the file ---- */

static bqb_status gguf_head(writer *w, bqb_buf *out) {
    const bqb_decoder_config *c = w->c;
    const char *family = bqb_decoder_family_name(c->family);
    const struct {
        const char *name;
        double value;
        bool real;
    } keys[] = {{"context_length", (double)c->context, false}, {"embedding_length", (double)c->width, false},
                {"block_count", (double)c->layers, false}, {"feed_forward_length", (double)c->mlp, false},
                {"attention.head_count", (double)c->heads, false}, {"attention.head_count_kv", (double)c->kv_heads, false},
                {"attention.key_length", (double)c->head_dim, false}, {"rope.freq_base", c->rope_theta, true},
                {"attention.layer_norm_rms_epsilon", (double)c->eps, true}};
    enum { KEYS = sizeof keys / sizeof *keys };
    bqb_status s = bqb_buf_puts(out, "GGUF", w->err);
    if (!s) s = put(out, 3, 4, w->err);
    if (!s) s = put(out, w->n, 8, w->err);
    if (!s) s = put(out, KEYS + 1, 8, w->err);
    if (!s) s = put_text(out, "general.architecture", w->err);
    if (!s) s = put(out, 8, 4, w->err);
    if (!s) s = put_text(out, family, w->err);
    for (size_t i = 0; i < KEYS && !s; i++) {
        char name[96];
        float real = (float)keys[i].value;
        uint32_t bits = (uint32_t)keys[i].value;
        if (keys[i].real) memcpy(&bits, &real, 4);
        snprintf(name, sizeof name, "%s.%s", family, keys[i].name);
        s = put_text(out, name, w->err);
        if (!s) s = put(out, keys[i].real ? 6 : 4, 4, w->err);
        if (!s) s = put(out, bits, 4, w->err);
    }
    if (!s) s = bqb_buf_append(out, w->head.data, w->head.len, w->err);
    while (!s && out->len % ALIGN) s = put(out, 0, 1, w->err);
    return s;
}

static bqb_status hf_head(writer *w, bqb_buf *out) {
    bqb_status s = bqb_buf_puts(&w->head, "}", w->err);
    while (!s && w->head.len % 8) s = bqb_buf_puts(&w->head, " ", w->err);
    if (!s) s = put(out, w->head.len, 8, w->err);
    return s ? s : bqb_buf_append(out, w->head.data, w->head.len, w->err);
}

static bqb_status write_file(writer *w, const char *path, bqb_decoder *m) {
    bqb_buf head = {.max = (size_t)1 << 26};
    bqb_decoder_each_tensor(m, each, w);
    bqb_status s = w->status ? w->status : w->gguf ? gguf_head(w, &head) : hf_head(w, &head);
    w->f = s ? NULL : fopen(path, "wb");
    if (!s && (!w->f || fwrite(head.data, head.len, 1, w->f) != 1)) s = bqb_fail_errno(w->err, "%s", path);
    if (!s) bqb_decoder_each_tensor(m, each, w);
    if (!s) s = w->status;
    if (w->f && fclose(w->f) && !s) s = bqb_fail_errno(w->err, "%s", path);
    bqb_buf_free(&head);
    return s;
}

static bqb_status write_config(const bqb_decoder_config *c, const char *path, bqb_err *err) {
    char text[1024];
    int n = snprintf(text, sizeof text,
                     "{\"model_type\":\"%s\",\"vocab_size\":%zu,\"hidden_size\":%zu,\"num_hidden_layers\":%zu,\"num_attention_heads\":%zu,"
                     "\"num_key_value_heads\":%zu,\"head_dim\":%zu,\"intermediate_size\":%zu,\"max_position_embeddings\":%zu,\"rms_norm_eps\":%g,"
                     "\"rope_theta\":%g,\"tie_word_embeddings\":%s,\"hidden_act\":\"silu\",\"torch_dtype\":\"bfloat16\"}\n",
                     bqb_decoder_family_name(c->family), c->vocab, c->width, c->layers, c->heads, c->kv_heads, c->head_dim, c->mlp, c->context,
                     (double)c->eps, c->rope_theta, c->tied ? "true" : "false");
    return bqb_file_write_later(path, text, (size_t)n, err);
}

bqb_status bqb_decoder_write_random(const char *path, const bqb_decoder_config *c, bqb_row_kind kind, bqb_err *err) {
    bqb_status s = bqb_decoder_config_check(c, path, err);
    if (s) return s;
    writer w = {.c = c, .kind = kind, .gguf = kind != BQB_ROW_BF16, .head = {.max = (size_t)1 << 26}, .err = err};
    bqb_decoder m = {.config = *c, .biased = c->family == BQB_QWEN2, .block = bqb_calloc(c->layers, sizeof *m.block)};
    if (!m.block) return bqb_fail_nomem(err, path, c->layers * sizeof *m.block);
    if (w.gguf) s = write_file(&w, path, &m);
    else {
        char *config = bqb_path_join(path, "config.json"), *file = bqb_path_join(path, "model.safetensors");
        s = config && file ? bqb_make_dirs(path, err) : bqb_fail_nomem(err, path, strlen(path));
        if (!s) s = write_config(c, config, err);
        if (!s) s = write_file(&w, file, &m);
        free(config);
        free(file);
    }
    for (size_t k = 0; k < BQB_ROW_KINDS; k++) free(w.pattern[k]);
    bqb_buf_free(&w.head);
    free(m.block);
    return s;
}
