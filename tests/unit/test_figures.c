#include "test.h"
#include "library_help.h"
#include "train_fixture.h"

#include "base/fs.h"
#include "file/svg.h"
#include "image/svg_png.h"
#include "image/decode.h"
#include "train/chart.h"
#include "train/figures.h"

#include <stdlib.h>
#include <string.h>

TEST(numbers_have_quantiles_and_bins) {
    uint64_t v[1000];
    for (uint64_t i = 0; i < 100; i++) v[i] = 99 - i; /* 0 … 99, falling */
    bqb_numbers x;
    bqb_numbers_of(&x, v, 100);
    CHECK(x.n == 100 && x.mean == 49.5 && x.min == 0 && x.max == 99 && x.median == 49);
    CHECK(x.p10 == 10 && x.p25 == 25 && x.p75 == 75 && x.p90 == 90);
    CHECK(x.bin_width == 5 && x.bin_from == 0 && x.n_bins == 20);
    for (size_t k = 0; k < x.n_bins; k++) CHECK_MSG(x.bin[k] == 5, "bin %zu holds %zu", k, x.bin[k]);
    /* A few giants share the last bin instead of flattening the rest. */
    for (size_t i = 0; i < 1000; i++) v[i] = i < 996 ? 10 + i % 8 : 1000000;
    bqb_numbers_of(&x, v, 1000);
    CHECK(x.bin_width == 1 && x.bin_from == 10 && x.n_bins == 8 && x.max == 1000000);
    size_t sum = 0;
    for (size_t k = 0; k < x.n_bins; k++) sum += x.bin[k];
    CHECK(sum == 1000 && x.bin[7] == 124 + 4);
    v[0] = UINT64_MAX;
    bqb_numbers_of(&x, v, 1);
    CHECK(x.n_bins == 1 && x.bin[0] == 1 && x.median == UINT64_MAX && x.p90 == UINT64_MAX);
    bqb_numbers_of(&x, v, 0);
    CHECK(x.n == 0 && x.n_bins == 0);
}

static size_t count_of(const bqb_tally *t, const char *name) {
    for (size_t i = 0; i < t->n; i++)
        if (!strcmp(t->item[i].name, name)) return t->item[i].n;
    return 0;
}

TEST(figures_of_a_data_set) {
    const char *dir = test_tmp_dir();
    fixture_set(dir, 12, 4); /* 0, 4, 8 are GIFs of three frames */
    fixture_write(dir, "images/1.png", "no picture");
    bqb_dataset *ds = NULL;
    bqb_err err = {0};
    bqb_figures f;
    if (!CHECK_OK(bqb_dataset_open(&ds, &dir, 1, &err), err)) return;
    CHECK_OK(bqb_figures_of_dataset(&f, ds, 2, NULL, NULL, &err), err);
    CHECK(f.stickers == 12 && f.animated == 3 && f.unreadable == 1 && f.queries == 24 && f.left_out == 0);
    CHECK(f.with_field[BQB_CAPTION] == 12 && f.caption.n == 12 && f.caption.median == 5 && f.caption.max == 5);
    CHECK(f.ocr.n == 12 && f.ocr.min == 2 && f.ocr.max == 3 && f.query.n == 24);
    CHECK(f.frames.n == 3 && f.frames.median == 3 && f.width.n == 11 && f.width.median == 40 && f.bytes > 0);
    CHECK(f.format.n == 2 && count_of(&f.format, "png") == 8 && count_of(&f.format, "gif") == 3);
    const bqb_tally *emotion = &f.label[BQB_EMOTION];
    CHECK(emotion->n == 5 && emotion->item[0].n == 3 && emotion->item[4].n == 2 && count_of(emotion, "红") == 3);
    bqb_figures_free(&f);
    bqb_dataset_close(ds);
}

TEST(figures_of_a_library) {
    const char *dir = test_tmp_dir();
    help_png(dir, "set/a.png", 200, 0, 0);
    help_png(dir, "set/b.png", 0, 200, 0);
    help_text(dir, "set/captions.tsv", "file\tcaption\temotion\na.png\t红色\t开心\nb.png\t\t\n");
    bqb_import_report r;
    bqb_embedder e = help_embedder(MODEL_A);
    help_import(dir, help_path(dir, "set"), &e, &r);
    bqb_catalogue *c = help_open(dir);
    bqb_err err = {0};
    bqb_figures f;
    if (!c) return;
    CHECK_OK(bqb_figures_of_library(&f, c, &err), err);
    CHECK(f.stickers == 2 && f.animated == 0 && f.label[BQB_EMOTION].n == 1 && f.width.median == 8);
    CHECK(f.caption.n == f.with_field[BQB_CAPTION] && f.caption.max == 2);
    bqb_catalogue_close(c);
    /* The chart of it: as SVG, and drawn. */
    bqb_buf b = {.max = 1 << 22};
    CHECK_OK(bqb_chart_draw(&b, &f, "<我的> & \"co\"\x01\xff", &err), err);
    CHECK(strstr(b.data, "&lt;我的&gt; &amp; \"co\"\xef\xbf\xbd\xef\xbf\xbd</text>") && strstr(b.data, "开心</text>"));
    bqb_buf_free(&b);
    CHECK_OK(bqb_chart_write(fixture_path(dir, "c.png"), &f, "图", &err), err);
    char *png;
    size_t size;
    bqb_image_info info = {0};
    CHECK(!bqb_file_read(&png, &size, fixture_path(dir, "c.png"), 1 << 24, NULL));
    CHECK_OK(bqb_image_probe(&info, png, size, "c.png", NULL, &err), err);
    CHECK(!strcmp(info.format, "png") && info.width == 2080);
    free(png);
    CHECK(bqb_svg_to_png(fixture_path(dir, "d.png"), "no svg", 6, 1, &err) != BQB_OK && !bqb_is_file(fixture_path(dir, "d.png")));
    bqb_figures_free(&f);
}

TEST(figures_of_nothing_can_be_drawn) {
    bqb_figures f = {0};
    bqb_err err = {0};
    bqb_buf b = {.max = 1 << 20};
    CHECK_OK(bqb_chart_draw(&b, &f, "", &err), err);
    CHECK(strstr(b.data, "</svg>") && !strstr(b.data, "nan") && !strstr(b.data, "inf"));
    bqb_buf_free(&b);
}

TEST(svg_text_is_cut_and_escaped) {
    bqb_buf b = {.max = 1 << 16};
    CHECK(!bqb_svg_text(&b, 1, 2, BQB_SVG_MIDDLE, "", "一二三四五", 4, NULL));
    CHECK_STR(b.data, "<text x=\"1.0\" y=\"2.0\" text-anchor=\"middle\">一二三…</text>\n");
    bqb_buf_free(&b);
    CHECK(bqb_svg_tick(10) == 2 && bqb_svg_tick(100) == 20 && bqb_svg_tick(7) == 1);
}
