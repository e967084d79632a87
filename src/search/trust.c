#include "search/trust.h"

#include "base/mem.h"
#include "file/safetensors.h"
#include "library/familiar.h"
#include "search/scan.h"

#include <math.h>
#include <stdlib.h>

enum { TEXTS = 64, OTHERS = 256, LENT = 2 };

/* z of the picture of one text's sticker among evenly chosen ones; NaN when it has none. */
static double z_of(const bqb_vectors *pictures, bqb_sticker_id id, const float *text) {
    size_t own = bqb_vectors_row(pictures, id), n = pictures->n < OTHERS ? pictures->n : OTHERS;
    float product[OTHERS];
    if (own == SIZE_MAX) return NAN;
    for (size_t i = 0; i < n; i++) product[i] = bqb_scan_row(pictures, i * pictures->n / n, text);
    return bqb_stands_out((double)bqb_scan_row(pictures, own, text), product, n);
}

double bqb_trust(const bqb_vectors *pictures, const bqb_vectors *texts) {
    double sum = 2.0 * LENT, n = LENT;
    if (!texts || !texts->n || pictures->n < 8 || texts->dim != pictures->dim) return 1;
    float *text = bqb_calloc(texts->dim, sizeof *text);
    if (!text) return 1;
    size_t n_texts = texts->n < TEXTS ? texts->n : TEXTS;
    for (size_t i = 0; i < n_texts; i++) {
        size_t row = i * texts->n / n_texts;
        for (size_t d = 0; d < texts->dim; d++) text[d] = bqb_f16_to_f32(texts->f16[row * texts->dim + d]);
        double z = z_of(pictures, texts->id[row], text);
        if (!(z == z)) continue;
        sum += z;
        n++;
    }
    free(text);
    double trust = (sum / n - 0.3) / 1.7;
    return trust >= 1 ? 1 : trust > 0.1 ? trust : 0.1;
}
