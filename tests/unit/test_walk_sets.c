/* Folders that hold data sets and tables: what is found in them, and what still counts as other files. */
#include "library_help.h"
#include "test.h"

#include "base/fs.h"
#include "file/base64.h"
#include "library/walk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bqb_err err;

/* DIR/NAME_imgs.tsv with one picture, and its texts. */
static void make_muge(const char *dir, const char *name, unsigned red, const char *words) {
    char *png, part[100];
    size_t n;
    bqb_buf tsv = {.max = 1 << 16};
    help_png(dir, "one.png", red, 7, 7);
    CHECK_OK(bqb_file_read(&png, &n, help_path(dir, "one.png"), 1 << 16, &err), err);
    unlink(help_path(dir, "one.png"));
    CHECK_OK(bqb_buf_puts(&tsv, "0\t", &err), err);
    CHECK_OK(bqb_base64_encode(&tsv, png, n, &err), err);
    snprintf(part, sizeof part, "%s_imgs.tsv", name);
    help_text(dir, part, tsv.data);
    snprintf(part, sizeof part, "%s_texts.jsonl", name);
    if (words) help_text(dir, part, words);
    bqb_buf_free(&tsv);
    free(png);
}

#define ONE_TEXT "{\"text_id\": 0, \"text\": \"一只猫\", \"image_ids\": [0]}\n"

TEST(walk_finds_muge_sets_in_folders) {
    const char *dir = test_tmp_dir();
    bqb_import_report r;
    make_muge(dir, "in/deep/train", 10, ONE_TEXT);
    make_muge(dir, "in/valid", 20, ONE_TEXT);
    make_muge(dir, "in/lone", 30, NULL);
    help_text(dir, "in/x_texts.jsonl", "{}\n"); /* belongs to nothing */
    help_import(dir, help_path(dir, "in"), NULL, &r);
    CHECK_MSG(r.added == 2 && r.others == 1 && r.skipped == 1, "%zu added, %zu others, %zu skipped", r.added, r.others, r.skipped);
    bqb_catalogue *c = help_open(dir);
    bqb_annotated a = {0};
    CHECK_OK(bqb_catalogue_get_annotation(c, 1, &a, &err), err);
    CHECK(a.field[BQB_CAPTION] && !strcmp(a.field[BQB_CAPTION], "一只猫"));
    bqb_annotated_free(&a);
    bqb_catalogue_close(c);
}

/* For a folder that is watched, either of the two files brings the set. */
TEST(walk_again_takes_a_muge_set_by_either_file) {
    const char *dir = test_tmp_dir();
    char library[512], folder[512];
    snprintf(library, sizeof library, "%s", dir);
    snprintf(folder, sizeof folder, "%s", help_path(dir, "in"));
    make_muge(dir, "in/train", 10, ONE_TEXT);
    for (int k = 0; k < 2; k++) {
        const char *path = help_path(dir, k ? "in/train_imgs.tsv" : "in/train_texts.jsonl"), *within = folder;
        bqb_walk_request request = {.path = &path, .within = &within, .n = 1, .n_within = 1, .skip_dir = library};
        bqb_walk *w = NULL;
        CHECK_OK(bqb_walk_again(&w, &request, &err), err);
        CHECK_MSG(w && bqb_walk_count(w) == 1 && !bqb_walk_others(w), "file %d", k);
        bqb_walk_free(w);
    }
}

TEST(walk_does_not_count_what_it_used) {
    const char *dir = test_tmp_dir();
    bqb_import_report r;
    help_png(dir, "in/a.png", 1, 2, 3);
    help_text(dir, "in/captions.tsv", "file\tcaption\na.png\t猫\n");
    help_png(dir, "in/set/AgAD1.png", 4, 5, 6);
    help_text(dir, "in/set/set.json",
              "{\"ok\":true,\"result\":{\"name\":\"s\",\"stickers\":[{\"file_unique_id\":\"AgAD1\",\"emoji\":\"😂\"}]}}");
    help_text(dir, "in/set/more.json", "{\"a\": 1}");
    help_import(dir, help_path(dir, "in"), NULL, &r);
    CHECK_MSG(r.added == 2 && r.others == 1 && !r.skipped, "%zu added, %zu others, %zu skipped", r.added, r.others, r.skipped);
}

TEST(walk_tells_archives_from_databases) {
    const char *dir = test_tmp_dir();
    bqb_import_report r;
    help_text(dir, "cut.zip", "PK\3\4 and no more");
    help_import(dir, help_path(dir, "cut.zip"), NULL, &r);
    CHECK(r.damaged == 1 && r.damaged_archives == 1 && r.skipped == 1);
}
