#include "chat/lessons.h"
#include "chat/template.h"
#include "base/fs.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { V = 2000 };

static const bqb_annotation note = {{"一只小猫在睡觉{picture}", "困倦", "想睡", "卡通", "晚安"}};

static bool open_all(bqb_lessons **l, bqb_llm_tokenizer **t) {
    bqb_err err = {0};
    *l = NULL;
    *t = NULL;
    return CHECK_OK(bqb_lessons_open(l, "data/chat", &err), err) && CHECK_OK(bqb_llm_tokenizer_open(t, "tests/golden/llm/tokenizer/qwen2/tokenizer.json", &err), err);
}

/* The text of tokens from … to-1; the five are <0> … <4>. */
static const char *text_of(const bqb_llm_tokenizer *t, const bqb_ids *ids, size_t from, size_t to) {
    static char out[4096];
    bqb_buf b = {.max = sizeof out - 1};
    for (size_t i = from; i < to; i++) {
        if (ids->id[i] >= V) bqb_buf_printf(&b, NULL, "<%d>", (int)ids->id[i] - V);
        else bqb_llm_tokenizer_decode(t, &b, ids->id[i], true, NULL);
    }
    snprintf(out, sizeof out, "%s", b.data ? b.data : "");
    bqb_buf_free(&b);
    return out;
}

TEST(lessons_are_many_and_apart) {
    bqb_lessons *l;
    bqb_llm_tokenizer *t;
    if (open_all(&l, &t))
        for (bqb_task k = 0; k < BQB_TASKS; k++) CHECK(bqb_lessons_count(l, k, false) >= 30 && bqb_lessons_count(l, k, true) >= 4);
    bqb_lessons_close(l);
    bqb_llm_tokenizer_close(t);
}

/* What docs/chat.md shows: without it these words count as what the sticker should say, and nothing fits. */
TEST(lessons_know_the_request_of_the_manual) {
    char *text = NULL;
    size_t n = 0;
    bqb_err err = {0};
    if (CHECK_OK(bqb_file_read(&text, &n, "data/chat/requests.tsv", 1 << 20, &err), err)) CHECK(strstr(text, "picture\tlearn\t{picture}要像这张的\n"));
    free(text);
}

/* Every wording of every task makes a sequence of the promised form. */
TEST(lessons_have_their_form) {
    bqb_lessons *l;
    bqb_llm_tokenizer *t;
    bqb_err err = {0};
    bqb_rand r = bqb_rand_seed(5, 0);
    size_t n = 0;
    if (open_all(&l, &t)) {
        bqb_lesson_form form = {.tok = t, .format = bqb_chat_format_of(t), .vocab = V, .system = "你好"};
        CHECK(form.format == BQB_CHAT_CHATML);
        for (bqb_task task = 0; task < BQB_TASKS; task++)
            for (int test = 0; test < 2; test++)
                for (size_t k = 0; k < bqb_lessons_count(l, task, test); k++, n++) {
                    bqb_lesson x, prompt;
                    bool pret = n % 2, picture = task == BQB_TASK_PICTURE || task == BQB_TASK_BOTH;
                    bqb_rand same = r;
                    if (!CHECK_OK(bqb_lessons_make(&x, l, &form, task, test, k, &note, pret, false, &r, &err), err)) continue;
                    CHECK_OK(bqb_lessons_make(&prompt, l, &form, task, test, k, &note, pret, true, &same, &err), err);
                    CHECK(x.ids.n == x.labels.n && prompt.ids.n == x.answer && prompt.answer == x.answer && !memcmp(prompt.ids.id, x.ids.id, x.answer * 4));
                    const char *asked = text_of(t, &x.ids, 0, x.answer);
                    char begins[64];
                    snprintf(begins, sizeof begins, "<|im_start|>system\n你好<|im_end|>\n<|im_start|>user\n%s", pret ? "<4>" : "");
                    CHECK_MSG(!strncmp(asked, begins, strlen(begins)) && !strstr(asked, "{want}") && !!strstr(asked, "<0><0><1>") == picture, "%s", asked);
                    if (task == BQB_TASK_TEXT || task == BQB_TASK_BOTH) CHECK_MSG(strstr(asked, "晚安") || strstr(asked, "小猫") || strstr(asked, "困倦") || strstr(asked, "想睡") || strstr(asked, "卡通"), "%s", asked);
                    CHECK((x.img >= 0) == picture && (!picture || (x.ids.id[x.img] == V && x.ids.id[x.img - 1] == V && x.ids.id[x.img + 1] == V + 1)));
                    for (size_t i = 0; i < x.answer; i++) CHECK(x.labels.id[i] == -100);
                    for (size_t i = x.answer; i < x.ids.n; i++)
                        CHECK(x.labels.id[i] == (x.ret >= 0 && i == (size_t)x.ret + 1 ? -100 : x.ids.id[i]));
                    CHECK((x.ret >= 0) == (task != BQB_TASK_TALK) && (x.ret < 0 || (x.ids.id[x.ret] == V + 2 && x.ids.id[x.ret + 1] == V + 3)));
                    const char *said = text_of(t, &x.ids, x.answer, x.ids.n);
                    CHECK_MSG(!strchr(said, '{') && strstr(said, "<|im_end|>"), "%s", said);
                    bqb_lesson_free(&x);
                    bqb_lesson_free(&prompt);
                }
    }
    bqb_lessons_close(l);
    bqb_llm_tokenizer_close(t);
}

TEST(lessons_follow_the_mixture) {
    size_t n[BQB_TASKS] = {0};
    bqb_rand r = bqb_rand_seed(6, 0);
    for (int i = 0; i < 8000; i++) n[bqb_lessons_draw_task(&r)]++;
    CHECK(n[BQB_TASK_TEXT] > 3800 && n[BQB_TASK_TEXT] < 4200 && n[BQB_TASK_PICTURE] > 1850 && n[BQB_TASK_PICTURE] < 2150 && !n[BQB_TASK_TALK]);
}

static void check_bad(const char *file, const char *text, const char *message) {
    static const char *const names[] = {"requests.tsv", "answers.tsv", "talk.tsv"};
    bqb_err err = {0};
    bqb_lessons *l = NULL;
    const char *dir = test_tmp_dir();
    for (int i = 0; i < 3; i++) {
        char from[64], to[1100], *bytes = NULL;
        size_t n = 0;
        snprintf(from, sizeof from, "data/chat/%s", names[i]);
        snprintf(to, sizeof to, "%s/%s", dir, names[i]);
        CHECK_OK(bqb_file_read(&bytes, &n, from, 1 << 20, &err), err);
        bool this_one = !strcmp(names[i], file);
        CHECK_OK(bqb_file_write(to, this_one ? text : bytes, this_one ? strlen(text) : n, &err), err);
        free(bytes);
    }
    CHECK_MSG(bqb_lessons_open(&l, dir, &err) == BQB_EFORMAT && !l && strstr(err.msg, message), "%s: %s", message, err.msg);
}

TEST(lessons_refuse_broken_wordings) {
    check_bad("requests.tsv", "task\tside\twording\nsing\tlearn\t{want}\n", "sing");
    check_bad("requests.tsv", "task\tside\twording\ntext\tnever\t{want}\n", "never");
    check_bad("requests.tsv", "task\tside\twording\ntext\tlearn\tanything\n", "anything");
    check_bad("requests.tsv", "task\tside\twording\ntext\tlearn\t{want}{picture}\n", "{want}{picture}");
    check_bad("requests.tsv", "side\ttask\twording\n", "column 1");
    check_bad("requests.tsv", "task\tside\twording\ntext\tlearn\t{want}\n", "needs wordings");
    check_bad("answers.tsv", "# a remark\nanswer\nhello\n", "no {sticker}");
    check_bad("answers.tsv", "answer\n", "answers.tsv is empty");
    check_bad("talk.tsv", "side\tuser\tassistant\nlearn\thello {picture}\tx\n", "hello {picture}");
}

/* An earlier round teaches nothing and says what was sent; a lesson behind it is itself, further on. */
TEST(lessons_continue_a_conversation) {
    bqb_lessons *l;
    bqb_llm_tokenizer *t;
    bqb_err err = {0};
    if (open_all(&l, &t)) {
        bqb_lesson_form form = {.tok = t, .format = bqb_chat_format_of(t), .vocab = V, .system = "你好"}, earlier = form, next = form;
        earlier.earlier = next.continued = true;
        bqb_lesson before, alone, behind;
        bqb_rand r = bqb_rand_seed(6, 0), same = r;
        CHECK_OK(bqb_lessons_make(&alone, l, &form, BQB_TASK_BOTH, false, 3, &note, true, false, &r, &err), err);
        CHECK_OK(bqb_lessons_make(&behind, l, &next, BQB_TASK_BOTH, false, 3, &note, true, false, &same, &err), err);
        CHECK_OK(bqb_lessons_make(&before, l, &earlier, BQB_TASK_TEXT, false, 2, &note, false, false, &r, &err), err);
        CHECK(before.ret < 0 && before.img < 0);
        for (size_t i = 0; i < before.labels.n; i++) CHECK(before.labels.id[i] == -100);
        CHECK_MSG(strstr(text_of(t, &before.ids, 0, before.ids.n), "<2>一只小猫在睡觉{picture}<3>") != NULL, "%s", text_of(t, &before.ids, 0, before.ids.n));
        size_t n = before.ids.n, own = behind.ids.n, head = alone.ids.n - own;
        CHECK(head > 5 && !memcmp(behind.ids.id, alone.ids.id + head, own * sizeof(int32_t)));
        int32_t img = behind.img, ret = behind.ret;
        CHECK_OK(bqb_lesson_prepend(&behind, &before, &err), err);
        CHECK(behind.ids.n == n + own && behind.labels.n == n + own && behind.img == img + (int32_t)n && behind.ret == ret + (int32_t)n && behind.ids.id[behind.ret] == V + 2 &&
              behind.labels.id[behind.ret] == V + 2 && behind.answer == n + alone.answer - head);
        form.at_once = true; /* no words before the sticker, in any answer */
        for (int k = 0; k < 40; k++) {
            bqb_lesson_free(&alone);
            CHECK_OK(bqb_lessons_make(&alone, l, &form, BQB_TASK_TEXT, false, 1, &note, false, false, &r, &err), err);
            CHECK(alone.ret == (int32_t)alone.answer);
        }
        bqb_lesson_free(&before);
        bqb_lesson_free(&alone);
        bqb_lesson_free(&behind);
    }
    bqb_lessons_close(l);
    bqb_llm_tokenizer_close(t);
}
