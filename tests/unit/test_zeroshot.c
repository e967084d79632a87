#include "test.h"

#include "model/prompts.h"
#include "train/zeroshot.h"
#include "train_fixture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool near(double a, double b) { return fabs(a - b) < 1e-9; }

/* Eight pictures along three axes; two without a class. */
enum { N = 8, D = 3 };
static const char *const emotion[N] = {"开心", "开心", "难过", "中性", "开心", "生气", "", "难过"};
static const float feature[N * D] = {1, 0, 0, /* 开心 */ 1, 0, 0, /* 开心 */ 1, 0, 0, /* taken for 开心 */ 0, 1, 0,
                                     0, 0, 1, /* taken for 生气 */ 0, 0, 1, 1, 0, 0, 0, 0, 0 /* all tied */};

static bqb_dataset *eight(const char *dir) {
    bqb_buf table = {.max = 4096};
    bqb_buf_puts(&table, "file\tcaption\temotion\n", NULL);
    for (size_t i = 0; i < N; i++) {
        char name[16];
        snprintf(name, sizeof name, "%zu.png", i);
        fixture_write(dir, name, "not looked at");
        bqb_buf_printf(&table, NULL, "%s\t其他\t%s\n", name, emotion[i]);
    }
    fixture_write(dir, "captions.tsv", "%s", table.data);
    bqb_buf_free(&table);
    const char *data = dir;
    bqb_dataset *ds = NULL;
    bqb_err err = {0};
    CHECK_OK(bqb_dataset_open(&ds, &data, 1, &err), err);
    return ds;
}

TEST(zeroshot_by_hand) {
    uint32_t sample[N] = {0, 1, 2, 3, 4, 5, 6, 7};
    float copy[N * D];
    memcpy(copy, feature, sizeof copy);
    bqb_gallery g = {.ds = eight(test_tmp_dir()), .sample = sample, .feature = copy, .n = N, .D = D};
    bqb_zeroshot z;
    bqb_err err = {0};
    if (!CHECK_OK(bqb_zeroshot_collect(&z, BQB_EMOTION, &g, &err), err)) return;
    CHECK(z.n == 6 && z.left_out == 2 && z.n_classes == 3);
    CHECK(!strcmp(z.label[0], "开心") && !strcmp(z.label[1], "难过") && !strcmp(z.label[2], "生气"));
    CHECK(z.count[0] == 3 && z.count[1] == 2 && z.count[2] == 1);
    static const float classes[3 * D] = {1, 0, 0, 0, 1, 0, 0, 0, 1};
    CHECK_OK(bqb_zeroshot_measure(&z, &g, classes, 2, &err), err);
    /* The tied picture is right in one of three orders; 2 of 3, 0 of 1 and a third of one, 1 of 1. */
    CHECK(near(z.top1, 100 * (2 + 0 + 1.0 / 3 + 1) / 6) && near(z.top3, 100));
    CHECK(near(z.macro, (200.0 / 3 + 100.0 / 6 + 100) / 3) && near(z.accuracy[1], 100.0 / 6));
    static const uint32_t want[9] = {2, 0, 1, /* 难过 */ 2, 0, 0, /* 生气 */ 0, 0, 1};
    CHECK(memcmp(z.confusion, want, sizeof want) == 0);
    bqb_zeroshot_free(&z);

    /* 其他 is a caption here, not a label that says nothing; no picture has a style. */
    CHECK_OK(bqb_zeroshot_collect(&z, BQB_CAPTION, &g, &err), err);
    CHECK(z.n == N && z.n_classes == 1);
    bqb_zeroshot_free(&z);
    CHECK_OK(bqb_zeroshot_collect(&z, BQB_STYLE, &g, &err), err);
    CHECK(z.n == 0 && z.left_out == N);
    bqb_zeroshot_free(&z);
    bqb_dataset_close((bqb_dataset *)(uintptr_t)g.ds);
}

TEST(zeroshot_prompts) {
    bqb_buf b = {.max = 256};
    size_t k = 0;
    while (bqb_prompt(&b, BQB_EMOTION, k, "开心")) k++;
    CHECK(k > 2 && !strncmp(b.data, "开心开心的表情", strlen("开心开心的表情")));
    CHECK(strstr(b.data, "一张表达开心的表情") && !strchr(b.data, '%'));
    bqb_buf_free(&b);
}

TEST(prompts_average_to_unit_rows) {
    static const char *const labels[] = {"开心", "难过"};
    char **texts = NULL;
    size_t each = 0;
    bqb_err err = {0};
    if (!CHECK_OK(bqb_prompts_new(&texts, &each, BQB_STYLE, labels, 2, &err), err)) return;
    CHECK(each > 1 && strstr(texts[each - 1], "开心") && strstr(texts[each], "难过"));
    bqb_prompts_free(texts, 2 * each);
    static const float features[] = {1, 0, 0, 1, /* the second label: */ 0, 1, 0, 1};
    float classes[4];
    bqb_prompts_average(classes, features, 2, 2, 2);
    CHECK(fabs((double)classes[0] - sqrt(0.5)) < 1e-6 && fabs((double)classes[1] - sqrt(0.5)) < 1e-6);
    CHECK(classes[2] == 0 && classes[3] == 1);
}
