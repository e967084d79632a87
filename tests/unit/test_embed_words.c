/* Vectors of what stickers say: made where they are missing, dropped where the words change, made anew then. */
#include "library/embed_words.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MODEL "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

typedef struct {
    size_t n;
    char texts[256];
} heard;

/* A unit vector by the text's length; the texts are kept. */
static bqb_status encode(void *ctx, float *out, const char *const *texts, size_t n, bqb_err *err) {
    heard *h = ctx;
    (void)err;
    for (size_t i = 0; i < n; i++, h->n++) {
        memset(out + 4 * i, 0, 4 * sizeof *out);
        out[4 * i + strlen(texts[i]) % 4] = 1;
        snprintf(h->texts + strlen(h->texts), sizeof h->texts - strlen(h->texts), "[%s]", texts[i]);
    }
    return BQB_OK;
}

static bqb_sticker_id add(bqb_catalogue *c, const char *path, uint8_t first, bqb_err *err) {
    bqb_sticker s = {.size_bytes = 10, .format = "png", .width = 1, .height = 2, .frames = 1};
    bool added;
    s.sha256[0] = first;
    CHECK_OK(bqb_catalogue_put_sticker(c, &s, &added, err), *err);
    bqb_file f = {.sticker = s.id, .size_bytes = 10, .mtime_ns = 5};
    CHECK_OK(bqb_catalogue_put_file(c, path, &f, err), *err);
    return s.id;
}

static void say(bqb_catalogue *c, bqb_sticker_id id, bqb_field field, bqb_origin origin, const char *text, bqb_err *err) {
    bqb_annotation a = {{0}};
    a.field[field] = text;
    CHECK_OK(bqb_catalogue_begin(c, err), *err);
    CHECK_OK(bqb_catalogue_annotate(c, id, &a, origin, 1, NULL, NULL, err), *err);
    CHECK_OK(bqb_catalogue_commit(c, err), *err);
}

TEST(embed_words_follows_the_words) {
    bqb_err err = {0};
    bqb_catalogue *c = NULL;
    heard h = {0};
    bqb_text_embedder e = {.id = MODEL, .dim = 4, .scale = 1, .ctx = &h, .encode = encode};
    char dir[600];
    size_t n = 9;
    snprintf(dir, sizeof dir, "%s/lib", test_tmp_dir());
    if (!CHECK_OK(bqb_catalogue_open(&c, dir, BQB_CATALOGUE_WRITE, &err), err)) return;
    CHECK_OK(bqb_catalogue_begin(c, &err), err);
    bqb_sticker_id id[3] = {add(c, "/a", 1, &err), add(c, "/b", 2, &err), add(c, "/c", 3, &err)};
    CHECK_OK(bqb_catalogue_commit(c, &err), err);
    say(c, id[0], BQB_CAPTION, BQB_GIVEN, "one", &err);
    say(c, id[0], BQB_OCR, BQB_OCR_READ, "words on it", &err);
    say(c, id[1], BQB_CAPTION, BQB_GIVEN, "two", &err);
    CHECK_OK(bqb_embed_words(c, &e, NULL, NULL, &n, &err), err);
    CHECK_MSG(n == 2 && h.n == 2 && strstr(h.texts, "[words on it]") && strstr(h.texts, "[two]"), "%zu: %s", n, h.texts);
    CHECK_OK(bqb_embed_words(c, &e, NULL, NULL, &n, &err), err);
    CHECK(n == 0 && h.n == 2); /* nothing is missing */

    /* A caption is not what counts where words stand on the picture, nor one that is not believed. */
    bool has = true;
    say(c, id[0], BQB_CAPTION, BQB_EDITED, "another caption", &err);
    say(c, id[1], BQB_CAPTION, BQB_FROM_FILE_NAME, "name", &err);
    CHECK_OK(bqb_catalogue_begin(c, &err), err);
    CHECK_OK(bqb_catalogue_forget(c, id[0], BQB_CAPTION, BQB_GIVEN, NULL, &err), err);
    CHECK_OK(bqb_catalogue_commit(c, &err), err);
    for (int i = 0; i < 2; i++) {
        CHECK_OK(bqb_catalogue_has_embedding(c, id[i], MODEL, BQB_KIND_TEXT, &has, &err), err);
        CHECK_MSG(has, "sticker %d has lost the vector of words that have not changed", i);
    }

    /* Another reading: that vector goes, and comes anew. A label is no words on the picture. */
    say(c, id[0], BQB_OCR, BQB_OCR_READ, "better words", &err);
    say(c, id[1], BQB_EMOTION, BQB_GIVEN, "happy", &err);
    CHECK_OK(bqb_catalogue_has_embedding(c, id[0], MODEL, BQB_KIND_TEXT, &has, &err), err);
    CHECK(!has);
    CHECK_OK(bqb_catalogue_has_embedding(c, id[1], MODEL, BQB_KIND_TEXT, &has, &err), err);
    CHECK(has);
    *h.texts = 0;
    CHECK_OK(bqb_embed_words(c, &e, NULL, NULL, &n, &err), err);
    CHECK_MSG(n == 1 && !strcmp(h.texts, "[better words]"), "%zu: %s", n, h.texts);

    /* Without a reading it is the caption's turn, and without that nobody's. */
    *h.texts = 0;
    CHECK_OK(bqb_catalogue_begin(c, &err), err);
    CHECK_OK(bqb_catalogue_forget(c, id[0], BQB_OCR, BQB_OCR_READ, NULL, &err), err);
    CHECK_OK(bqb_catalogue_forget(c, id[1], BQB_CAPTION, BQB_GIVEN, NULL, &err), err);
    CHECK_OK(bqb_catalogue_forget(c, id[1], BQB_CAPTION, BQB_FROM_FILE_NAME, NULL, &err), err);
    CHECK_OK(bqb_catalogue_commit(c, &err), err);
    CHECK_OK(bqb_catalogue_has_embedding(c, id[1], MODEL, BQB_KIND_TEXT, &has, &err), err);
    CHECK(!has);
    CHECK_OK(bqb_embed_words(c, &e, NULL, NULL, &n, &err), err);
    CHECK_MSG(n == 1 && !strcmp(h.texts, "[another caption]"), "%zu: %s", n, h.texts);
    bqb_catalogue_close(c);
}
