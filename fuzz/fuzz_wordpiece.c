#define _GNU_SOURCE
/* The tokenizer. An input is a vocabulary, an empty line, and a text. */
#include "target.h"
#include "text/wordpiece.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const uint8_t *text = memmem(data, size, "\n\n", 2);
    size_t vocab_size = text ? (size_t)(text - data) + 1 : size;
    text = text ? text + 2 : data + size;
    size_t text_size = (size_t)(data + size - text);
    const char *path = fuzz_file(data, vocab_size);
    bqb_wordpiece *wp = NULL;
    if (!path || bqb_wordpiece_open(&wp, path, NULL)) return 0;
    enum { MAX_IDS = 64 };
    for (size_t max = 2; max <= MAX_IDS; max += 31) {
        int32_t *ids = malloc(max * sizeof *ids);
        if (!ids) abort();
        size_t n = bqb_wordpiece_encode(wp, ids, max, (const char *)text, text_size);
        if (n < 2 || n > max) abort();
        for (size_t i = 0; i < max; i++) {
            if (ids[i] < 0 || (size_t)ids[i] >= bqb_wordpiece_size(wp)) abort();
            if (i >= n && ids[i] != bqb_wordpiece_pad(wp)) abort();
        }
        if (strcmp(bqb_wordpiece_token(wp, (size_t)ids[0]), "[CLS]")) abort();
        if (strcmp(bqb_wordpiece_token(wp, (size_t)ids[n - 1]), "[SEP]")) abort();
        free(ids);
    }
    if (bqb_wordpiece_token(wp, bqb_wordpiece_size(wp))) abort();
    bqb_wordpiece_close(wp);
    return 0;
}
