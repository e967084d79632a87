/* tokenizer.json of a CLIP, and a text in its words. An input is the JSON, a line "==", and the text. */
#define _GNU_SOURCE
#include "target.h"
#include "text/tokenizer.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char mark[] = "\n==\n";
    const uint8_t *at = memmem(data, size, mark, sizeof mark - 1), *text = at ? at + sizeof mark - 1 : data + size;
    const char *path = fuzz_file(data, at ? (size_t)(at - data) : size);
    bqb_tokenizer *t = NULL;
    if (!path || bqb_tokenizer_open_json(&t, path, NULL)) return 0;
    enum { MAX_IDS = 52 };
    int32_t ids[MAX_IDS];
    size_t n = bqb_tokenizer_encode(t, ids, MAX_IDS, (const char *)text, (size_t)(data + size - text));
    if (n < 2 || n > MAX_IDS) abort();
    for (size_t i = 0; i < MAX_IDS; i++)
        if (ids[i] < 0 || (size_t)ids[i] >= bqb_tokenizer_size(t)) abort();
    if (bqb_tokenizer_token(t, bqb_tokenizer_size(t))) abort();
    bqb_tokenizer_close(t);
    return 0;
}
