#include "base/data.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/thread.h"
#include "image/decode.h"
#include "image/synth.h"
#include "image/synth_draw.h"
#include "test.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static bqb_synth *open_synth(bqb_synth_options o) {
    bqb_err err = {0};
    bqb_synth *s = NULL;
    CHECK_OK(bqb_synth_open(&s, &o, &err), err);
    return s;
}

/* FNV-1a over everything that a sticker is. */
static uint64_t mix(uint64_t h, const void *p, size_t n) {
    for (const uint8_t *c = p; n--; c++) h = (h ^ *c) * 0x100000001b3u;
    return h;
}

static uint64_t digest(const bqb_sticker *st) {
    uint64_t h = mix(0xcbf29ce484222325u, st->rgba, st->frames * st->width * st->height * 4);
    for (size_t f = 0; f < BQB_FIELDS; f++) h = mix(h, st->field[f], strlen(st->field[f]) + 1);
    for (size_t q = 0; q < st->n_queries; q++) h = mix(h, st->query[q], strlen(st->query[q]) + 1);
    return h;
}

typedef struct {
    bqb_synth *s;
    uint64_t digest[48];
} drawn;

static void draw_one(void *ctx, size_t i, int worker) {
    (void)worker;
    drawn *d = ctx;
    bqb_sticker st;
    bqb_err err = {0};
    if (bqb_synth_draw(d->s, i, &st, &err) != BQB_OK) return;
    d->digest[i] = digest(&st);
    bqb_sticker_free(&st);
}

TEST(synth_same_whatever_threads_and_order) {
    drawn one = {.s = open_synth((bqb_synth_options){.seed = 7})}, many = {.s = open_synth((bqb_synth_options){.seed = 7})};
    drawn other = {.s = open_synth((bqb_synth_options){.seed = 8})};
    if (!one.s || !many.s || !other.s) return;
    bqb_parallel_for(48, 1, draw_one, &one);
    bqb_parallel_for(48, 4, draw_one, &many);
    draw_one(&other, 3, 0);
    size_t differ = 0;
    for (size_t i = 0; i < 48; i++) {
        CHECK(one.digest[i] != 0);
        differ += one.digest[i] != many.digest[i];
    }
    CHECK_MSG(differ == 0, "%zu of 48 stickers depend on the threads", differ);
    /* The planted fault: another seed must be seen as another sticker. */
    CHECK(other.digest[3] != one.digest[3]);
    CHECK(one.digest[3] != one.digest[4]);
    bqb_synth_close(one.s);
    bqb_synth_close(many.s);
    bqb_synth_close(other.s);
}

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* "subject|phrase", or "subject|#emotion" where there is no phrase, of stickers 0 … n-1, sorted. */
static char **combinations(bqb_synth_split split, uint64_t seed, size_t n) {
    bqb_synth *s = open_synth((bqb_synth_options){.seed = seed, .split = split});
    char **key = bqb_calloc(n, sizeof *key);
    for (size_t i = 0; s && i < n; i++) {
        bqb_sticker st;
        bqb_err err = {0};
        CHECK_OK(bqb_synth_describe(s, i, &st, &err), err);
        const char *ocr = st.field[BQB_OCR];
        key[i] = bqb_asprintf("%s|%s%s", st.subject, *ocr ? ocr : "#", *ocr ? "" : st.field[BQB_EMOTION]);
        bqb_sticker_free(&st);
    }
    bqb_synth_close(s);
    qsort(key, n, sizeof *key, by_text);
    return key;
}

TEST(synth_train_and_test_share_no_combination) {
    enum { N = 3000 };
    char **train = combinations(BQB_SYNTH_TRAIN, 1, N), **test = combinations(BQB_SYNTH_TEST, 2, N), **all = combinations(BQB_SYNTH_ALL, 3, N);
    size_t shared = 0, seen = 0;
    for (size_t i = 0; i < N; i++) {
        shared += bsearch(&test[i], train, N, sizeof *train, by_text) != NULL;
        seen += bsearch(&all[i], train, N, sizeof *train, by_text) != NULL;
    }
    CHECK_MSG(shared == 0, "%zu test combinations are in the training set", shared);
    CHECK_MSG(seen > 0, "no combination is ever drawn twice: the check above proves nothing");
    for (size_t i = 0; i < N; i++) free(train[i]), free(test[i]), free(all[i]);
    free(train);
    free(test);
    free(all);
}

typedef struct {
    char name[64];
    size_t n;
} tally;

static void count_up(tally *t, size_t *n, const char *name) {
    size_t i = 0;
    while (i < *n && strcmp(t[i].name, name)) i++;
    if (i == *n) snprintf(t[(*n)++].name, sizeof t->name, "%.60s", name);
    t[i].n++;
}

TEST(synth_fields_and_distribution) {
    enum { N = 3000 };
    bqb_synth *s = open_synth((bqb_synth_options){.seed = 4});
    if (!s) return;
    bqb_synth_counts c = bqb_synth_count(s);
    CHECK_MSG(c.phrases >= 500, "%zu phrases", c.phrases);
    CHECK_MSG(c.emotions == 30, "%zu emotions", c.emotions);
    CHECK_MSG(c.styles >= 8, "%zu styles", c.styles);
    CHECK_MSG(c.subjects >= 900, "%zu subjects", c.subjects);
    static tally emotion[64], style[64];
    size_t n_emotions = 0, n_styles = 0, moving = 0, wordless = 0;
    for (size_t i = 0; i < N; i++) {
        bqb_sticker st;
        bqb_err err = {0};
        if (!CHECK_OK(bqb_synth_describe(s, i, &st, &err), err)) break;
        bool words_only = !*st.subject;
        CHECK_MSG(*st.field[BQB_CAPTION] && *st.field[BQB_EMOTION] && *st.field[BQB_EMOTION_LABEL] && *st.field[BQB_STYLE],
                  "sticker %zu has an empty field", i);
        CHECK(!words_only || *st.field[BQB_OCR]);
        CHECK(st.n_queries >= 2 && st.n_queries <= BQB_SYNTH_QUERIES);
        for (size_t q = 0; q < st.n_queries; q++) {
            CHECK_MSG(*st.query[q], "sticker %zu: query %zu is empty", i, q);
            for (size_t k = 0; k < q; k++) CHECK_MSG(strcmp(st.query[k], st.query[q]), "sticker %zu: twice \"%s\"", i, st.query[q]);
        }
        CHECK(st.frames == 1 || (st.frames >= 4 && st.frames <= 16));
        moving += st.frames > 1;
        wordless += !*st.field[BQB_OCR];
        count_up(emotion, &n_emotions, st.field[BQB_EMOTION]);
        count_up(style, &n_styles, st.field[BQB_STYLE]);
        bqb_sticker_free(&st);
    }
    CHECK_MSG(moving > N * 28 / 100 && moving < N * 39 / 100, "%zu of %d move, a third should", moving, N);
    CHECK_MSG(wordless > N * 15 / 100 && wordless < N * 40 / 100, "%zu of %d have no words", wordless, N);
    CHECK_MSG(n_emotions == c.emotions && n_styles == c.styles, "%zu emotions, %zu styles drawn", n_emotions, n_styles);
    for (size_t i = 0; i < n_emotions; i++) CHECK_MSG(emotion[i].n >= N / 90 && emotion[i].n <= N / 6, "%s: %zu of %d", emotion[i].name, emotion[i].n, N);
    for (size_t i = 0; i < n_styles; i++) CHECK_MSG(style[i].n >= N / 50 && style[i].n <= N / 3, "%s: %zu of %d", style[i].name, style[i].n, N);
    bqb_synth_close(s);
}

/* Every format comes back from our own decoder with the size and frames it was drawn with. */
TEST(synth_encodes_what_the_decoder_reads) {
    bqb_synth *s = open_synth((bqb_synth_options){.seed = 5});
    if (!s) return;
    static const char *const formats[][2] = {{"png", "png"}, {"jpg", "jpeg"}, {"webp", "webp"}, {"gif", "gif"}};
    size_t seen[4] = {0};
    for (size_t i = 0; i < 200 && (i < 30 || !seen[0] || !seen[1] || !seen[2] || !seen[3]); i++) {
        bqb_sticker st;
        bqb_err err = {0};
        bqb_image_info info;
        void *bytes = NULL;
        size_t size = 0;
        if (!CHECK_OK(bqb_synth_draw(s, i, &st, &err), err)) break;
        CHECK_OK(bqb_sticker_encode(&st, &bytes, &size, &err), err);
        if (bytes && CHECK_OK(bqb_image_probe(&info, bytes, size, "sticker", NULL, &err), err)) {
            CHECK(info.width == st.width && info.height == st.height);
            for (size_t f = 0; f < 4; f++)
                if (!strcmp(st.ext, formats[f][0])) {
                    CHECK_STR(info.format, formats[f][1]);
                    seen[f]++;
                }
            /* An encoder may join frames that look alike. */
            CHECK_MSG(info.frames <= st.frames && (st.frames == 1 || info.frames > 1), "%zu frames, drawn %zu", info.frames, st.frames);
        }
        free(bytes);
        bqb_sticker_free(&st);
    }
    for (size_t f = 0; f < 4; f++) CHECK_MSG(seen[f] > 0, "no %s among 200 stickers", formats[f][0]);
    bqb_synth_close(s);
}

TEST(synth_writes_a_set) {
    bqb_synth *s = open_synth((bqb_synth_options){.seed = 6});
    if (!s) return;
    char dir[4096], path[4200];
    bqb_err err = {0};
    snprintf(dir, sizeof dir, "%s/set", test_tmp_dir());
    CHECK_OK(bqb_synth_write(s, dir, 20, false, 2, NULL, NULL, &err), err);
    char *text = NULL;
    snprintf(path, sizeof path, "%s/captions.tsv", dir);
    if (CHECK_OK(bqb_file_read(&text, NULL, path, 1 << 20, &err), err)) {
        size_t lines = 0, cells = 0;
        for (const char *c = text; *c; c++) lines += *c == '\n', cells += *c == '\t';
        CHECK_MSG(lines == 21 && cells == 21 * 5, "%zu lines, %zu tabs", lines, cells);
        CHECK(!strncmp(text, "file\tcaption\temotion\temotion_label\tstyle\tocr\n", 41));
        const char *name = strchr(text, '\n') + 1;
        snprintf(path, sizeof path, "%s/%.*s", dir, (int)strcspn(name, "\t"), name);
        CHECK(bqb_is_file(path));
    }
    free(text);
    /* A folder that cannot be made: a file stands in its place. */
    snprintf(path, sizeof path, "%s/plain", test_tmp_dir());
    CHECK_OK(bqb_file_write(path, "x", 1, &err), err);
    CHECK(bqb_synth_write(s, path, 1, false, 1, NULL, NULL, &err) != BQB_OK);
    CHECK_MSG(strstr(err.msg, "plain"), "the message does not name the folder: %s", err.msg);
    bqb_synth_close(s);
}

/* The first picture of the set in dir: its path, inode (0: none) and size. */
static ino_t first_picture(char path[4200], const char *dir, off_t *size) {
    static const char *const ext[] = {"png", "jpg", "webp", "gif"};
    struct stat st = {0};
    for (size_t i = 0; i < 4; i++) {
        snprintf(path, 4200, "%.4000s/images/000000.%s", dir, ext[i]);
        if (stat(path, &st)) continue;
        *size = st.st_size;
        return st.st_ino;
    }
    return 0;
}

TEST(synth_keeps_the_pictures_of_an_interrupted_run) {
    bqb_synth *s = open_synth((bqb_synth_options){.seed = 6});
    if (!s) return;
    char dir[4096], first[4200], captions[4200], *before = NULL, *after = NULL;
    bqb_err err = {0};
    off_t size = 0, again = 0;
    snprintf(dir, sizeof dir, "%s/again", test_tmp_dir());
    snprintf(captions, sizeof captions, "%s/captions.tsv", dir);
    CHECK_OK(bqb_synth_write(s, dir, 8, false, 2, NULL, NULL, &err), err);
    CHECK_OK(bqb_file_read(&before, NULL, captions, 1 << 20, &err), err);
    ino_t inode = first_picture(first, dir, &size);
    CHECK(inode && !unlink(captions));
    CHECK_OK(bqb_synth_write(s, dir, 8, false, 2, NULL, NULL, &err), err);
    CHECK_MSG(first_picture(first, dir, &again) == inode && again == size, "a picture that was there is another file now");
    CHECK_OK(bqb_file_read(&after, NULL, captions, 1 << 20, &err), err);
    if (before && after) CHECK_STR(after, before);
    /* What a power cut left empty is drawn again. */
    CHECK(!truncate(first, 0));
    CHECK_OK(bqb_synth_write(s, dir, 8, false, 2, NULL, NULL, &err), err);
    CHECK_MSG(first_picture(first, dir, &again) && again == size, "%ld bytes, before %ld", (long)again, (long)size);
    free(before);
    free(after);
    bqb_synth_close(s);
}

TEST(synth_refuses_a_folder_with_another_set) {
    bqb_synth *s = open_synth((bqb_synth_options){.seed = 6}), *other = open_synth((bqb_synth_options){.seed = 61});
    if (!s || !other) return;
    char dir[4096], path[4200], mine[4200];
    bqb_err err = {0};
    off_t size;
    snprintf(dir, sizeof dir, "%s/taken", test_tmp_dir());
    snprintf(path, sizeof path, "%s/captions.tsv", dir);
    CHECK_OK(bqb_synth_write(s, dir, 4, false, 2, NULL, NULL, &err), err);
    CHECK(bqb_synth_write(other, dir, 4, false, 2, NULL, NULL, &err) == BQB_EINVAL);
    CHECK_MSG(strstr(err.msg, dir) && strstr(err.msg, "seed \"6\", now \"61\"") && !strstr(err.msg, "count"), "%s", err.msg);
    CHECK(bqb_synth_write(s, dir, 5, false, 2, NULL, NULL, &err) == BQB_EINVAL);
    CHECK_MSG(strstr(err.msg, "count 4, now 5"), "%s", err.msg);
    CHECK(bqb_is_file(path));
    /* Replaced: nothing of the old set is left, and everything that is not of a set. */
    snprintf(mine, sizeof mine, "%s/images/mine.png", dir);
    CHECK_OK(bqb_file_write(mine, "x", 1, &err), err);
    CHECK_OK(bqb_synth_write(other, dir, 2, true, 2, NULL, NULL, &err), err);
    CHECK(bqb_is_file(mine) && bqb_is_file(path));
    for (int i = 2; i < 4; i++) {
        static const char *const ext[] = {"png", "jpg", "webp", "gif"};
        for (size_t k = 0; k < 4; k++) {
            snprintf(path, sizeof path, "%s/images/%06d.%s", dir, i, ext[k]);
            CHECK_MSG(!bqb_is_file(path), "%s is left of the old set", path);
        }
    }
    CHECK_OK(bqb_synth_write(other, dir, 2, false, 2, NULL, NULL, &err), err);
    /* What synth did not make it does not touch, asked or not. */
    snprintf(path, sizeof path, "%s/synth.json", dir);
    CHECK(!unlink(path));
    for (int replace = 0; replace < 2; replace++) {
        CHECK(bqb_synth_write(other, dir, 2, replace != 0, 2, NULL, NULL, &err) == BQB_EINVAL);
        CHECK_MSG(strstr(err.msg, "captions.tsv") && strstr(err.msg, "synth.json"), "%s", err.msg);
        CHECK(first_picture(mine, dir, &size));
    }
    /* A record that is damaged may be replaced only when asked for. */
    CHECK_OK(bqb_file_write(path, "{", 1, &err), err);
    CHECK(bqb_synth_write(other, dir, 2, false, 2, NULL, NULL, &err) == BQB_EFORMAT);
    CHECK_MSG(strstr(err.msg, "synth.json"), "%s", err.msg);
    CHECK_OK(bqb_synth_write(other, dir, 2, true, 2, NULL, NULL, &err), err);
    bqb_synth_close(s);
    bqb_synth_close(other);
}

TEST(synth_plain_is_plain) {
    bqb_synth *s = open_synth((bqb_synth_options){.seed = 9, .plain = true});
    if (!s) return;
    for (size_t i = 0; i < 10; i++) {
        bqb_sticker st;
        bqb_err err = {0};
        if (!CHECK_OK(bqb_synth_draw(s, i, &st, &err), err)) break;
        CHECK(st.frames == 1 && *st.field[BQB_CAPTION] && !*st.field[BQB_OCR] && !*st.field[BQB_EMOTION] && !*st.field[BQB_STYLE]);
        CHECK(st.rgba[0] == 255 && st.rgba[1] == 255 && st.rgba[2] == 255);
        bqb_sticker_free(&st);
    }
    bqb_synth_close(s);
}

TEST(synth_words_are_words) {
    bqb_synth *s = open_synth((bqb_synth_options){.seed = 9, .words = true});
    if (!s) return;
    for (size_t i = 0; i < 10; i++) {
        bqb_sticker st;
        bqb_err err = {0};
        if (!CHECK_OK(bqb_synth_draw(s, i, &st, &err), err)) break;
        CHECK(st.frames == 1 && *st.field[BQB_OCR] && !*st.field[BQB_CAPTION] && !*st.field[BQB_EMOTION] && !*st.field[BQB_STYLE]);
        CHECK(!*st.subject && st.n_queries == 1 && !strcmp(st.query[0], st.field[BQB_OCR]));
        size_t dark = 0;
        for (size_t k = 0; k < st.width * st.height; k++) dark += st.rgba[4 * k + 1] < 200;
        CHECK_MSG(dark > 50, "only %zu dark pixels: no words are drawn", dark);
        bqb_sticker_free(&st);
    }
    bqb_synth_close(s);
}

/* A phrase alone keeps to its side too. */
TEST(synth_words_share_nothing_either) {
    enum { N = 120 };
    bqb_sticker st[2][N] = {0};
    bqb_err err = {0};
    for (size_t side = 0; side < 2; side++) {
        bqb_synth *s = open_synth((bqb_synth_options){.seed = 4 + side, .split = side ? BQB_SYNTH_TEST : BQB_SYNTH_TRAIN, .words = true});
        if (!s) return;
        for (size_t i = 0; i < N; i++) CHECK_OK(bqb_synth_describe(s, i, &st[side][i], &err), err);
        bqb_synth_close(s);
    }
    size_t shared = 0;
    for (size_t i = 0; i < N; i++)
        for (size_t k = 0; k < N; k++) shared += !strcmp(st[0][i].field[BQB_OCR], st[1][k].field[BQB_OCR]);
    CHECK_MSG(shared == 0, "%zu pairs of the two sides have the same words", shared);
    for (size_t i = 0; i < N; i++) bqb_sticker_free(&st[0][i]), bqb_sticker_free(&st[1][i]);
}

TEST(synth_missing_names_say_which_package) {
    bqb_synth *s = NULL;
    bqb_err err = {0};
    CHECK(bqb_synth_open(&s, &(bqb_synth_options){.cldr_dir = test_tmp_dir()}, &err) == BQB_ENOTFOUND);
    CHECK_MSG(strstr(err.msg, "unicode-cldr-core") && strstr(err.msg, "zh.xml"), "%s", err.msg);
    CHECK(bqb_synth_open(&s, &(bqb_synth_options){.art = (const char *const[]){test_tmp_dir()}, .n_art = 1}, &err) == BQB_ENOTFOUND);
    CHECK_MSG(strstr(err.msg, test_tmp_dir()), "%s", err.msg);
}

/* Fonts are looked up once a process, so this test runs itself again in one that has none. */
TEST(synth_missing_fonts_say_which_package) {
    bqb_err err = {0};
    bqb_synth *s = NULL;
    if (getenv("BQB_TEST_NO_FONTS")) {
        CHECK(bqb_synth_open(&s, &(bqb_synth_options){0}, &err) == BQB_ENOTFOUND);
        CHECK_MSG(strstr(err.msg, "fonts-noto-color-emoji"), "%s", err.msg);
        return;
    }
    char conf[4096];
    snprintf(conf, sizeof conf, "%s/fonts.conf", test_tmp_dir());
    static const char empty[] = "<?xml version=\"1.0\"?><!DOCTYPE fontconfig SYSTEM \"fonts.dtd\"><fontconfig></fontconfig>";
    CHECK_OK(bqb_file_write(conf, empty, sizeof empty - 1, &err), err);
    pid_t child = fork();
    if (child == 0) {
        setenv("FONTCONFIG_FILE", conf, 1);
        setenv("BQB_TEST_NO_FONTS", "1", 1);
        char out[4200];
        snprintf(out, sizeof out, "%s/out", test_tmp_dir());
        if (!freopen(out, "w", stdout) || !freopen("/dev/null", "w", stderr)) _exit(3);
        execl("/proc/self/exe", "test-unit", "synth_missing_fonts", (char *)NULL);
        _exit(4);
    }
    int status = -1;
    waitpid(child, &status, 0);
    CHECK_MSG(WIFEXITED(status) && WEXITSTATUS(status) == 0, "without fonts: status %d", status);
}

TEST(synth_broken_data_names_file_and_line) {
    static const char *const names[] = {"emotions.tsv", "styles.tsv", "phrases.tsv", "aliases.tsv"};
    char from[4200], to[4200], *dir = NULL;
    bqb_err err = {0};
    if (!CHECK_OK(bqb_data_path(&dir, "", &err), err)) return;
    for (size_t i = 0; i < 4; i++) {
        char *text = NULL;
        size_t size = 0;
        snprintf(from, sizeof from, "%.4000s/%s", dir, names[i]);
        snprintf(to, sizeof to, "%s/%s", test_tmp_dir(), names[i]);
        CHECK_OK(bqb_file_read(&text, &size, from, 1 << 24, &err), err);
        if (i == 2) CHECK_OK(bqb_file_write(to, "# comment\n没有这种心情\t你好\t嗨\n", 39, &err), err);
        else CHECK_OK(bqb_file_write(to, text, size, &err), err);
        free(text);
    }
    bqb_synth *s = NULL;
    CHECK(bqb_synth_open(&s, &(bqb_synth_options){.data_dir = test_tmp_dir()}, &err) == BQB_EFORMAT);
    CHECK_MSG(strstr(err.msg, "phrases.tsv") && strstr(err.msg, "line 2") && strstr(err.msg, "没有这种心情"), "%s", err.msg);
    free(dir);
}

TEST(synth_painter) {
    canvas c, d;
    if (!CHECK(canvas_new(&c, 32, 32) && canvas_new(&d, 32, 32))) return;
    paint_fill(&c, rgb(0xFFFFFF));
    paint_ellipse(&c, 16, 16, 8, 8, 0, rgb(0xFF0000));
    const uint8_t *mid = c.px + 4 * (16 * 32 + 16), *corner = c.px;
    CHECK(mid[0] == 255 && mid[1] == 0 && mid[3] == 255 && corner[1] == 255);
    /* Copying in place changes nothing; a quarter turn of a round thing neither, much. */
    paint_copy(&d, &c, (placing){16, 16, 1, 1, 0, 0, 1});
    CHECK(!memcmp(c.px, d.px, 32 * 32 * 4));
    canvas_clear(&d);
    paint_copy(&d, &c, (placing){16, 16, 1, 1, 1.5707963F, 0, 1});
    int worst = 0;
    for (int y = 4; y < 28; y++)
        for (int x = 4 * 4; x < 28 * 4; x++) {
            int diff = abs((int)c.px[y * 128 + x] - (int)d.px[y * 128 + x]);
            if (diff > worst) worst = diff;
        }
    CHECK_MSG(worst < 48, "a turn moved a circle by %d levels", worst);
    int x0, y0, x1, y1;
    canvas_clear(&d);
    paint_line(&d, 4.5F, 5.5F, 20.5F, 5.5F, 1, rgb(0));
    canvas_bounds(&d, &x0, &y0, &x1, &y1);
    CHECK_MSG(x0 == 4 && y0 == 5 && x1 == 21 && y1 == 6, "%d %d %d %d", x0, y0, x1, y1);
    canvas_free(&c);
    canvas_free(&d);
}
