#include "library_help.h"
#include "test.h"

#include "search/fusion.h"
#include "search/lexical.h"
#include "search/search.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bqb_err err;

/* Ten stickers of other colours, some with words. */
static bqb_catalogue *make(void) {
    const char *dir = test_tmp_dir();
    bqb_embedder e = help_embedder(MODEL_A);
    bqb_import_report r;
    help_png(dir, "in/red.png", 250, 10, 10);
    help_png(dir, "in/pink.png", 250, 60, 60);
    help_png(dir, "in/green.png", 10, 250, 10);
    help_png(dir, "in/blue.png", 10, 10, 250);
    help_png(dir, "in/white.png", 250, 250, 250);
    help_png(dir, "in/yellow.png", 250, 250, 10);
    help_text(dir, "in/captions.tsv",
              "file\tcaption\temotion\tstyle\tocr\n"
              "red.png\t加班好累\t难过\t像素\t\n"
              "pink.png\t今天加班\t难过/委屈\t手绘\tOK\n"
              "green.png\t下班真开心\t开心\t像素\t下班啦\n"
              "blue.png\t一片蓝色的大海和一些好看的云\t平静\t手绘\t\n");
    help_import(dir, help_path(dir, "in"), &e, &r);
    return help_open(dir);
}

/* File names of the results, joined by spaces, without folder and ending. */
static const char *names(const bqb_search_results *r) {
    static char out[256];
    size_t n = 0;
    out[0] = 0;
    for (size_t i = 0; i < r->n && n < 200; i++) {
        const char *base = strrchr(r->item[i].path, '/') + 1;
        n += (size_t)snprintf(out + n, sizeof out - n, "%s%.*s", i ? " " : "", (int)strcspn(base, "."), base);
    }
    return out;
}

static void expect(bqb_catalogue *c, const bqb_search_query *q, const char *want) {
    bqb_search_results r;
    if (!CHECK_OK(bqb_search_run(&r, c, q, &err), err)) return;
    CHECK_MSG(!strcmp(names(&r), want), "found \"%s\", expected \"%s\"", names(&r), want);
    for (size_t i = 1; i < r.n; i++) CHECK(r.item[i - 1].score >= r.item[i].score);
    bqb_search_results_free(&r);
}

TEST(lexical_scores) {
    bqb_catalogue *c = make();
    if (!c) return;
    bqb_word_hit *h;
    size_t n;
    CHECK_OK(bqb_lexical(&h, &n, c, "一片蓝色的大海，和一些 好看的云", &err), err);
    CHECK(n >= 1 && n <= 6);
    double best = 0;
    for (size_t i = 0; i < n; i++) {
        CHECK(i == 0 || h[i - 1].id < h[i].id);
        CHECK(h[i].score > 0 && h[i].score <= 1);
        best = h[i].score > best ? h[i].score : best;
    }
    CHECK_MSG(best > 0.95, "all the words, and no others, give %g", best);
    free(h);
    CHECK_OK(bqb_lexical(&h, &n, c, "班", &err), err);
    CHECK(n == 3);
    free(h);
    CHECK_OK(bqb_lexical(&h, &n, c, "加班好累啊", &err), err);
    CHECK_MSG(n == 4, "%zu have one of these characters", n);
    free(h);
    CHECK_OK(bqb_lexical(&h, &n, c, "ｏｋ！", &err), err);
    CHECK_MSG(n == 1, "full width and case must not matter");
    free(h);
    CHECK_OK(bqb_lexical(&h, &n, c, "，。 \xff", &err), err);
    CHECK(n == 0 && h == NULL);
    CHECK_OK(bqb_lexical(&h, &n, c, "\"OR\" AND NOT words:x* '", &err), err); /* no query language shows through */
    CHECK(n == 0);
    free(h);
    bqb_catalogue_close(c);
}

/* Where many have something, those that have most are looked at closely, however late they came. */
TEST(lexical_finds_the_last_of_many) {
    bqb_catalogue *c;
    if (!CHECK_OK(bqb_catalogue_open(&c, help_path(test_tmp_dir(), "many"), BQB_CATALOGUE_WRITE, &err), err)) return;
    enum { MANY = 700 };
    CHECK_OK(bqb_catalogue_begin(c, &err), err);
    bqb_sticker s = {.format = "png", .width = 1, .height = 1, .frames = 1};
    for (uint32_t i = 0; i < MANY; i++) {
        bool added;
        memcpy(s.sha256, &i, sizeof i);
        CHECK_OK(bqb_catalogue_put_sticker(c, &s, &added, &err), err);
        bqb_annotation said = {.field = {[BQB_CAPTION] = i + 1 < MANY ? "大人说真话" : "大海真蓝呀"}};
        CHECK_OK(bqb_catalogue_annotate(c, s.id, &said, BQB_GIVEN, 1, NULL, NULL, &err), err);
    }
    CHECK_OK(bqb_catalogue_commit(c, &err), err);
    bqb_word_hit *h;
    size_t n;
    CHECK_OK(bqb_lexical(&h, &n, c, "大海真蓝", &err), err);
    CHECK_MSG(n == MANY, "%zu found", n);
    if (n == MANY) {
        CHECK_MSG(h[n - 1].id == s.id && h[n - 1].score > 0.8, "the right one scores %g", h[n - 1].score);
        for (size_t i = 0; i + 1 < n; i++)
            CHECK_MSG(h[i].score > 0 && h[i].score < 0.5 && h[i].score <= h[0].score, "number %zu scores %g", i, h[i].score);
    }
    free(h);
    bqb_catalogue_close(c);
}

TEST(search_words_alone) {
    bqb_catalogue *c = make();
    if (!c) return;
    bqb_search_query q = {.text = "加班好累", .n = 10};
    expect(c, &q, "red pink blue green"); /* the pair 加班, then single characters */
    q.n = 1;
    expect(c, &q, "red");
    q = (bqb_search_query){.text = "下班啦", .n = 1};
    expect(c, &q, "green");
    q.text = "完全没有";
    expect(c, &q, "");
    bqb_catalogue_close(c);
}

TEST(search_vectors_and_words_together) {
    bqb_catalogue *c = make();
    if (!c) return;
    float red[3] = {1, 0, 0};
    bqb_search_query q = {.text_vec = red, .model = MODEL_A, .n = 3};
    expect(c, &q, "red pink yellow");
    q.text = "蓝色的大海"; /* words that are on a sticker outrank a resemblance */
    expect(c, &q, "blue red pink");
    q.text = "红红的"; /* one character of four grams does not */
    expect(c, &q, "red pink yellow");
    bqb_catalogue_close(c);
}

TEST(search_picture_alone_scores_by_cosine) {
    bqb_catalogue *c = make();
    if (!c) return;
    float v[3] = {0.70710678f, 0.70710678f, 0};
    bqb_search_query q = {.image_vec = v, .model = MODEL_A, .n = 10};
    bqb_search_results r;
    CHECK_OK(bqb_search_run(&r, c, &q, &err), err);
    CHECK(r.n == 6 && r.in_library == 6 && r.passed == 6);
    CHECK_MSG(r.n && fabs(r.item[0].score - 0.999) < 0.001, "%g", r.item[0].score); /* yellow is not quite (1, 1, 0) */
    bqb_sticker_id yellow = r.n ? r.item[0].sticker.id : 0;
    bqb_search_results_free(&r);
    q.except = yellow;
    CHECK_OK(bqb_search_run(&r, c, &q, &err), err);
    CHECK(r.n == 5 && r.item[0].sticker.id != yellow);
    bqb_search_results_free(&r);
    bqb_catalogue_close(c);
}

TEST(search_filters) {
    bqb_catalogue *c = make();
    if (!c) return;
    float red[3] = {1, 0, 0};
    bqb_search_query q = {.text_vec = red, .model = MODEL_A, .n = 10, .emotion = "难过"};
    expect(c, &q, "red pink");
    q.style = "手绘";
    expect(c, &q, "pink");
    q.style = "像素";
    q.emotion = "开心";
    expect(c, &q, "green");
    q.emotion = "委屈";
    expect(c, &q, "");
    q.style = NULL;
    q.animated = true;
    expect(c, &q, "");
    q.animated = false;
    q.emotion = "不存在";
    bqb_search_results r;
    CHECK(bqb_search_run(&r, c, &q, &err) == BQB_ENOTFOUND);
    CHECK(strstr(err.msg, "不存在") && strstr(err.msg, "开心 (1)"));
    q = (bqb_search_query){.text = "加班", .n = 5, .style = "手绘"};
    expect(c, &q, "pink");
    bqb_catalogue_close(c);
}

TEST(search_folds_likenesses) {
    bqb_catalogue *c = make();
    if (!c) return;
    float red[3] = {1, 0, 0};
    bqb_search_query q = {.text_vec = red, .model = MODEL_A, .n = 3, .fold = 0.94};
    expect(c, &q, "red yellow white"); /* pink is red again */
    bqb_catalogue_close(c);
}

TEST(search_refuses_nonsense) {
    bqb_catalogue *c = make();
    if (!c) return;
    bqb_search_results r;
    bqb_search_query q = {.n = 5};
    CHECK(bqb_search_run(&r, c, &q, &err) == BQB_EINVAL);
    q = (bqb_search_query){.text = "x", .n = 0};
    CHECK(bqb_search_run(&r, c, &q, &err) == BQB_EINVAL);
    q.n = 1000000;
    CHECK(bqb_search_run(&r, c, &q, &err) == BQB_EINVAL);
    static const char *const bad[] = {"加班\xff"};
    char *most = calloc(1, BQB_QUERY_MAX + 2);
    if (!most) return;
    memset(most, 'a', BQB_QUERY_MAX);
    q = (bqb_search_query){.text = most, .n = 5};
    CHECK_OK(bqb_search_run(&r, c, &q, &err), err);
    bqb_search_results_free(&r);
    most[BQB_QUERY_MAX] = 'a';
    CHECK(bqb_search_run(&r, c, &q, &err) == BQB_EINVAL && strstr(err.msg, "the query is longer than 16 KiB"));
    free(most);
    q.text = bad[0];
    CHECK(bqb_search_run(&r, c, &q, &err) == BQB_EINVAL && strstr(err.msg, "the query is not valid UTF-8"));
    q = (bqb_search_query){.text = "x", .n = 5, .not_words = bad, .n_not_words = 1};
    CHECK(bqb_search_run(&r, c, &q, &err) == BQB_EINVAL && strstr(err.msg, "the unwanted text is not valid UTF-8"));
    q = (bqb_search_query){.text = "x", .n = 5, .style = bad[0]};
    CHECK(bqb_search_run(&r, c, &q, &err) == BQB_EINVAL && strstr(err.msg, "the style is not valid UTF-8"));
    float v[3] = {1, 0, 0};
    q = (bqb_search_query){.text_vec = v, .model = MODEL_B, .n = 5}; /* nothing was embedded by it */
    CHECK_OK(bqb_search_run(&r, c, &q, &err), err);
    CHECK(r.n == 0 && r.in_library == 0);
    bqb_search_results_free(&r);
    bqb_catalogue_close(c);
}

TEST(search_finds_stickers_by_name) {
    bqb_catalogue *c = make();
    if (!c) return;
    bqb_sticker_id a = 0, b = 0;
    bqb_found f;
    CHECK_OK(bqb_find_named(&a, c, help_path(test_tmp_dir(), "in/red.png"), &err), err);
    CHECK_OK(bqb_found_load(&f, c, a, &err), err);
    CHECK(strlen(f.id) == 12);
    CHECK_OK(bqb_find_named(&b, c, f.id, &err), err);
    CHECK(a == b && a != 0);
    CHECK_STR(f.field[BQB_CAPTION], "加班好累");
    CHECK_STR(f.field[BQB_OCR], "");
    bqb_found_free(&f);
    CHECK(bqb_find_named(&a, c, "in/none.png", &err) == BQB_ENOTFOUND);
    CHECK(bqb_find_named(&a, c, "ffffffffffffffff", &err) == BQB_ENOTFOUND);
    bqb_catalogue_close(c);
}

TEST(fusion_chance_is_what_the_best_of_n_reaches) {
    static const struct {
        size_t n;
        double low, high;
    } want[] = {{0, 0, 0}, {1, 0, 0}, {2, 0.1, 0.6}, {10, 1.2, 1.6}, {100, 2.2, 2.6}, {1000, 3, 3.3}, {1000000, 4.6, 5}};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        double z = bqb_fusion_chance(want[i].n);
        CHECK_MSG(z >= want[i].low && z <= want[i].high, "best of %zu: %g", want[i].n, z);
    }
    CHECK(bqb_fusion_fits(2, 1000, 0.3, 1) && bqb_fusion_fits(4, 1000, 0, 1) && !bqb_fusion_fits(2, 1000, 0.2, 1) && bqb_fusion_fits(2, 10, 0, 1));
    CHECK(!bqb_fusion_fits(-INFINITY, 0, 0, 1) && bqb_fusion_fits(-INFINITY, 0, 0.5, 1));
    CHECK(!bqb_fusion_fits(4, 1000, 0, 0.3) && bqb_fusion_fits(0, 1000, 0.3, 0.3)); /* a model that is not trusted proves nothing */
}

TEST(search_says_when_nothing_fits) {
    bqb_catalogue *c = make();
    if (!c) return;
    static const struct {
        const char *text;
        bqb_fits fits;
    } want[] = {{"加班", BQB_FITS}, {"下班啦", BQB_FITS}, {"加減乘除微積分", BQB_FITS_NOT}};
    for (size_t i = 0; i < 3; i++) {
        bqb_search_results r;
        bqb_search_query q = {.text = want[i].text, .n = 3};
        if (!CHECK_OK(bqb_search_run(&r, c, &q, &err), err)) break;
        CHECK_MSG(r.n && r.fits == want[i].fits, "%s: %d", want[i].text, (int)r.fits);
        bqb_search_results_free(&r);
    }
    bqb_catalogue_close(c);
    /* Most without words: a word that stands nowhere proves nothing. */
    if (!CHECK_OK(bqb_catalogue_open(&c, help_path(test_tmp_dir(), "lib"), BQB_CATALOGUE_WRITE, &err), err)) return;
    CHECK_OK(bqb_catalogue_begin(c, &err), err);
    for (int i = 0; i < 7; i++) {
        bqb_sticker s = {.format = "png", .frames = 1, .sha256 = {(uint8_t)i, 1}};
        bool added;
        char path[20];
        snprintf(path, sizeof path, "/%d.png", i);
        CHECK_OK(bqb_catalogue_put_sticker(c, &s, &added, &err), err);
        CHECK_OK(bqb_catalogue_put_file(c, path, &(bqb_file){.sticker = s.id}, &err), err);
    }
    CHECK_OK(bqb_catalogue_commit(c, &err), err);
    bqb_search_results r;
    if (CHECK_OK(bqb_search_run(&r, c, &(bqb_search_query){.text = "加減乘除微積分", .n = 3}, &err), err)) {
        CHECK_MSG(r.n && r.fits == BQB_FITS_UNKNOWN, "%d", (int)r.fits);
        bqb_search_results_free(&r);
    }
    bqb_catalogue_close(c);
}

TEST(fusion_is_monotone_and_bounded) {
    bqb_spread s = {.mean = 0.2, .sd = 0.05, .n = 100};
    CHECK(fabs(bqb_fusion_z(0.3f, &s) - 2) < 1e-4);
    s.sd = 0;
    CHECK(isfinite(bqb_fusion_z(1, &s)));
    CHECK(fabs(bqb_fusion_score(4) - 0.5) < 1e-9);
    for (double x = -50; x < 30; x += 0.5) CHECK(bqb_fusion_score(x) < bqb_fusion_score(x + 0.5));
    CHECK(bqb_fusion_score(-1e6) >= 0 && bqb_fusion_score(1e6) <= 1);
    s = (bqb_spread){.mean = 0.2, .sd = 0.05, .n = 100};
    /* Half of the query's words and nothing else, against the likeness of the nearest of 1,000 unrelated pictures; one word in ten. */
    double best = bqb_fusion_reason(BQB_PART_PICTURE, s.mean + bqb_fusion_chance(1000) * s.sd, &s, 1).gain;
    CHECK(bqb_fusion_reason(BQB_PART_WORDS, 0.5, NULL, 1).gain > best);
    CHECK(bqb_fusion_reason(BQB_PART_WORDS, 0.8 * 0.1, NULL, 1).gain < best / 2);
    bqb_reason r = bqb_fusion_reason(BQB_PART_LIKE, 0.3, &s, 1);
    CHECK(r.asked && r.known && r.raw == 0.3 && fabs(r.z - 2) < 1e-9 && fabs(r.gain - r.weight * r.z) < 1e-9);
    /* What is unwanted only takes away. */
    CHECK(bqb_fusion_reason(BQB_PART_UNLIKE, 0.3, &s, 1).gain < 0);
    CHECK(bqb_fusion_reason(BQB_PART_UNLIKE, 0.1, &s, 1).gain == 0);
    for (int p = 0; p < BQB_PARTS; p++) CHECK(*bqb_part_name((bqb_part)p) && bqb_fusion_weight((bqb_part)p) != 0);
}
