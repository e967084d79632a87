/* A conversation as the tokens that a language model was trained to read it in. */
#ifndef BQB_CHAT_TEMPLATE_H
#define BQB_CHAT_TEMPLATE_H

#include "model/stickerllm.h"
#include "text/llm_tokenizer.h"

/* CHATML  <|im_start|>role\ntext<|im_end|>\n                                       Qwen, and ours
 * LLAMA3  <|begin_of_text|> <|start_header_id|>role<|end_header_id|>\n\ntext<|eot_id|>
 * PLAIN   role: text\n\n                                                            a base model */
typedef enum { BQB_CHAT_CHATML, BQB_CHAT_LLAMA3, BQB_CHAT_PLAIN } bqb_chat_format;

/* By the added tokens that the vocabulary has. */
bqb_chat_format bqb_chat_format_of(const bqb_llm_tokenizer *t);

typedef enum { BQB_SYSTEM, BQB_USER, BQB_ASSISTANT } bqb_role;
const char *bqb_role_name(bqb_role r); /* "system" "user" "assistant" */

/* Append what begins the conversation; what begins a message; the message's text, in which added
 * tokens are only text; what ends it. An answer is generated after _open(…, BQB_ASSISTANT). */
bqb_status bqb_chat_begin(bqb_ids *ids, const bqb_llm_tokenizer *t, bqb_chat_format f, bqb_err *err);
bqb_status bqb_chat_open(bqb_ids *ids, const bqb_llm_tokenizer *t, bqb_chat_format f, bqb_role role, bqb_err *err);
bqb_status bqb_chat_text(bqb_ids *ids, const bqb_llm_tokenizer *t, const char *text, size_t n_bytes, bqb_err *err);
bqb_status bqb_chat_close(bqb_ids *ids, const bqb_llm_tokenizer *t, bqb_chat_format f, bqb_err *err);

/* Append a picture of the message, [IMG] [IMG] [/IMG] (the five tokens come after vocab); *place is that of the second, where the picture
 * itself is put. */
bqb_status bqb_chat_picture(bqb_ids *ids, size_t vocab, size_t *place, bqb_err *err);

/* The token that ends an answer in this format, or -1 (then a blank line does). */
int32_t bqb_chat_end(const bqb_llm_tokenizer *t, bqb_chat_format f);

/* Whether a token ends an answer: that one, or one that the language model's configuration names. */
bool bqb_chat_ends(const bqb_llm_tokenizer *t, bqb_chat_format f, const bqb_decoder_config *c, int32_t id);

#endif
