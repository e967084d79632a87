#include "chat/history.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { PART = 128 /* tokens read at once, so that whoever waits can stop it */, MOST_MESSAGES = 100000 };

/* A token and which picture it is, 0: none. */
typedef struct {
    int32_t id;
    uint32_t picture;
} place;

typedef struct {
    bqb_role role;
    bqb_content content;
    uint32_t first_picture; /* number of the first */
} message;

struct bqb_history {
    bqb_assistant *a;
    bqb_decoder_past *past;
    size_t window;
    bqb_ids begin;   /* what stands before everything */
    message *list;
    size_t n, cap;
    uint32_t n_pictures; /* numbers given so far */
    place *done;     /* [window] what the past holds */
    place *want;     /* [window] what it is to hold */
    size_t n_want;
    const float **feature; /* [window] of pictures among want */
    float *rows;     /* [PART,C] */
    float *hidden;   /* [C] */
};

void bqb_content_free(bqb_content *c) {
    free(c->ids.id);
    free(c->place);
    free(c->feature);
    *c = (bqb_content){.n_pictures = 0};
}

bqb_status bqb_content_text(bqb_content *c, const bqb_assistant *a, const char *text, size_t n_bytes, bqb_err *err) {
    return bqb_chat_text(&c->ids, a->tok, text, n_bytes, err);
}

bqb_status bqb_content_token(bqb_content *c, const bqb_assistant *a, bqb_sticker_token t, bqb_err *err) {
    return bqb_ids_add(&c->ids, (int32_t)(a->V + (size_t)t), err);
}

bqb_status bqb_content_picture(bqb_content *c, const bqb_assistant *a, const float *feature, bqb_err *err) {
    size_t n = c->n_pictures;
    size_t *places = realloc(c->place, (n + 1) * sizeof *places);
    if (places) c->place = places;
    float *features = realloc(c->feature, (n + 1) * a->F * sizeof *features);
    if (features) c->feature = features;
    if (!places || !features) return bqb_fail_nomem(err, "a picture", (n + 1) * a->F * sizeof *features);
    c->F = a->F;
    memcpy(c->feature + n * a->F, feature, a->F * sizeof *feature);
    bqb_status s = bqb_chat_picture(&c->ids, a->V, &c->place[n], err);
    c->n_pictures += !s;
    return s;
}

/* ---- messages ---- */

bqb_status bqb_history_new(bqb_history **out, bqb_assistant *a, size_t window, bqb_err *err) {
    *out = NULL;
    bqb_history *h = bqb_calloc(1, sizeof *h);
    if (!h) return bqb_fail_nomem(err, "a conversation", sizeof *h);
    *h = (bqb_history){.a = a, .window = window, .done = bqb_calloc(window, sizeof *h->done), .want = bqb_calloc(window, sizeof *h->want),
                       .feature = bqb_calloc(window, sizeof *h->feature), .rows = bqb_calloc(PART, a->C * sizeof *h->rows),
                       .hidden = bqb_calloc(a->C, sizeof *h->hidden)};
    bool all = h->done && h->want && h->feature && h->rows && h->hidden;
    bqb_status s = all ? bqb_decoder_past_new(&h->past, a->llm, window, err) : bqb_fail_nomem(err, "a conversation", window * sizeof *h->done);
    if (!s) s = bqb_history_begin(h, NULL, err);
    if (s) bqb_history_free(h);
    else *out = h;
    return s;
}

void bqb_history_free(bqb_history *h) {
    if (!h) return;
    while (h->n) bqb_history_drop_last(h);
    bqb_decoder_past_free(h->past);
    free(h->begin.id);
    free(h->list);
    free(h->done);
    free(h->want);
    free(h->feature);
    free(h->rows);
    free(h->hidden);
    free(h);
}

bqb_status bqb_history_begin(bqb_history *h, const char *system, bqb_err *err) {
    const bqb_assistant *a = h->a;
    while (h->n) bqb_history_drop_last(h);
    h->begin.n = 0;
    bqb_status s = bqb_chat_begin(&h->begin, a->tok, a->format, err);
    if (s || !system || !*system) return s;
    s = bqb_chat_open(&h->begin, a->tok, a->format, BQB_SYSTEM, err);
    if (!s) s = bqb_chat_text(&h->begin, a->tok, system, strlen(system), err);
    return s ? s : bqb_chat_close(&h->begin, a->tok, a->format, err);
}

bqb_status bqb_history_add_take(bqb_history *h, bqb_role role, bqb_content *c, bqb_err *err) {
    bqb_content whole = {.place = c->place, .feature = c->feature, .n_pictures = c->n_pictures, .F = c->F};
    bqb_ids inner = c->ids;
    *c = (bqb_content){.n_pictures = 0};
    bqb_status s = h->n < MOST_MESSAGES ? BQB_OK : bqb_fail(err, BQB_ELIMIT, "the conversation has more than %d messages", MOST_MESSAGES);
    if (!s) s = bqb_chat_open(&whole.ids, h->a->tok, h->a->format, role, err);
    for (size_t i = 0; i < whole.n_pictures; i++) whole.place[i] += whole.ids.n;
    for (size_t i = 0; i < inner.n && !s; i++) s = bqb_ids_add(&whole.ids, inner.id[i], err);
    if (!s) s = bqb_chat_close(&whole.ids, h->a->tok, h->a->format, err);
    free(inner.id);
    message *more = s ? NULL : bqb_grow(h->list, h->n, &h->cap, sizeof *more, 16);
    if (more) {
        h->list = more;
        h->list[h->n++] = (message){.role = role, .content = whole, .first_picture = h->n_pictures + 1};
        h->n_pictures += (uint32_t)whole.n_pictures;
        return BQB_OK;
    }
    bqb_content_free(&whole);
    return s ? s : bqb_fail_nomem(err, "a message", h->n * sizeof *more);
}

size_t bqb_history_count(const bqb_history *h) { return h->n; }

bool bqb_history_answered(const bqb_history *h) { return h->n && h->list[h->n - 1].role == BQB_ASSISTANT; }

void bqb_history_drop_last(bqb_history *h) { bqb_content_free(&h->list[--h->n].content); }

/* ---- the window ---- */

static size_t length_from(const bqb_history *h, size_t first, size_t opening) {
    size_t n = h->begin.n + opening;
    for (size_t i = first; i < h->n; i++) n += h->list[i].content.ids.n;
    return n;
}

static void forget_first(bqb_history *h, size_t n) {
    for (size_t i = 0; i < n; i++) bqb_content_free(&h->list[i].content);
    memmove(h->list, h->list + n, (h->n - n) * sizeof *h->list);
    h->n -= n;
}

/* Whole rounds go. When some must, a quarter of the window is made free, as everything behind has to be read again. */
static bqb_status make_room(bqb_history *h, size_t opening, size_t room, size_t *dropped, bqb_err *err) {
    *dropped = 0;
    size_t fits = h->window > room ? h->window - room : 0, first = 0;
    if (length_from(h, 0, opening) <= fits) return BQB_OK;
    while (first + 1 < h->n && length_from(h, first, opening) > fits - fits / 4) {
        size_t next = first + 1;
        while (next + 1 < h->n && h->list[next].role != BQB_USER) next++;
        first = next;
    }
    size_t n = length_from(h, first, opening);
    if (n > fits) {
        size_t around = length_from(h, h->n, opening);
        return bqb_fail(err, BQB_ELIMIT, "the message has %zu tokens, %zu fit (a window of %zu, %zu of which are for the answer and %zu stand around it)",
                        n - around, fits > around ? fits - around : 0, h->window, room, around);
    }
    forget_first(h, first);
    *dropped = first;
    return BQB_OK;
}

static void want(bqb_history *h, const bqb_ids *ids) {
    for (size_t i = 0; i < ids->n; i++) h->want[h->n_want++] = (place){.id = ids->id[i]};
}

/* What the language model is to have read. */
static void lay_out(bqb_history *h, const bqb_ids *opening) {
    h->n_want = 0;
    want(h, &h->begin);
    for (size_t i = 0; i < h->n; i++) {
        const bqb_content *c = &h->list[i].content;
        size_t at = h->n_want;
        want(h, &c->ids);
        for (size_t k = 0; k < c->n_pictures; k++) {
            h->want[at + c->place[k]].picture = h->list[i].first_picture + (uint32_t)k;
            h->feature[at + c->place[k]] = c->feature + k * c->F;
        }
    }
    want(h, opening);
}

static bqb_status read_part(bqb_history *h, size_t from, size_t n, bqb_err *err) {
    int32_t ids[PART] = {0};
    size_t C = h->a->C;
    for (size_t i = 0; i < n; i++) ids[i] = h->want[from + i].id;
    bqb_status s = bqb_stickerllm_embed(h->a->llm, &h->a->adapter->parts, h->rows, ids, n, err);
    for (size_t i = 0; i < n && !s; i++)
        if (h->want[from + i].picture) bqb_stickerllm_picture(&h->a->adapter->parts, h->rows + i * C, h->feature[from + i]);
    if (!s) s = bqb_decoder_run(h->a->llm, h->past, h->hidden, true, h->rows, n, NULL, err);
    if (!s) memcpy(h->done + from, h->want + from, n * sizeof *h->done);
    return s;
}

bqb_status bqb_history_read(bqb_history *h, float *hidden, size_t room, size_t *dropped, int (*stop)(void *), void *ctx, bqb_err *err) {
    bqb_ids opening = {0};
    bqb_status s = bqb_chat_open(&opening, h->a->tok, h->a->format, BQB_ASSISTANT, err);
    *dropped = 0;
    if (!s) s = make_room(h, opening.n, room, dropped, err);
    if (!s) {
        lay_out(h, &opening);
        size_t at = 0, n = bqb_decoder_past_count(h->past);
        while (at < n && at + 1 < h->n_want && h->done[at].id == h->want[at].id && h->done[at].picture == h->want[at].picture) at++;
        bqb_decoder_past_cut(h->past, at);
        while (at < h->n_want && !s) {
            size_t part = h->n_want - at < PART ? h->n_want - at : PART;
            if (stop && stop(ctx)) s = bqb_fail(err, BQB_ECANCEL, "the answer was stopped");
            else s = read_part(h, at, part, err);
            at += part;
        }
        if (!s) memcpy(hidden, h->hidden, h->a->C * sizeof *hidden);
    }
    free(opening.id);
    return s;
}

size_t bqb_history_length(const bqb_history *h) { return bqb_decoder_past_count(h->past); }

bqb_status bqb_history_push(bqb_history *h, float *hidden, int32_t id, bqb_err *err) {
    size_t n = bqb_decoder_past_count(h->past);
    if (n >= h->window) return bqb_fail(err, BQB_ELIMIT, "the window of %zu tokens is full", h->window);
    h->want[n] = (place){.id = id};
    bqb_status s = read_part(h, n, 1, err);
    if (!s) memcpy(hidden, h->hidden, h->a->C * sizeof *hidden);
    return s;
}
