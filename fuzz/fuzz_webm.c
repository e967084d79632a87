/* WebM files: every frame lies inside the file. The decoder is libvpx's, in a process of its own. */
#include "image/webm.h"
#include "target.h"

#include <stdlib.h>

static volatile unsigned char seen;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    bqb_webm w;
    if (bqb_webm_parse(&w, data, size, NULL)) return 0;
    if (!w.n || !w.width || !w.height) abort();
    for (size_t f = 0; f < w.n; f++) {
        const bqb_webm_frame *x = &w.frame[f];
        for (size_t i = 0; i < x->size; i++) seen ^= data[x->at + i];
        for (size_t i = 0; i < x->alpha_size; i++) seen ^= data[x->alpha_at + i];
    }
    bqb_webm_free(&w);
    return 0;
}
