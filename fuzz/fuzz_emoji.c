/* Emoji in any text: names end, stay inside, change nothing else; and the words that two texts share. */
#include "search/explain.h"
#include "target.h"
#include "text/emoji.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = malloc(size + 1);
    if (!text) return 0;
    memcpy(text, data, size);
    text[size] = 0;
    size_t n = strlen(text), most = 0, units;
    for (size_t i = 0; i < n; i++) {
        size_t length, names = bqb_emoji_at(text + i, n - i, &length);
        if (length > n - i || (names > 0) != (length > 0)) abort();
    }
    bqb_buf named = {.max = 64 << 20}, match = {.max = 64 << 20};
    if (!bqb_emoji_words(&named, text, size % 8, &most, NULL) && !most && strcmp(named.data, text) != 0) abort();
    if (named.data && !bqb_explain_match(&match, &units, text, named.data, named.len, NULL) && strlen(match.data) != match.len)
        abort();
    bqb_buf_free(&named);
    bqb_buf_free(&match);
    free(text);
    return 0;
}
