#include "chat/choice.h"

#include "base/fs.h"
#include "base/mem.h"
#include "base/utf8.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_DESCRIBED = 40 };

/* Who asks for another one is content with less. Measured: docs/chat.md. */
static const double FOLLOW_LESS = 1.5;

struct bqb_choice {
    bqb_assistant *a;
    bqb_catalogue *c;
    const bqb_choice_options *o;
    float *vec, *shift; /* [D] */
    bool has;           /* vec is the query of what was sent last */
    bool animated;      /* asked for since */
    bqb_words_wanted words;
    char *said;         /* with the query; may be NULL */
    bqb_sticker_id *sent;
    size_t n_sent, cap_sent;
};

bqb_status bqb_choice_new(bqb_choice **out, bqb_assistant *a, bqb_catalogue *c, const bqb_choice_options *o, bqb_err *err) {
    *out = NULL;
    bqb_choice *ch = bqb_calloc(1, sizeof *ch);
    if (!ch) return bqb_fail_nomem(err, "a conversation", sizeof *ch);
    *ch = (bqb_choice){.a = a, .c = c, .o = o, .vec = bqb_calloc(a->D, sizeof *ch->vec), .shift = bqb_calloc(a->D, sizeof *ch->shift)};
    if (!ch->vec || !ch->shift || o->n_except > BQB_CHOICE_EXCEPT_MOST) {
        bqb_choice_free(ch);
        return bqb_fail(err, BQB_ELIMIT, "%zu stickers to leave out; %d are possible", o->n_except, BQB_CHOICE_EXCEPT_MOST);
    }
    *out = ch;
    return BQB_OK;
}

void bqb_choice_free(bqb_choice *ch) {
    if (!ch) return;
    free(ch->vec);
    free(ch->shift);
    free(ch->said);
    free(ch->sent);
    free(ch);
}

void bqb_choice_forget(bqb_choice *ch) {
    ch->has = ch->animated = false;
    ch->words = BQB_WORDS_ANY;
    ch->n_sent = 0;
    free(ch->said);
    ch->said = NULL;
}

/* The stickers that are not to be sent: those asked for, and the last ones. */
static bqb_status leave_out(const bqb_choice *ch, bqb_sticker_id **out, size_t *n, bqb_err *err) {
    size_t last = ch->n_sent < ch->o->no_repeat ? ch->n_sent : ch->o->no_repeat;
    *n = last + ch->o->n_except;
    *out = bqb_calloc(*n + 1, sizeof **out);
    if (!*out) return bqb_fail_nomem(err, "stickers", *n * sizeof **out);
    if (ch->o->n_except) memcpy(*out, ch->o->except, ch->o->n_except * sizeof **out);
    if (last) memcpy(*out + ch->o->n_except, ch->sent + ch->n_sent - last, last * sizeof **out);
    return BQB_OK;
}

static bqb_status look(const bqb_choice *ch, bqb_search_results *out, double least, bqb_err *err) {
    bqb_sticker_id *except = NULL;
    bqb_retrieval q = {.vec = ch->vec, .model = ch->a->clip_id, .beta = ch->o->beta, .said = ch->o->vector_alone ? NULL : ch->said, .common = ch->a->common.data, .emotion = ch->o->emotion, .style = ch->o->style,
                       .animated = ch->o->animated || ch->animated, .words = ch->words, .least = least, .n = ch->o->n};
    *out = (bqb_search_results){0};
    bqb_status s = leave_out(ch, &except, &q.n_except, err);
    q.except = except;
    if (!s) s = bqb_retrieve(out, ch->c, &q, ch->a->D, err);
    free(except);
    return s;
}

bqb_status bqb_choice_find(bqb_choice *ch, bqb_search_results *out, const float *query, const char *said, bqb_err *err) {
    char *copy = said ? bqb_strdup(said) : NULL;
    *out = (bqb_search_results){0};
    if (said && !copy) return bqb_fail_nomem(err, "a message", strlen(said));
    free(ch->said);
    ch->said = copy;
    ch->has = true;
    ch->animated = false;
    ch->words = BQB_WORDS_ANY;
    memcpy(ch->vec, query, ch->a->D * sizeof *query);
    return look(ch, out, ch->o->least, err);
}

bool bqb_choice_can_follow(const bqb_choice *ch) { return ch->has; }

/* vec = unit(vec + sign · words) */
static bqb_status lean(bqb_choice *ch, const char *what, float sign, bqb_err *err) {
    size_t D = ch->a->D;
    double sum_sq = 0;
    bqb_status s = bqb_assistant_words(ch->a, ch->shift, what, err);
    if (s) return s;
    for (size_t d = 0; d < D; d++) {
        ch->shift[d] = ch->vec[d] + sign * ch->shift[d];
        sum_sq += (double)ch->shift[d] * (double)ch->shift[d];
    }
    if (sum_sq < 1e-6) return BQB_OK; /* the very opposite: there is no direction */
    for (size_t d = 0; d < D; d++) ch->vec[d] = (float)((double)ch->shift[d] / sqrt(sum_sq));
    return BQB_OK;
}

bqb_status bqb_choice_follow(bqb_choice *ch, bqb_search_results *out, const bqb_followup *f, bqb_err *err) {
    bqb_status s = BQB_OK;
    *out = (bqb_search_results){0};
    if (!ch->has) return bqb_fail(err, BQB_ENOTFOUND, "no sticker was sent yet");
    if (f->kind == BQB_FOLLOW_WORDLESS) ch->words = BQB_WORDS_WITHOUT;
    else if (f->kind == BQB_FOLLOW_WORDED) ch->words = BQB_WORDS_WITH;
    else if (f->kind == BQB_FOLLOW_MOVING) ch->animated = true;
    else if (f->kind == BQB_FOLLOW_TOWARDS) s = lean(ch, f->what, 1, err);
    else if (f->kind == BQB_FOLLOW_AWAY) s = lean(ch, f->what, -1, err);
    return s ? s : look(ch, out, ch->o->least - FOLLOW_LESS, err);
}

bqb_status bqb_choice_sent(bqb_choice *ch, bqb_sticker_id id, bqb_err *err) {
    bqb_sticker_id *more = bqb_grow(ch->sent, ch->n_sent, &ch->cap_sent, sizeof *more, 32);
    if (!more) return bqb_fail_nomem(err, "stickers", ch->n_sent * sizeof *more);
    ch->sent = more;
    ch->sent[ch->n_sent++] = id;
    return BQB_OK;
}

bqb_status bqb_choice_was_sent(bqb_choice *ch, bqb_sticker_id id, bqb_err *err) {
    char model[65];
    float *vec = NULL;
    size_t dim = 0;
    memcpy(model, ch->a->clip_id, sizeof model);
    bqb_status s = bqb_choice_sent(ch, id, err);
    if (!s) s = bqb_catalogue_get_embedding(ch->c, id, "image", model, &vec, &dim, err);
    if (!s && dim == ch->a->D) {
        memcpy(ch->vec, vec, dim * sizeof *vec);
        ch->has = true;
        ch->animated = false;
        ch->words = BQB_WORDS_ANY;
        free(ch->said);
        ch->said = NULL;
    }
    free(vec);
    return s == BQB_ENOTFOUND ? BQB_OK : s; /* it has no vector of this model */
}

static bqb_status add_cut(bqb_buf *out, const char *text, size_t most, bqb_err *err) {
    size_t n = strlen(text), at = 0;
    for (size_t k = 0; k < most && at < n; k++) at += bqb_utf8_next(text + at, n - at, &(uint32_t){0}, NULL);
    bqb_status s = bqb_utf8_mend(out, text, at, err);
    return s || at == n ? s : bqb_buf_puts(out, "…", err);
}

bqb_status bqb_choice_describe(bqb_buf *out, const bqb_found *f, bqb_err *err) {
    const char *caption = f->field[BQB_CAPTION], *words = f->field[BQB_OCR];
    bqb_status s = BQB_OK;
    if (!*caption && !*words) return add_cut(out, bqb_path_base(f->path), MOST_DESCRIBED, err);
    if (*caption) s = add_cut(out, caption, *words ? MOST_DESCRIBED * 3 / 5 : MOST_DESCRIBED, err);
    if (s || !*words) return s;
    s = bqb_buf_puts(out, "“", err);
    if (!s) s = add_cut(out, words, MOST_DESCRIBED / 3, err);
    return s ? s : bqb_buf_puts(out, "”", err);
}
