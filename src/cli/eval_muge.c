/* The files of Chinese-CLIP's evaluation. */
#include "cli/eval_report.h"

#include "file/jsonl.h"
#include "file/muge.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOP = 10, NUMBER = 24 };

/* What was asked, and the names that go into the files. */
typedef struct {
    const cli_evaluation *e;
    const bqb_ask_result *r;
    bool numbered_texts, numbered_images;
} asked;

static asked of(const cli_evaluation *e) { return (asked){.e = e, .r = e->muge.r.n ? &e->muge.r : &e->answer[0].r}; }

/* `held` is for the digits of a number, NUMBER bytes. */
static const char *number(char *held, size_t n) {
    snprintf(held, NUMBER, "%zu", n);
    return held;
}

static const char *image_name(const asked *a, size_t item, char *held) {
    return a->numbered_images ? number(held, item) : bqb_dataset_at(a->e->g->ds, a->e->g->sample[item])->file;
}

static const char *text_name(const asked *a, size_t i, char *held) {
    return a->e->muge.r.n && !a->numbered_texts ? a->e->muge.id[i] : number(held, i);
}

static bqb_status predictions(const asked *a, const char *path, bqb_err *err) {
    bqb_outfile f;
    bqb_status s = bqb_outfile_open(&f, path, err);
    for (size_t i = 0; i < a->r->n && !s; i++) {
        const char *ids[TOP];
        char held[TOP][NUMBER], text_id[NUMBER];
        size_t n = 0;
        for (; n < TOP && a->r->top[TOP * i + n] != UINT32_MAX; n++) ids[n] = image_name(a, a->r->top[TOP * i + n], held[n]);
        s = bqb_muge_write_prediction(&f, text_name(a, i, text_id), ids, n, err);
    }
    if (!s) s = bqb_outfile_commit(&f, err);
    bqb_outfile_abort(&f);
    return s;
}

bqb_status cli_eval_write_predictions(const char *path, const cli_evaluation *e, bqb_err *err) {
    asked a = of(e);
    return predictions(&a, path, err);
}

bqb_status cli_eval_write_score(const char *path, const cli_evaluation *e, bqb_err *err) {
    const bqb_recall *r = &of(e).r->to_image;
    if (!r->n) return bqb_fail(err, BQB_EINVAL, "%s: no text names a picture that is there: no score", path);
    bqb_buf b = {.max = 4096};
    bqb_status s = bqb_muge_score(&b, r->r1, r->r5, r->r10, err);
    if (!s) s = bqb_buf_puts(&b, "\n", err);
    if (!s) s = bqb_file_write(path, b.data, b.len, err);
    bqb_buf_free(&b);
    return s;
}

/* ---- all of it ---- */

static bool is_integer(const char *id, long long *v) {
    char *end, again[32];
    errno = 0;
    *v = strtoll(id, &end, 10);
    snprintf(again, sizeof again, "%lld", *v);
    return !errno && !strcmp(again, id);
}

static int by_value(const void *a, const void *b) {
    long long x = *(const long long *)a, y = *(const long long *)b;
    return (x > y) - (x < y);
}

static bool all_different(long long *v, size_t n) {
    qsort(v, n, sizeof *v, by_value);
    for (size_t i = 1; i < n; i++)
        if (v[i] == v[i - 1]) return false;
    return true;
}

static bqb_status choose_names(asked *a, bqb_err *err) {
    const bqb_gallery *g = a->e->g;
    size_t m = a->e->muge.r.n, n = g->n > m ? g->n : m, k;
    long long *v = bqb_calloc(n, sizeof *v);
    if (!v) return bqb_fail_nomem(err, "ids", n * sizeof *v);
    for (k = 0; k < g->n && is_integer(bqb_dataset_at(g->ds, g->sample[k])->file, &v[k]); k++) {}
    a->numbered_images = k < g->n || !all_different(v, g->n);
    for (k = 0; k < m && is_integer(a->e->muge.id[k], &v[k]); k++) {}
    a->numbered_texts = m && (k < m || !all_different(v, m));
    free(v);
    return BQB_OK;
}

/* Only called once names are integers. */
static json_t *id_json(const char *id) { return json_integer(strtoll(id, NULL, 10)); }

/* The reference that predictions are held against. */
static bqb_status references(const asked *a, const char *path, bqb_err *err) {
    const bqb_muge_ask *m = &a->e->muge;
    bqb_outfile f;
    bqb_status s = bqb_outfile_open(&f, path, err);
    for (size_t i = 0; i < a->r->n && !s; i++) {
        char held[NUMBER];
        json_t *right = json_array();
        const uint32_t *item = m->r.n ? m->right + m->first[i] : &a->r->target[i];
        for (size_t k = 0, n = m->r.n ? m->first[i + 1] - m->first[i] : 1; k < n && right; k++)
            json_array_append_new(right, id_json(image_name(a, item[k], held)));
        s = bqb_jsonl_write_take(&f,
                                 json_pack("{s:o,s:s,s:o}", "text_id", id_json(text_name(a, i, held)), "text", a->r->text[i],
                                           "image_ids", right),
                                 err);
    }
    if (!s) s = bqb_outfile_commit(&f, err);
    bqb_outfile_abort(&f);
    return s;
}

static bqb_status features(const asked *a, const char *path, bool images, const float *feature, size_t n, bqb_err *err) {
    bqb_outfile f;
    bqb_status s = bqb_outfile_open(&f, path, err);
    for (size_t i = 0; i < n && !s; i++) {
        char held[NUMBER];
        s = bqb_muge_write_feature(&f, images ? "image_id" : "text_id", images ? image_name(a, i, held) : text_name(a, i, held),
                                   feature + i * a->e->g->D, a->e->g->D, err);
    }
    if (!s) s = bqb_outfile_commit(&f, err);
    bqb_outfile_abort(&f);
    return s;
}

static bqb_status id_list(const asked *a, const char *path, bqb_err *err) {
    bqb_outfile f;
    bqb_status s = bqb_outfile_open(&f, path, err);
    if (!s) s = bqb_outfile_printf(&f, err, "what\tnumber\tname\n");
    for (size_t i = 0; i < a->e->g->n && a->numbered_images && !s; i++)
        s = bqb_outfile_printf(&f, err, "image\t%zu\t%s\n", i, bqb_dataset_at(a->e->g->ds, a->e->g->sample[i])->file);
    for (size_t i = 0; i < a->r->n && a->numbered_texts && !s; i++)
        s = bqb_outfile_printf(&f, err, "text\t%zu\t%s\n", i, a->e->muge.id[i]);
    if (!s) s = bqb_outfile_commit(&f, err);
    bqb_outfile_abort(&f);
    return s;
}

bqb_status cli_eval_write_muge(const char *dir, const cli_evaluation *e, bqb_clip *m, bqb_progress_fn progress, void *ctx,
                               bqb_err *err) {
    enum { TEXTS, PREDICTIONS, SCORE, IMAGE_FEATURES, TEXT_FEATURES, IDS, FILES };
    static const char *const name[FILES] = {"texts.jsonl", "predictions.jsonl", "score.json", "imgs.img_feat.jsonl",
                                            "texts.txt_feat.jsonl", "ids.tsv"};
    asked a = of(e);
    char *path[FILES];
    bqb_status s = choose_names(&a, err);
    for (size_t k = 0; k < FILES; k++) {
        path[k] = bqb_path_join(dir, name[k]);
        if (!s && !path[k]) s = bqb_fail_nomem(err, dir, 0);
    }
    float *q = bqb_alloc_aligned(a.r->n * e->g->D, sizeof *q);
    if (!s && !q) s = bqb_fail_nomem(err, "query features", a.r->n * e->g->D * sizeof *q);
    if (!s) s = bqb_make_dirs(dir, err);
    if (!s) s = bqb_embed_texts(q, m, bqb_clip_tokenizer(m), (const char *const *)a.r->text, a.r->n, progress, ctx, err);
    if (!s) s = references(&a, path[TEXTS], err);
    if (!s) s = predictions(&a, path[PREDICTIONS], err);
    if (!s && a.r->to_image.n) s = cli_eval_write_score(path[SCORE], e, err);
    if (!s) s = features(&a, path[IMAGE_FEATURES], true, e->g->feature, e->g->n, err);
    if (!s) s = features(&a, path[TEXT_FEATURES], false, q, a.r->n, err);
    if (!s && (a.numbered_images || a.numbered_texts)) s = id_list(&a, path[IDS], err);
    for (size_t k = 0; k < FILES; k++) free(path[k]);
    free(q);
    return s;
}
