#include "base/fs.h"
#include "chat/phrasing.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bqb_phrasing *lists(const char *text) {
    char path[512];
    bqb_err err = {0};
    bqb_phrasing *p = NULL;
    snprintf(path, sizeof path, "%s/lists.tsv", test_tmp_dir());
    CHECK_OK(bqb_file_write(path, text, strlen(text), &err), err);
    CHECK_OK(bqb_phrasing_open(&p, test_tmp_dir(), &err), err);
    return p;
}

static char *say(const bqb_phrasing *p, const char *template, bqb_bindings *b, uint64_t seed, bqb_status want) {
    bqb_buf out = {.max = 4096};
    bqb_err err = {0};
    bqb_rand r = bqb_rand_seed(seed, 0);
    bqb_status s = bqb_phrasing_say(p, &out, template, b, &r, &err);
    CHECK_MSG(s == want, "\"%s\": %d, %s", template, (int)s, err.msg);
    if (!out.data) bqb_buf_puts(&out, "", NULL);
    return out.data;
}

TEST(phrasing_says) {
    bqb_phrasing *p = lists("# a remark\nname\titems\nanimal\tcat|dog\npair\tbig=small\nwhole\tthe {animal} is {pair.1}\n");
    if (!p) return;
    bqb_bindings b = {0};
    CHECK_OK(bqb_bind(&b, "want", "{as it is}", &(bqb_err){0}), (bqb_err){0});
    char *s = say(p, "{want}: {pair.1}, not {pair.2}", &b, 1, BQB_OK);
    CHECK_STR(s, "{as it is}: big, not small");
    free(s);
    /* A name stays what it is; numbered ones are drawn apart; choices nest. */
    bool differ = false, both[2] = {false, false};
    for (uint64_t seed = 0; seed < 60; seed++) {
        bqb_bindings own = {0};
        s = say(p, "{animal} {animal} {animal2} {x|{y|{animal}}}", &own, seed, BQB_OK);
        CHECK(!memcmp(s, s + 4, 3));
        differ |= memcmp(s, s + 8, 3) != 0;
        both[!strcmp(s + 12, "y")] = true;
        free(s);
        s = say(p, "{animal}", &own, seed + 1000, BQB_OK);
        CHECK(!strcmp(s, own.b[0].text));
        free(s);
        bqb_bindings_free(&own);
    }
    CHECK(differ && both[0] && both[1]);
    s = say(p, "{whole}", &b, 3, BQB_OK);
    CHECK(!strcmp(s, "the cat is big") || !strcmp(s, "the dog is big"));
    free(s);
    free(say(p, "{nobody}", &b, 1, BQB_EFORMAT));
    free(say(p, "{animal.1}", &b, 1, BQB_EFORMAT));
    free(say(p, "open {animal", &b, 1, BQB_EFORMAT));
    bqb_bindings_free(&b);
    bqb_phrasing_close(p);
}

TEST(phrasing_refuses_what_goes_in_circles) {
    bqb_phrasing *p = lists("name\titems\nround\ta{round2}\n");
    bqb_bindings b = {0};
    free(say(p, "{round}", &b, 1, BQB_EFORMAT));
    bqb_bindings_free(&b);
    bqb_phrasing_close(p);
}
