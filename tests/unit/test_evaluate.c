#include "test.h"

#include "train/evaluate.h"
#include "train/gallery.h"
#include "train_fixture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool near(double a, double b) { return fabs(a - b) < 1e-9; }

TEST(ask_names) {
    for (int a = 0; a < BQB_ASKS; a++) CHECK(bqb_ask_parse(bqb_ask_name((bqb_ask)a)) == (bqb_ask)a);
    CHECK(bqb_ask_parse("ocr_text") == (bqb_ask)BQB_OCR);
    CHECK(bqb_ask_parse("everything") == BQB_ASKS);
}

/* Six pictures in a plane, by angle in degrees. 0, 1 and 4 have the same
 * annotation; 1 looks like 0, and 4 does not. 2 and 3 look the same and are
 * annotated differently; 5 is annotated as 3 but for its style. */
enum { N = 6 };
static const float angle[N] = {0, 10, 90, 90, 60, 95};
static const char *const rows[N] = {"猫\t开心", "猫\t开心", "狗\t难过", "狗\t生气", "猫\t开心", "狗\t生气\t水墨"};

static void turn(float *xy, float degrees) {
    xy[0] = cosf(degrees * 3.14159265f / 180);
    xy[1] = sinf(degrees * 3.14159265f / 180);
}

static bqb_dataset *six(const char *dir, bqb_gallery *g, float *feature, uint32_t *sample) {
    bqb_buf table = {.max = 4096};
    bqb_buf_puts(&table, "file\tcaption\temotion\tstyle\n", NULL);
    for (size_t i = 0; i < N; i++) {
        char name[16];
        snprintf(name, sizeof name, "%zu.png", i);
        fixture_write(dir, name, "not looked at");
        bqb_buf_printf(&table, NULL, "%s\t%s%s\n", name, rows[i], i == 5 ? "" : "\t");
        sample[i] = (uint32_t)i;
        turn(feature + 2 * i, angle[i]);
    }
    fixture_write(dir, "captions.tsv", "%s", table.data);
    bqb_buf_free(&table);
    const char *data = dir;
    bqb_dataset *ds = NULL;
    bqb_err err = {0};
    CHECK_OK(bqb_dataset_open(&ds, &data, 1, &err), err);
    *g = (bqb_gallery){.ds = ds, .sample = sample, .feature = feature, .n = N, .D = 2};
    return ds;
}

TEST(near_duplicates_look_alike_and_are_annotated_alike) {
    float feature[2 * N];
    uint32_t sample[N];
    bqb_gallery g;
    bqb_err err = {0};
    bqb_dataset *ds = six(test_tmp_dir(), &g, feature, sample);
    if (!CHECK_OK(bqb_gallery_find_near(&g, &err), err)) return;
    CHECK(g.n_near == 2 && g.n_crowded == 0);
    for (size_t i = 0; i < N; i++) CHECK(g.near_first[i + 1] - g.near_first[i] == (i < 2));
    CHECK(g.near[0] == 1 && g.near[1] == 0);

    bqb_ask_result r;
    CHECK_OK(bqb_ask_collect(&r, BQB_ASK_FULL, &g, &err), err);
    CHECK(r.n == N && r.left_out == 0 && !strcmp(r.text[5], "狗；生气；水墨"));
    /* Texts: 0's looks at 1, all others at their own picture. */
    static const float text_angle[N] = {10, 10, 90, 90, 60, 95};
    float q[2 * N];
    for (size_t i = 0; i < N; i++) turn(q + 2 * i, text_angle[i]);
    CHECK_OK(bqb_ask_measure(&r, &g, q, 2, NULL, NULL, &err), err);
    CHECK(near(r.to_image.r1, 100.0 * (0 + 1 + 0.5 + 0.5 + 1 + 1) / 6));
    CHECK(near(r.to_image_or_near.r1, 100.0 * (1 + 1 + 0.5 + 0.5 + 1 + 1) / 6));
    /* Four distinct texts; 猫；开心 finds one of its three. */
    CHECK(r.any.n == 4 && near(r.any.r1, 100.0 * (1 + 0.5 + 0.5 + 1) / 4));
    CHECK(r.place[0].better == 1 && r.place[1].better == 0 && r.top[0] == 1);
    /* Pictures to texts: 0 finds 0's and 1's text at once, tied. */
    CHECK(near(r.to_text.r1, 100.0 * (0.5 + 0.5 + 0.5 + 0.5 + 1 + 1) / 6));
    CHECK(near(r.to_text_or_near.r1, 100.0 * (1 + 1 + 0.5 + 0.5 + 1 + 1) / 6));
    bqb_ask_free(&r);

    /* A model that sees all pictures as alike: only those with the same annotation help each other. */
    for (size_t i = 0; i < N; i++) turn(feature + 2 * i, 0);
    free(g.near_first);
    free(g.near);
    g.near_first = NULL, g.near = NULL, g.n_near = 0;
    CHECK_OK(bqb_gallery_find_near(&g, &err), err);
    CHECK(g.n_near == 3);
    CHECK_OK(bqb_ask_collect(&r, BQB_ASK_FULL, &g, &err), err);
    CHECK_OK(bqb_ask_measure(&r, &g, feature, 1, NULL, NULL, &err), err);
    CHECK(near(r.to_image.r1, 100.0 / 6) && near(r.to_image_or_near.r1, 100.0 * (3 * 0.5 + 3 / 6.0) / 6));
    bqb_ask_free(&r);
    free(g.near_first);
    free(g.near);
    bqb_dataset_close(ds);
}
