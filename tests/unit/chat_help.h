/* A language model that says what a test wants, and a library for it. */
#ifndef BQB_TEST_CHAT_HELP_H
#define BQB_TEST_CHAT_HELP_H

#include "chat/dialogue.h"

enum { CHAT_STICKERS = 200, CHAT_CONTEXT = 256 };

/* DIR/lm (a Llama of one layer that does nothing, in ChatML, with its adapter) and DIR/clip. The token said next depends on the
 * last one alone: after a message's opening comes `script`, "[RET]" in it being that token, at the end <|im_end|>. Every byte
 * or token of the script may come once. "~" at the end: the script begins again without end. At [RET] the query is sticker 0's vector;
 * "[RET]" → "[NON]" in the script: a vector that is like none. */
void chat_model(const char *dir, const char *script);
void chat_model_for(const char *lm, const char *clip_dir, const char *script, const float *query); /* in LM, with another query */

/* DIR/lib: CHAT_STICKERS with vectors of DIR/clip; number 0 to 9 resemble the query less and less, all others not at all. Odd ones
 * have words on them, "字N"; all are called "图N"; those divisible by 3 are animated; 2 is a near copy of 1. */
void chat_library(const char *dir);

bqb_assistant *chat_assistant(const char *dir); /* NULL and a failed check */
bqb_catalogue *chat_catalogue(const char *dir);

/* The number in a sticker's caption. */
int chat_number(const bqb_found *f);

/* All three, and a dialogue with temperature 0. */
typedef struct {
    bqb_assistant *a;
    bqb_catalogue *c;
    bqb_dialogue *d;
} chat_set;
bool chat_open(chat_set *s, const char *dir, const bqb_dialogue_options *o);
void chat_close(chat_set *s);
bqb_dialogue_options chat_options(void);

#endif
