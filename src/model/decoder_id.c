/* What tells one language model from another without reading all of it. */
#include "base/fs.h"
#include "base/sha256.h"
#include "model/decoder_internal.h"

#include <stdio.h>
#include <string.h>

enum { SAMPLES = 8, SAMPLE_BYTES = 64 }; /* of each tensor */

static int add_tensor(void *ctx, const bqb_decoder_tensor *t) {
    bqb_sha256 *h = ctx;
    const char *data = t->matrix ? t->matrix->data : (const char *)*t->vector;
    size_t rows = t->rows ? t->rows : 1, row = t->matrix ? bqb_row_bytes(t->matrix->kind, t->cols) : t->cols * sizeof(float), size = rows * row;
    char shape[256];
    int n = snprintf(shape, sizeof shape, "%s %zu %zu %s\n", t->name, t->rows, t->cols, t->matrix ? bqb_row_kind_name(t->matrix->kind) : "vector");
    bqb_sha256_update(h, shape, (size_t)n);
    if (size <= SAMPLES * SAMPLE_BYTES) {
        bqb_sha256_update(h, data, size);
        return 0;
    }
    for (size_t i = 0; i < SAMPLES; i++) /* from the first byte to the last */
        bqb_sha256_update(h, data + (size - SAMPLE_BYTES) / (SAMPLES - 1) * i, SAMPLE_BYTES);
    return 0;
}

const char *bqb_decoder_id(bqb_decoder *m) {
    if (m->id[0] && !m->weights) return m->id;
    const bqb_decoder_config *c = &m->config;
    bqb_sha256 h;
    uint8_t sum[BQB_SHA256_SIZE];
    char sizes[512];
    int n = snprintf(sizes, sizeof sizes, "%s %zu %zu %zu %zu %zu %zu %zu %.9g %.17g %.17g %d %.17g %.17g %.17g %d %d\n",
                     bqb_decoder_family_name(c->family), c->vocab, c->width, c->layers, c->heads, c->kv_heads, c->head_dim, c->mlp, (double)c->eps,
                     c->rope_theta, c->rope_factor, c->rope_llama3, c->rope_low, c->rope_high, c->rope_original, c->rope_neighbours, c->tied);
    bqb_sha256_init(&h);
    bqb_sha256_update(&h, sizes, (size_t)n);
    bqb_decoder_each_tensor(m, add_tensor, &h);
    bqb_sha256_final(&h, sum);
    bqb_hex(m->id, sum, sizeof sum);
    return m->id;
}

const char *bqb_decoder_name(const bqb_decoder *m) { return m->path ? bqb_path_base(m->path) : "(new)"; }
