/* The messages of a conversation as tokens, and what the language model has read of them: of a conversation that grows
 * only what is new is read. Messages that do not fit into the window any more are forgotten, the oldest first. */
#ifndef BQB_CHAT_HISTORY_H
#define BQB_CHAT_HISTORY_H

#include "chat/assistant.h"

typedef struct bqb_history bqb_history;

/* window: positions. The assistant is borrowed. */
bqb_status bqb_history_new(bqb_history **out, bqb_assistant *a, size_t window, bqb_err *err);
void bqb_history_free(bqb_history *h);

/* What stands before everything; NULL or "": nothing. Forgets all messages. */
bqb_status bqb_history_begin(bqb_history *h, const char *system, bqb_err *err);

/* A message's content as tokens; at each place of a picture there is [IMG], and its feature [F]. */
typedef struct {
    bqb_ids ids;
    size_t *place; /* [n_pictures] rising */
    float *feature; /* [n_pictures,F] */
    size_t n_pictures, F;
} bqb_content;
void bqb_content_free(bqb_content *c);
bqb_status bqb_content_text(bqb_content *c, const bqb_assistant *a, const char *text, size_t n_bytes, bqb_err *err);
bqb_status bqb_content_token(bqb_content *c, const bqb_assistant *a, bqb_sticker_token t, bqb_err *err);
bqb_status bqb_content_picture(bqb_content *c, const bqb_assistant *a, const float *feature, bqb_err *err); /* [IMG] it [/IMG] */

/* Add a message at the end; its content is moved out of *c, which is empty then, whatever comes out. */
bqb_status bqb_history_add_take(bqb_history *h, bqb_role role, bqb_content *c, bqb_err *err);
size_t bqb_history_count(const bqb_history *h);
bool bqb_history_answered(const bqb_history *h);  /* the last message is the assistant's */
void bqb_history_drop_last(bqb_history *h); /* the last message */

/* Let the language model read everything up to where an answer begins, and keep `room` positions for it.
 *   hidden   out [C] of the last token
 *   dropped  out messages that were forgotten to make room
 *   stop     asked now and then while a long text is read; non-zero ends with BQB_ECANCEL. May be NULL
 * BQB_ELIMIT: the last message alone is too long; the message says how long, and what fits. */
bqb_status bqb_history_read(bqb_history *h, float *hidden, size_t room, size_t *dropped, int (*stop)(void *), void *ctx, bqb_err *err);
size_t bqb_history_length(const bqb_history *h); /* positions that were read */

/* One more token of the answer: hidden [C] after it. BQB_ELIMIT: the window is full. */
bqb_status bqb_history_push(bqb_history *h, float *hidden, int32_t id, bqb_err *err);

#endif
