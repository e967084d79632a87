#include "chat/dialogue.h"

#include "base/mem.h"
#include "base/utf8.h"
#include "chat/history.h"
#include "chat/stream.h"
#include "search/filter.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_TOKENS = 512, LEAST_WINDOW = 32, MOST_ANSWER = 1 << 20 };

struct bqb_dialogue {
    bqb_assistant *a;
    bqb_catalogue *c;
    bqb_dialogue_options o;
    bqb_history *history;
    bqb_choice *choice;
    const bqb_followups *followups; /* the assistant's; NULL: none are listened to */
    bqb_sampler *sampler;
    float *hidden, *logits, *query; /* [C], [V+5], [D] */
    char *said;       /* the last message of the user; NULL: none */
    bool pret;        /* and whether it asked for a sticker */
    bool sticker_last; /* the last answer was about a sticker */
};

bqb_dialogue_options bqb_dialogue_defaults(void) {
    return (bqb_dialogue_options){.sampling = bqb_sampling_defaults(), .follow = true,
                                  .choice = {.beta = BQB_RETRIEVE_BETA, .least = bqb_retrieve_least, .n = 1, .no_repeat = 20}};
}

const char *bqb_stopped_name(bqb_stopped s) {
    static const char *const names[] = {"end", "length", "cancelled", "nothing_fits"};
    return (unsigned)s <= BQB_STOPPED_NOTHING ? names[s] : "";
}

void bqb_answer_free(bqb_answer *a) {
    for (size_t i = 0; i < a->n_stickers; i++) bqb_found_free(&a->sticker[i]);
    free(a->sticker);
    free(a->sent);
    free(a->text);
    *a = (bqb_answer){.n_sent = 0};
}

/* ---- opening ---- */

static bqb_status check_library(const bqb_dialogue *d, bqb_err *err) {
    bqb_catalogue_stats stats;
    bqb_id_set set = {0};
    bool has = false, any;
    bqb_status s = bqb_catalogue_get_stats(d->c, &stats, err);
    if (!s && !stats.stickers)
        return bqb_fail(err, BQB_ENOTFOUND, "%s: the library has no stickers; `bqb import FOLDER` adds some", bqb_catalogue_dir(d->c));
    if (!s) s = bqb_catalogue_has_model(d->c, d->a->clip_id, "image", &has, err);
    if (!s && !has)
        return bqb_fail(err, BQB_ENOTFOUND, "%s: the library has no vectors of the StickerCLIP in %s; `bqb import FOLDER` with this --model makes them",
                        bqb_catalogue_dir(d->c), d->a->clip_dir);
    const bqb_choice_options *o = &d->o.choice;
    if (!s) s = bqb_filter(&set, &any, d->c, o->emotion, o->style, o->animated, err);
    bqb_id_set_free(&set);
    return s;
}

static bool ends(const bqb_dialogue *d, int32_t id) { return bqb_chat_ends(d->a->tok, d->a->format, bqb_decoder_get_config(d->a->llm), id); }

static bqb_status make_sampler(bqb_dialogue *d, bqb_err *err) {
    bqb_status s = bqb_sampler_new(&d->sampler, &d->o.sampling, d->a->V + BQB_STICKER_TOKENS, err);
    for (size_t i = 0; i < d->a->V && !s; i++)
        if (d->a->mute[i]) bqb_sampler_forbid(d->sampler, (int32_t)i, true);
    for (int t = 0; t < BQB_STICKER_TOKENS && !s; t++) bqb_sampler_forbid(d->sampler, (int32_t)(d->a->V + (size_t)t), t != BQB_TOKEN_RET);
    return s;
}

static bqb_status fill(bqb_dialogue *d, bqb_err *err) {
    const bqb_assistant *a = d->a;
    if (a->window < LEAST_WINDOW) return bqb_fail(err, BQB_EINVAL, "a window of %zu tokens is too small; %d are needed", a->window, LEAST_WINDOW);
    if (!(d->o.choice.beta >= 0 && d->o.choice.beta <= 10)) return bqb_fail(err, BQB_EINVAL, "beta %g is not within 0 … 10", d->o.choice.beta);
    if (!d->o.most_tokens) d->o.most_tokens = a->window / 4 < MOST_TOKENS ? a->window / 4 : MOST_TOKENS;
    if (d->o.most_tokens > a->window / 2)
        return bqb_fail(err, BQB_EINVAL, "answers of %zu tokens were asked for; the window of %zu allows %zu", d->o.most_tokens, a->window, a->window / 2);
    d->hidden = bqb_calloc(a->C, sizeof *d->hidden);
    d->logits = bqb_calloc(a->V + BQB_STICKER_TOKENS, sizeof *d->logits);
    d->query = bqb_calloc(a->D, sizeof *d->query);
    if (!d->hidden || !d->logits || !d->query) return bqb_fail_nomem(err, "a conversation", a->V * sizeof *d->logits);
    bqb_status s = check_library(d, err);
    d->followups = d->o.follow ? a->followups : NULL;
    if (!s) s = make_sampler(d, err);
    if (!s) s = bqb_choice_new(&d->choice, d->a, d->c, &d->o.choice, err);
    if (!s) s = bqb_history_new(&d->history, d->a, a->window, err);
    return s ? s : bqb_dialogue_reset(d, err);
}

bqb_status bqb_dialogue_new(bqb_dialogue **out, bqb_assistant *a, bqb_catalogue *c, const bqb_dialogue_options *o, bqb_err *err) {
    *out = NULL;
    bqb_dialogue *d = bqb_calloc(1, sizeof *d);
    if (!d) return bqb_fail_nomem(err, "a conversation", sizeof *d);
    *d = (bqb_dialogue){.a = a, .c = c, .o = *o};
    if (!d->o.system) d->o.system = a->adapter->info.system;
    bqb_status s = fill(d, err);
    if (s) bqb_dialogue_free(d);
    else *out = d;
    return s;
}

void bqb_dialogue_free(bqb_dialogue *d) {
    if (!d) return;
    bqb_history_free(d->history);
    bqb_choice_free(d->choice);
    bqb_sampler_free(d->sampler);
    free(d->hidden);
    free(d->logits);
    free(d->query);
    free(d->said);
    free(d);
}

bqb_status bqb_dialogue_reset(bqb_dialogue *d, bqb_err *err) {
    bqb_choice_forget(d->choice);
    free(d->said);
    d->said = NULL;
    d->sticker_last = false;
    return bqb_history_begin(d->history, d->o.system, err);
}

/* ---- messages ---- */

static bqb_status add_pictures(bqb_dialogue *d, bqb_content *content, const bqb_message *m, bqb_err *err) {
    float *feature = m->n_pictures ? bqb_calloc(d->a->F, sizeof *feature) : NULL;
    bqb_status s = feature || !m->n_pictures ? BQB_OK : bqb_fail_nomem(err, "a picture", d->a->F);
    if (m->n_pictures > BQB_MESSAGE_PICTURES)
        s = bqb_fail(err, BQB_ELIMIT, "%zu pictures in one message; %d are possible", m->n_pictures, BQB_MESSAGE_PICTURES);
    for (size_t i = 0; i < m->n_pictures && !s; i++) {
        const bqb_picture *p = &m->picture[i];
        if (p->size > BQB_PICTURE_MAX) s = bqb_fail(err, BQB_ELIMIT, "%s: %zu bytes, a picture may have %d", p->name, p->size, BQB_PICTURE_MAX);
        if (!s) s = bqb_assistant_picture(d->a, feature, p->data, p->size, p->name, err);
        if (!s) s = bqb_content_picture(content, d->a, feature, err);
    }
    free(feature);
    return s;
}

static bqb_status check_message(const bqb_message *m, bqb_err *err) {
    size_t n = strlen(m->text);
    if (n > BQB_MESSAGE_MAX) return bqb_fail(err, BQB_ELIMIT, "a message of %zu bytes; %d are possible", n, BQB_MESSAGE_MAX);
    return n || m->n_pictures || m->pret ? BQB_OK : bqb_fail(err, BQB_EINVAL, "the message is empty");
}

static bqb_status add_user(bqb_dialogue *d, const bqb_message *m, bqb_err *err) {
    bqb_content content = {.n_pictures = 0};
    bqb_status s = check_message(m, err);
    if (!s && m->pret) s = bqb_content_token(&content, d->a, BQB_TOKEN_PRET, err);
    if (!s) s = add_pictures(d, &content, m, err);
    if (!s) s = bqb_content_text(&content, d->a, m->text, strlen(m->text), err);
    if (!s) s = bqb_history_add_take(d->history, BQB_USER, &content, err);
    bqb_content_free(&content);
    return s;
}

/* A sticker that was sent, as the language model finds it in the history: [RET] what it is [/RET]. */
static bqb_status add_sticker(bqb_dialogue *d, bqb_content *content, const bqb_found *f, bqb_err *err) {
    bqb_buf words = {.max = 4096};
    bqb_status s = bqb_content_token(content, d->a, BQB_TOKEN_RET, err);
    if (!s) s = bqb_choice_describe(&words, f, err);
    if (!s) s = bqb_content_text(content, d->a, words.data, words.len, err);
    if (!s) s = bqb_content_token(content, d->a, BQB_TOKEN_RET_END, err);
    bqb_buf_free(&words);
    return s;
}

static bqb_status keep_said(bqb_dialogue *d, const bqb_message *m, bqb_err *err) {
    char *said = bqb_strdup(m->text);
    if (!said) return bqb_fail_nomem(err, "a message", strlen(m->text));
    free(d->said);
    d->said = said;
    d->pret = m->pret;
    return BQB_OK;
}

bqb_status bqb_dialogue_add(bqb_dialogue *d, bqb_role role, const bqb_message *m, const bqb_sticker_id *sticker, size_t n_stickers, bqb_err *err) {
    bqb_content content = {.n_pictures = 0};
    size_t n = strlen(m->text);
    if (n > BQB_MESSAGE_MAX) return bqb_fail(err, BQB_ELIMIT, "a message of %zu bytes; %d are possible", n, BQB_MESSAGE_MAX);
    if (role == BQB_USER) {
        bqb_status st = add_user(d, m, err);
        return st ? st : keep_said(d, m, err);
    }
    bqb_status s = bqb_content_text(&content, d->a, m->text, n, err);
    for (size_t i = 0; i < n_stickers && !s; i++) {
        bqb_found f;
        s = bqb_found_load(&f, d->c, sticker[i], err);
        if (!s) s = add_sticker(d, &content, &f, err);
        if (!s) s = bqb_choice_was_sent(d->choice, sticker[i], err);
        bqb_found_free(&f);
    }
    if (!s) s = bqb_history_add_take(d->history, role, &content, err);
    if (!s && role == BQB_ASSISTANT) d->sticker_last = n_stickers > 0;
    bqb_content_free(&content);
    return s;
}

/* ---- an answer ---- */

typedef struct {
    bqb_dialogue *d;
    const bqb_answer_events *events;
    bqb_answer *out;
    bqb_stream stream;
    size_t shown;        /* of the stream's text */
    bqb_content content; /* what goes into the history */
    bool stop;
} answering;

static int asked_to_stop(void *ctx) {
    answering *g = ctx;
    if (!g->stop && g->events && g->events->stop) g->stop = g->events->stop(g->events->ctx) != 0;
    return g->stop;
}

/* What is complete of the text goes out. */
static void show_text(answering *g) {
    size_t n = g->stream.text.len - g->shown;
    if (n && g->events && g->events->text && g->events->text(g->events->ctx, g->stream.text.data + g->shown, n)) g->stop = true;
    g->shown += n;
}

static bqb_status say_token(answering *g, int32_t id, bqb_err *err) {
    bqb_buf bytes = {.max = 1 << 16};
    bqb_status s = bqb_llm_tokenizer_decode(g->d->a->tok, &bytes, id, false, err);
    if (!s) s = bqb_stream_add(&g->stream, bytes.data ? bytes.data : "", bytes.len, err);
    if (!s) s = bqb_ids_add(&g->content.ids, id, err);
    if (!s) show_text(g);
    bqb_buf_free(&bytes);
    return s;
}

/* Words of ours in the answer: they are part of the history as if the model had said them. */
static bqb_status say_words(answering *g, const char *words, bqb_err *err) {
    bqb_status s = bqb_stream_end(&g->stream, err);
    g->stream.blank_line_ends = false;
    if (!s) s = bqb_stream_add(&g->stream, words, strlen(words), err);
    if (!s) s = bqb_content_text(&g->content, g->d->a, words, strlen(words), err);
    if (!s) show_text(g);
    return s;
}

static bool is_chinese(const char *text) {
    for (size_t i = 0, n = strlen(text); i < n;) {
        uint32_t cp;
        i += bqb_utf8_next(text + i, n - i, &cp, NULL);
        if (cp >= 0x3400 && cp < 0xA000) return true;
    }
    return false;
}

/* In the language of the question; without words in it, in both. */
static const char *nothing_words(const char *said, bool follows) {
    bool letters = said && strspn(said, " \t\r\n") < strlen(said);
    if (letters && !is_chinese(said)) return follows ? "I have no other one that fits." : "I found no sticker that fits.";
    return follows ? "没有别的合适的表情了。" : "没有找到合适的表情。";
}

/* Send the first result: it is told, kept for the answer, and described in the history. The results are taken over. */
static bqb_status send_take(answering *g, bqb_search_results *r, bqb_err *err) {
    size_t n = g->out->n_stickers + r->n;
    bqb_found *more = realloc(g->out->sticker, n * sizeof *more);
    if (more) g->out->sticker = more;
    bool *sent = realloc(g->out->sent, n * sizeof *sent);
    if (sent) g->out->sent = sent;
    if (!more || !sent) return bqb_fail_nomem(err, "stickers", n * sizeof *more);
    bqb_status s = add_sticker(g->d, &g->content, &r->item[0], err);
    if (!s) s = bqb_choice_sent(g->d->choice, r->item[0].sticker.id, err);
    if (s) return s;
    if (g->events && g->events->sticker && g->events->sticker(g->events->ctx, &r->item[0])) g->stop = true;
    memcpy(more + g->out->n_stickers, r->item, r->n * sizeof *more);
    for (size_t i = g->out->n_stickers; i < n; i++) sent[i] = i == g->out->n_stickers;
    g->out->n_stickers = n;
    g->out->n_sent++;
    r->n = 0;
    return BQB_OK;
}

/* After [RET]: its hidden state is the query, and [/RET] follows whatever the logits say. */
static bqb_status answer_sticker(answering *g, bqb_err *err) {
    bqb_dialogue *d = g->d;
    bqb_search_results r = {0};
    int32_t ret = (int32_t)(d->a->V + BQB_TOKEN_RET), end = (int32_t)(d->a->V + BQB_TOKEN_RET_END);
    bqb_status s = bqb_stream_end(&g->stream, err);
    if (!s) show_text(g);
    if (!s) s = bqb_history_push(d->history, d->hidden, ret, err);
    if (!s) bqb_stickerllm_query(&d->a->adapter->parts, d->query, d->hidden);
    if (!s) s = bqb_choice_find(d->choice, &r, d->query, d->said, err);
    if (!s && r.n) {
        s = send_take(g, &r, err);
        if (!s) s = bqb_history_push(d->history, d->hidden, end, err);
    } else if (!s) {
        g->out->stopped = BQB_STOPPED_NOTHING;
        const char *words = nothing_words(d->said, false);
        if (g->shown) s = say_words(g, is_chinese(words) ? "……" : " … ", err); /* what was promised is taken back */
        if (!s) s = say_words(g, words, err);
    }
    bqb_search_results_free(&r);
    return s;
}

/* The next token; -1 where nothing can be said. */
static bqb_status choose_token(answering *g, int32_t *id, bool may_send, bqb_err *err) {
    bqb_dialogue *d = g->d;
    int32_t ret = (int32_t)(d->a->V + BQB_TOKEN_RET);
    bqb_status s = bqb_stickerllm_logits(d->a->llm, &d->a->adapter->parts, d->logits, d->hidden, 1, err);
    if (s) return s;
    bqb_sampler_forbid(d->sampler, ret, !may_send);
    *id = bqb_sampler_choose(d->sampler, d->logits);
    bool over = *id < 0 || ends(d, *id);
    if (over && d->pret && may_send && !g->out->n_sent) *id = ret; /* a sticker was asked for in so many words */
    return BQB_OK;
}

static bqb_status generate(answering *g, bqb_err *err) {
    bqb_dialogue *d = g->d;
    int32_t ret = (int32_t)(d->a->V + BQB_TOKEN_RET);
    bqb_status s = BQB_OK;
    g->out->stopped = BQB_STOPPED_LENGTH;
    bqb_sampler_new_answer(d->sampler);
    for (size_t n = 0; n < d->o.most_tokens && !s && g->out->stopped == BQB_STOPPED_LENGTH; n++) {
        int32_t id = -1;
        if (asked_to_stop(g)) {
            g->out->stopped = BQB_STOPPED_CANCELLED;
            break;
        }
        s = choose_token(g, &id, g->out->n_sent < BQB_ANSWER_STICKERS && n + 2 < d->o.most_tokens, err);
        if (s) break;
        g->out->n_said++;
        if (id == ret) {
            s = answer_sticker(g, err);
            n++;
        } else if (id < 0 || ends(d, id)) g->out->stopped = BQB_STOPPED_END;
        else {
            bqb_sampler_saw(d->sampler, id);
            s = say_token(g, id, err);
            if (!s && g->stream.ended) g->out->stopped = BQB_STOPPED_END;
            else if (!s && n + 1 < d->o.most_tokens) s = bqb_history_push(d->history, d->hidden, id, err);
        }
    }
    if (!s) s = bqb_stream_end(&g->stream, err);
    if (!s) show_text(g);
    return s;
}

static bqb_status answer_by_model(answering *g, bqb_err *err) {
    bqb_dialogue *d = g->d;
    bqb_status s = bqb_history_read(d->history, d->hidden, d->o.most_tokens, &g->out->n_forgotten, asked_to_stop, g, err);
    if (s == BQB_ECANCEL) {
        g->out->stopped = BQB_STOPPED_CANCELLED;
        return BQB_OK;
    }
    g->out->n_read = bqb_history_length(d->history);
    return s ? s : generate(g, err);
}

static bqb_status answer_by_rule(answering *g, const bqb_followup *f, bqb_err *err) {
    bqb_search_results r = {0};
    bqb_status s = bqb_choice_follow(g->d->choice, &r, f, err);
    g->out->rule = f->kind;
    g->out->stopped = !s && r.n ? BQB_STOPPED_END : BQB_STOPPED_NOTHING;
    if (!s) s = r.n ? send_take(g, &r, err) : say_words(g, nothing_words(g->d->said, true), err);
    bqb_search_results_free(&r);
    return s;
}

/* The answer to the last message, which is in the history. */
static bqb_status answer(bqb_dialogue *d, const bqb_followup *f, const bqb_answer_events *events, bqb_answer *out, bqb_err *err) {
    answering g = {.d = d, .events = events, .out = out, .stream = {.text = {.max = MOST_ANSWER}, .blank_line_ends = d->a->format == BQB_CHAT_PLAIN}};
    bqb_status s = f->kind ? answer_by_rule(&g, f, err) : answer_by_model(&g, err);
    if (!s && !(out->text = bqb_strdup(g.stream.text.data ? g.stream.text.data : ""))) s = bqb_fail_nomem(err, "an answer", g.stream.text.len);
    if (!s) s = bqb_history_add_take(d->history, BQB_ASSISTANT, &g.content, err);
    if (!s) d->sticker_last = out->n_sent > 0 || out->rule;
    bqb_content_free(&g.content);
    bqb_buf_free(&g.stream.text);
    if (s) bqb_answer_free(out);
    return s;
}

bqb_status bqb_dialogue_say(bqb_dialogue *d, const bqb_message *m, const bqb_answer_events *events, bqb_answer *out, bqb_err *err) {
    bqb_followup f = {.kind = BQB_FOLLOW_NONE};
    *out = (bqb_answer){.n_sent = 0};
    bqb_status s = add_user(d, m, err);
    if (s) return s;
    if (d->followups && d->sticker_last && bqb_choice_can_follow(d->choice) && !m->n_pictures) s = bqb_followups_match(&f, d->followups, m->text, err);
    if (!s) s = keep_said(d, m, err);
    if (!s) s = answer(d, &f, events, out, err);
    if (s) bqb_history_drop_last(d->history);
    return s;
}

bqb_status bqb_dialogue_again(bqb_dialogue *d, const bqb_answer_events *events, bqb_answer *out, bqb_err *err) {
    bqb_followup f = {.kind = BQB_FOLLOW_NONE};
    *out = (bqb_answer){.n_sent = 0};
    if (!d->said || !bqb_history_count(d->history)) return bqb_fail(err, BQB_ENOTFOUND, "nothing was said yet");
    if (bqb_history_answered(d->history)) bqb_history_drop_last(d->history);
    if (d->followups && bqb_choice_can_follow(d->choice)) {
        bqb_status s = bqb_followups_match(&f, d->followups, d->said, err);
        if (s) return s;
        if (f.kind) f = (bqb_followup){.kind = BQB_FOLLOW_ANOTHER}; /* it has leant that way already */
    }
    return answer(d, &f, events, out, err);
}
