#include "chat_help.h"
#include "search/retrieve.h"
#include "test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bqb_err err;
static const float toward_0[16] = {1}, away[16] = {-1};
static char model[65];

/* Numbers of the results, "0 1 3". */
static const char *numbers(bqb_catalogue *c, bqb_retrieval q) {
    static char out[256];
    bqb_search_results r;
    size_t at = 0;
    *out = 0;
    q.model = model;
    if (!q.vec) q.vec = toward_0;
    if (!q.n) q.n = 4;
    if (!CHECK_OK(bqb_retrieve(&r, c, &q, 16, &err), err)) return out;
    for (size_t i = 0; i < r.n; i++) {
        at += (size_t)snprintf(out + at, sizeof out - at, "%s%d", i ? " " : "", chat_number(&r.item[i]));
        CHECK(!i || r.item[i].score <= r.item[i - 1].score);
    }
    CHECK((r.fits == BQB_FITS) == (r.n > 0) && r.in_library == CHAT_STICKERS);
    bqb_search_results_free(&r);
    return out;
}

static bqb_catalogue *make(void) {
    const char *dir = test_tmp_dir();
    chat_model(dir, "ok");
    chat_library(dir);
    bqb_assistant *a = chat_assistant(dir);
    if (a) snprintf(model, sizeof model, "%s", a->clip_id);
    bqb_assistant_close(a);
    return a ? chat_catalogue(dir) : NULL;
}

static void expect(bqb_catalogue *c, bqb_retrieval q, const char *want) {
    const char *got = numbers(c, q);
    CHECK_MSG(!strcmp(got, want), "found \"%s\", expected \"%s\"", got, want);
}

TEST(retrieve_ranks_filters_and_folds) {
    bqb_catalogue *c = make();
    if (!c) return;
    expect(c, (bqb_retrieval){.least = 0}, "0 1 3 4"); /* 2 is a near copy of 1 */
    expect(c, (bqb_retrieval){.words = BQB_WORDS_WITHOUT}, "0 2 4 6");
    expect(c, (bqb_retrieval){.words = BQB_WORDS_WITH}, "1 3 5 7");
    expect(c, (bqb_retrieval){.animated = true, .n = 2}, "0 3");
    expect(c, (bqb_retrieval){.emotion = "开心", .n = 2}, "1 3");
    expect(c, (bqb_retrieval){.vec = away, .said = "来一张好看的"}, "");
    CHECK_MSG(strlen(numbers(c, (bqb_retrieval){.vec = away, .said = "来一张好看的", .least = -INFINITY})) > 6 && strlen(numbers(c, (bqb_retrieval){.vec = away})) > 6, "whatever is nearest");
    bqb_search_results r;
    bqb_retrieval q = {.vec = toward_0, .model = model, .n = 1};
    CHECK_OK(bqb_retrieve(&r, c, &q, 16, &err), err);
    bqb_sticker_id first[] = {r.item[0].sticker.id, r.item[0].sticker.id + 2};
    CHECK(r.n == 1 && fabs(r.item[0].sum - (double)BQB_RETRIEVE_BETA * 0 - 1) < 1e-2); /* beta 0: the picture alone */
    bqb_search_results_free(&r);
    expect(c, (bqb_retrieval){.except = first, .n_except = 2}, "3 4 5 6"); /* with 2 goes 1 */
    q.beta = 0.3;
    CHECK_OK(bqb_retrieve(&r, c, &q, 16, &err), err);
    CHECK_MSG(r.n == 1 && fabs(r.item[0].sum - 1.3) < 1e-2, "without a text the picture counts for it, too");
    bqb_search_results_free(&r);
    q.n = 0;
    CHECK(bqb_retrieve(&r, c, &q, 16, &err) == BQB_EINVAL);
    q.n = 1;
    CHECK_MSG(bqb_retrieve(&r, c, &q, 15, &err) == BQB_EINVAL && strstr(err.msg, "15"), "%s", err.msg);
    q.emotion = "没有";
    CHECK(bqb_retrieve(&r, c, &q, 16, &err) == BQB_ENOTFOUND);
    bqb_catalogue_close(c);
}

/* Whose words were said whole comes first. */
TEST(retrieve_hears_words) {
    bqb_catalogue *c = make();
    if (!c) return;
    expect(c, (bqb_retrieval){.said = "来一张写着字5的", .n = 1}, "5");
    expect(c, (bqb_retrieval){.said = "来一张写着词的", .n = 1}, "0");
    CHECK_MSG(*numbers(c, (bqb_retrieval){.vec = away, .said = "来一张难过的", .common = "来一张 的"}), "a frequent word that is all that was asked for");
    expect(c, (bqb_retrieval){.vec = away, .said = "字39", .n = 1}, "39"); /* and they fit whatever the vector means */
    expect(c, (bqb_retrieval){.said = "来一张写着字5的", .common = "字5", .n = 1}, "0"); /* but for words of any request */
    bqb_catalogue_close(c);
}
