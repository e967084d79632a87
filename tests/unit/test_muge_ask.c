#include "test.h"

#include "train/muge_ask.h"
#include "train_fixture.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static bool near(double a, double b) { return fabs(a - b) < 1e-9; }

/* Four pictures at right angles; "11.png" stands in the table twice. */
TEST(muge_ask_by_hand) {
    const char *dir = test_tmp_dir();
    static const char *const file[] = {"9.png", "10.png", "11.png", "11.png"};
    for (size_t i = 0; i < 3; i++) fixture_write(dir, file[i], "not looked at");
    fixture_write(dir, "captions.tsv", "file\tcaption\n9.png\ta\n10.png\tb\n11.png\tc\n11.png\td\n");
    fixture_write(dir, "texts.jsonl",
                  "{\"text_id\":7,\"text\":\"two\",\"image_ids\":[\"10.png\",\"9.png\",\"10.png\"]}\n"
                  "{\"text_id\":8,\"text\":\"lost\",\"image_ids\":[\"12.png\"]}\n"
                  "no JSON\n"
                  "{\"text_id\":\"x\",\"text\":\"both\",\"image_ids\":[\"11.png\",\"12.png\"]}\n"
                  "{\"text_id\":9,\"text\":\"test split\",\"image_ids\":[]}\n");
    bqb_dataset *ds = NULL;
    bqb_err err = {0};
    if (!CHECK_OK(bqb_dataset_open(&ds, &dir, 1, &err), err)) return;
    float feature[16] = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1};
    uint32_t sample[] = {0, 1, 2, 3};
    bqb_gallery g = {.ds = ds, .sample = sample, .feature = feature, .n = 4, .D = 4};
    bqb_muge_ask a;
    CHECK_OK(bqb_muge_ask_collect(&a, fixture_path(dir, "texts.jsonl"), &g, &err), err);
    CHECK(a.r.n == 4 && a.n_judged == 2 && a.n_lost == 2 && a.n_broken == 1 && strstr(a.notes.data, "line 3"));
    CHECK(!strcmp(a.id[0], "7") && !strcmp(a.id[2], "x") && !strcmp(a.r.text[3], "test split"));
    CHECK(a.first[1] == 2 && a.first[2] == 2 && a.first[3] == 4 && a.first[4] == 4);
    CHECK(a.right[0] == 0 && a.right[1] == 1 && a.right[2] == 2 && a.right[3] == 3);
    /* "two" finds its second picture first; "both" has two wrong ones in front. */
    static const float q[16] = {0, 3, 1, 0, 1, 0, 0, 0, 2, 2, 1, 0, 0, 0, 0, 1};
    CHECK_OK(bqb_muge_ask_measure(&a, &g, q, 1, NULL, NULL, &err), err);
    CHECK(a.r.to_image.n == 2 && near(a.r.to_image.r1, 50) && near(a.r.to_image.r5, 100) && near(a.r.to_image.median, 2));
    CHECK(a.r.top[0] == 1 && a.r.top[10] == 0 && a.r.top[20] == 0 && a.r.top[30] == 3 && a.r.top[34] == UINT32_MAX);
    bqb_muge_ask_free(&a);

    fixture_write(dir, "empty.jsonl", "\n");
    CHECK(bqb_muge_ask_collect(&a, fixture_path(dir, "empty.jsonl"), &g, &err) == BQB_EFORMAT);
    bqb_muge_ask_free(&a);
    bqb_dataset_close(ds);
}
