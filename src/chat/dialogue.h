/* A conversation with a language model that answers in words and with stickers. */
#ifndef BQB_CHAT_DIALOGUE_H
#define BQB_CHAT_DIALOGUE_H

#include "chat/choice.h"
#include "chat/sample.h"

enum {
    BQB_MESSAGE_MAX = 1 << 20, /* bytes of a message */
    BQB_MESSAGE_PICTURES = 16,
    BQB_ANSWER_STICKERS = 3,   /* an answer sends at most so many */
    BQB_PICTURE_MAX = 64 << 20 /* bytes of a picture's file */
};

/* Strings and lists are borrowed until the dialogue is freed. Start from bqb_dialogue_defaults. */
typedef struct {
    bqb_sampling sampling;
    size_t most_tokens;   /* of an answer; 0: a quarter of the window, at most 512 */
    const char *system;   /* what stands before the conversation; NULL: what the adapter was trained with */
    bool follow;          /* another one, a cuter one, without words: by rule (chat/followup.h) */
    bqb_choice_options choice;
} bqb_dialogue_options;
bqb_dialogue_options bqb_dialogue_defaults(void); /* beta 0.3, the last 20 not repeated, one result */

typedef struct bqb_dialogue bqb_dialogue;

/* Assistant and catalogue are borrowed. The library must have vectors of the assistant's StickerCLIP.
 * Errors: BQB_EINVAL (an option out of its range), BQB_ENOTFOUND (an empty library, none of these vectors, a filter's
 * value that no sticker has), BQB_ELIMIT (the system message fills the window). */
bqb_status bqb_dialogue_new(bqb_dialogue **out, bqb_assistant *a, bqb_catalogue *c, const bqb_dialogue_options *o, bqb_err *err);
void bqb_dialogue_free(bqb_dialogue *d);
bqb_status bqb_dialogue_reset(bqb_dialogue *d, bqb_err *err); /* forget everything that was said and sent */

/* The bytes of a picture's file, and what messages call it. */
typedef struct {
    const void *data;
    size_t size;
    const char *name;
} bqb_picture;

typedef struct {
    const char *text; /* any bytes; what is no UTF-8 is read as U+FFFD, names of special tokens are only text */
    const bqb_picture *picture; /* they stand before the text */
    size_t n_pictures;
    bool pret;        /* answer with a sticker, now */
} bqb_message;

/* All may be NULL. Text is whole characters, and never a special token's. A result other than 0 stops the answer, as
 * does `stop`, which is asked between tokens; what was said until then is kept. */
typedef struct {
    int (*text)(void *ctx, const char *utf8, size_t n_bytes);
    int (*sticker)(void *ctx, const bqb_found *f);
    int (*stop)(void *ctx);
    void *ctx;
} bqb_answer_events;

typedef enum { BQB_STOPPED_END, BQB_STOPPED_LENGTH, BQB_STOPPED_CANCELLED, BQB_STOPPED_NOTHING } bqb_stopped;
const char *bqb_stopped_name(bqb_stopped s); /* "end" "length" "cancelled" "nothing_fits" */

/* What came of it. Strings are owned. */
typedef struct {
    char *text;
    bqb_found *sticker;   /* those that were sent, each followed by the next best ones where more results were asked for */
    bool *sent;           /* [n_stickers] which of them */
    size_t n_stickers, n_sent;
    bqb_stopped stopped;
    bqb_follow_kind rule; /* not BQB_FOLLOW_NONE: answered by rule, the language model was not asked */
    size_t n_read, n_said, n_forgotten; /* tokens before the answer, of it; messages that did not fit any more */
} bqb_answer;
void bqb_answer_free(bqb_answer *a);

/* One round. On an error (BQB_ELIMIT: a message too long or the like; of pictures, the library, memory) nothing was said,
 * and the conversation is as before; being stopped is no error. */
bqb_status bqb_dialogue_say(bqb_dialogue *d, const bqb_message *m, const bqb_answer_events *events, bqb_answer *out, bqb_err *err);

/* The last answer once more, with other words and another sticker. BQB_ENOTFOUND: nothing was said yet. */
bqb_status bqb_dialogue_again(bqb_dialogue *d, const bqb_answer_events *events, bqb_answer *out, bqb_err *err);

/* What was said before, by whoever kept it: a message that is not answered. sticker: ids that an answer sent. */
bqb_status bqb_dialogue_add(bqb_dialogue *d, bqb_role role, const bqb_message *m, const bqb_sticker_id *sticker, size_t n_stickers, bqb_err *err);

#endif
