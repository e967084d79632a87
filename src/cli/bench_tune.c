/* bqb bench --tune LLM: lessons a second of special-token tuning, with and without what the frozen first tokens save. */
#include "base/data.h"
#include "base/mem.h"
#include "chat/tune_batch.h"
#include "cli/bench.h"

#include <stdio.h>
#include <stdlib.h>

enum { LESSONS = 32, F = 768, D = 512 };

static const bqb_annotation sticker = {{"一只小猫趴在办公室的桌子上打哈欠", "困倦", "想睡", "卡通", "今天又是不想上班的一天"}};

typedef struct {
    bqb_decoder *m, **team;
    bqb_llm_tokenizer *tok;
    bqb_lessons *lessons;
    bqb_sticker_parts parts, grad;
    int32_t *numbers;      /* ids, labels [B,L], length, img, ret [B] */
    float *query, *target; /* [B,F], [B,D] */
    bqb_sticker_batch batch;
    double tokens; /* of a lesson, on the average */
} tuning;

/* The paper's mixture and a fifth of talk, about one sticker; `before`: what stands before every conversation. */
static bqb_status make_batch(tuning *t, const char *before, bqb_err *err) {
    bqb_lesson_form form = {.tok = t->tok, .format = bqb_chat_format_of(t->tok), .vocab = bqb_decoder_get_config(t->m)->vocab, .system = before};
    bqb_lesson l[LESSONS] = {{.img = 0}};
    bqb_rand r = bqb_rand_seed(1, 0);
    size_t L = 0;
    bqb_status s = BQB_OK;
    for (size_t k = 0; k < LESSONS && !s; k++) {
        bqb_task task = k % 5 == 4 ? BQB_TASK_TALK : bqb_lessons_draw_task(&r);
        s = bqb_lessons_make(&l[k], t->lessons, &form, task, false, bqb_rand_below(&r, bqb_lessons_count(t->lessons, task, false)), &sticker, task != BQB_TASK_TALK && k % 2, false, &r,
                             err);
        if (l[k].ids.n > L) L = l[k].ids.n;
    }
    free(t->numbers);
    t->numbers = s ? NULL : bqb_calloc(LESSONS, (2 * L + 3) * sizeof *t->numbers);
    if (!s && !t->numbers) s = bqb_fail_nomem(err, "lessons", LESSONS * L * 8);
    int32_t *ids = t->numbers, *labels = ids + (s ? 0 : LESSONS * L), *length = labels + (s ? 0 : LESSONS * L), *img = length + (s ? 0 : LESSONS), *ret = img + (s ? 0 : LESSONS);
    t->tokens = 0;
    for (size_t k = 0; k < LESSONS && !s; k++) {
        for (size_t i = 0; i < L; i++) {
            ids[k * L + i] = i < l[k].ids.n ? l[k].ids.id[i] : 0;
            labels[k * L + i] = i < l[k].ids.n ? l[k].labels.id[i] : -100;
        }
        length[k] = (int32_t)l[k].ids.n;
        img[k] = l[k].img;
        ret[k] = l[k].ret;
        t->tokens += (double)l[k].ids.n / LESSONS;
    }
    for (size_t k = 0; k < LESSONS; k++) bqb_lesson_free(&l[k]);
    t->batch = (bqb_sticker_batch){.B = LESSONS, .L = L, .ids = ids, .labels = labels, .length = length, .img = img, .ret = ret, .query = t->query, .target = t->target};
    return s;
}

static bqb_status measure(bench *b, tuning *t, const char *what, bqb_precision precision, bqb_err *err) {
    bqb_status s = BQB_OK;
    for (int whole = 0; whole < 2 && !s; whole++) {
        bqb_sticker_how how = {.whole = whole, .team = t->team, .n_team = (size_t)b->threads};
        bench_timing time = {0};
        bqb_sticker_loss loss;
        while (!s && bench_more(&time, b->seconds)) {
            double t0 = bqb_now_s();
            s = bqb_stickerllm_grad(t->m, &t->parts, &t->grad, &loss, NULL, &t->batch, &how, err);
            bench_took(&time, bqb_now_s() - t0);
        }
        char row[128];
        snprintf(row, sizeof row, "tuning: %s of %.0f tokens%s", what, t->tokens, whole ? "; a tape of every token" : "");
        if (!s) bench_row(b, row, bqb_precision_name(precision), LESSONS / time.best_s, "/s", 0, 0);
    }
    return s;
}

static bqb_status open_tuning(bench *b, tuning *t, const char *llm, bqb_precision precision, bqb_err *err) {
    char *chat = NULL;
    bqb_rand r = bqb_rand_seed(2, 0);
    bqb_status s = bqb_data_path(&chat, "chat", err);
    if (!s) s = bqb_lessons_open(&t->lessons, chat, err);
    free(chat);
    if (!s) s = bqb_decoder_open(&t->m, llm, precision, 1, err);
    if (!s) s = bqb_llm_tokenizer_of(&t->tok, llm, err);
    if (!s && !(t->team = bqb_calloc((size_t)b->threads, sizeof(*t->team)))) s = bqb_fail_nomem(err, "bench", 0);
    for (int k = 0; k < b->threads && !s; k++) s = bqb_decoder_share(&t->team[k], t->m, 1, err);
    if (!s) s = bqb_sticker_parts_new(&t->parts, bqb_decoder_get_config(t->m)->width, F, D, err);
    if (!s) s = bqb_sticker_parts_new(&t->grad, bqb_decoder_get_config(t->m)->width, F, D, err);
    t->query = bqb_calloc(LESSONS * F, sizeof *t->query);
    t->target = bqb_calloc(LESSONS * D, sizeof *t->target);
    if (!s && (!t->query || !t->target)) s = bqb_fail_nomem(err, "bench", LESSONS * (F + D) * sizeof(float));
    for (size_t i = 0; !s && i < t->parts.n_floats; i++) t->parts.floats[i] = 0.02f * (float)bqb_rand_normal(&r);
    for (size_t i = 0; !s && i < (size_t)LESSONS * F; i++) t->query[i] = (float)bqb_rand_normal(&r);
    for (size_t i = 0; !s && i < (size_t)LESSONS * D; i++) t->target[i] = (float)bqb_rand_normal(&r) / 22.6f;
    return s;
}

bqb_status bench_tune(bench *b, const char *llm, bqb_precision precision, bqb_err *err) {
    tuning t = {0};
    bqb_buf before = {.max = 1 << 16};
    bqb_status s = open_tuning(b, &t, llm, precision, err);
    if (!s) s = make_batch(&t, NULL, err);
    if (!s) s = measure(b, &t, "lessons", precision, err);
    for (int i = 0; i < 12 && !s; i++) s = bqb_buf_puts(&before, "你是一个会聊天、会发表情包的助手，说话简短、友好，不知道的事情就说不知道。", err);
    if (!s) s = make_batch(&t, before.data, err);
    if (!s) s = measure(b, &t, "lessons behind a long system prompt", precision, err);
    bqb_buf_free(&before);
    for (int k = 0; t.team && k < b->threads; k++) bqb_decoder_free(t.team[k]);
    free(t.team);
    bqb_decoder_free(t.m);
    bqb_llm_tokenizer_close(t.tok);
    bqb_lessons_close(t.lessons);
    bqb_sticker_parts_free(&t.parts);
    bqb_sticker_parts_free(&t.grad);
    free(t.numbers);
    free(t.query);
    free(t.target);
    return s;
}
