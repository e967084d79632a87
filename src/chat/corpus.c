#include "chat/corpus.h"

#include "base/data.h"
#include "base/fs.h"
#include "chat/concepts.h"
#include "chat/phrasing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TEXT = 1 << 16, ROUNDS = 3 };
static const char PICTURE[] = "{picture}", STICKER[] = "{sticker}";

/* The tables of templates. */
typedef enum { ASK, MORE_ASK, ANSWER, TALK, MORE_TALK, DESCRIBED, FOLLOW, THANKS, PLAIN, TABLES } table_id;

struct bqb_corpus {
    uint64_t seed;
    bqb_phrasing *words;
    bqb_table *table[TABLES];
    bqb_synth *synth;
    const synth_data *data; /* its */
    uint32_t *learn[3]; /* rows of requests.tsv of the learning side: text, picture, both */
    size_t n_learn[3];
    uint32_t *talk;     /* rows of talk.tsv of the learning side */
    size_t n_talk;
};

static const struct {
    const char *folder, *name;
    const char *columns[7];
} tables[TABLES] = {
    [ASK] = {"chat", "requests.tsv", {"task", "side", "wording"}},
    [MORE_ASK] = {"lm", "requests.tsv", {"wording"}},
    [ANSWER] = {"chat", "answers.tsv", {"answer"}},
    [TALK] = {"chat", "talk.tsv", {"side", "user", "assistant"}},
    [MORE_TALK] = {"lm", "talk.tsv", {"user", "assistant", "user2", "assistant2", "user3", "assistant3"}},
    [DESCRIBED] = {"lm", "described.tsv", {"field", "user", "assistant"}},
    [FOLLOW] = {"lm", "followups.tsv", {"user", "assistant", "add"}},
    [THANKS] = {"lm", "thanks.tsv", {"user", "assistant"}},
    [PLAIN] = {"lm", "plain.tsv", {"text"}},
};

/* ---- opening ---- */

static bqb_status learning_rows(uint32_t **rows, size_t *n, const bqb_table *t, size_t side, const char *task, bqb_err *err) {
    *rows = bqb_calloc(bqb_table_rows(t), sizeof **rows);
    if (!*rows) return bqb_fail_nomem(err, "the corpus", bqb_table_rows(t) * sizeof **rows);
    for (size_t i = 0; i < bqb_table_rows(t); i++)
        if (!strcmp(bqb_table_cell(t, i, side), "learn") && (!task || !strcmp(bqb_table_cell(t, i, 0), task))) (*rows)[(*n)++] = (uint32_t)i;
    return *n ? BQB_OK : bqb_fail(err, BQB_EFORMAT, "data/chat: no wordings of side \"learn\"%s%s", task ? " of task " : "", task ? task : "");
}

static bqb_status open_tables(bqb_corpus *c, const char *dir, bqb_err *err) {
    static const char *const tasks[] = {"text", "picture", "both"};
    bqb_status s = BQB_OK;
    for (table_id i = 0; i < TABLES && !s; i++) {
        char *folder = bqb_path_join(dir, tables[i].folder);
        size_t n = 0;
        while (n < 7 && tables[i].columns[n]) n++;
        s = folder ? bqb_phrasing_table(&c->table[i], folder, tables[i].name, tables[i].columns, n, err) : bqb_fail_nomem(err, dir, strlen(dir));
        free(folder);
    }
    for (size_t i = 0; i < 3 && !s; i++) s = learning_rows(&c->learn[i], &c->n_learn[i], c->table[ASK], 1, tasks[i], err);
    return s ? s : learning_rows(&c->talk, &c->n_talk, c->table[TALK], 0, NULL, err);
}

bqb_status bqb_corpus_open(bqb_corpus **out, const char *data_dir, uint64_t seed, bqb_err *err) {
    *out = NULL;
    char *own = NULL, *lm = NULL;
    bqb_corpus *c = bqb_calloc(1, sizeof *c);
    if (!c) return bqb_fail_nomem(err, "the corpus", sizeof *c);
    c->seed = seed;
    bqb_status s = data_dir ? BQB_OK : bqb_data_path(&own, "", err);
    if (!data_dir) data_dir = own;
    if (!s && !(lm = bqb_path_join(data_dir, "lm"))) s = bqb_fail_nomem(err, data_dir, strlen(data_dir));
    if (!s) s = bqb_phrasing_open(&c->words, lm, err);
    if (!s) s = open_tables(c, data_dir, err);
    if (!s) s = bqb_synth_open(&c->synth, &(bqb_synth_options){.data_dir = data_dir, .seed = seed, .split = BQB_SYNTH_TRAIN}, err);
    if (!s) c->data = synth_data_of(c->synth);
    free(own);
    free(lm);
    if (s) bqb_corpus_close(c);
    else *out = c;
    return s;
}

void bqb_corpus_close(bqb_corpus *c) {
    if (!c) return;
    bqb_phrasing_close(c->words);
    for (table_id i = 0; i < TABLES; i++) bqb_table_close(c->table[i]);
    for (size_t i = 0; i < 3; i++) free(c->learn[i]);
    free(c->talk);
    bqb_synth_close(c->synth);
    free(c);
}

/* ---- writing a document ---- */

typedef struct {
    bqb_corpus *c;
    bqb_buf *out;
    bqb_rand r;
    bqb_bindings names;  /* of the conversation */
    bqb_sticker st;      /* what is asked for */
    bqb_buf want;        /* in the words of the request */
    bqb_concepts about;
    uint64_t which;      /* the document: its stickers' numbers follow from it */
    size_t stickers;
    bqb_status status;
    bqb_err *err;
} writer;

static bool chance(writer *w, double p) { return bqb_rand_unit(&w->r) < p; }
static const char *text_of(const bqb_buf *b) { return b->data ? b->data : ""; }

static void put(writer *w, const char *text) {
    if (!w->status) w->status = bqb_buf_puts(w->out, text, w->err);
}

static void say(writer *w, const char *template) {
    if (!w->status) w->status = bqb_phrasing_say(w->c->words, w->out, template, &w->names, &w->r, w->err);
}

static void bind(writer *w, const char *name, const char *text) {
    if (!w->status) w->status = bqb_bind(&w->names, name, text, w->err);
}

static void begin(writer *w, const char *role) {
    put(w, "<|im_start|>");
    put(w, role);
    put(w, "\n");
}
static void end(writer *w) { put(w, "<|im_end|>\n"); }

static size_t any_row(writer *w, table_id t) { return bqb_rand_below(&w->r, bqb_table_rows(w->c->table[t])); }
static const char *cell(const writer *w, table_id t, size_t row, size_t col) { return bqb_table_cell(w->c->table[t], row, col); }

#define ONE_OF(w, ...) (((const char *const[]){__VA_ARGS__})[bqb_rand_below(&(w)->r, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))])

/* ---- stickers ---- */

static void clear_want(writer *w) {
    w->want.len = 0;
    if (w->want.data) w->want.data[0] = 0;
    bqb_concepts_free(&w->about);
}

static void next_sticker(writer *w) {
    if (w->st.field[BQB_CAPTION]) bqb_sticker_free(&w->st);
    w->st = (bqb_sticker){0};
    if (!w->status) w->status = bqb_synth_describe(w->c->synth, w->which * 16 + w->stickers++ % 16, &w->st, w->err);
}

static void annotation(writer *w, bqb_buf *to, bool shuffled, unsigned fields) {
    bqb_annotation a;
    for (bqb_field f = 0; f < BQB_FIELDS; f++) a.field[f] = fields >> f & 1 ? w->st.field[f] : NULL;
    if (!w->status) w->status = bqb_annotation_text(to, &a, shuffled ? &w->r : NULL, w->err);
}

/* What is asked for: all that a sticker's annotation says, a part of it, or a short query as people type it; or something else. */
static void draw_want(writer *w) {
    clear_want(w);
    if (chance(w, 0.10)) {
        static const char *const others[] = {"{feel}", "{animal}", "{feel}的{animal}", "{sentence}", "{food}", "{adj}的{animal}", "{opposite.1}", "{weather}", "{hobby}的{animal}",
                                             "{cheer}", "{comfort}", "{name}{hobby}", "{english.1}", "{season}", "{english.2}", "{feel}又{feel3}"};
        bqb_bindings own = {0};
        if (!w->status)
            w->status = bqb_phrasing_say(w->c->words, &w->want, others[bqb_rand_below(&w->r, sizeof others / sizeof *others)], &own, &w->r, w->err);
        bqb_bindings_free(&own);
        if (!w->status) w->status = bqb_concepts_of_text(&w->about, text_of(&w->want), w->err);
    } else {
        next_sticker(w);
        if (w->status) return;
        double kind = bqb_rand_unit(&w->r);
        unsigned all = (1u << BQB_FIELDS) - 1;
        if (kind < 0.36) annotation(w, &w->want, false, all);
        else if (kind < 0.56) annotation(w, &w->want, true, all);
        else if (kind < 0.70) annotation(w, &w->want, false, 1u << BQB_CAPTION);
        else if (kind < 0.88) annotation(w, &w->want, true, (unsigned)bqb_rand_below(&w->r, all + 1));
        else if (w->st.n_queries) w->status = bqb_buf_puts(&w->want, w->st.query[bqb_rand_below(&w->r, w->st.n_queries)], w->err);
        if (!w->want.len) annotation(w, &w->want, false, all);
        if (!w->status) w->status = bqb_concepts_of_sticker(&w->about, w->c->data, &w->st, text_of(&w->want), w->err);
    }
    bind(w, "want", text_of(&w->want));
}

/* The sticker in the answer: marks around what it shows, in any order. Where it begins, all that was asked for has to be known. */
static void put_sticker(writer *w) {
    static const char *const marks[][2] = {{"【", "】"}, {"【", "】"}, {"[", "]"}, {"《", "》"}, {"「", "」"}, {"（", "）"}, {"<", ">"}, {"#", "#"}, {"*", "*"},
                                           {"→", ""}, {"：", ""}, {"『", "』"}, {"“", "”"}, {"表情：", ""}, {"图：", ""}, {"关键词：", ""}, {"标签：", ""}, {"{", "}"}};
    size_t m = bqb_rand_below(&w->r, sizeof marks / sizeof *marks), times = chance(w, 0.4) ? 1 : 2 + bqb_rand_below(&w->r, 4);
    const char *sep = ONE_OF(w, "、", "、", " ", "，", "/", "；", "·");
    for (size_t i = 0; i < times; i++) {
        put(w, marks[m][0]);
        if (!w->status) w->status = bqb_concepts_say(&w->about, w->out, sep, times > 1 ? 3 : BQB_CONCEPTS, &w->r, w->err);
        put(w, marks[m][1]);
    }
}

/* A question and its answer. */
static void say_round(writer *w, const char *user, const char *said) {
    begin(w, "user");
    say(w, user);
    end(w);
    begin(w, "assistant");
    say(w, said);
    end(w);
}

/* A template with {sticker} in it, or {picture} (then a sticker that was seen stands there). */
static void say_around(writer *w, const char *template, const char *mark) {
    const char *at = strstr(template, mark);
    char *before = bqb_strndup(template, at ? (size_t)(at - template) : strlen(template));
    if (!before) {
        w->status = bqb_fail_nomem(w->err, "a sentence", strlen(template));
        return;
    }
    say(w, before);
    if (at) {
        put_sticker(w);
        say(w, at + strlen(mark));
    }
    free(before);
}

static void answer_request(writer *w) {
    begin(w, "assistant");
    if (chance(w, 0.55)) say_around(w, cell(w, ANSWER, any_row(w, ANSWER), 0), STICKER);
    else {
        say(w, "{okay}");
        put_sticker(w);
        say(w, "{after}");
    }
    end(w);
}

static void request(writer *w) {
    draw_want(w);
    double kind = bqb_rand_unit(&w->r);
    size_t task = kind < 0.8 ? 0 : kind < 0.9 ? 1 : 2;
    begin(w, "user");
    if (!task && chance(w, 0.6)) say(w, cell(w, MORE_ASK, any_row(w, MORE_ASK), 0));
    else say_around(w, cell(w, ASK, w->c->learn[task][bqb_rand_below(&w->r, w->c->n_learn[task])], 2), PICTURE);
    end(w);
    answer_request(w);
}

/* After a sticker was sent: another one, or one that differs. */
static void follow_up(writer *w) {
    size_t row = any_row(w, FOLLOW);
    const char *add = cell(w, FOLLOW, row, 2);
    if (w->st.field[BQB_CAPTION] && chance(w, 0.2)) { /* what was it? */
        begin(w, "user");
        say(w, "{你刚才发的是什么|刚才那张是什么|那张图上是什么|你发了什么|上一张画的是什么|What was that}{？|}");
        end(w);
        begin(w, "assistant");
        say(w, "{是|刚才发的是||一张表情，}");
        put(w, w->st.field[BQB_CAPTION]);
        end(w);
        return;
    }
    begin(w, "user");
    say(w, cell(w, FOLLOW, row, 0));
    end(w);
    if (*add && w->about.n < BQB_CONCEPTS) {
        w->about.c[w->about.n].n = 1;
        w->about.c[w->about.n++].form[0] = add;
    }
    begin(w, "assistant");
    say_around(w, cell(w, FOLLOW, row, 1), STICKER);
    end(w);
}

static void thanks(writer *w) {
    size_t row = any_row(w, THANKS);
    say_round(w, cell(w, THANKS, row, 0), cell(w, THANKS, row, 1));
}

static void described(writer *w) {
    size_t row = any_row(w, DESCRIBED);
    bqb_field f = bqb_field_parse(cell(w, DESCRIBED, row, 0), strlen(cell(w, DESCRIBED, row, 0)));
    next_sticker(w);
    if (w->status) return;
    if (f == BQB_FIELDS || !*w->st.field[f]) f = BQB_CAPTION, row = bqb_table_rows(w->c->table[DESCRIBED]) - 1;
    bqb_buf text = {.max = MAX_TEXT};
    unsigned all = (1u << BQB_FIELDS) - 1;
    annotation(w, &text, chance(w, 0.5), all);
    bqb_buf with = {.max = MAX_TEXT};
    if (!w->status) w->status = bqb_buf_printf(&with, w->err, "%s%s%s", ONE_OF(w, "【", "表情：", "图：", "", "看这张："), text_of(&text), ONE_OF(w, "】", "。", "，", "\n"));
    bind(w, "sticker", text_of(&with));
    bind(w, "answer", w->st.field[f]);
    say_round(w, cell(w, DESCRIBED, row, 1), cell(w, DESCRIBED, row, 2));
    bqb_buf_free(&text);
    bqb_buf_free(&with);
}

/* An annotation by itself, and what it is about. */
static void annotated(writer *w) {
    draw_want(w);
    put(w, ONE_OF(w, "", "", "表情：", "贴纸：", "图：", "一张表情，"));
    put(w, text_of(&w->want));
    put(w, ONE_OF(w, "\n", "。", ""));
    put_sticker(w);
}

/* ---- talk ---- */

/* 0 … 99 in Chinese. */
static void numeral(char out[32], size_t n) {
    static const char *const digits[] = {"零", "一", "二", "三", "四", "五", "六", "七", "八", "九"};
    size_t tens = n / 10, ones = n % 10;
    snprintf(out, 32, "%s%s%s", tens > 1 ? digits[tens] : "", tens ? "十" : "", ones || !tens ? digits[ones] : "");
}

static void arithmetic(writer *w) {
    size_t op = bqb_rand_below(&w->r, 3), a = bqb_rand_below(&w->r, op == 2 ? 10 : 21), b = bqb_rand_below(&w->r, op == 2 ? 10 : 21);
    if (op == 1 && b > a) {
        size_t t = a;
        a = b;
        b = t;
    }
    if (a == 4 && b == 4) a = 5; /* what is tested with */
    size_t result = op == 0 ? a + b : op == 1 ? a - b : a * b;
    bool words = chance(w, 0.5);
    char x[32], y[32], z[32], text[256];
    if (words) numeral(x, a), numeral(y, b), numeral(z, result);
    else snprintf(x, sizeof x, "%zu", a), snprintf(y, sizeof y, "%zu", b), snprintf(z, sizeof z, "%zu", result);
    static const char *const names[][4] = {{"+", "加", "plus", "加上"}, {"-", "减", "minus", "减去"}, {"×", "乘", "times", "乘以"}};
    bool english = !words && chance(w, 0.15);
    const char *sign = english ? names[op][2] : words ? names[op][1 + 2 * bqb_rand_below(&w->r, 2)] : names[op][bqb_rand_below(&w->r, 2)];
    begin(w, "user");
    if (english) snprintf(text, sizeof text, "What is %s %s %s?", x, sign, y);
    else snprintf(text, sizeof text, "%s%s%s%s%s", ONE_OF(w, "", "", "请问", "算一下", "帮我算"), x, sign, y, ONE_OF(w, "等于几", "等于多少", "是多少", "=", "等于几？", "得几"));
    put(w, text);
    end(w);
    begin(w, "assistant");
    snprintf(text, sizeof text, english ? "%s%s." : "%s%s。", english ? "" : ONE_OF(w, "等于", "等于", "", "是"), z);
    put(w, text);
    end(w);
}

static void own_talk(writer *w) {
    size_t row = any_row(w, MORE_TALK);
    for (size_t i = 0; i < ROUNDS; i++) {
        const char *user = cell(w, MORE_TALK, row, 2 * i), *said = cell(w, MORE_TALK, row, 2 * i + 1);
        if (!*user || (i && chance(w, 0.5))) break;
        say_round(w, user, said);
    }
}

static void talk(writer *w) {
    double kind = bqb_rand_unit(&w->r);
    bqb_bindings_free(&w->names);
    if (kind < 0.10) arithmetic(w);
    else if (kind < 0.84) own_talk(w);
    else {
        size_t row = w->c->talk[bqb_rand_below(&w->r, w->c->n_talk)];
        say_round(w, cell(w, TALK, row, 1), cell(w, TALK, row, 2));
    }
}

static void asked_for_stickers(writer *w) {
    bqb_bindings_free(&w->names);
    request(w);
    if (chance(w, 0.15)) follow_up(w);
    if (chance(w, 0.12)) thanks(w);
}

/* Some of everything, one after another. */
static void long_conversation(writer *w) {
    for (size_t n = 2 + bqb_rand_below(&w->r, 4); n && w->out->len < 1200; n--) {
        if (chance(w, 0.5)) talk(w);
        else asked_for_stickers(w);
    }
}

static void write_one(writer *w) {
    double kind = bqb_rand_unit(&w->r);
    if (kind > 0.15 && chance(w, 0.05)) {
        begin(w, "system");
        put(w, ONE_OF(w, "你是一个会聊天、也会找表情的小助手。", "你是一个乐于助人的助手。", "You are a helpful assistant."));
        end(w);
    }
    if (kind < 0.07) annotated(w);
    else if (kind < 0.10) say(w, cell(w, PLAIN, any_row(w, PLAIN), 0));
    else if (kind < 0.15) described(w);
    else if (kind < 0.22) long_conversation(w);
    else if (kind < 0.45) talk(w);
    else asked_for_stickers(w);
}

bqb_status bqb_corpus_document(bqb_corpus *c, bqb_buf *out, uint64_t i, bqb_err *err) {
    writer w = {.c = c, .out = out, .r = bqb_rand_seed(c->seed, i), .want = {.max = MAX_TEXT}, .which = i, .err = err};
    write_one(&w);
    if (w.st.field[BQB_CAPTION]) bqb_sticker_free(&w.st);
    bqb_bindings_free(&w.names);
    bqb_concepts_free(&w.about);
    bqb_buf_free(&w.want);
    return w.status;
}
