#include "text/annotation.h"

#include "test.h"

#include <string.h>

static const char *text_of(bqb_buf *b, const bqb_annotation *a, bqb_rand *shuffle) {
    bqb_err err = {0};
    b->len = 0;
    CHECK_OK(bqb_annotation_text(b, a, shuffle, &err), err);
    return b->data ? b->data : "";
}

TEST(annotation_fixed_order) {
    bqb_buf b = {.max = 1000};
    bqb_annotation a = {{"一只猫", "开心", "大笑", "卡通", "哈哈"}};
    CHECK_STR(text_of(&b, &a, NULL), "一只猫；开心；大笑；卡通；哈哈");
    a = (bqb_annotation){{NULL, "其他/中性", "", "其他类型", "哈哈"}};
    CHECK_STR(text_of(&b, &a, NULL), "哈哈");
    a = (bqb_annotation){{"其他", "其他", "中性", "中性", "中性"}}; /* only labels are neutral */
    CHECK_STR(text_of(&b, &a, NULL), "其他；中性");
    a = (bqb_annotation){{0}};
    CHECK_STR(text_of(&b, &a, NULL), "");
    bqb_buf_free(&b);
}

TEST(annotation_cuts_ocr) {
    bqb_buf b = {.max = 1000};
    bqb_annotation a = {.field = {[BQB_OCR] = "一二三四五六七八九十一二三四五六七八九十一二三四五六"}};
    CHECK_STR(text_of(&b, &a, NULL), "一二三四五六七八九十一二三四五六七八九十一二三四");
    a.field[BQB_OCR] = "ab一二三四五六七八九十一二三四五六七八九十一二";
    CHECK_STR(text_of(&b, &a, NULL), a.field[BQB_OCR]);
    a.field[BQB_OCR] = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
                       "\xff\xff\xff\xff\xff";
    CHECK(strlen(text_of(&b, &a, NULL)) == 24);
    a = (bqb_annotation){.field = {[BQB_CAPTION] = "一二三四五六七八九十一二三四五六七八九十一二三四五六"}};
    CHECK_STR(text_of(&b, &a, NULL), a.field[BQB_CAPTION]);
    bqb_buf_free(&b);
}

/* Every order comes about equally often, nothing is lost, and the seed decides. */
TEST(annotation_shuffles) {
    bqb_buf b = {.max = 1000};
    bqb_annotation a = {{"a", "b", "中性", NULL, "c"}};
    static const char *const orders[] = {"a；b；c", "a；c；b", "b；a；c", "b；c；a", "c；a；b", "c；b；a"};
    int count[6] = {0};
    bqb_rand r = bqb_rand_seed(7, 0), again = bqb_rand_seed(7, 0);
    bqb_buf first = {.max = 1000};
    for (int i = 0; i < 600; i++) {
        const char *s = text_of(&b, &a, &r);
        int found = 0;
        for (int k = 0; k < 6; k++)
            if (!strcmp(s, orders[k])) count[k]++, found++;
        CHECK_MSG(found == 1, "%s", s);
        const char *same = text_of(&first, &a, &again);
        CHECK_STR(same, s);
    }
    for (int k = 0; k < 6; k++)
        CHECK_MSG(count[k] > 60 && count[k] < 140, "%s: %d of 600", orders[k], count[k]);
    bqb_buf_free(&b);
    bqb_buf_free(&first);
}

TEST(annotation_appends_up_to_the_maximum) {
    bqb_buf b = {.max = 12};
    bqb_annotation a = {{"一", "二", NULL, NULL, NULL}};
    bqb_err err = {0};
    CHECK(bqb_buf_puts(&b, "x: ", NULL) == BQB_OK);
    CHECK_OK(bqb_annotation_text(&b, &a, NULL, &err), err);
    CHECK_STR(b.data, "x: 一；二");
    CHECK(bqb_annotation_text(&b, &a, NULL, &err) == BQB_ELIMIT && err.code == BQB_ELIMIT);
    bqb_buf_free(&b);
}

TEST(annotation_field_names) {
    for (unsigned f = 0; f < BQB_FIELDS; f++) {
        const char *name = bqb_field_name((bqb_field)f);
        CHECK(bqb_field_parse(name, strlen(name)) == (bqb_field)f);
    }
    CHECK_STR(bqb_field_name(BQB_CAPTION), "caption");
    CHECK_STR(bqb_field_name(BQB_OCR), "ocr");
    CHECK(bqb_field_parse("emotion_class", 13) == BQB_EMOTION);
    CHECK(bqb_field_parse("emotion_label", 13) == BQB_EMOTION_LABEL);
    CHECK(bqb_field_parse("style_class", 11) == BQB_STYLE && bqb_field_parse("ocr_text", 8) == BQB_OCR);
    CHECK(bqb_field_parse("ocr_text", 3) == BQB_OCR && bqb_field_parse("ocr_text", 4) == BQB_FIELDS);
    CHECK(bqb_field_parse("file", 4) == BQB_FIELDS && bqb_field_parse("", 0) == BQB_FIELDS);
}
