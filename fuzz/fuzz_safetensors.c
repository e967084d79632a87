/* safetensors: whatever the header claims, every tensor that is handed out lies inside the file. */
#include "file/safetensors.h"
#include "target.h"

#include <stdlib.h>

/* Volatile and outside, so that reading is not optimised away. */
static volatile unsigned char seen;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *path = fuzz_file(data, size);
    bqb_safetensors *st = NULL;
    if (!path || bqb_safetensors_open(&st, path, NULL)) return 0;
    for (size_t i = 0; i < bqb_safetensors_count(st); i++) {
        const bqb_tensor *t = bqb_safetensors_at(st, i);
        if (!bqb_safetensors_find(st, t->name)) abort();
        size_t n = t->n;
        for (size_t d = 0; d < t->n_dims; d++) {
            if (t->dim[d] && n % t->dim[d]) abort();
            if (t->dim[d]) n /= t->dim[d];
        }
        if (t->n && n != 1) abort();
        const uint8_t *bytes = t->data;
        for (size_t k = 0; k < t->n * bqb_dtype_size_bytes(t->dtype); k++) seen ^= bytes[k];
        float out[4];
        size_t take = t->n < 4 ? t->n : 4;
        if (!bqb_tensor_to_f32(out, t, t->n - take, take, NULL) && take) seen ^= out[0] > 0;
        if (!bqb_tensor_to_f32(out, t, t->n, 1, NULL)) abort();
    }
    bqb_safetensors_metadata(st, "format");
    bqb_safetensors_close(st);
    return 0;
}
