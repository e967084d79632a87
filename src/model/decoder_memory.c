/* How much memory a language model takes, from its sizes: what decoder.c, decoder_attend.c and matrix.c ask for. */
#include "model/decoder_internal.h"

#include "base/ram.h"

#include <stdlib.h>
#include <string.h>

static int add_tensor(void *ctx, const bqb_decoder_tensor *t) {
    bqb_decoder_bytes *b = ctx;
    double n = (double)(t->rows ? t->rows : 1) * (double)t->cols;
    b->parameters += n;
    if (t->matrix) b->matrices[t->matrix->kind]++;
    if (t->matrix) b->weights += (double)t->rows * (double)bqb_row_bytes(t->matrix->kind, t->cols);
    else b->activations += 4 * n; /* read into f32 */
    return 0;
}

static double larger(double a, double b) { return a > b ? a : b; }

void bqb_decoder_memory(bqb_decoder_bytes *out, bqb_decoder *m, size_t positions) {
    const bqb_decoder_config *c = &m->config;
    double e = (double)bqb_num_size_bytes(m->mul.num), T = (double)m->mul.threads, P = (double)positions;
    double n = P < BQB_DECODER_PART ? P : BQB_DECODER_PART, C = (double)c->width, M = (double)c->mlp;
    double Q = (double)(c->heads * c->head_dim), KV = (double)(c->kv_heads * c->head_dim), widest = larger(larger(C, Q), M);
    *out = (bqb_decoder_bytes){0};
    bqb_decoder_each_tensor(m, add_tensor, out);
    out->past = 2 * e * (double)c->layers * P * KV;
    double block = 4 * n * (2 * C + 2 * KV + 2 * Q + 2 * M);
    double product = (n + 64) * widest * e + T * ((512 << 10) + 64 * widest * e + 4 * widest + 64 * 4 * ((512 << 10) / (e * C) + 64));
    double attention = T * (P > 8192 ? 16 : 64) * (P * (4 + e) + 8 * (double)c->head_dim);
    double angles = 4 * P * (double)c->head_dim, logits = 4 * (double)c->vocab;
    /* The arena grows by doubling; oneDNN keeps the code that it writes. */
    out->activations += 2 * (block + larger(product, attention)) + angles + logits + 16e6;
    out->total = out->weights + out->past + out->activations;
}

bqb_status bqb_decoder_fits(bqb_decoder *m, size_t positions, const char *name, bqb_err *err) {
    bqb_decoder_bytes b, least;
    bqb_decoder_memory(&b, m, positions);
    bqb_decoder_memory(&least, m, positions < 1024 ? positions : 1024);
    const char *allow = getenv("BQB_MEMORY");
    double there = bqb_memory_there();
    if (b.total <= there || (allow && !strcmp(allow, "any"))) return BQB_OK;
    return bqb_fail(err, BQB_ENOMEM, "%s: needs %.1f GB (weights %.1f, %zu positions of a conversation %.1f, work %.1f), %.1f are there; %sBQB_MEMORY=any tries it all the same",
                    name, b.total / 1e9, b.weights / 1e9, positions, b.past / 1e9, b.activations / 1e9, there / 1e9,
                    least.total <= there ? "a shorter context needs less, " : "");
}
