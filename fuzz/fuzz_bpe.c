#define _GNU_SOURCE
/* CLIP's tokenizer. An input is a vocab.json, a line "==", a merges.txt, a line
 * "==", and a text. */
#include "target.h"
#include "text/clip_bpe.h"

#include <stdlib.h>
#include <string.h>

static const char MARK[] = "\n==\n";

/* The part of the input up to the next mark, which is passed over. */
static const uint8_t *part(const uint8_t **at, const uint8_t *end, size_t *size) {
    const uint8_t *start = *at, *mark = memmem(start, (size_t)(end - start), MARK, sizeof MARK - 1);
    *size = (size_t)((mark ? mark : end) - start);
    *at = mark ? mark + sizeof MARK - 1 : end;
    return start;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const uint8_t *at = data, *end = data + size;
    size_t vocab_size, merges_size, text_size;
    const uint8_t *vocab = part(&at, end, &vocab_size), *merges = part(&at, end, &merges_size),
                  *text = part(&at, end, &text_size);
    const char *vocab_path = fuzz_file(vocab, vocab_size), *merges_path = fuzz_second_file(merges, merges_size);
    bqb_clip_bpe *t = NULL;
    if (!vocab_path || !merges_path || bqb_clip_bpe_open(&t, vocab_path, merges_path, NULL)) return 0;
    enum { MAX_IDS = 77 };
    for (size_t max = 2; max <= MAX_IDS; max += 25) {
        int32_t *ids = malloc(max * sizeof *ids);
        if (!ids) abort();
        size_t n = bqb_clip_bpe_encode(t, ids, max, (const char *)text, text_size);
        if (n < 2 || n > max) abort();
        for (size_t i = 0; i < max; i++) {
            if (ids[i] < 0 || (size_t)ids[i] >= bqb_clip_bpe_size(t)) abort();
            if (i + 1 >= n && ids[i] != bqb_clip_bpe_end(t)) abort();
        }
        if (strcmp(bqb_clip_bpe_token(t, (size_t)ids[0]), "<|startoftext|>")) abort();
        free(ids);
    }
    if (bqb_clip_bpe_token(t, bqb_clip_bpe_size(t))) abort();
    bqb_clip_bpe_close(t);
    return 0;
}
