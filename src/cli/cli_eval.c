/* bqb eval: recall of a model on annotated stickers. */
#include "cli/cli.h"

#include "base/fs.h"
#include "file/muge.h"
#include "train/evaluate.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: bqb eval --data DATA [--model MODEL] [--query KIND] [OPTION…]\n\n"
    "Recall at 1, 5 and 10, their mean (MR) and the median rank, from text to picture and back,\n"
    "over all stickers of DATA: a captions.tsv or its folder, a library's folder, or a SPLIT_imgs.tsv\n"
    "of MUGE or Chinese-CLIP with its SPLIT_texts.jsonl. KIND is what is asked with: full (the whole\n"
    "annotation), caption, emotion, emotion_label, style, ocr, short (queries.tsv), or all. Strictly,\n"
    "a hit is the query's own sticker; once more with near-duplicates as hits, too: stickers with the\n"
    "same annotation whose pictures have a cosine of at least 0.94; and \"any\", where every sticker\n"
    "with exactly the same query counts. Ties count as if in random order. Stickers without such a\n"
    "query are left out and counted.";

typedef struct {
    bqb_ask ask;
    bqb_ask_result r;
} answer;

static json_t *recall_json(const bqb_recall *r) {
    return json_pack("{s:I,s:f,s:f,s:f,s:f,s:f}", "n", (json_int_t)r->n, "r1", r->r1, "r5", r->r5, "r10", r->r10, "mr",
                     r->mr, "median_rank", r->median);
}

static void print_table(const answer *a, size_t n, const bqb_gallery *g) {
    printf("%zu pictures; %zu have a near-duplicate (same annotation, cosine of at least %.2f)\n", g->n, g->n_near,
           (double)BQB_NEAR);
    if (g->n_crowded)
        printf("%zu share their annotation with more than %d others: no near-duplicates were looked for among them\n",
               g->n_crowded, BQB_NEAR_SHARED - 1);
    printf("%-13s %7s %8s  %-32s  %-32s  %-28s  %s\n", "", "", "", "text to picture, strict", "picture to text, strict",
           "near-duplicate right, too", "text to any");
    printf("%-13s %7s %8s  %6s %6s %6s %6s %4s  %6s %6s %6s %6s %4s  %6s %6s  %6s %6s  %6s %6s\n", "query", "texts",
           "left out", "R@1", "R@5", "R@10", "MR", "med", "R@1", "R@5", "R@10", "MR", "med", "t-p R1", "MR", "p-t R1", "MR",
           "R@1", "MR");
    for (size_t k = 0; k < n; k++) {
        const bqb_ask_result *r = &a[k].r;
        printf("%-13s %7zu %8zu  ", bqb_ask_name(a[k].ask), r->n, r->left_out);
        if (!r->n) {
            puts("no sticker has one");
            continue;
        }
        const bqb_recall *t = &r->to_image, *p = &r->to_text;
        printf("%6.2f %6.2f %6.2f %6.2f %4g  ", t->r1, t->r5, t->r10, t->mr, t->median);
        printf("%6.2f %6.2f %6.2f %6.2f %4g  ", p->r1, p->r5, p->r10, p->mr, p->median);
        printf("%6.2f %6.2f  %6.2f %6.2f  ", r->to_image_or_near.r1, r->to_image_or_near.mr, r->to_text_or_near.r1,
               r->to_text_or_near.mr);
        printf("%6.2f %6.2f\n", r->any.r1, r->any.mr);
    }
}

static void print_json(const answer *a, size_t n, const bqb_gallery *g, const char *model, const char *data) {
    json_t *all = json_object();
    for (size_t k = 0; k < n; k++) {
        const bqb_ask_result *r = &a[k].r;
        json_t *o = json_pack("{s:I,s:I}", "texts", (json_int_t)r->n, "left_out", (json_int_t)r->left_out);
        if (r->n) {
            json_object_set_new(o, "text_to_image", recall_json(&r->to_image));
            json_object_set_new(o, "image_to_text", recall_json(&r->to_text));
            json_object_set_new(o, "text_to_image_or_near_duplicate", recall_json(&r->to_image_or_near));
            json_object_set_new(o, "image_to_text_or_near_duplicate", recall_json(&r->to_text_or_near));
            json_object_set_new(o, "text_to_any", recall_json(&r->any));
        }
        json_object_set_new(all, bqb_ask_name(a[k].ask), o);
    }
    json_t *out = json_pack("{s:s,s:s,s:I,s:I,s:{s:f,s:I,s:I},s:o}", "model", model, "data", data, "images",
                            (json_int_t)g->n, "unreadable", (json_int_t)g->n_unreadable, "near_duplicates", "cosine",
                            (double)BQB_NEAR, "images", (json_int_t)g->n_near, "not_looked_for", (json_int_t)g->n_crowded,
                            "query", all);
    char *text = out ? json_dumps(out, JSON_REAL_PRECISION(8)) : NULL;
    if (text) puts(text);
    free(text);
    json_decref(out);
}

/* The ten best pictures for every text; a text's id is its number, a picture's its name in the table. */
static bqb_status write_predictions(const char *path, const answer *a, const bqb_gallery *g, bqb_err *err) {
    bqb_outfile f;
    bqb_status s = bqb_outfile_open(&f, path, err);
    for (size_t i = 0; i < a->r.n && !s; i++) {
        const char *ids[10];
        size_t n = 0;
        for (; n < 10 && a->r.top[10 * i + n] != UINT32_MAX; n++)
            ids[n] = bqb_dataset_at(g->ds, g->sample[a->r.top[10 * i + n]])->file;
        char text_id[24];
        snprintf(text_id, sizeof text_id, "%zu", i);
        s = bqb_muge_write_prediction(&f, text_id, ids, n, err);
    }
    if (!s) s = bqb_outfile_commit(&f, err);
    bqb_outfile_abort(&f);
    return s;
}

static bqb_status write_score(const char *path, const bqb_recall *r, bqb_err *err) {
    bqb_buf b = {.max = 4096};
    bqb_status s = bqb_muge_score(&b, r->r1, r->r5, r->r10, err);
    if (!s) s = bqb_buf_puts(&b, "\n", err);
    if (!s) s = bqb_file_write(path, b.data, b.len, err);
    bqb_buf_free(&b);
    return s;
}

static bqb_status parse_precision(const char *word, bqb_precision *p, bqb_err *err) {
    if (!strcmp(word, "auto")) *p = bqb_precision_best();
    else if (!strcmp(word, "f32")) *p = BQB_PREC_F32;
    else if (!strcmp(word, "bf16")) *p = BQB_PREC_BF16;
    else return bqb_fail(err, BQB_EINVAL, "precision \"%s\": auto, f32 or bf16 is needed", word);
    return BQB_OK;
}

int cli_eval(const cli_env *env, int argc, char **argv) {
    (void)env;
    const char *model = NULL, *query = "full", *precision = "auto", *predictions = NULL, *score = NULL;
    cli_list data = {0};
    size_t limit = 0, threads = 0;
    bool json = false, drop_alpha = false;
    const cli_option options[] = {
        {"data", 'd', CLI_LIST, &data, "DATA", "captions.tsv, its folder, a library or a MUGE set to measure on; may be repeated"},
        {"model", 'm', CLI_STRING, &model, "MODEL", "model folder ($BQB_MODEL, else the bundled one)"},
        {"query", 'q', CLI_STRING, &query, "KIND", "full, caption, emotion, emotion_label, style, ocr, short, all (full)"},
        {"limit", 'n', CLI_SIZE, &limit, "N", "the first N stickers only"},
        {"precision", 0, CLI_STRING, &precision, "P", "f32, bf16 or auto (auto)"},
        {"threads", 't', CLI_SIZE, &threads, "N", "processors to use (all)"},
        {"drop-alpha", 0, CLI_FLAG, &drop_alpha, NULL, "ignore transparency instead of laying it on white"},
        {"json", 0, CLI_FLAG, &json, NULL, "print JSON instead of a table"},
        {"predictions", 0, CLI_STRING, &predictions, "FILE", "write each text's ten best pictures as MUGE JSONL"},
        {"save-score", 0, CLI_STRING, &score, "FILE", "write the score as MUGE JSON"},
        {"", 0, CLI_FLAG, NULL, NULL, NULL},
    };
    int n_words, status = cli_parse(options, usage, argc, argv, &n_words);
    if (status >= 0) return status;
    if (n_words) return cli_usage_error("eval", "\"%s\" is no option", argv[1]);
    if (!data.n) return cli_usage_error("eval", "--data is needed");
    if (threads > 1024) return cli_usage_error("eval", "--threads %zu is more than 1024", threads);
    bool all = !strcmp(query, "all");
    bqb_ask one = bqb_ask_parse(query);
    if (!all && one == BQB_ASKS) return cli_usage_error("eval", "--query %s is no kind of query", query);
    if (all && (predictions || score))
        return cli_usage_error("eval", "--predictions and --save-score need one kind of query, not all");

    bqb_err err = {0};
    bqb_precision p = BQB_PREC_F32;
    bqb_clip *m = NULL;
    bqb_dataset *ds = NULL;
    bqb_pixels *px = NULL;
    bqb_gallery g = {0};
    answer a[BQB_ASKS] = {0};
    size_t n_asks = 0;
    cli_progress bar = {0};
    cli_catch_interrupts();
    model = cli_model_dir(model);
    bqb_status s = parse_precision(precision, &p, &err);
    if (!s) s = bqb_dataset_open(&ds, data.item, data.n, &err);
    if (!s && *bqb_dataset_notes(ds)) fprintf(stderr, "stickers:\n%s", bqb_dataset_notes(ds));
    if (!s) s = bqb_clip_open(&m, model, BQB_TOWER_BOTH, p, (int)threads, &err);
    if (!s) {
        bqb_pixels_options po = {.R = bqb_clip_get_config(m)->resolution, .drop_alpha = drop_alpha, .threads = (int)threads};
        s = bqb_pixels_open(&px, ds, &po, NULL, NULL, &err);
    }
    if (!s) s = bqb_gallery_open(&g, m, ds, px, limit, cli_progress_show, &bar, &err);
    cli_progress_end(&bar);
    if (!s && g.n_unreadable) fprintf(stderr, "%s  %zu pictures could not be read and are left out\n", g.notes.data, g.n_unreadable);
    for (int k = BQB_ASK_FULL; !s && k < BQB_ASKS + BQB_ASK_FULL; k++) {
        bqb_ask ask = k < BQB_ASKS ? (bqb_ask)k : (bqb_ask)(k - BQB_ASKS); /* full and short before the fields */
        if (k >= BQB_ASKS && (size_t)ask >= BQB_FIELDS) break;
        if (!all && ask != one) continue;
        a[n_asks].ask = ask;
        s = bqb_ask_run(&a[n_asks].r, ask, m, bqb_clip_tokenizer(m), &g, cli_progress_show, &bar, &err);
        n_asks++;
    }
    cli_progress_end(&bar);
    if (!s && !all && !a[0].r.n)
        s = bqb_fail(&err, BQB_EFORMAT, "%s: no sticker has a %s query", data.item[0], bqb_ask_name(one));
    if (!s && predictions) s = write_predictions(predictions, &a[0], &g, &err);
    if (!s && score) s = write_score(score, &a[0].r.to_image, &err);
    if (!s) {
        if (json) print_json(a, n_asks, &g, model, data.item[0]);
        else print_table(a, n_asks, &g);
    }
    for (size_t k = 0; k < n_asks; k++) bqb_ask_free(&a[k].r);
    bqb_gallery_close(&g);
    bqb_pixels_close(px);
    bqb_dataset_close(ds);
    bqb_clip_free(m);
    return s ? cli_fail(&err) : 0;
}
