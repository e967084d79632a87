#include "library/telegram_set.h"

#include "test.h"

#include <stdio.h>
#include <string.h>

static char story[2048];

static bqb_status hear(void *ctx, const char *stem, const bqb_annotation *note, bqb_err *err) {
    (void)err;
    snprintf(story + strlen(story), sizeof story - strlen(story), "%s: %s (%s)\n", stem, note->field[BQB_CAPTION],
             note->field[BQB_EMOTION] ? note->field[BQB_EMOTION] : "");
    return ctx ? BQB_EIO : BQB_OK;
}

static bqb_status read_set(const char *json, bqb_err *err) {
    story[0] = 0;
    return bqb_telegram_set_each(json, strlen(json), hear, NULL, err);
}

TEST(telegram_set_gives_words_for_emoji) {
    bqb_err err = {0};
    CHECK_OK(read_set("{\"ok\":true,\"result\":{\"name\":\"x\",\"stickers\":[{\"file_unique_id\":\"AgAD-1_\",\"file_id\":\"CAAC\",\"emoji\":\"😂\"},"
                      "{\"file_unique_id\":\"b\",\"emoji\":\"❤️👍🏽\"},{\"file_unique_id\":\"c\",\"emoji\":\"\\u2603\"}]}}", &err), err);
    CHECK_MSG(!strncmp(story, "AgAD-1_: 😂 破涕为笑 (大笑)\nCAAC: 😂 破涕为笑 (大笑)\nb: ❤👍 ", strlen("AgAD-1_: 😂 破涕为笑 (大笑)\nCAAC: 😂 破涕为笑 (大笑)\nb: ❤👍 ")),
              "%s", story);
    CHECK(strstr(story, "(喜爱)\n") && strstr(story, "c: ☃"));
    CHECK_OK(read_set("{\"stickers\":[]}", &err), err);
}

TEST(telegram_set_trusts_nothing) {
    bqb_err err = {0};
    CHECK_OK(read_set("{\"stickers\":[{\"file_unique_id\":\"../a\",\"emoji\":\"😂\"},{\"file_unique_id\":\"\",\"emoji\":\"😂\"},"
                      "{\"file_unique_id\":\"a\",\"emoji\":\"\"},{\"file_unique_id\":7,\"emoji\":\"😂\"},{\"file_unique_id\":\"a\"},5,null]}", &err), err);
    CHECK_STR(story, "");
    CHECK(read_set("{\"a\":[]}", &err) == BQB_EFORMAT && strstr(err.msg, "no sticker set"));
    CHECK(read_set("[1]", &err) == BQB_EFORMAT);
    static const char one[] = "{\"stickers\":[{\"file_id\":\"a\",\"emoji\":\"x\"}]}";
    CHECK(bqb_telegram_set_each(one, sizeof one - 1, hear, &err, &err) == BQB_EIO);
}
