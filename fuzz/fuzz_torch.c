/* PyTorch checkpoints: whatever pickle and archive claim, every tensor lies in memory that is ours. */
#include "file/torch.h"
#include "target.h"

#include <stdlib.h>
#include <string.h>

static volatile unsigned char seen;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *path = fuzz_file(data, size);
    bqb_safetensors *st = NULL;
    if (!path || bqb_torch_open(&st, path, NULL)) return 0;
    for (size_t i = 0; i < bqb_safetensors_count(st); i++) {
        const bqb_tensor *t = bqb_safetensors_at(st, i);
        if (!bqb_safetensors_find(st, t->name) || !*t->name) abort();
        const uint8_t *bytes = t->data;
        for (size_t k = 0; k < t->n * bqb_dtype_size_bytes(t->dtype); k++) seen ^= bytes[k];
    }
    bqb_safetensors_close(st);
    return 0;
}
