/* The public interface, used as a program outside would: bqb.h is all it includes of bqb. */
#include "bqb.h"
#include "test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bqb_err err;

static const char *inside(const char *name) {
    static char paths[4][600];
    static int next;
    char *p = paths[next++ % 4];
    snprintf(p, sizeof paths[0], "%s/%s", test_tmp_dir(), name);
    return p;
}

static void copy(const char *from, const char *to) {
    char buffer[65536];
    size_t n;
    FILE *in = fopen(test_path(from), "rb"), *out = fopen(inside(to), "wb");
    if (!CHECK_MSG(in && out, "%s: cannot be copied", from)) return;
    while ((n = fread(buffer, 1, sizeof buffer, in)) > 0) CHECK(fwrite(buffer, 1, n, out) == n);
    fclose(in);
    CHECK(!fclose(out));
}

static bqb *make(void) {
    mkdir(inside("model"), 0777);
    copy("golden/clip_hf_config.json", "model/config.json");
    copy("golden/clip_hf.safetensors", "model/model.safetensors");
    copy("golden/vocab.txt", "model/vocab.txt");
    mkdir(inside("in"), 0777);
    copy("golden/images/wide.png", "in/好累.png");
    copy("golden/images/animated.gif", "in/开心.gif");
    copy("golden/images/square.jpg", "in/a00001.jpg");
    copy("golden/vocab.txt", "in/broken.jpg");
    bqb *b = NULL;
    CHECK_OK(bqb_open(&b, inside("lib"), inside("model"), &err), err);
    return b;
}

static int calls;
static void skipped(void *ctx, const char *path, const char *reason) {
    (void)ctx;
    calls++;
    CHECK(strstr(path, "broken.jpg"));
    CHECK(*reason);
}

TEST(api_import_and_search) {
    bqb *b = make();
    if (!b) return;
    bqb_imported r;
    bqb_results *found = NULL;
    bqb_query q = {.text = "好累"};
    CHECK(bqb_search(b, &q, &found, &err) == BQB_ENOTFOUND);
    const char *path = inside("in");
    calls = 0;
    CHECK_OK(bqb_import(b, &path, 1, &r, NULL, skipped, NULL, &err), err);
    CHECK(r.added == 3 && r.embedded == 3 && r.skipped == 1 && calls == 1);

    CHECK_OK(bqb_search(b, &q, &found, &err), err);
    if (!found) return;
    CHECK(bqb_results_count(found) == 3);
    bqb_result best = bqb_results_get(found, 0);
    CHECK_STR(best.caption, "好累");
    CHECK_STR(best.ocr, "");
    CHECK(strlen(best.id) == 12 && best.score > 0 && best.score < 1 && best.frames == 1 && best.width > 0);
    CHECK(!strcmp(best.path + strlen(best.path) - 10, "好累.png"));
    CHECK_STR(bqb_results_get(found, 3).id, "");
    bqb_results_free(found);

    q = (bqb_query){.picture = inside("in/开心.gif"), .n = 2};
    CHECK_OK(bqb_search(b, &q, &found, &err), err);
    CHECK(bqb_results_count(found) == 2);
    best = bqb_results_get(found, 0);
    CHECK_STR(best.caption, "开心");
    CHECK(best.score > 0.999 && best.frames > 1);
    bqb_results_free(found);

    q.animated = 1;
    CHECK_OK(bqb_search(b, &q, &found, &err), err);
    CHECK(bqb_results_count(found) == 1);
    bqb_results_free(found);
    const char *pictures[] = {inside("in/好累.png"), inside("in/a00001.jpg")}, *without[] = {"开心"};
    q = (bqb_query){.pictures = pictures, .n_pictures = 2, .not_words = without, .n_not_words = 1};
    CHECK_OK(bqb_search(b, &q, &found, &err), err);
    CHECK(bqb_results_count(found) == 2);
    bqb_results_free(found);
    q = (bqb_query){.text = "好累", .not_pictures = pictures, .n_not_pictures = 1};
    CHECK_OK(bqb_search(b, &q, &found, &err), err);
    CHECK(bqb_results_count(found) == 3);
    bqb_results_free(found);
    pictures[1] = "nothing.png";
    q = (bqb_query){.pictures = pictures, .n_pictures = 2};
    CHECK(bqb_search(b, &q, &found, &err) != BQB_OK && found == NULL && strstr(err.msg, "nothing.png"));
    q = (bqb_query){.style = "像素"};
    CHECK(bqb_search(b, &q, &found, &err) == BQB_EINVAL && found == NULL);
    bqb_close(b);
}

TEST(api_vectors) {
    bqb *b = make();
    if (!b) return;
    size_t dim = 0;
    CHECK_OK(bqb_dimension(b, &dim, &err), err);
    CHECK(dim == 48);
    float text[48], picture[48], sum[2] = {0};
    CHECK_OK(bqb_embed_text(b, "好累", text, &err), err);
    CHECK_OK(bqb_embed_picture(b, inside("in/好累.png"), picture, &err), err);
    for (size_t i = 0; i < dim; i++) {
        sum[0] += text[i] * text[i];
        sum[1] += picture[i] * picture[i];
    }
    CHECK(fabsf(sum[0] - 1) < 1e-4f && fabsf(sum[1] - 1) < 1e-4f);
    CHECK(bqb_embed_picture(b, inside("in/broken.jpg"), picture, &err) != BQB_OK);
    CHECK(strstr(err.msg, "broken.jpg"));
    bqb_close(b);
}

TEST(api_without_a_model) {
    bqb *b = NULL;
    bqb_imported r;
    bqb_close(make());
    CHECK_OK(bqb_open(&b, inside("lib"), NULL, &err), err);
    const char *path = inside("in");
    CHECK_OK(bqb_import(b, &path, 1, &r, NULL, NULL, NULL, &err), err);
    CHECK(r.added == 3 && r.embedded == 0);
    bqb_results *found = NULL;
    bqb_query q = {.text = "开心"};
    CHECK_OK(bqb_search(b, &q, &found, &err), err);
    CHECK(found && bqb_results_count(found) == 1);
    bqb_results_free(found);
    q.picture = path;
    CHECK(bqb_search(b, &q, &found, &err) == BQB_EUNSUPPORTED);
    float v[1];
    CHECK(bqb_embed_text(b, "x", v, &err) == BQB_EUNSUPPORTED);
    bqb_close(b);
    bqb_close(NULL);
    CHECK(bqb_open(&b, "", NULL, &err) == BQB_EINVAL);
}
