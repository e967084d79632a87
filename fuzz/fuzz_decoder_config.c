/* config.json and generation_config.json of language models: what is taken makes sizes that fit each other. */
#include "model/decoder.h"
#include "target.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *path = fuzz_file(data, size);
    bqb_decoder_config c = {0};
    if (!path) return 0;
    bqb_decoder_config_more_ends(&c, path, NULL);
    if (c.n_end > BQB_DECODER_ENDS) abort();
    if (bqb_decoder_config_read(&c, path, NULL)) return 0;
    if (!c.kv_heads || c.heads % c.kv_heads || c.head_dim % 2 || !c.layers || !(c.rope_theta > 0) || !(c.rope_factor > 0) || !(c.eps > 0) ||
        c.n_end > BQB_DECODER_ENDS)
        abort();
    return 0;
}
