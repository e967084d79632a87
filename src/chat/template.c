#include "chat/template.h"

#include <string.h>

bqb_chat_format bqb_chat_format_of(const bqb_llm_tokenizer *t) {
    if (bqb_llm_tokenizer_added(t, "<|im_start|>") >= 0 && bqb_llm_tokenizer_added(t, "<|im_end|>") >= 0) return BQB_CHAT_CHATML;
    if (bqb_llm_tokenizer_added(t, "<|start_header_id|>") >= 0 && bqb_llm_tokenizer_added(t, "<|end_header_id|>") >= 0 &&
        bqb_llm_tokenizer_added(t, "<|eot_id|>") >= 0)
        return BQB_CHAT_LLAMA3;
    return BQB_CHAT_PLAIN;
}

const char *bqb_role_name(bqb_role r) {
    static const char *const names[] = {"system", "user", "assistant"};
    return names[r];
}

bqb_status bqb_chat_text(bqb_ids *ids, const bqb_llm_tokenizer *t, const char *text, size_t n_bytes, bqb_err *err) {
    return bqb_llm_tokenizer_encode(t, ids, text, n_bytes, false, err);
}

/* Our own text between messages, added tokens and all. */
static bqb_status frame(bqb_ids *ids, const bqb_llm_tokenizer *t, const char *text, bqb_err *err) {
    return bqb_llm_tokenizer_encode(t, ids, text, strlen(text), true, err);
}

bqb_status bqb_chat_begin(bqb_ids *ids, const bqb_llm_tokenizer *t, bqb_chat_format f, bqb_err *err) {
    bool has = f == BQB_CHAT_LLAMA3 && bqb_llm_tokenizer_added(t, "<|begin_of_text|>") >= 0;
    return has ? frame(ids, t, "<|begin_of_text|>", err) : BQB_OK;
}

bqb_status bqb_chat_open(bqb_ids *ids, const bqb_llm_tokenizer *t, bqb_chat_format f, bqb_role role, bqb_err *err) {
    static const char *const opens[][3] = {
        [BQB_CHAT_CHATML] = {"<|im_start|>system\n", "<|im_start|>user\n", "<|im_start|>assistant\n"},
        [BQB_CHAT_LLAMA3] = {"<|start_header_id|>system<|end_header_id|>\n\n", "<|start_header_id|>user<|end_header_id|>\n\n",
                             "<|start_header_id|>assistant<|end_header_id|>\n\n"},
        [BQB_CHAT_PLAIN] = {"system: ", "user: ", "assistant: "}};
    return frame(ids, t, opens[f][role], err);
}

bqb_status bqb_chat_close(bqb_ids *ids, const bqb_llm_tokenizer *t, bqb_chat_format f, bqb_err *err) {
    static const char *const closes[] = {[BQB_CHAT_CHATML] = "<|im_end|>\n", [BQB_CHAT_LLAMA3] = "<|eot_id|>", [BQB_CHAT_PLAIN] = "\n\n"};
    return frame(ids, t, closes[f], err);
}

bqb_status bqb_chat_picture(bqb_ids *ids, size_t vocab, size_t *place, bqb_err *err) {
    bqb_status s = bqb_ids_add(ids, (int32_t)(vocab + BQB_TOKEN_IMG), err);
    *place = ids->n;
    if (!s) s = bqb_ids_add(ids, (int32_t)(vocab + BQB_TOKEN_IMG), err);
    return s ? s : bqb_ids_add(ids, (int32_t)(vocab + BQB_TOKEN_IMG_END), err);
}

int32_t bqb_chat_end(const bqb_llm_tokenizer *t, bqb_chat_format f) {
    return f == BQB_CHAT_PLAIN ? -1 : bqb_llm_tokenizer_added(t, f == BQB_CHAT_CHATML ? "<|im_end|>" : "<|eot_id|>");
}

bool bqb_chat_ends(const bqb_llm_tokenizer *t, bqb_chat_format f, const bqb_decoder_config *c, int32_t id) {
    for (size_t i = 0; i < c->n_end; i++)
        if (c->end[i] == id) return true;
    return id == bqb_chat_end(t, f);
}
