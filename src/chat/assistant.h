/* What answers with stickers, opened: a language model, its tokenizer and chat format, the adapter that it learnt, and
 * the StickerCLIP that the adapter belongs to. For one caller at a time. */
#ifndef BQB_CHAT_ASSISTANT_H
#define BQB_CHAT_ASSISTANT_H

#include "chat/followup.h"
#include "chat/template.h"
#include "model/adapter.h"

typedef struct {
    const char *llm;     /* a Hugging Face folder, or a GGUF file */
    const char *adapter; /* NULL: the folder "adapter" in the language model's folder, or beside its GGUF file */
    const char *clip;    /* StickerCLIP's folder */
    size_t window;       /* positions of a conversation, for what memory is needed; 0: as bqb_assistant_window says */
    bqb_precision precision;
    int threads;         /* 0: all processors */
} bqb_assistant_options;

typedef struct {
    bqb_decoder *llm;
    bqb_llm_tokenizer *tok;
    bqb_chat_format format;
    bqb_adapter *adapter;
    const char *clip_id; /* 64 hex digits: whose vectors the library needs */
    size_t V, C, F, D;   /* tokens and width of the language model; feature and shared space of StickerCLIP */
    size_t window;       /* positions of a conversation */
    bool *mute;          /* [V] tokens that have no text and end nothing: never said */
    bqb_followups *followups;
    bqb_buf common;      /* words that any request for a sticker has */
    char *clip_dir;
    bqb_clip *text, *image; /* StickerCLIP's towers; the picture's is opened when the first picture comes */
    bqb_assistant_options o; /* borrowed strings are not kept */
} bqb_assistant;

/* Errors name what does not fit and what to do: BQB_ENOTFOUND (no such model; no adapter for this language model: the
 * message is the command that makes one), BQB_EFORMAT (tokenizer and weights that disagree), BQB_EINVAL (an adapter
 * of another pair), BQB_ENOMEM (before anything large is read), of the files. */
bqb_status bqb_assistant_open(bqb_assistant **out, const bqb_assistant_options *o, bqb_err *err);
void bqb_assistant_close(bqb_assistant *a);

/* Positions that a conversation has where none are asked for: those that the model was trained for, at most 4,096. */
size_t bqb_assistant_window(const bqb_decoder_config *c);

/* A picture as the language model reads it: feature [F] before StickerCLIP's projection. name is for messages. */
bqb_status bqb_assistant_picture(bqb_assistant *a, float *feature, const void *data, size_t size, const char *name, bqb_err *err);

/* The text tower's unit vector [D] of words. */
bqb_status bqb_assistant_words(bqb_assistant *a, float *vec, const char *words, bqb_err *err);

#endif
