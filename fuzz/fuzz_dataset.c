/* SPLIT_imgs.tsv and SPLIT_texts.jsonl as a data set. Both files get the whole
 * input: a line that is broken for one may be good for the other. */
#include "base/fs.h"
#include "base/utf8.h"
#include "target.h"
#include "train/dataset.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check_text(const char *s) {
    if (bqb_utf8_check(s, strlen(s)) != strlen(s)) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *path = fuzz_file(data, size);
    char imgs[4096], texts[4096];
    snprintf(imgs, sizeof imgs, "%s_imgs.tsv", path ? path : "");
    snprintf(texts, sizeof texts, "%s_texts.jsonl", path ? path : "");
    const char *source = imgs;
    bqb_dataset *ds = NULL;
    if (!path || bqb_file_write(imgs, data, size, NULL) || bqb_file_write(texts, data, size, NULL)) return 0;
    bqb_status s = bqb_dataset_open(&ds, &source, 1, NULL);
    if (s && s != BQB_EFORMAT) abort();
    for (size_t i = 0; !s && i < bqb_dataset_count(ds); i++) {
        const bqb_sample *x = bqb_dataset_at(ds, i);
        check_text(x->file);
        check_text(x->note.field[BQB_CAPTION]);
        if (!*x->note.field[BQB_CAPTION] || x->first_query + x->n_queries > bqb_dataset_query_count(ds)) abort();
        bqb_picture p;
        if (!bqb_dataset_picture(ds, i, &p, NULL) && p.size > size) abort();
        bqb_picture_close(&p);
    }
    bqb_dataset_close(ds);
    remove(imgs);
    remove(texts);
    return 0;
}
