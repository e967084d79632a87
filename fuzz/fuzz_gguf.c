/* GGUF files: whatever they claim, keys and tensors lie inside the file, and what makes no model is refused. */
#include "file/gguf.h"
#include "model/decoder.h"
#include "target.h"

#include <stdlib.h>
#include <string.h>

static volatile unsigned char seen;

static int look(void *ctx, size_t i, bqb_gguf_text t) {
    (void)ctx;
    (void)i;
    for (size_t k = 0; k < t.n; k++) seen ^= (unsigned char)t.s[k];
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *path = fuzz_file(data, size);
    bqb_gguf *g = NULL;
    bqb_decoder_config c;
    if (!path || bqb_gguf_open(&g, path, NULL)) return 0;
    double v;
    size_t n;
    bqb_gguf_number(g, "llama.block_count", &v);
    bqb_gguf_each_text(g, "words", look, NULL, NULL);
    if (bqb_gguf_numbers(g, "kinds", &n) && n) seen ^= bqb_gguf_number_at(g, "kinds", n - 1) > 0;
    for (size_t i = 0; i < bqb_gguf_tensor_count(g); i++) {
        const bqb_gguf_tensor *t = bqb_gguf_tensor_at(g, i);
        seen ^= ((const unsigned char *)t->data)[t->bytes - 1];
        look(NULL, 0, t->name);
    }
    if (!bqb_decoder_config_gguf(&c, g, NULL) && (!c.heads || c.heads % c.kv_heads)) abort();
    bqb_gguf_close(g);
    return 0;
}
