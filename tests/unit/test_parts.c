/* The parts of a query: which count, how they add up, and that the best are the best. */
#include "library_help.h"
#include "test.h"

#include "base/rand.h"
#include "file/safetensors.h"
#include "search/explain.h"
#include "search/filter.h"
#include "search/parts.h"
#include "search/trust.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bqb_err err;

enum { DIM = 24, MANY = 1500 };

static void unit(float *v, bqb_rand *r) {
    double sum_sq = 0;
    for (int d = 0; d < DIM; d++) {
        v[d] = (float)(bqb_rand_unit(r) + bqb_rand_unit(r) + bqb_rand_unit(r) - 1.5);
        sum_sq += (double)v[d] * (double)v[d];
    }
    for (int d = 0; d < DIM; d++) v[d] = (float)((double)v[d] / sqrt(sum_sq));
}

/* n stickers with pictures' vectors, words on every third, and vectors of these where asked. like_own: a text's
 * vector is near its picture's. */
static bqb_catalogue *make(size_t n, bool texts, bool like_own) {
    static const char *const words[] = {"加班好累", "开心到飞起", "哭了", "大哭的小猫", "下班", "OK 收到"};
    bqb_rand r;
    bqb_catalogue *c = NULL;
    r = bqb_rand_seed(7, 0);
    if (!CHECK_OK(bqb_catalogue_open(&c, help_path(test_tmp_dir(), "lib"), BQB_CATALOGUE_WRITE, &err), err)) return NULL;
    CHECK_OK(bqb_catalogue_begin(c, &err), err);
    for (size_t i = 0; i < n; i++) {
        bqb_sticker s = {.format = "png", .frames = 1, .sha256 = {(uint8_t)i, (uint8_t)(i >> 8), 1}};
        bool added;
        char path[40];
        float v[DIM], t[DIM];
        snprintf(path, sizeof path, "/%zu.png", i);
        CHECK_OK(bqb_catalogue_put_sticker(c, &s, &added, &err), err);
        CHECK_OK(bqb_catalogue_put_file(c, path, &(bqb_file){.sticker = s.id}, &err), err);
        unit(v, &r);
        unit(t, &r);
        CHECK_OK(bqb_catalogue_put_embedding(c, s.id, MODEL_A, "image", v, DIM, &err), err);
        if (i % 3) continue;
        bqb_annotation a = {{0}};
        a.field[i % 2 ? BQB_OCR : BQB_CAPTION] = words[i / 3 % 6];
        CHECK_OK(bqb_catalogue_annotate(c, s.id, &a, BQB_GIVEN, 1, NULL, NULL, &err), err);
        if (texts) CHECK_OK(bqb_catalogue_put_embedding(c, s.id, MODEL_A, "text", like_own ? v : t, DIM, &err), err);
    }
    CHECK_OK(bqb_catalogue_commit(c, &err), err);
    return c;
}

/* The best few of `all` must be `few`, and the sums those of their reasons. */
static void check_best(bqb_catalogue *c, const bqb_search_query *q) {
    bqb_parts *p;
    bqb_entrant *all, *few;
    size_t n_all, n_few;
    if (!CHECK_OK(bqb_parts_open(&p, c, q, &err), err)) return;
    CHECK_OK(bqb_parts_best(p, &all, &n_all, MANY * 2, &err), err);
    CHECK_OK(bqb_parts_best(p, &few, &n_few, 10, &err), err);
    CHECK_MSG(n_few == 10 && n_all > 100, "%zu of %zu", n_few, n_all);
    for (size_t i = 0; i < n_few; i++)
        CHECK_MSG(few[i].id == all[i].id && few[i].sum == all[i].sum, "place %zu: %lld, by looking at all %lld", i,
                  (long long)few[i].id, (long long)all[i].id);
    for (size_t i = 0; i < n_all; i++) {
        double sum = 0;
        if (i) CHECK(all[i - 1].sum > all[i].sum || (all[i - 1].sum == all[i].sum && all[i - 1].id < all[i].id));
        for (int k = 0; k < BQB_PARTS; k++) {
            const bqb_reason *r = &all[i].reason[k];
            sum += r->gain;
            if (!r->known) CHECK(r->gain == 0);
        }
        if (!bqb_parts_picture_alone(q)) CHECK(fabs(sum - all[i].sum) < 1e-9);
    }
    free(all);
    free(few);
    bqb_parts_close(p);
}

TEST(parts_best_are_the_best) {
    bqb_catalogue *c = make(MANY, true, false);
    if (!c) return;
    bqb_rand r;
    r = bqb_rand_seed(3, 0);
    for (int round = 0; round < 4; round++) {
        float text[DIM], image[DIM], unlike[3 * DIM];
        unit(text, &r);
        unit(image, &r);
        for (int k = 0; k < 3; k++) unit(unlike + k * DIM, &r);
        bqb_search_query q = {.text_vec = text, .model = MODEL_A, .n = 10};
        check_best(c, &q);
        q.text = "加班";
        check_best(c, &q);
        q.image_vec = image;
        q.unlike_vec = unlike;
        q.n_unlike = 3;
        q.n_unlike_words = 1;
        check_best(c, &q);
        const char *without[] = {"哭"};
        q.not_words = without;
        q.n_not_words = 1;
        check_best(c, &q);
        q = (bqb_search_query){.image_vec = image, .model = MODEL_A, .n = 10};
        check_best(c, &q);
    }
    bqb_catalogue_close(c);
}

TEST(parts_text_of_the_picture) {
    bqb_catalogue *c = make(60, true, false);
    if (!c) return;
    float text[DIM], *vec = NULL;
    size_t dim, n;
    bqb_rand r;
    r = bqb_rand_seed(11, 0);
    unit(text, &r);
    char model[65] = MODEL_A;
    CHECK_OK(bqb_catalogue_get_embedding(c, 4, "text", model, &vec, &dim, &err), err); /* stickers 1, 4, 7 … have words */
    bqb_search_query q = {.text_vec = vec, .model = MODEL_A, .n = 10};
    bqb_parts *p;
    bqb_entrant *e;
    if (vec && CHECK_OK(bqb_parts_open(&p, c, &q, &err), err)) {
        CHECK_OK(bqb_parts_best(p, &e, &n, 100, &err), err);
        CHECK(n == 60);
        for (size_t i = 0; i < n; i++) {
            const bqb_reason *t = &e[i].reason[BQB_PART_TEXT];
            CHECK(t->asked && t->known == ((e[i].id - 1) % 3 == 0));
            if (e[i].id == 4) CHECK_MSG(t->raw > 0.99 && t->z > 2.5, "%g, z %g", t->raw, t->z);
        }
        free(e);
        bqb_parts_close(p);
    }
    /* Words that change take their vector with them; others do not. */
    bool has;
    bqb_annotation a = {{0}};
    CHECK_OK(bqb_catalogue_begin(c, &err), err);
    a.field[BQB_STYLE] = "像素";
    CHECK_OK(bqb_catalogue_annotate(c, 4, &a, BQB_GIVEN, 1, NULL, NULL, &err), err);
    CHECK_OK(bqb_catalogue_has_embedding(c, 4, MODEL_A, "text", &has, &err), err);
    CHECK(has);
    a.field[BQB_OCR] = "别的";
    CHECK_OK(bqb_catalogue_annotate(c, 4, &a, BQB_GIVEN, 1, NULL, NULL, &err), err);
    CHECK_OK(bqb_catalogue_has_embedding(c, 4, MODEL_A, "text", &has, &err), err);
    CHECK(!has);
    CHECK_OK(bqb_catalogue_has_embedding(c, 4, MODEL_A, "image", &has, &err), err);
    CHECK(has);
    CHECK_OK(bqb_catalogue_commit(c, &err), err);
    free(vec);
    bqb_catalogue_close(c);
}

static double trust_of(bqb_catalogue *c) {
    bqb_vectors *v = NULL, *t = NULL;
    CHECK_OK(bqb_vectors_open(&v, c, MODEL_A, "image", &err), err);
    CHECK_OK(bqb_vectors_open(&t, c, MODEL_A, "text", &err), err);
    double x = v && t ? bqb_trust(v, t) : -1;
    bqb_vectors_close(v);
    bqb_vectors_close(t);
    return x;
}

TEST(trust_is_what_the_library_shows) {
    bqb_catalogue *c = make(300, true, true);
    if (c) CHECK_MSG(trust_of(c) == 1, "words beside their own pictures: %g", trust_of(c));
    bqb_catalogue_close(c);
}

TEST(trust_is_low_for_strange_pictures) {
    bqb_catalogue *c = make(300, true, false);
    if (c) CHECK_MSG(trust_of(c) >= 0.1 && trust_of(c) < 0.25, "%g", trust_of(c));
    bqb_catalogue_close(c);
}

TEST(trust_is_lent_without_words) {
    bqb_catalogue *c = make(300, false, false);
    if (c) CHECK_MSG(trust_of(c) == 1, "%g", trust_of(c));
    bqb_catalogue_close(c);
}

static size_t count_with(bqb_catalogue *c, const char *words) {
    bqb_id_set s = {0};
    CHECK_OK(bqb_filter_with_words(&s, c, &words, 1, &err), err);
    size_t n = s.n;
    for (size_t i = 1; i < s.n; i++) CHECK(s.id[i - 1] < s.id[i]);
    bqb_id_set_free(&s);
    return n;
}

TEST(unwanted_words_are_found) {
    bqb_catalogue *c = make(36, false, false); /* each of the six twice */
    if (!c) return;
    CHECK(count_with(c, "哭") == 4);
    CHECK(count_with(c, "大哭") == 2);
    CHECK(count_with(c, "哭猫") == 0); /* a pair that stands nowhere */
    CHECK(count_with(c, "哭 猫") == 2);
    CHECK(count_with(c, "ok") == 2);
    CHECK(count_with(c, "o") == 0); /* whole words */
    CHECK(count_with(c, "😭") == 4); /* 大哭, 哭 */
    CHECK(count_with(c, "微积分") == 0);
    bqb_id_set s;
    const char *none = "，。";
    CHECK(bqb_filter_with_words(&s, c, &none, 1, &err) == BQB_EINVAL && !s.n);
    bqb_catalogue_close(c);
}

TEST(unwanted_words_and_looks) {
    bqb_catalogue *c = make(36, false, false);
    if (!c) return;
    const char *without[] = {"大哭"};
    bqb_search_results r;
    bqb_search_query q = {.text = "哭", .n = 10, .not_words = without, .n_not_words = 1};
    if (CHECK_OK(bqb_search_run(&r, c, &q, &err), err)) {
        CHECK_MSG(r.n == 2, "%zu", r.n);
        for (size_t i = 0; i < r.n; i++) CHECK(!strcmp(r.item[i].field[BQB_OCR], "哭了") || !strcmp(r.item[i].field[BQB_CAPTION], "哭了"));
        bqb_search_results_free(&r);
    }
    q = (bqb_search_query){.text = "😭", .n = 10}; /* an emoji by its names */
    if (CHECK_OK(bqb_search_run(&r, c, &q, &err), err)) {
        CHECK_MSG(r.n == 4, "%zu", r.n);
        for (size_t i = 0; i < r.n; i++) CHECK(strstr(r.item[i].field[BQB_CAPTION], "哭") || strstr(r.item[i].field[BQB_OCR], "哭"));
        bqb_search_results_free(&r);
    }
    /* Unlike itself: the best of a picture alone stands back. */
    char model[65] = MODEL_A;
    float *vec = NULL;
    size_t dim;
    CHECK_OK(bqb_catalogue_get_embedding(c, 9, "image", model, &vec, &dim, &err), err);
    q = (bqb_search_query){.image_vec = vec, .model = MODEL_A, .n = 36};
    if (vec && CHECK_OK(bqb_search_run(&r, c, &q, &err), err)) {
        CHECK(r.n == 36 && r.item[0].sticker.id == 9);
        bqb_search_results_free(&r);
    }
    q.unlike_vec = vec;
    q.n_unlike = 1;
    if (vec && CHECK_OK(bqb_search_run(&r, c, &q, &err), err)) {
        CHECK(r.n == 36);
        for (size_t i = 0; i < r.n; i++)
            if (r.item[i].sticker.id == 9) {
                CHECK(r.item[i].reason[BQB_PART_UNLIKE].gain < -1);
                CHECK(fabs(r.item[i].sum) < 1e-6); /* as much taken as given */
            }
        bqb_search_results_free(&r);
    }
    free(vec);
    bqb_catalogue_close(c);
}

static void match(const char *query, const char *text, const char *want, size_t want_n) {
    bqb_buf b = {.max = 1 << 16};
    size_t n;
    CHECK_OK(bqb_explain_match(&b, &n, query, text, strlen(text), &err), err);
    CHECK_MSG(!strcmp(b.data, want) && n == want_n, "%s in %s: \"%s\" (%zu)", query, text, b.data, n);
    bqb_buf_free(&b);
}

TEST(explained_words) {
    match("加班好累", "今天加班，好累啊", "加班好累", 4); /* punctuation is nothing */
    match("加班真好累", "今天加班好累啊", "加班 好累", 4);
    match("加班好累", "累", "累", 1);
    match("ＯＫ 收到", "ok收到了", "ok 收到", 3);
    match("加班", "下班", "班", 1);
    match("加班", "", "", 0);
    match("", "加班", "", 0);
    match("開心", "开心到飞起", "开心", 2);
    bqb_catalogue *c = make(12, false, false);
    if (!c) return;
    bqb_word_reasons r;
    CHECK_OK(bqb_explain_words(&r, c, 1, "加班加班", 5, &err), err);
    CHECK(r.n == 1 && r.item[0].field == BQB_CAPTION && r.item[0].origin == BQB_GIVEN && !strcmp(r.item[0].text, "加班好累"));
    bqb_word_reasons_free(&r);
    CHECK_OK(bqb_explain_words(&r, c, 10, "😭", 5, &err), err); /* 大哭的小猫, by the emoji's name */
    CHECK_MSG(r.n == 1 && !strcmp(r.item[0].match, "大哭"), "%s", r.n ? r.item[0].match : "nothing");
    bqb_word_reasons_free(&r);
    CHECK_OK(bqb_explain_words(&r, c, 1, "没有", 5, &err), err);
    CHECK(r.n == 0);
    bqb_word_reasons_free(&r);
    CHECK_OK(bqb_explain_words(&r, c, 1, "加班", 0, &err), err);
    CHECK(r.n == 0);
    bqb_word_reasons_free(&r);
    bqb_catalogue_close(c);
}
