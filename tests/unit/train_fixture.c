#include "train_fixture.h"
#include "test.h"

#include "base/fs.h"
#include "image/decode.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <vips/vips.h>

enum { SIDE = 40 };

const char *fixture_path(const char *dir, const char *name) {
    static char path[8][1024];
    static int next;
    next = (next + 1) % 8;
    snprintf(path[next], sizeof path[next], "%s/%s", dir, name);
    return path[next];
}

void fixture_write(const char *dir, const char *name, const char *fmt, ...) {
    FILE *f = fopen(fixture_path(dir, name), "w");
    if (!f) abort();
    va_list args;
    va_start(args, fmt);
    vfprintf(f, fmt, args);
    va_end(args);
    fclose(f);
}

static const char *const colour_name[] = {"红", "绿", "蓝", "黄", "白"};
static const uint8_t colour[][3] = {{220, 30, 30}, {30, 180, 60}, {40, 60, 220}, {230, 210, 40}, {240, 240, 240}};
static const char *const pattern_name[] = {"横", "竖", "方", "点"};

static bool inked(size_t pattern, int x, int y) {
    if (pattern == 0) return y / 5 % 2;
    if (pattern == 1) return x / 5 % 2;
    if (pattern == 2) return x > 10 && x < 30 && y > 10 && y < 30;
    return x / 4 % 2 && y / 4 % 2;
}

static void draw(uint8_t *rgb, size_t k, int shift) {
    const uint8_t *c = colour[k % 5];
    size_t pattern = k / 5 % 4, shade = 1 + k / 20;
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++)
            for (int b = 0; b < 3; b++)
                rgb[(y * SIDE + x) * 3 + b] =
                    (uint8_t)(inked(pattern, x + shift, y + shift) ? c[b] / shade : (size_t)(20 * b));
}

static void save(const uint8_t *rgb, int frames, const char *path) {
    VipsImage *im = vips_image_new_from_memory_copy(rgb, (size_t)(frames * SIDE * SIDE * 3), SIDE, SIDE * frames, 3, VIPS_FORMAT_UCHAR);
    if (!im) abort();
    if (frames > 1) vips_image_set_int(im, VIPS_META_PAGE_HEIGHT, SIDE);
    if (vips_image_write_to_file(im, path, NULL)) {
        fprintf(stderr, "%s: %s\n", path, vips_error_buffer());
        abort();
    }
    g_object_unref(im);
}

void fixture_set(const char *dir, size_t n, size_t animate) {
    bqb_err err = {0};
    if (bqb_image_init(&err)) abort();
    mkdir(dir, 0777);
    mkdir(fixture_path(dir, "images"), 0777);
    FILE *captions = fopen(fixture_path(dir, "captions.tsv"), "w"), *queries = fopen(fixture_path(dir, "queries.tsv"), "w");
    if (!captions || !queries) abort();
    fputs("file\tcaption\temotion\temotion_label\tstyle\tocr\n", captions);
    fputs("file\tquery\n", queries);
    static uint8_t rgb[3 * SIDE * SIDE * 3];
    for (size_t k = 0; k < n; k++) {
        bool moves = animate && k % animate == 0;
        char name[64];
        snprintf(name, sizeof name, "images/%zu.%s", k, moves ? "gif" : "png");
        for (int f = 0; f < (moves ? 3 : 1); f++) draw(rgb + f * SIDE * SIDE * 3, k, 2 * f);
        save(rgb, moves ? 3 : 1, fixture_path(dir, name));
        const char *c = colour_name[k % 5], *p = pattern_name[k / 5 % 4];
        fprintf(captions, "%s\t一个%s的%s%s\t%s\t开心%zu\t%s\t%s%zu\n", name, c, p, k < 20 ? "" : "大", c, k % 7, p, p, k);
        fprintf(queries, "%s\t%s%s\n%s\t%zu%s\n", name, c, p, name, k, p);
    }
    if (fclose(captions) || fclose(queries)) abort();
}

void fixture_config(const char *dir, const char *name) {
    fixture_write(dir, name,
                  "{\"embed_dim\": 32, \"image_resolution\": 32, \"vision_layers\": 2, \"vision_width\": 32,"
                  " \"vision_patch_size\": 8, \"vision_head_width\": 16, \"vocab_size\": 2425,"
                  " \"text_attention_probs_dropout_prob\": 0.0, \"text_hidden_act\": \"gelu\","
                  " \"text_hidden_dropout_prob\": 0.0, \"text_hidden_size\": 32, \"text_initializer_range\": 0.02,"
                  " \"text_intermediate_size\": 64, \"text_max_position_embeddings\": 64, \"text_num_attention_heads\": 2,"
                  " \"text_num_hidden_layers\": 2, \"text_type_vocab_size\": 2}\n");
}

bqb_train_options fixture_run(const char *const data[1], const char *dir, const char *out, size_t steps) {
    static char outs[8][512], config[512], vocab[512];
    static int next;
    bqb_train_options o;
    bqb_train_unset(&o);
    next = (next + 1) % 8;
    snprintf(outs[next], sizeof outs[next], "%s/%s", dir, out);
    o.out = outs[next];
    o.data = data;
    o.n_data = 1;
    snprintf(config, sizeof config, "%s/config.json", dir);
    snprintf(vocab, sizeof vocab, "%s", test_path("golden/vocab.txt"));
    o.config = config;
    o.vocab = vocab;
    o.batch = 10;
    o.steps = steps;
    o.warmup = 4;
    o.lr = 3e-3;
    o.threads = 2;
    o.precision = "f32";
    o.save_minutes = 0;
    return o;
}

bool fixture_same_file(const char *a_dir, const char *b_dir, const char *name) {
    bqb_map a, b;
    if (bqb_map_open(&a, fixture_path(a_dir, name), NULL)) return false;
    if (bqb_map_open(&b, fixture_path(b_dir, name), NULL)) {
        bqb_map_close(&a);
        return false;
    }
    bool same = a.size == b.size && a.size && !memcmp(a.data, b.data, a.size);
    bqb_map_close(&a);
    bqb_map_close(&b);
    return same;
}
