/* Which sticker an answer sends: by the query of [RET], or, when the user asks for another one, by the query before.
 * Remembers what was sent, so that it is not repeated. */
#ifndef BQB_CHAT_CHOICE_H
#define BQB_CHAT_CHOICE_H

#include "chat/assistant.h"
#include "chat/followup.h"
#include "search/retrieve.h"

enum { BQB_CHOICE_EXCEPT_MOST = 1000 };

/* Strings and lists are borrowed. */
typedef struct {
    const char *emotion, *style; /* filters; NULL: any */
    bool animated;
    double beta;      /* of the text of the pictures */
    double least;     /* see bqb_retrieval; -INFINITY: something is always sent */
    bool vector_alone;  /* what was said does not count beside the query, as in the paper */
    size_t n;         /* results wanted: the first is sent, the others are there to choose from */
    size_t no_repeat; /* so many of the last stickers are not sent again */
    const bqb_sticker_id *except; /* [n_except] nor are these, ever */
    size_t n_except;
} bqb_choice_options;

typedef struct bqb_choice bqb_choice;

/* Assistant, catalogue and options are borrowed. */
bqb_status bqb_choice_new(bqb_choice **out, bqb_assistant *a, bqb_catalogue *c, const bqb_choice_options *o, bqb_err *err);
void bqb_choice_free(bqb_choice *ch);
void bqb_choice_forget(bqb_choice *ch); /* a new conversation */

/* What a query [D] means; said: the user's message. No items: nothing fits. Free with bqb_search_results_free. */
bqb_status bqb_choice_find(bqb_choice *ch, bqb_search_results *out, const float *query, const char *said, bqb_err *err);

/* What is asked of the sticker that was sent last. BQB_ENOTFOUND: none was. */
bqb_status bqb_choice_follow(bqb_choice *ch, bqb_search_results *out, const bqb_followup *f, bqb_err *err);
bool bqb_choice_can_follow(const bqb_choice *ch);

/* A sticker was sent; one of before that the query is not known of: it is its own. */
bqb_status bqb_choice_sent(bqb_choice *ch, bqb_sticker_id id, bqb_err *err);
bqb_status bqb_choice_was_sent(bqb_choice *ch, bqb_sticker_id id, bqb_err *err);

/* A sticker in a few words: what it shows, what stands on it, else its file's name; at most 40 characters. */
bqb_status bqb_choice_describe(bqb_buf *out, const bqb_found *f, bqb_err *err);

#endif
