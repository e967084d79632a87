/* What a language model has read of a conversation: only what is new is read, and it is the same as reading all of it. */
#include "base/rand.h"
#include "base/utf8.h"
#include "chat/history.h"
#include "chat/stream.h"
#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { C = 24, WINDOW = 200, F = 5 };

static bqb_err err;

typedef struct {
    bqb_assistant a;
    bqb_adapter adapter;
} random_model;

/* A decoder with random weights, and parts that are as random. */
static bool make(random_model *m) {
    memset(m, 0, sizeof *m);
    if (!CHECK_OK(bqb_llm_tokenizer_open(&m->a.tok, "tests/golden/llm/tokenizer/qwen2/tokenizer.json", &err), err)) return false;
    bqb_decoder_config c = {.family = BQB_LLAMA, .vocab = bqb_llm_tokenizer_size(m->a.tok), .width = C, .layers = 2, .heads = 4, .kv_heads = 2, .head_dim = 8, .mlp = 40,
                            .context = WINDOW, .eps = 1e-5f, .rope_theta = 100, .rope_factor = 1, .tied = true, .bos = -1};
    CHECK_OK(bqb_decoder_new(&m->a.llm, &c, 3, BQB_PREC_F32, 2, &err), err);
    CHECK_OK(bqb_sticker_parts_new(&m->adapter.parts, C, F, 4, &err), err);
    bqb_rand r = bqb_rand_seed(4, 0);
    for (size_t i = 0; i < m->adapter.parts.n_floats; i++) m->adapter.parts.floats[i] = 0.3f * (float)bqb_rand_normal(&r);
    for (size_t i = 0; i < bqb_decoder_weight_count(m->a.llm); i++) bqb_decoder_weights(m->a.llm)[i] += 0.2f * (float)bqb_rand_normal(&r);
    m->a.adapter = &m->adapter;
    m->a.V = c.vocab;
    m->a.C = C;
    m->a.F = F;
    m->a.D = 4;
    m->a.format = bqb_chat_format_of(m->a.tok);
    return true;
}

static void drop(random_model *m) {
    bqb_sticker_parts_free(&m->adapter.parts);
    bqb_llm_tokenizer_close(m->a.tok);
    bqb_decoder_free(m->a.llm);
}

static void add(bqb_history *h, const random_model *m, bqb_role role, const char *text, float picture) {
    bqb_content c = {.n_pictures = 0};
    float feature[F] = {picture, 1, -picture};
    if (picture != 0) CHECK_OK(bqb_content_picture(&c, &m->a, feature, &err), err);
    CHECK_OK(bqb_content_text(&c, &m->a, text, strlen(text), &err), err);
    CHECK_OK(bqb_history_add_take(h, role, &c, &err), err);
    CHECK(!c.ids.id && !c.n_pictures);
}

static double apart(const float *a, const float *b) {
    double most = 0;
    for (int i = 0; i < C; i++) most = fmax(most, fabs((double)a[i] - (double)b[i]));
    return most;
}

TEST(history_reads_only_what_is_new) {
    random_model m;
    bqb_history *h = NULL, *fresh = NULL;
    float one[C], other[C], third[C];
    size_t dropped;
    if (!make(&m)) return;
    CHECK_OK(bqb_history_new(&h, &m.a, WINDOW, &err), err);
    CHECK_OK(bqb_history_begin(h, "sys", &err), err);
    add(h, &m, BQB_USER, "你好", 0.5f);
    CHECK_OK(bqb_history_read(h, one, 20, &dropped, NULL, NULL, &err), err);
    CHECK_OK(bqb_history_push(h, other, 5, &err), err); /* an answer that is thrown away */
    CHECK_MSG(apart(one, other) > 1e-3, "another token gives another state");
    CHECK_OK(bqb_history_read(h, other, 20, &dropped, NULL, NULL, &err), err);
    CHECK_MSG(apart(one, other) < 1e-4, "the same conversation, %g apart", apart(one, other));
    add(h, &m, BQB_ASSISTANT, "ok", 0);
    add(h, &m, BQB_USER, "more", 0);
    CHECK_OK(bqb_history_read(h, one, 20, &dropped, NULL, NULL, &err), err);
    CHECK_OK(bqb_history_new(&fresh, &m.a, WINDOW, &err), err);
    CHECK_OK(bqb_history_begin(fresh, "sys", &err), err);
    add(fresh, &m, BQB_USER, "你好", 0.5f);
    add(fresh, &m, BQB_ASSISTANT, "ok", 0);
    add(fresh, &m, BQB_USER, "more", 0);
    CHECK_OK(bqb_history_read(fresh, other, 20, &dropped, NULL, NULL, &err), err);
    CHECK_MSG(apart(one, other) < 1e-4, "read in rounds and at once, %g apart", apart(one, other));
    /* The same words with another picture are another conversation, though their tokens are the same. */
    CHECK_OK(bqb_history_begin(fresh, "sys", &err), err);
    add(fresh, &m, BQB_USER, "你好", -0.5f);
    add(fresh, &m, BQB_ASSISTANT, "ok", 0);
    add(fresh, &m, BQB_USER, "more", 0);
    CHECK_OK(bqb_history_read(fresh, third, 20, &dropped, NULL, NULL, &err), err);
    CHECK_MSG(apart(other, third) > 1e-3, "another picture goes unnoticed");
    bqb_history_free(h);
    bqb_history_free(fresh);
    drop(&m);
}

static int stop_at_once(void *ctx) {
    (void)ctx;
    return 1;
}

TEST(history_forgets_the_oldest) {
    random_model m;
    bqb_history *h = NULL;
    float hidden[C];
    size_t dropped, n = 0;
    if (!make(&m)) return;
    CHECK_OK(bqb_history_new(&h, &m.a, WINDOW, &err), err);
    CHECK_OK(bqb_history_begin(h, "s", &err), err);
    for (int i = 0; i < 20; i++) {
        add(h, &m, BQB_USER, "a question", 0);
        if (!CHECK_OK(bqb_history_read(h, hidden, 40, &dropped, NULL, NULL, &err), err)) break;
        CHECK_MSG(dropped % 2 == 0, "whole rounds go, not %zu messages", dropped);
        CHECK(bqb_history_length(h) <= WINDOW - 40);
        n += dropped;
        add(h, &m, BQB_ASSISTANT, "an answer", 0);
    }
    CHECK(n > 10);
    for (size_t i = bqb_history_length(h); i < WINDOW; i++) CHECK_OK(bqb_history_push(h, hidden, 7, &err), err);
    CHECK(bqb_history_push(h, hidden, 7, &err) == BQB_ELIMIT);
    add(h, &m, BQB_USER, "x", 0);
    CHECK(bqb_history_read(h, hidden, 40, &dropped, stop_at_once, NULL, &err) == BQB_ECANCEL);
    CHECK_OK(bqb_history_read(h, hidden, 40, &dropped, NULL, NULL, &err), err);
    bqb_history_free(h);
    drop(&m);
}

/* ---- characters ---- */

static void stream(bqb_stream *s, const char *want, const char *const *parts) {
    for (; *parts; parts++) {
        CHECK_OK(bqb_stream_add(s, *parts, strlen(*parts), &err), err);
        CHECK(s->text.len == bqb_utf8_check(s->text.data ? s->text.data : "", s->text.len));
    }
    CHECK_STR(s->text.data ? s->text.data : "", want);
}

#define STREAM(s, want, ...) stream(&(s), want, (const char *const[]){__VA_ARGS__, NULL})

TEST(stream_gives_whole_characters) {
    bqb_stream s = {.text = {.max = 1000}};
    STREAM(s, "a", "a\xE5");
    STREAM(s, "a", "\xA5");
    STREAM(s, "a好", "\xBD\xF0\x9F");
    STREAM(s, "a好😀", "\x98", "\x80");
    STREAM(s, "a好😀\xEF\xBF\xBD" "b", "\xE5", "b"); /* never completed */
    STREAM(s, "a好😀\xEF\xBF\xBD" "b\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD", "\x80\xC0\xFF");
    bqb_buf_free(&s.text);
    s = (bqb_stream){.text = {.max = 1000}};
    STREAM(s, "\xEF\xBF\xBD\xEF\xBF\xBD", "\xE0\x80"); /* an overlong form can begin nothing */
    STREAM(s, "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD", "\xED\xA0"); /* nor can a surrogate */
    CHECK_OK(bqb_stream_add(&s, "\0x\xE5\xA5", 4, &err), err);
    CHECK_MSG(s.text.len == 5 * 3 + 1, "a zero byte is no text");
    CHECK_OK(bqb_stream_end(&s, &err), err);
    CHECK(s.text.len == 6 * 3 + 1 && s.n_held == 0);
    bqb_buf_free(&s.text);
}

TEST(stream_ends_at_a_blank_line) {
    bqb_stream s = {.text = {.max = 1000}, .blank_line_ends = true};
    STREAM(s, "one", "one\n");
    STREAM(s, "one\ntwo", "two", "\n", "\n", "three");
    CHECK(s.ended);
    bqb_buf_free(&s.text);
}
