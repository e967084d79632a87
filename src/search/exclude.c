/* Stickers in which certain words stand. */
#include "search/filter.h"

#include "base/mem.h"
#include "text/emoji.h"
#include "text/grams.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_GRAMS = 64 }; /* of one unwanted phrase; 64 decide well enough */

typedef struct {
    bqb_buf text;
    size_t start[MAX_GRAMS], size[MAX_GRAMS], n;
    uint64_t found; /* bits of those that stand in the field at hand */
} phrase;

static int add_gram(void *ctx, const char *token, size_t size) {
    phrase *p = ctx;
    if (p->n == MAX_GRAMS) return 1;
    p->start[p->n] = p->text.len;
    p->size[p->n] = size;
    if (bqb_buf_append(&p->text, token, size, NULL)) return 1;
    p->n++;
    return 0;
}

static int look_for(void *ctx, const char *token, size_t size) {
    phrase *p = ctx;
    for (size_t i = 0; i < p->n; i++)
        if (p->size[i] == size && !memcmp(p->text.data + p->start[i], token, size)) p->found |= (uint64_t)1 << i;
    return 0;
}

/* Does the whole phrase stand in one field of the sticker? */
static bqb_status stands_in(bool *out, phrase *p, bqb_catalogue *c, bqb_sticker_id id, bqb_err *err) {
    bqb_annotated a;
    uint64_t all = p->n == 64 ? UINT64_MAX : ((uint64_t)1 << p->n) - 1;
    *out = false;
    bqb_status s = bqb_catalogue_get_annotation(c, id, &a, err);
    if (s) return s;
    for (int f = 0; f < BQB_FIELDS && !s && !*out; f++) {
        p->found = 0;
        if (a.field[f]) s = bqb_grams(a.field[f], strlen(a.field[f]), look_for, p, err);
        *out = p->found == all;
    }
    bqb_annotated_free(&a);
    return s;
}

/* The index names those that have the phrase's rarest gram; what they say decides. */
static bqb_status with_phrase(bqb_id_set *out, bqb_catalogue *c, phrase *p, bqb_err *err) {
    bqb_id_set near = {0};
    size_t rarest = 0;
    uint64_t least = UINT64_MAX;
    bqb_status s = BQB_OK;
    for (size_t i = 0; i < p->n && !s; i++) {
        uint64_t having;
        s = bqb_catalogue_word_count(c, p->text.data + p->start[i], p->size[i], &having, err);
        if (having < least) {
            least = having;
            rarest = i;
        }
    }
    bqb_gram gram = {p->text.data + p->start[rarest], p->size[rarest]};
    if (!s && least) s = bqb_catalogue_match_words(c, &gram, 1, bqb_id_set_add, &near, err);
    if (s == BQB_ECANCEL) s = bqb_fail_nomem(err, "stickers", near.cap);
    for (size_t i = 0; i < near.n && !s; i++) {
        bool has;
        s = stands_in(&has, p, c, near.id[i], err);
        if (!s && has && bqb_id_set_add(out, near.id[i])) s = bqb_fail_nomem(err, "stickers", out->cap);
    }
    bqb_id_set_free(&near);
    return s;
}

/* The grams of every word by itself: spaces do not make neighbours here. */
static bqb_status add_words(phrase *p, const char *text, bqb_err *err) {
    bqb_buf folded = {.max = 8 << 20};
    bqb_status s = bqb_text_fold(&folded, text, strlen(text), err);
    for (size_t i = 0, n; i < folded.len && !s; i += n + 1) {
        n = strcspn(folded.data + i, " ");
        s = bqb_grams(folded.data + i, n, add_gram, p, err);
    }
    bqb_buf_free(&folded);
    return s == BQB_ECANCEL ? BQB_OK : s; /* more grams than we look at */
}

/* The words as they are, then with every emoji by each of its names. */
static bqb_status with_any_name(bqb_id_set *out, bqb_catalogue *c, const char *words, bqb_err *err) {
    size_t most = 0, letters = 0;
    bqb_status s = BQB_OK;
    for (size_t which = 0; which <= most && !s; which++) {
        bqb_buf named = {.max = 8 << 20};
        phrase p = {.text = {.max = 1 << 16}};
        size_t names = 0;
        s = which ? bqb_emoji_words(&named, words, which - 1, NULL, err) : bqb_emoji_words(&named, words, 0, &names, err);
        const char *text = which ? named.data : words;
        if (!which) most = names;
        if (!s) s = add_words(&p, text, err);
        letters += p.n;
        if (!s && p.n) s = with_phrase(out, c, &p, err);
        bqb_buf_free(&p.text);
        bqb_buf_free(&named);
    }
    if (!s && !letters) s = bqb_fail(err, BQB_EINVAL, "\"%.60s\" is no word to leave out", words);
    return s;
}

bqb_status bqb_filter_with_words(bqb_id_set *out, bqb_catalogue *c, const char *const *words, size_t n, bqb_err *err) {
    bqb_status s = BQB_OK;
    *out = (bqb_id_set){0};
    for (size_t i = 0; i < n && !s; i++) s = with_any_name(out, c, words[i], err);
    if (s) bqb_id_set_free(out);
    else bqb_id_set_sort(out);
    return s;
}
