/* Zip archives: every entry that can be had lies inside the file or was inflated within bounds. */
#include "file/zip.h"
#include "target.h"

#include <stdlib.h>
#include <string.h>

static volatile unsigned char seen;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *path = fuzz_file(data, size);
    bqb_zip *z = NULL;
    if (!path || bqb_zip_open(&z, path, NULL)) return 0;
    if (bqb_zip_size_bytes(z) != size) abort();
    for (size_t i = 0; i < bqb_zip_count(z); i++) {
        const bqb_zip_entry *e = bqb_zip_at(z, i);
        const uint8_t *bytes;
        if (!*e->name || bqb_zip_find(z, e->name) != e) abort();
        if (bqb_zip_data(z, e, &bytes, NULL)) continue;
        for (uint64_t k = 0; k < e->size; k++) seen ^= bytes[k];
    }
    if (bqb_zip_at(z, bqb_zip_count(z))) abort();
    bqb_zip_close(z);
    return 0;
}
