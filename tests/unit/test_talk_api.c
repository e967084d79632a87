/* A conversation by bqb.h alone. */
#include "bqb.h"
#include "chat_help.h"
#include "test.h"

#include <stdio.h>
#include <string.h>

static bqb_err err;

static int collect(void *ctx, const char *utf8, size_t n) {
    char *out = ctx;
    strncat(out, utf8, n);
    return 0;
}

TEST(talk_api_says_and_sends) {
    const char *dir = test_tmp_dir();
    char lib[1200], lm[1200], clip[1200], said[100] = "";
    bqb_talk *c = NULL;
    bqb_results *r = NULL;
    chat_model(dir, "好[RET]");
    chat_library(dir);
    snprintf(lib, sizeof lib, "%s/lib", dir);
    snprintf(lm, sizeof lm, "%s/lm", dir);
    snprintf(clip, sizeof clip, "%s/clip", dir);
    CHECK(bqb_talk_open(&c, lib, NULL, lm, NULL, 1, &err) == BQB_EINVAL && !c);
    CHECK(bqb_talk_open(&c, dir, clip, lm, NULL, 1, &err) == BQB_ENOTFOUND && !c);
    CHECK(bqb_talk_open(&c, lib, clip, lm, clip, 1, &err) == BQB_ENOTFOUND && !c);
    if (!CHECK_OK(bqb_talk_open(&c, lib, clip, lm, NULL, 1, &err), err)) return;
    for (int i = 0; i < 2; i++) { /* a second conversation knows nothing of the first */
        *said = 0;
        if (CHECK_OK(bqb_talk_say(c, "来一张", NULL, 1, collect, said, &r, &err), err)) {
            CHECK_STR(said, "好");
            CHECK(bqb_results_count(r) == 1 && strlen(bqb_results_get(r, 0).id) >= 12);
            CHECK_STR(bqb_results_get(r, 0).caption, "图0");
        }
        bqb_results_free(r);
        CHECK_OK(bqb_talk_reset(c, &err), err);
    }
    CHECK(bqb_talk_say(c, NULL, NULL, 0, NULL, NULL, &r, &err) == BQB_EINVAL && !r);
    CHECK(bqb_talk_say(c, "看", "tests/golden/vocab.txt", 0, NULL, NULL, &r, &err) == BQB_EFORMAT && !r);
    CHECK(bqb_talk_say(c, "看", "nowhere.png", 0, NULL, NULL, &r, &err) == BQB_EIO && !r);
    CHECK_OK(bqb_talk_say(c, "看", "tests/golden/images/wide.png", 0, NULL, NULL, &r, &err), err);
    CHECK(r && bqb_results_count(r) == 1);
    bqb_results_free(r);
    bqb_talk_close(c);
}
