/* What is said about the sticker that was just sent: another one, a cuter one, without words. These are answered by
 * rule, not by the language model: a wording of data/chat/followups.tsv is the whole message, but for
 * punctuation and polite words around it. */
#ifndef BQB_CHAT_FOLLOWUP_H
#define BQB_CHAT_FOLLOWUP_H

#include "base/err.h"

typedef enum {
    BQB_FOLLOW_NONE,     /* nothing of the kind: for the language model */
    BQB_FOLLOW_ANOTHER,
    BQB_FOLLOW_WORDLESS, /* without words on it */
    BQB_FOLLOW_WORDED,
    BQB_FOLLOW_MOVING,   /* animated */
    BQB_FOLLOW_TOWARDS,  /* more of `what` */
    BQB_FOLLOW_AWAY,     /* less of it */
    BQB_FOLLOWS
} bqb_follow_kind;
const char *bqb_follow_name(bqb_follow_kind k); /* "none" "another" "wordless" "worded" "moving" "towards" "away" */

typedef struct {
    bqb_follow_kind kind;
    char what[64]; /* of towards and away: in words, folded; else "" */
} bqb_followup;

typedef struct bqb_followups bqb_followups;

/* Read a table of them. BQB_EFORMAT names file and line. */
bqb_status bqb_followups_open(bqb_followups **out, const char *path, bqb_err *err);
void bqb_followups_close(bqb_followups *f);
size_t bqb_followups_count(const bqb_followups *f);

/* A message without {what} that is a wording as a whole comes before any with; of those, the one that leaves the least
 * to {what}, which has at most six characters or three words of other scripts. Messages over 200 bytes are none.
 * Errors: BQB_ENOMEM. Any thread. */
bqb_status bqb_followups_match(bqb_followup *out, const bqb_followups *f, const char *message, bqb_err *err);

#endif
