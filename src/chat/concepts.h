/* What a sticker's annotation is about, as words that mean the same: its subject by every name, its emotion, its style,
 * what is written on it. From them answers list the content of a request in other words and another order. */
#ifndef BQB_CHAT_CONCEPTS_H
#define BQB_CHAT_CONCEPTS_H

#include "base/mem.h"
#include "base/rand.h"
#include "image/synth.h"
#include "image/synth_data.h"

enum { BQB_CONCEPTS = 24, BQB_CONCEPT_FORMS = 16 };

/* Texts are borrowed from the data, or lie in text. Zero-initialise; free with bqb_concepts_free. */
typedef struct {
    struct {
        const char *form[BQB_CONCEPT_FORMS];
        size_t n;
    } c[BQB_CONCEPTS];
    size_t n;
    size_t rare; /* the first so many are what tells stickers apart: the subject, what is written; they are said first most often */
    char *text;
} bqb_concepts;
void bqb_concepts_free(bqb_concepts *c);

/* The concepts of a sticker that a text which is about it speaks of, by any of their words. */
bqb_status bqb_concepts_of_sticker(bqb_concepts *out, const synth_data *d, const bqb_sticker *st, const char *text, bqb_err *err);

/* Any other text: its clauses. */
bqb_status bqb_concepts_of_text(bqb_concepts *out, const char *text, bqb_err *err);

/* Append some of them, at most `most`, in random order, each by one of its words, or by a few characters from within it, with sep between. */
bqb_status bqb_concepts_say(const bqb_concepts *c, bqb_buf *out, const char *sep, size_t most, bqb_rand *r, bqb_err *err);

#endif
