#include "chat/lessons.h"

#include "base/fs.h"
#include "base/utf8.h"
#include "chat/wordings.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_TEXT = 1 << 16, NOT_LEARNT = -100, SENT_MOST = 24 };
static const char PICTURE[] = "{picture}", WANT[] = "{want}", STICKER[] = "{sticker}";

typedef struct {
    const char *asked, *said; /* said: of talk */
} wording;

struct bqb_lessons {
    bqb_table *table[3];
    wording *list[BQB_TASKS][2]; /* by side: learn, test */
    size_t n[BQB_TASKS][2];
    const char **answer;
    size_t n_answers;
};

const char *bqb_task_name(bqb_task t) {
    static const char *const names[BQB_TASKS] = {"text", "picture", "both", "talk"};
    return (unsigned)t < BQB_TASKS ? names[t] : "";
}

/* ---- the wordings ---- */

static bqb_status open_table(bqb_table **t, const char *dir, const char *name, const char *const *columns, size_t n_columns, bqb_err *err) {
    char *path = bqb_path_join(dir, name);
    bqb_status s = path ? bqb_wordings_open(t, path, columns, n_columns, err) : bqb_fail_nomem(err, dir, strlen(dir));
    free(path);
    return s;
}

static bqb_status add_wording(bqb_lessons *l, bqb_task task, const char *side, const char *asked, const char *said, const char *file, size_t line,
                              bqb_err *err) {
    int test = !strcmp(side, "test");
    if (!test && strcmp(side, "learn")) return bqb_fail(err, BQB_EFORMAT, "%s: line %zu: side \"%s\" is neither learn nor test", file, line, side);
    bool picture = strstr(asked, PICTURE) != NULL, want = strstr(asked, WANT) != NULL;
    if (!*asked || picture != (task == BQB_TASK_PICTURE || task == BQB_TASK_BOTH) || want != (task == BQB_TASK_TEXT || task == BQB_TASK_BOTH))
        return bqb_fail(err, BQB_EFORMAT, "%s: line %zu: \"%s\" does not have the {want} and {picture} of its task", file, line, asked);
    size_t *n = &l->n[task][test];
    wording *list = realloc(l->list[task][test], (*n + 1) * sizeof *list);
    if (!list) return bqb_fail_nomem(err, file, (*n + 1) * sizeof *list);
    l->list[task][test] = list;
    list[(*n)++] = (wording){asked, said};
    return BQB_OK;
}

static bqb_status read_requests(bqb_lessons *l, const char *dir, bqb_err *err) {
    static const char *const columns[] = {"task", "side", "wording"};
    bqb_status s = open_table(&l->table[0], dir, "requests.tsv", columns, 3, err);
    for (size_t i = 0; !s && i < bqb_table_rows(l->table[0]); i++) {
        const char *name = bqb_table_cell(l->table[0], i, 0);
        bqb_task task = 0;
        while (task < BQB_TASK_TALK && strcmp(name, bqb_task_name(task))) task++;
        if (task == BQB_TASK_TALK) return bqb_fail(err, BQB_EFORMAT, "requests.tsv: row %zu: task \"%s\" is unknown", i + 1, name);
        s = add_wording(l, task, bqb_table_cell(l->table[0], i, 1), bqb_table_cell(l->table[0], i, 2), NULL, "requests.tsv", i + 1, err);
    }
    return s;
}

static bqb_status read_answers(bqb_lessons *l, const char *dir, bqb_err *err) {
    static const char *const columns[] = {"answer"};
    bqb_status s = open_table(&l->table[1], dir, "answers.tsv", columns, 1, err);
    l->n_answers = s ? 0 : bqb_table_rows(l->table[1]);
    if (!s && !(l->answer = bqb_calloc(l->n_answers, sizeof *l->answer))) s = bqb_fail_nomem(err, dir, l->n_answers * sizeof *l->answer);
    for (size_t i = 0; !s && i < l->n_answers; i++) {
        l->answer[i] = bqb_table_cell(l->table[1], i, 0);
        if (!strstr(l->answer[i], STICKER)) s = bqb_fail(err, BQB_EFORMAT, "answers.tsv: row %zu has no {sticker}", i + 1);
    }
    return s;
}

static bqb_status read_talk(bqb_lessons *l, const char *dir, bqb_err *err) {
    static const char *const columns[] = {"side", "user", "assistant"};
    bqb_status s = open_table(&l->table[2], dir, "talk.tsv", columns, 3, err);
    for (size_t i = 0; !s && i < bqb_table_rows(l->table[2]); i++)
        s = add_wording(l, BQB_TASK_TALK, bqb_table_cell(l->table[2], i, 0), bqb_table_cell(l->table[2], i, 1), bqb_table_cell(l->table[2], i, 2),
                        "talk.tsv", i + 1, err);
    return s;
}

bqb_status bqb_lessons_open(bqb_lessons **out, const char *dir, bqb_err *err) {
    *out = NULL;
    bqb_lessons *l = bqb_calloc(1, sizeof *l);
    if (!l) return bqb_fail_nomem(err, dir, sizeof *l);
    bqb_status s = read_requests(l, dir, err);
    if (!s) s = read_answers(l, dir, err);
    if (!s) s = read_talk(l, dir, err);
    for (bqb_task t = 0; t < BQB_TASKS && !s; t++)
        if (!l->n[t][0] || !l->n[t][1]) s = bqb_fail(err, BQB_EFORMAT, "%s: task \"%s\" needs wordings to learn and to test", dir, bqb_task_name(t));
    if (!s && !l->n_answers) s = bqb_fail(err, BQB_EFORMAT, "%s: answers.tsv is empty", dir);
    if (s) bqb_lessons_close(l);
    else *out = l;
    return s;
}

void bqb_lessons_close(bqb_lessons *l) {
    if (!l) return;
    for (int i = 0; i < 3; i++) bqb_table_close(l->table[i]);
    for (int t = 0; t < BQB_TASKS; t++) free(l->list[t][0]), free(l->list[t][1]);
    free(l->answer);
    free(l);
}

size_t bqb_lessons_count(const bqb_lessons *l, bqb_task t, bool test) { return l->n[t][test]; }

bqb_task bqb_lessons_draw_task(bqb_rand *r) {
    size_t k = bqb_rand_below(r, 4);
    return k < 2 ? BQB_TASK_TEXT : k == 2 ? BQB_TASK_PICTURE : BQB_TASK_BOTH;
}

void bqb_lesson_free(bqb_lesson *l) {
    free(l->ids.id);
    free(l->labels.id);
    *l = (bqb_lesson){0};
}

/* ---- one lesson ---- */

/* What is asked for: the whole annotation, the caption, or some other fields. */
static bqb_status draw_want(bqb_buf *out, const bqb_annotation *note, bqb_rand *r, bqb_err *err) {
    bqb_annotation a = *note;
    size_t kind = bqb_rand_below(r, 4);
    for (bqb_field f = 0; f < BQB_FIELDS; f++) {
        if (kind == 2 && f != BQB_CAPTION) a.field[f] = NULL;
        if (kind == 3 && (f == BQB_CAPTION || (f != BQB_OCR && bqb_rand_below(r, 2)))) a.field[f] = NULL;
    }
    bqb_status s = bqb_annotation_text(out, &a, r, err);
    if (!s && !out->len) s = bqb_annotation_text(out, note, r, err);
    return s;
}

/* text with {what} as `by`, and one of each {a|b}. */
static bqb_status fill_in(bqb_buf *out, const char *text, const char *what, const char *by, bqb_rand *r, bqb_err *err) {
    bqb_status s = BQB_OK;
    while (*text && !s) {
        const char *open = strchr(text, '{'), *close = open ? strchr(open, '}') : NULL;
        if (!close) return bqb_buf_puts(out, text, err);
        s = bqb_buf_append(out, text, (size_t)(open - text), err);
        size_t n = (size_t)(close - open) + 1, ways = 1;
        for (const char *c = open; c < close; c++) ways += *c == '|';
        if (!s && what && n == strlen(what) && !memcmp(open, what, n)) s = bqb_buf_puts(out, by, err);
        else if (!s && ways == 1) s = bqb_buf_append(out, open, n, err); /* somebody else's */
        else if (!s) {
            const char *from = open + 1;
            for (size_t skip = bqb_rand_below(r, ways); skip; skip--) from = strchr(from, '|') + 1;
            s = bqb_buf_append(out, from, strcspn(from, "|}"), err);
        }
        text = close + 1;
    }
    return s;
}

static bqb_status add_token(bqb_ids *ids, const bqb_lesson_form *form, bqb_sticker_token t, bqb_err *err) {
    return bqb_ids_add(ids, (int32_t)(form->vocab + (size_t)t), err);
}

/* All labels up to here: not learnt, or the tokens themselves. */
static bqb_status label_up(bqb_lesson *o, bool learnt, bqb_err *err) {
    bqb_status s = BQB_OK;
    while (o->labels.n < o->ids.n && !s) s = bqb_ids_add(&o->labels, learnt ? o->ids.id[o->labels.n] : NOT_LEARNT, err);
    return s;
}

/* What was sent, as it stands in a history: the first characters of its caption. */
static bqb_status add_sent(bqb_lesson *o, const bqb_lesson_form *form, const bqb_annotation *note, bqb_err *err) {
    const char *caption = note->field[BQB_CAPTION] ? note->field[BQB_CAPTION] : "";
    size_t n = 0, all = strlen(caption);
    uint32_t cp;
    for (size_t k = 0; k < SENT_MOST && n < all; k++) n += bqb_utf8_next(caption + n, all - n, &cp, NULL);
    return bqb_chat_text(&o->ids, form->tok, caption, n, err);
}

static bqb_status add_answer(bqb_lesson *o, const bqb_lesson_form *form, const bqb_annotation *note, const char *text, bqb_err *err) {
    const char *sticker = strstr(text, STICKER), *rest = sticker ? sticker + strlen(STICKER) : text;
    bqb_status s = BQB_OK;
    if (sticker) {
        s = bqb_chat_text(&o->ids, form->tok, text, (size_t)(sticker - text), err);
        if (!form->earlier) o->ret = (int32_t)o->ids.n;
        if (!s) s = add_token(&o->ids, form, BQB_TOKEN_RET, err);
        if (!s) s = label_up(o, !form->earlier, err);
        if (!s && form->earlier) s = add_sent(o, form, note, err);
        if (!s) s = add_token(&o->ids, form, BQB_TOKEN_RET_END, err); /* forced, so not learnt */
        if (!s) s = label_up(o, false, err);
    }
    if (!s) s = bqb_chat_text(&o->ids, form->tok, rest, strlen(rest), err);
    if (!s) s = bqb_chat_close(&o->ids, form->tok, form->format, err);
    return s ? s : label_up(o, !form->earlier, err);
}

bqb_status bqb_lesson_prepend(bqb_lesson *l, const bqb_lesson *earlier, bqb_err *err) {
    size_t n = earlier->ids.n, all = n + l->ids.n;
    int32_t *ids = bqb_calloc(all, sizeof *ids), *labels = bqb_calloc(all, sizeof *labels);
    if (!ids || !labels) {
        free(ids);
        free(labels);
        return bqb_fail_nomem(err, "a lesson", all * sizeof *ids);
    }
    memcpy(ids, earlier->ids.id, n * sizeof *ids);
    memcpy(labels, earlier->labels.id, n * sizeof *ids);
    memcpy(ids + n, l->ids.id, l->ids.n * sizeof *ids);
    memcpy(labels + n, l->labels.id, l->ids.n * sizeof *ids);
    bqb_lesson joined = {.ids = {ids, all, all}, .labels = {labels, all, all}, .img = l->img < 0 ? -1 : l->img + (int32_t)n, .ret = l->ret < 0 ? -1 : l->ret + (int32_t)n,
                         .answer = l->answer + n};
    bqb_lesson_free(l);
    *l = joined;
    return BQB_OK;
}

/* A user's message in two parts, with a picture between them or none. */
typedef struct {
    bqb_buf before, after;
    bool picture;
} question;

static bqb_status ask(question *q, const char *asked, const char *want, bqb_rand *r, bqb_err *err) {
    const char *picture = strstr(asked, PICTURE);
    char *first = bqb_strndup(asked, picture ? (size_t)(picture - asked) : strlen(asked));
    q->picture = picture != NULL;
    bqb_status s = first ? fill_in(&q->before, first, WANT, want, r, err) : bqb_fail_nomem(err, "a lesson", strlen(asked));
    if (!s) s = fill_in(&q->after, picture ? picture + strlen(PICTURE) : "", WANT, want, r, err);
    free(first);
    return s;
}

static const char *text_of(const bqb_buf *b) { return b->data ? b->data : ""; }

/* A user's message: [PRET]; what stands before the picture; its tokens, the placeholder's place in o->img; what stands after it. */
static bqb_status add_question(bqb_lesson *o, const bqb_lesson_form *form, const question *q, bool pret, bqb_err *err) {
    bqb_status s = pret ? add_token(&o->ids, form, BQB_TOKEN_PRET, err) : BQB_OK;
    if (!s) s = bqb_chat_text(&o->ids, form->tok, text_of(&q->before), q->before.len, err);
    if (!s && q->picture) {
        size_t place;
        s = bqb_chat_picture(&o->ids, form->vocab, &place, err);
        o->img = (int32_t)place;
    }
    return s ? s : bqb_chat_text(&o->ids, form->tok, text_of(&q->after), q->after.len, err);
}

static bqb_status add_prompt(bqb_lesson *o, const bqb_lesson_form *form, const question *q, bool pret, bqb_err *err) {
    bqb_status s = form->continued ? BQB_OK : bqb_chat_begin(&o->ids, form->tok, form->format, err);
    if (!s && form->system && !form->continued) {
        s = bqb_chat_open(&o->ids, form->tok, form->format, BQB_SYSTEM, err);
        if (!s) s = bqb_chat_text(&o->ids, form->tok, form->system, strlen(form->system), err);
        if (!s) s = bqb_chat_close(&o->ids, form->tok, form->format, err);
    }
    if (!s) s = bqb_chat_open(&o->ids, form->tok, form->format, BQB_USER, err);
    if (!s) s = add_question(o, form, q, pret, err);
    if (!s) s = bqb_chat_close(&o->ids, form->tok, form->format, err);
    if (!s) s = bqb_chat_open(&o->ids, form->tok, form->format, BQB_ASSISTANT, err);
    o->answer = o->ids.n;
    return s ? s : label_up(o, false, err);
}

bqb_status bqb_lessons_make(bqb_lesson *out, const bqb_lessons *l, const bqb_lesson_form *form, bqb_task task, bool test, size_t which,
                            const bqb_annotation *note, bool pret, bool prompt_only, bqb_rand *r, bqb_err *err) {
    const wording *w = &l->list[task][test][which];
    bqb_buf want = {.max = MAX_TEXT}, said = {.max = MAX_TEXT};
    question q = {.before = {.max = MAX_TEXT}, .after = {.max = MAX_TEXT}};
    *out = (bqb_lesson){.img = -1, .ret = -1};
    bqb_status s = strstr(w->asked, WANT) ? draw_want(&want, note, r, err) : BQB_OK;
    if (!s) s = ask(&q, w->asked, text_of(&want), r, err);
    if (!s) s = add_prompt(out, form, &q, pret, err);
    if (!s && !prompt_only) {
        const char *text = task == BQB_TASK_TALK ? w->said : l->answer[bqb_rand_below(r, l->n_answers)];
        if (form->at_once && strstr(text, STICKER)) text = strstr(text, STICKER);
        s = fill_in(&said, text, NULL, NULL, r, err);
        if (!s) s = add_answer(out, form, note, text_of(&said), err);
    }
    bqb_buf_free(&want);
    bqb_buf_free(&said);
    bqb_buf_free(&q.before);
    bqb_buf_free(&q.after);
    if (s) bqb_lesson_free(out);
    return s;
}
