#include "chat/concepts.h"
#include "test.h"

#include <stdlib.h>
#include <string.h>

TEST(concepts_of_a_text) {
    bqb_concepts c = {0};
    bqb_err err = {0};
    CHECK_OK(bqb_concepts_of_text(&c, "一只小猫，开心；宣纸背景。这一句话实在太长了不是什么词语", &err), err);
    CHECK(c.n == 3);
    bool alone[3] = {false, false, false}, piece = false;
    for (uint64_t seed = 0; seed < 200; seed++) {
        bqb_buf b = {.max = 4096};
        bqb_rand r = bqb_rand_seed(seed, 0);
        CHECK_OK(bqb_concepts_say(&c, &b, "、", 1, &r, &err), err);
        bool whole = false;
        for (size_t i = 0; i < 3; i++)
            if (!strcmp(b.data, c.c[i].form[0])) alone[i] = whole = true;
        piece |= !whole;
        CHECK(b.len && (strstr("一只小猫", b.data) || strstr("开心", b.data) || strstr("宣纸背景", b.data)));
        bqb_buf_free(&b);
    }
    CHECK(alone[0] && alone[1] && alone[2] && piece);
    bqb_concepts_free(&c);
}

TEST(concepts_of_nothing) {
    bqb_concepts c = {0};
    bqb_err err = {0};
    bqb_buf b = {.max = 64};
    bqb_rand r = bqb_rand_seed(1, 0);
    CHECK_OK(bqb_concepts_of_text(&c, "，；", &err), err);
    CHECK(!c.n);
    CHECK_OK(bqb_concepts_say(&c, &b, "、", 3, &r, &err), err);
    CHECK(!b.len);
    bqb_buf_free(&b);
    bqb_concepts_free(&c);
}
