#include "chat/concepts.h"

#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

void bqb_concepts_free(bqb_concepts *c) {
    free(c->text);
    *c = (bqb_concepts){0};
}

static bool has(const char *text, const char *word) { return word && *word && strstr(text, word); }

static bool has_any(const char *text, const word_list *w) {
    for (size_t i = 0; i < w->n; i++)
        if (has(text, w->item[i])) return true;
    return false;
}

static void add_form(bqb_concepts *c, const char *form) {
    size_t *n = &c->c[c->n].n;
    for (size_t i = 0; i < *n; i++)
        if (!strcmp(c->c[c->n].form[i], form)) return;
    if (*form && *n < BQB_CONCEPT_FORMS) c->c[c->n].form[(*n)++] = form;
}

static void add_forms(bqb_concepts *c, const word_list *w) {
    for (size_t i = 0; i < w->n; i++) add_form(c, w->item[i]);
}

static void begin(bqb_concepts *c) { c->c[c->n].n = 0; }
static void finish(bqb_concepts *c) {
    if (c->c[c->n].n) c->n++;
}

static const synth_emotion *emotion_named(const synth_data *d, const char *name) {
    for (size_t i = 0; i < d->n_emotions; i++)
        if (!strcmp(d->emotion[i].name, name)) return &d->emotion[i];
    return NULL;
}

/* A clause longer than this is no word for anything. */
enum { CLAUSE_CHARACTERS = 12 };

/* The clauses that lie in c->text, cut at its marks, but for those that speak of one of the first `known` concepts. */
static void add_clauses(bqb_concepts *c, size_t known) {
    static const char *const marks[] = {"，", "；", "。", "！", "？", ",", ".", "!", "?", " "};
    for (char *at = c->text, *next; *at && c->n < BQB_CONCEPTS - 1; at = next) {
        size_t n = strlen(at), skip = 0;
        for (size_t m = 0; m < sizeof marks / sizeof *marks; m++) {
            const char *end = strstr(at, marks[m]);
            if (end && (size_t)(end - at) < n) n = (size_t)(end - at), skip = strlen(marks[m]);
        }
        next = at + n + skip;
        at[n] = 0;
        bool taken = !n || bqb_utf8_count(at, n) > CLAUSE_CHARACTERS;
        for (size_t i = 0; i < known && !taken; i++)
            for (size_t f = 0; f < c->c[i].n && !taken; f++) taken = strstr(at, c->c[i].form[f]) != NULL;
        if (taken) continue;
        begin(c);
        add_form(c, at);
        finish(c);
    }
}

bqb_status bqb_concepts_of_text(bqb_concepts *out, const char *text, bqb_err *err) {
    *out = (bqb_concepts){.text = bqb_strdup(text)};
    if (!out->text) return bqb_fail_nomem(err, "a sentence", strlen(text));
    add_clauses(out, 0);
    return BQB_OK;
}

static void add_subject(bqb_concepts *c, const synth_data *d, const char *emoji, const char *text) {
    char key[96];
    synth_key(key, emoji);
    size_t i = *key ? synth_data_find(d, key) : SIZE_MAX;
    if (i == SIZE_MAX) return;
    const synth_subject *s = &d->subject[i];
    if (!has(text, s->name) && !has_any(text, &s->aliases)) return;
    begin(c);
    add_form(c, s->name);
    add_forms(c, &s->aliases);
    add_forms(c, &s->keywords);
    finish(c);
}

static void add_emotion(bqb_concepts *c, const synth_data *d, const bqb_sticker *st, const char *text) {
    const synth_emotion *e = emotion_named(d, st->field[BQB_EMOTION]);
    const char *label = st->field[BQB_EMOTION_LABEL];
    if (!e || bqb_label_is_neutral(BQB_EMOTION, e->name)) return;
    if (has(text, e->name) || has(text, label) || has_any(text, &e->asks) || has_any(text, &e->acts)) {
        begin(c);
        add_form(c, e->name);
        add_forms(c, &e->asks);
        finish(c);
    }
    if (has(text, label)) {
        begin(c);
        add_form(c, label);
        finish(c);
    }
    for (size_t i = 0; i < e->acts.n; i++)
        if (has(text, e->acts.item[i])) {
            begin(c);
            add_form(c, e->acts.item[i]);
            finish(c);
            break;
        }
}

static void add_style(bqb_concepts *c, const synth_data *d, const char *name, const char *text) {
    for (size_t i = 0; i < d->n_styles; i++) {
        const synth_style *s = &d->style[i];
        if (strcmp(s->name, name) || (!has(text, name) && !has_any(text, &s->asks))) continue;
        begin(c);
        add_form(c, s->name);
        add_forms(c, &s->asks);
        finish(c);
    }
}

static void add_phrase(bqb_concepts *c, const synth_data *d, const char *words, const char *text) {
    if (!*words) return;
    const synth_phrase *p = NULL;
    for (size_t i = 0; i < d->n_phrases && !p; i++)
        if (!strcmp(d->phrase[i].text, words)) p = &d->phrase[i];
    if (!p || (!has(text, words) && !has_any(text, &p->asks))) return;
    begin(c);
    add_form(c, p->text);
    add_forms(c, &p->asks);
    finish(c);
}

bqb_status bqb_concepts_of_sticker(bqb_concepts *out, const synth_data *d, const bqb_sticker *st, const char *text, bqb_err *err) {
    *out = (bqb_concepts){.text = bqb_strdup(text)};
    if (!out->text) return bqb_fail_nomem(err, "a sentence", strlen(text));
    add_subject(out, d, st->subject, text);
    add_phrase(out, d, st->field[BQB_OCR], text);
    out->rare = out->n;
    add_emotion(out, d, st, text);
    add_style(out, d, st->field[BQB_STYLE], text);
    add_clauses(out, out->n);
    return BQB_OK;
}

/* One to four characters from anywhere in a word: whoever is to begin with any of them has to know all of it. */
static bqb_status say_piece(bqb_buf *out, const char *word, bqb_rand *r, bqb_err *err) {
    size_t n = bqb_utf8_count(word, strlen(word)), from = bqb_rand_below(r, n), count = 1 + bqb_rand_below(r, 4);
    const char *at = word, *end;
    uint32_t c;
    bool ok;
    for (; from; from--) at += bqb_utf8_next(at, strlen(at), &c, &ok);
    for (end = at; *end && count; count--) end += bqb_utf8_next(end, strlen(end), &c, &ok);
    return bqb_buf_append(out, at, (size_t)(end - at), err);
}

bqb_status bqb_concepts_say(const bqb_concepts *c, bqb_buf *out, const char *sep, size_t most, bqb_rand *r, bqb_err *err) {
    uint32_t order[BQB_CONCEPTS];
    for (size_t i = 0; i < c->n; i++) order[i] = (uint32_t)i;
    bqb_rand_shuffle(r, order, c->n);
    if (c->rare && bqb_rand_below(r, 10) < 7) {
        size_t first = bqb_rand_below(r, c->rare), at = 0;
        while (order[at] != first) at++;
        order[at] = order[0];
        order[0] = (uint32_t)first;
    }
    size_t n = c->n < most ? c->n : most;
    if (n > 1 && bqb_rand_below(r, 2)) n = 1 + bqb_rand_below(r, n);
    bqb_status s = BQB_OK;
    for (size_t i = 0; i < n && !s; i++) {
        size_t forms = c->c[order[i]].n, form = bqb_rand_below(r, 4) ? 0 : bqb_rand_below(r, forms);
        const char *word = c->c[order[i]].form[form];
        if (i) s = bqb_buf_puts(out, sep, err);
        if (!s) s = *word && bqb_rand_below(r, 2) ? say_piece(out, word, r, err) : bqb_buf_puts(out, word, err);
    }
    return s;
}
