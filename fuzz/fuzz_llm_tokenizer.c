/* tokenizer.json of language models: whatever it holds, texts become ids of its size, and these bytes again. */
#include "target.h"
#include "text/llm_tokenizer.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char text[] = "Hello 你好 123 <x>'s \n\n a\xff";
    const char *path = fuzz_file(data, size);
    bqb_llm_tokenizer *t = NULL;
    if (!path || bqb_llm_tokenizer_open(&t, path, NULL)) return 0;
    for (int added = 0; added < 2; added++) {
        bqb_ids ids = {0};
        bqb_buf out = {.max = 1 << 16};
        bqb_llm_tokenizer_encode(t, &ids, text, sizeof text - 1, added, NULL);
        for (size_t i = 0; i < ids.n; i++) {
            if (ids.id[i] < 0 || (size_t)ids.id[i] >= bqb_llm_tokenizer_size(t)) abort();
            bqb_llm_tokenizer_decode(t, &out, ids.id[i], true, NULL);
        }
        bqb_buf_free(&out);
        free(ids.id);
    }
    bqb_llm_tokenizer_close(t);
    return 0;
}
