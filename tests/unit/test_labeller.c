/* Guessed labels: what they never touch, when they stay silent, and whom they believe. */
#include "test.h"

#include "base/fs.h"
#include "library/embed_words.h"
#include "library/familiar.h"
#include "library/labeller.h"
#include "library/near_values.h"
#include "library_help.h"
#include "model/texts.h"
#include "model_folder.h"
#include "text/label_names.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bqb_err err;

enum { D = 4 };
static const char *const colours[D] = {"红", "绿", "蓝", "白"};

/* A text is the axis of the colour that it names, or the diagonal. */
static bqb_status encode(void *ctx, float *out, const char *const *texts, size_t n, bqb_err *e) {
    (void)ctx;
    (void)e;
    for (size_t i = 0; i < n; i++)
        for (size_t d = 0, named = 0; d < D; d++) {
            for (size_t k = 0; k < D; k++) named += strstr(texts[i], colours[k]) != NULL;
            out[i * D + d] = named ? strstr(texts[i], colours[d]) != NULL : 0.5F;
        }
    return BQB_OK;
}

static const bqb_text_embedder fake = {.id = MODEL_A, .dim = D, .scale = 10, .encode = encode};

static bqb_catalogue *library(const char *name) {
    bqb_catalogue *c = NULL;
    char path[600];
    snprintf(path, sizeof path, "%s/%s", test_tmp_dir(), name);
    CHECK_OK(bqb_catalogue_open(&c, path, BQB_CATALOGUE_WRITE, &err), err);
    return c;
}

/* A sticker with the vector of this colour, inside a transaction of its own. */
static bqb_sticker_id add(bqb_catalogue *c, unsigned number, size_t colour) {
    bqb_sticker s = {.size_bytes = 10, .format = "png", .width = 1, .height = 1, .frames = 1};
    char path[32];
    float vec[D] = {0};
    bool added;
    s.sha256[0] = (uint8_t)number;
    s.sha256[1] = (uint8_t)(number >> 8);
    vec[colour] = 1;
    snprintf(path, sizeof path, "/%u.png", number);
    CHECK_OK(bqb_catalogue_begin(c, &err), err);
    CHECK_OK(bqb_catalogue_put_sticker(c, &s, &added, &err), err);
    bqb_file f = {.sticker = s.id, .size_bytes = 10};
    CHECK_OK(bqb_catalogue_put_file(c, path, &f, &err), err);
    CHECK_OK(bqb_catalogue_put_embedding(c, s.id, MODEL_A, "image", vec, D, &err), err);
    CHECK_OK(bqb_catalogue_commit(c, &err), err);
    return s.id;
}

static void say(bqb_catalogue *c, bqb_sticker_id id, bqb_field f, const char *value, bqb_origin o) {
    bqb_annotation a = {{0}};
    a.field[f] = value;
    CHECK_OK(bqb_catalogue_begin(c, &err), err);
    CHECK_OK(bqb_catalogue_annotate(c, id, &a, o, 1, NULL, NULL, &err), err);
    CHECK_OK(bqb_catalogue_commit(c, &err), err);
}

/* What is believed: "VALUE ORIGIN", "" for nothing. */
static const char *believed(bqb_catalogue *c, bqb_sticker_id id, bqb_field f) {
    static char out[4][100];
    static int next;
    bqb_annotated a;
    char *to = out[next++ % 4];
    to[0] = 0;
    if (!CHECK_OK(bqb_catalogue_get_annotation(c, id, &a, &err), err)) return to;
    if (a.field[f]) snprintf(to, sizeof out[0], "%s %s", a.field[f], bqb_origin_name(a.origin[f]));
    bqb_annotated_free(&a);
    return to;
}

static bqb_label_report label(bqb_catalogue *c, bqb_field f, double min_score) {
    bqb_label_report r;
    const bqb_label_options o = {.embedder = &fake, .min_score = min_score};
    CHECK_OK(bqb_library_label(c, NULL, 0, f, &o, &r, &err), err);
    return r;
}

TEST(labeller_leaves_alone_what_is_given) {
    bqb_catalogue *c = library("given");
    if (!c) return;
    for (unsigned i = 0; i < 12; i++) say(c, add(c, i, i % D), BQB_STYLE, colours[i % D], i < 6 ? BQB_GIVEN : BQB_EDITED);
    bqb_sticker_id red = add(c, 100, 0), blue = add(c, 101, 2), wrong = add(c, 102, 0);
    say(c, wrong, BQB_STYLE, "蓝", BQB_EDITED);
    bqb_label_report r = label(c, BQB_STYLE, 0.6);
    CHECK(r.stickers == 15 && r.given == 13 && r.labelled == 2 && r.changed == 2 && r.own_classes && r.classes == 4);
    CHECK_STR(believed(c, red, BQB_STYLE), "红 zero-shot");
    CHECK_STR(believed(c, blue, BQB_STYLE), "蓝 zero-shot");
    CHECK_MSG(!strcmp(believed(c, wrong, BQB_STYLE), "蓝 edited"), "a person's label was overwritten");
    bqb_annotated a;
    CHECK_OK(bqb_catalogue_get_annotation(c, red, &a, &err), err);
    double want = exp(8) / (exp(8) + 3); /* 0.8 · 10 · 1 against three times 0 */
    CHECK(fabs(a.score[BQB_STYLE] - want) < 0.0011 && a.score[BQB_STYLE] <= want);
    bqb_annotated_free(&a);

    r = label(c, BQB_STYLE, 0.6);
    CHECK_MSG(r.changed == 0 && r.labelled == 2, "the second time something is different");
    r = label(c, BQB_STYLE, 1);
    CHECK(r.labelled == 0 && r.unsure == 2 && r.changed == 2);
    CHECK_STR(believed(c, red, BQB_STYLE), "");

    /* A label that was set later is believed, and the guess comes back when it is taken back. */
    label(c, BQB_STYLE, 0.6);
    say(c, red, BQB_STYLE, "绿", BQB_EDITED);
    CHECK_STR(believed(c, red, BQB_STYLE), "绿 edited");
    CHECK_OK(bqb_catalogue_begin(c, &err), err);
    CHECK_OK(bqb_catalogue_forget(c, red, BQB_STYLE, BQB_EDITED, NULL, &err), err);
    CHECK_OK(bqb_catalogue_commit(c, &err), err);
    CHECK_STR(believed(c, red, BQB_STYLE), "红 zero-shot");

    bqb_origin_counts n;
    CHECK_OK(bqb_catalogue_count_origins(c, &n, &err), err);
    CHECK(n.n[BQB_STYLE][BQB_EDITED - BQB_EDITED] == 7 && n.n[BQB_STYLE][BQB_GIVEN - BQB_EDITED] == 6);
    CHECK(n.n[BQB_STYLE][BQB_ZERO_SHOT - BQB_EDITED] == 2);

    /* Another model without vectors leaves everything as it is; some alone may be asked for. */
    bqb_text_embedder other = fake;
    other.id = MODEL_B;
    const bqb_label_options o = {.embedder = &other, .min_score = 0.6};
    CHECK_OK(bqb_library_label(c, &red, 1, BQB_STYLE, &o, &r, &err), err);
    CHECK(r.stickers == 1 && r.without_vector == 1 && r.changed == 0);
    CHECK_STR(believed(c, red, BQB_STYLE), "红 zero-shot");
    CHECK(bqb_library_label(c, NULL, 0, BQB_OCR, &o, &r, &err) == BQB_EINVAL);
    bqb_catalogue_close(c);
}

TEST(labeller_uses_its_own_names_where_few_are_given) {
    bqb_catalogue *c = library("few");
    if (!c) return;
    for (unsigned i = 0; i < 9; i++) say(c, add(c, i, i % 3), BQB_STYLE, colours[i % 3], BQB_GIVEN);
    bqb_sticker_id id = add(c, 50, 0);
    bqb_label_report r = label(c, BQB_STYLE, 0.6);
    CHECK(!r.own_classes && r.classes == 14);
    CHECK_STR(believed(c, id, BQB_STYLE), "红色剪纸 zero-shot"); /* the one that names the colour */
    bqb_catalogue_close(c);
}

/* Forty stickers whose words name the colour that they have, or (crossed) another; then one without words. */
static bqb_sticker_id forty(bqb_catalogue *c, size_t crossed) {
    char words[64];
    for (unsigned i = 0; i < 40; i++) {
        snprintf(words, sizeof words, "%s色的猫", colours[(i + crossed * (i / D)) % D]);
        say(c, add(c, i, i % D), BQB_CAPTION, words, BQB_GIVEN);
    }
    for (unsigned i = 0; i < 12; i++) say(c, add(c, 200 + i, i % D), BQB_EMOTION, colours[i % D], BQB_GIVEN);
    return add(c, 100, 1);
}

TEST(labeller_trusts_pictures_only_where_the_model_knows_them) {
    bqb_catalogue *known = library("known"), *foreign = library("foreign");
    if (!known || !foreign) return;
    bqb_sticker_id a = forty(known, 0), b = forty(foreign, 1);
    bqb_label_report r = label(known, BQB_EMOTION, 0.6);
    CHECK(r.trust == 1);
    CHECK_STR(believed(known, a, BQB_EMOTION), "绿 zero-shot");
    r = label(foreign, BQB_EMOTION, 0.6);
    CHECK(r.trust == 0);
    CHECK_MSG(!strcmp(believed(foreign, b, BQB_EMOTION), ""), "nonsense about a picture of a kind that the model does not know");
    CHECK_STR(believed(foreign, 6, BQB_EMOTION), "蓝 zero-shot"); /* green, and called blue: words count */
    /* A finer label is a person's word about the emotion, too. */
    CHECK_STR(believed(known, 1, BQB_EMOTION), "红 zero-shot");
    say(known, 2, BQB_EMOTION_LABEL, "笑", BQB_GIVEN);
    bqb_label_report again = label(known, BQB_EMOTION, 0.6);
    CHECK(again.given == 13);
    bqb_catalogue_close(known);
    bqb_catalogue_close(foreign);
}

static int stop_at_once(void *ctx, const char *what, uint64_t done, uint64_t total) {
    (void)what;
    (void)total;
    *(uint64_t *)ctx = done;
    return 1;
}

TEST(labeller_goes_on_where_it_was_stopped) {
    bqb_catalogue *c = library("stopped");
    if (!c) return;
    for (unsigned i = 0; i < 12; i++) say(c, add(c, i, i % D), BQB_STYLE, colours[i % D], BQB_GIVEN);
    for (unsigned i = 0; i < 100; i++) add(c, 100 + i, i % D);
    uint64_t done = 0;
    bqb_label_report r;
    const bqb_label_options o = {.embedder = &fake, .min_score = 0.6, .progress = stop_at_once, .ctx = &done};
    CHECK(bqb_library_label(c, NULL, 0, BQB_STYLE, &o, &r, &err) == BQB_ECANCEL);
    CHECK(done > 0 && done < 112 && r.labelled > 0 && r.labelled < 100);
    size_t first = r.labelled;
    r = label(c, BQB_STYLE, 0.6);
    CHECK_MSG(r.labelled == 100 && r.changed == 100 - first, "%zu, then %zu of %zu", first, r.changed, r.labelled);
    bqb_catalogue_close(c);
}

TEST(familiarity_by_hand) {
    static const float picture[] = {1, 0, 0, 1}, same[] = {1, 0, 0, 1}, crossed[] = {0, 1, 1, 0}, equal[] = {1, 0, 1, 0};
    CHECK(fabs(bqb_familiarity(picture, same, 2, picture, 2, 2) - 1) < 1e-9);     /* products 1 and 0: mean and deviation 0.5 */
    CHECK(fabs(bqb_familiarity(picture, crossed, 2, picture, 2, 2) + 1) < 1e-9);
    static const float others[] = {1, 0, 1, 0, 0, 1, 0.5F, 0.5F};                 /* for the first text 1, 1, 0, 0.5 */
    double first = (1 - 0.625) / sqrt(0.5625 - 0.625 * 0.625), second = (1 - 0.375) / sqrt(0.3125 - 0.375 * 0.375);
    CHECK(fabs(bqb_familiarity(picture, same, 2, others, 4, 2) - (first + second) / 2) < 1e-6);
    CHECK(bqb_familiarity(picture, same, 2, picture, 1, 2) == 0); /* one product does not spread */
    CHECK(bqb_familiarity(picture, same, 2, NULL, 0, 2) == 0);
    CHECK(bqb_familiarity(picture, equal, 0, picture, 2, 2) == 0);
    double x[] = {1000, 1000, -INFINITY, 1000 + log(2)};
    bqb_softmax_f64(x, 4);
    CHECK(fabs(x[0] - 0.25) < 1e-9 && x[2] == 0 && fabs(x[3] - 0.5) < 1e-9);
}

/* Column `column` of the lines of data/NAME, without the labels that say nothing. */
static void check_names(bqb_field f, const char *name, size_t column) {
    char path[600], *text;
    size_t size, n, at = 0;
    const char *const *names = bqb_label_names(f, &n), *data = getenv("BQB_DATA");
    snprintf(path, sizeof path, "%s/%s", data ? data : "data", name);
    if (!CHECK_OK(bqb_file_read(&text, &size, path, 1 << 20, &err), err)) return;
    char *lines = NULL;
    for (char *line = strtok_r(text, "\n", &lines); line; line = strtok_r(NULL, "\n", &lines)) {
        char *cells = NULL, *cell = *line == '#' ? NULL : strtok_r(line, "\t", &cells);
        for (size_t k = 0; k < column && cell; k++) cell = strtok_r(NULL, "\t", &cells);
        if (!cell || bqb_label_is_neutral(f, cell)) continue;
        CHECK(at < n);
        if (at < n) CHECK_STR(names[at], cell);
        at++;
    }
    CHECK(at == n);
    free(text);
}

TEST(label_names_are_those_of_synthetic_stickers) {
    size_t n;
    check_names(BQB_EMOTION, "emotions.tsv", 0);
    check_names(BQB_STYLE, "styles.tsv", 1);
    CHECK(bqb_label_names(BQB_OCR, &n) == NULL && n == 0);
}

TEST(texts_of_any_length_keep_their_order) {
    char dir[600];
    bqb_clip *m = NULL;
    snprintf(dir, sizeof dir, "%s/model", test_tmp_dir());
    model_folder(dir, 3);
    if (!CHECK_OK(bqb_clip_open(&m, dir, BQB_TOWER_TEXT, BQB_PREC_F32, 1, &err), err)) return;
    size_t width = bqb_clip_get_config(m)->embed;
    const char *const texts[] = {"a b c d", "a", "", "b c", "d"};
    float *all = bqb_calloc(5 * width, sizeof *all), *one = bqb_calloc(width, sizeof *one);
    CHECK_OK(bqb_embed_texts(all, m, bqb_clip_tokenizer(m), texts, 5, NULL, NULL, &err), err);
    for (size_t i = 0; i < 5 && all && one; i++) {
        CHECK_OK(bqb_clip_encode_texts(m, one, &texts[i], 1, &err), err);
        CHECK_MSG(model_distance(one, all + i * width, width) < 1e-5, "text %zu", i);
    }
    free(all);
    free(one);
    bqb_clip_free(m);
}

TEST(near_values_are_told_from_others) {
    CHECK(bqb_text_nearness("", "") == 1 && bqb_text_nearness("", "a") == 0 && bqb_text_nearness("开心", "开心") == 1);
    CHECK(bqb_text_nearness("开心", "开森") == 0.5 && bqb_text_nearness("hapy", "happy") == 0.8);
    CHECK(bqb_text_nearness("abc", "bca") < 0.5 && bqb_text_nearness("难过", "开心") == 0);
    char a[200], b[200];
    memset(a, 'a', sizeof a - 1);
    memset(b, 'a', sizeof b - 1);
    a[199] = b[199] = 0;
    b[150] = 'b'; /* past what counts */
    CHECK(bqb_text_nearness(a, b) == 1);

    bqb_catalogue *c = library("near");
    if (!c) return;
    static const char *const values[] = {"开心", "开心", "难过", "开怀", "开", "大开心", "Happy"};
    for (unsigned i = 0; i < 7; i++) say(c, add(c, i, 0), BQB_EMOTION, values[i], BQB_GIVEN);
    const bqb_field f[] = {BQB_EMOTION, BQB_STYLE};
    bqb_buf list = {.max = 400};
    bool known = true;
    CHECK_OK(bqb_near_values(&list, &known, c, f, 2, "开森", &err), err);
    CHECK(!known);
    CHECK_STR(list.data, "开心 (2), 开 (1), 开怀 (1)");
    list.len = 0;
    CHECK_OK(bqb_near_values(&list, &known, c, f, 2, "ＨＡＰＰＹ", &err), err);
    CHECK(known);
    CHECK_STR(list.data, "Happy (1)");
    bqb_buf_free(&list);
    bqb_catalogue_close(c);
}

static bqb_status encode_and_note(void *ctx, float *out, const char *const *texts, size_t n, bqb_err *e) {
    for (size_t i = 0; i < n; i++) snprintf((char *)ctx + strlen(ctx), (1 << 16) - strlen(ctx), "[%s]", texts[i]);
    return encode(NULL, out, texts, n, e);
}

/* What has a vector is not encoded again; what is written in two places, or more than the library's vector is of, is. */
TEST(labeller_uses_the_vectors_of_words_that_there_are) {
    bqb_catalogue *c = library("stored");
    static char noted[1 << 16];
    if (!c) return;
    bqb_text_embedder noting = {.id = MODEL_A, .dim = D, .scale = 10, .ctx = noted, .encode = encode_and_note};
    bqb_sticker_id alone = add(c, 1, 0), both = add(c, 2, 1), captioned = add(c, 3, 2), fresh = add(c, 4, 3);
    say(c, alone, BQB_OCR, "字红", BQB_OCR_READ);
    say(c, both, BQB_OCR, "字绿", BQB_OCR_READ);
    say(c, both, BQB_CAPTION, "图绿", BQB_GIVEN);
    say(c, captioned, BQB_CAPTION, "图蓝", BQB_GIVEN);
    CHECK_OK(bqb_embed_words(c, &fake, NULL, NULL, NULL, &err), err);
    say(c, fresh, BQB_CAPTION, "图白", BQB_GIVEN);
    bqb_label_report r;
    const bqb_label_options o = {.embedder = &noting, .min_score = 0.1};
    CHECK_OK(bqb_library_label(c, NULL, 0, BQB_EMOTION, &o, &r, &err), err);
    CHECK(r.stickers == 4 && r.labelled + r.unsure == 4);
    CHECK_MSG(!strstr(noted, "[字红]") && !strstr(noted, "[图蓝]"), "encoded again: %s", noted);
    CHECK_MSG(strstr(noted, "[图绿；字绿]") && strstr(noted, "[图白]"), "not encoded: %s", noted);
    bqb_catalogue_close(c);
}
