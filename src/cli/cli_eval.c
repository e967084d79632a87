/* bqb eval: recall of a model on annotated stickers. */
#include "cli/cli.h"

#include "base/words.h"
#include "cli/eval_llm.h"
#include "cli/eval_report.h"
#include "cli/output.h"
#include "cli/spare.h"
#include "train/memory.h"

#include <stdio.h>
#include <string.h>

static const char usage[] =
    "usage: bqb eval --data DATA [--model MODEL] [--query KIND] [OPTION…]\n"
    "       bqb eval --data DATA --llm LLM [--adapter DIR] [--model MODEL] [OPTION…]\n\n"
    "Recall at 1, 5 and 10, their mean (MR) and the median rank, from text to picture and back,\n"
    "over all stickers of DATA: a captions.tsv or its folder, a library's folder, or a SPLIT_imgs.tsv\n"
    "of MUGE or Chinese-CLIP with its SPLIT_texts.jsonl, or a folder with LMDB databases of\n"
    "Chinese-CLIP or Sticker820K. KIND is what is asked with: full (the whole\n"
    "annotation), caption, emotion, emotion_label, style, ocr, short (queries.tsv), or all. Strictly,\n"
    "a hit is the query's own sticker; once more with near-duplicates as hits, too: stickers with the\n"
    "same annotation whose pictures have a cosine of at least 0.94; and \"any\", where every sticker\n"
    "with exactly the same query counts. Ties count as if in random order. Stickers without such a\n"
    "query are left out and counted.\n"
    "With --llm the paper's experiment with a tuned language model (see `bqb tune`): recall of its [RET] for words,\n"
    "pictures and both beside that of StickerCLIP's towers; how often it answers with a sticker where one\n"
    "is wanted and where none is; and that it is, bit for bit, the language model that it was.";

static bqb_status parse_precision(const char *word, bqb_precision *p, bqb_err *err) {
    if (!strcmp(word, "auto")) *p = bqb_precision_best();
    else if (!strcmp(word, "f32")) *p = BQB_PREC_F32;
    else if (!strcmp(word, "bf16")) *p = BQB_PREC_BF16;
    else return bqb_fail(err, BQB_EINVAL, "precision \"%s\": auto, f32 or bf16 is needed", word);
    return BQB_OK;
}

typedef struct {
    const char *model, *query, *precision, *predictions, *score, *confusion, *page, *texts, *muge, *llm, *adapter, *prose;
    cli_list data;
    size_t limit, threads, rows, asks;
    bool json, drop_alpha, zeroshot;
    bool all;    /* kinds of queries, or */
    bqb_ask one;
} settings;

/* With somebody's own texts instead of what the data says of its pictures. */
static bqb_status ask_texts(cli_evaluation *e, const settings *o, bqb_clip *m, cli_progress *bar, bqb_err *err) {
    bqb_status s = bqb_muge_ask_run(&e->muge, o->texts, m, e->g, cli_progress_show, bar, err);
    cli_progress_end(bar);
    if (s) return s;
    if (e->muge.n_broken) {
        cli_puts_lines(stderr, e->muge.notes.data);
        fprintf(stderr, "  %zu %s left out\n", e->muge.n_broken, bqb_word(e->muge.n_broken, "line is", "lines are"));
    }
    if (e->muge.n_lost) fprintf(stderr, "%s: %zu %s a picture is named that is not there\n", o->texts, e->muge.n_lost,
                                 bqb_word(e->muge.n_lost, "time", "times"));
    return BQB_OK;
}

static bqb_status ask_all(cli_evaluation *e, const settings *o, bqb_clip *m, cli_progress *bar, bqb_err *err) {
    bqb_status s = BQB_OK;
    for (int k = BQB_ASK_FULL; !s && k < BQB_ASKS + BQB_ASK_FULL; k++) {
        bqb_ask ask = k < BQB_ASKS ? (bqb_ask)k : (bqb_ask)(k - BQB_ASKS); /* full and short before the fields */
        if (k >= BQB_ASKS && (size_t)ask >= BQB_FIELDS) break;
        if (!o->all && ask != o->one) continue;
        cli_answer *a = &e->answer[e->n_answers++];
        a->ask = ask;
        s = bqb_ask_run(&a->r, ask, m, bqb_clip_tokenizer(m), e->g, cli_progress_show, bar, err);
    }
    if (!s && !o->all && !e->answer[0].r.n)
        s = bqb_fail(err, BQB_EFORMAT, "%s: no sticker has a %s query", e->data, bqb_ask_name(o->one));
    return s;
}

static bqb_status classify(cli_evaluation *e, bqb_clip *m, cli_progress *bar, bqb_err *err) {
    static const bqb_field fields[CLI_ZEROSHOTS] = {BQB_EMOTION, BQB_STYLE};
    for (size_t k = 0; k < CLI_ZEROSHOTS; k++) {
        bqb_status s = bqb_zeroshot_run(&e->zeroshot[e->n_zeroshots], fields[k], m, e->g, cli_progress_show, bar, err);
        if (s == BQB_ELIMIT) {
            cli_progress_end(bar);
            fprintf(stderr, "zero-shot: %s\n", err->msg);
        } else if (s) return s;
        else e->n_zeroshots++;
    }
    return BQB_OK;
}

/* Before minutes of encoding: what all of it will hold, and whether that is there. */
static bqb_status check_memory(const settings *o, const bqb_dataset *ds, size_t D, bqb_err *err) {
    static const double gib = 1073741824.0;
    size_t n = bqb_dataset_count(ds), queries = o->all || o->one == BQB_ASK_SHORT ? bqb_dataset_query_count(ds) : 0;
    if (o->limit && o->limit < n) n = o->limit;
    size_t at_once = queries > n ? queries : n, texts = o->all ? BQB_FIELDS * n + n + queries : at_once;
    double need = bqb_measure_bytes(n, at_once, texts, D), there = bqb_memory_there();
    if (need > there)
        return bqb_fail(err, BQB_ELIMIT, "the features of %zu pictures and up to %zu texts need about %.1f GiB of memory, there are %.1f; --limit N takes fewer",
                        n, at_once, need / gib, there / gib);
    if (need > 0.1 * gib)
        fprintf(stderr, "memory: about %.2f of %.1f GiB for the features of %zu pictures and up to %zu texts\n", need / gib, there / gib, n, at_once);
    return BQB_OK;
}

static bqb_status report(const cli_evaluation *e, const settings *o, bqb_clip *m, cli_progress *bar, bqb_err *err) {
    bqb_status s = BQB_OK;
    if (o->predictions) s = cli_eval_write_predictions(o->predictions, e, err);
    if (!s && o->score) s = cli_eval_write_score(o->score, e, err);
    if (!s && o->muge) s = cli_eval_write_muge(o->muge, e, m, cli_progress_show, bar, err);
    if (!s && o->confusion) s = cli_eval_write_confusion(o->confusion, e, err);
    if (!s && o->page) s = cli_eval_write_page(o->page, e, o->rows, (int)o->threads, cli_progress_show, bar, err);
    cli_progress_end(bar);
    if (s) return s;
    if (!o->json) cli_eval_print(e);
    else if (cli_eval_print_json(e)) s = bqb_fail(err, BQB_ENOMEM, "the JSON could not be made");
    return s;
}

static int run(settings *o) {
    bqb_err err = {0};
    bqb_precision p = BQB_PREC_F32;
    bqb_clip *m = NULL;
    bqb_dataset *ds = NULL;
    bqb_pixels *px = NULL;
    bqb_gallery g = {0};
    cli_progress bar = {0};
    cli_catch_interrupts();
    cli_evaluation e = {.model = cli_model_dir(o->model), .data = o->data.item[0], .g = &g};
    bqb_status s = parse_precision(o->precision, &p, &err);
    if (!s) s = bqb_dataset_open(&ds, o->data.item, o->data.n, &err);
    if (!s) cli_tell_notes("stickers", bqb_dataset_notes(ds));
    if (!s) s = bqb_clip_open(&m, e.model, BQB_TOWER_BOTH, p, (int)o->threads, &err);
    if (!s) s = check_memory(o, ds, bqb_clip_get_config(m)->embed, &err);
    if (!s) {
        bqb_pixels_options po = {.R = bqb_clip_get_config(m)->resolution, .drop_alpha = o->drop_alpha,
                                 .threads = (int)o->threads};
        s = bqb_pixels_open(&px, ds, &po, NULL, NULL, &err);
    }
    if (!s) s = bqb_gallery_open(&g, m, ds, px, o->limit, cli_progress_show, &bar, &err);
    cli_progress_end(&bar);
    if (!s && g.n_unreadable) {
        cli_puts_lines(stderr, g.notes.data);
        fprintf(stderr, "  %zu %s left out\n", g.n_unreadable,
                bqb_word(g.n_unreadable, "picture could not be read and is", "pictures could not be read and are"));
    }
    if (!s) s = o->texts ? ask_texts(&e, o, m, &bar, &err) : ask_all(&e, o, m, &bar, &err);
    if (!s && (o->zeroshot || o->confusion || o->page)) s = classify(&e, m, &bar, &err);
    cli_progress_end(&bar);
    if (!s) s = report(&e, o, m, &bar, &err);
    for (size_t k = 0; k < e.n_answers; k++) bqb_ask_free(&e.answer[k].r);
    bqb_muge_ask_free(&e.muge);
    for (size_t k = 0; k < e.n_zeroshots; k++) bqb_zeroshot_free(&e.zeroshot[k]);
    bqb_gallery_close(&g);
    bqb_pixels_close(px);
    bqb_dataset_close(ds);
    bqb_clip_free(m);
    return s ? cli_fail(&err) : 0;
}

static int run_llm(const settings *o) {
    bqb_err err = {0};
    cli_llm_trial t = {.llm = o->llm, .adapter = o->adapter, .model = o->model, .prose = o->prose, .data = &o->data, .limit = o->limit, .asks = o->asks,
                       .threads = o->threads, .drop_alpha = o->drop_alpha, .json = o->json};
    if (parse_precision(o->precision, &t.precision, &err)) return cli_fail(&err);
    cli_catch_interrupts();
    return cli_eval_llm(&t);
}

/* Of --muge, DIR/predictions.jsonl tells that the files are those of an earlier measurement: the others are as people
 * have them, too. */
static int spare_muge(const cli_env *env, const char *dir) {
    static const struct {
        const char *name;
        cli_made made;
    } file[] = {{"texts.jsonl", CLI_TEXTS},      {"score.json", CLI_SCORE}, {"imgs.img_feat.jsonl", CLI_FEATURES}, {"texts.txt_feat.jsonl", CLI_FEATURES},
                {"ids.tsv", CLI_NUMBERS}};
    int status = cli_spare_in(env, "eval", "muge", dir, "predictions.jsonl", CLI_PREDICTIONS);
    bool again = status < 0 && dir && cli_made_in(dir, "predictions.jsonl", CLI_PREDICTIONS);
    for (size_t k = 0; k < sizeof file / sizeof *file && status < 0; k++)
        status = cli_spare_in(env, "eval", "muge", dir, file[k].name, again ? file[k].made : CLI_NOTHING);
    return status;
}

static int spare(const cli_env *env, const settings *o) {
    int status = cli_spare(env, "eval", "html", o->page, CLI_PAGE);
    if (status < 0) status = cli_spare(env, "eval", "predictions", o->predictions, CLI_PREDICTIONS);
    if (status < 0) status = cli_spare(env, "eval", "save-score", o->score, CLI_SCORE);
    if (status < 0) status = cli_spare_in(env, "eval", "confusion", o->confusion, "confusion-emotion.csv", CLI_MATRIX);
    if (status < 0) status = cli_spare_in(env, "eval", "confusion", o->confusion, "confusion-style.csv", CLI_MATRIX);
    return status < 0 ? spare_muge(env, o->muge) : status;
}

int cli_eval(const cli_env *env, int argc, char **argv) {
    settings o = {.query = "full", .precision = "auto", .rows = 6, .asks = 300};
    const cli_option options[] = {
        {"data", 'd', CLI_LIST, &o.data, "DATA", "captions.tsv, its folder, a library or a MUGE set to measure on; may be repeated"},
        {"model", 'm', CLI_STRING, &o.model, "MODEL", "model folder ($BQB_MODEL, else the bundled one)"},
        {"query", 'q', CLI_STRING, &o.query, "KIND", "full, caption, emotion, emotion_label, style, ocr, short, all (full)"},
        {"texts", 0, CLI_STRING, &o.texts, "FILE", "ask with a MUGE SPLIT_texts.jsonl instead of --query"},
        {"limit", 'n', CLI_SIZE, &o.limit, "N", "the first N stickers only"},
        {"zero-shot", 'z', CLI_FLAG, &o.zeroshot, NULL, "classify emotions and styles by their labels in words"},
        {"precision", 0, CLI_STRING, &o.precision, "P", "f32, bf16 or auto (auto)"},
        {"threads", 't', CLI_SIZE, &o.threads, "N", "processors to use (all)"},
        {"drop-alpha", 0, CLI_FLAG, &o.drop_alpha, NULL, "ignore transparency instead of laying it on white"},
        {"json", 0, CLI_FLAG, &o.json, NULL, "print JSON instead of a table"},
        {"html", 0, CLI_STRING, &o.page, "FILE", "write a page with all of it and rows of pictures"},
        {"html-rows", 0, CLI_SIZE, &o.rows, "N", "at most N rows of pictures of each sort, 100 at most (6)"},
        {"confusion", 0, CLI_STRING, &o.confusion, "DIR", "write the zero-shot confusion matrices as CSV"},
        {"predictions", 0, CLI_STRING, &o.predictions, "FILE", "write each text's ten best pictures as MUGE JSONL"},
        {"save-score", 0, CLI_STRING, &o.score, "FILE", "write the score as MUGE JSON"},
        {"muge", 0, CLI_STRING, &o.muge, "DIR", "write what Chinese-CLIP's scripts read: texts, predictions, score, features"},
        {"llm", 0, CLI_STRING, &o.llm, "LLM", "measure this tuned language model: a Hugging Face folder or a GGUF file"},
        {"adapter", 0, CLI_STRING, &o.adapter, "DIR", "of --llm, its adapter ($BQB_ADAPTER, else LLM/adapter)"},
        {"asks", 0, CLI_SIZE, &o.asks, "N", "of --llm, questions of each kind of wording (300)"},
        {"prose", 0, CLI_STRING, &o.prose, "FILE", "of --llm, more ordinary text for the perplexity, a text a line"},
        {"", 0, CLI_FLAG, NULL, NULL, NULL},
    };
    int n_words, status = cli_parse(options, usage, argc, argv, &n_words);
    if (status >= 0) return status;
    if (n_words) return cli_usage_error("eval", "\"%s\" is no option", argv[1]);
    if (!o.data.n) return cli_usage_error("eval", "--data is needed");
    if (o.threads > 1024) return cli_usage_error("eval", "--threads %zu is more than 1024", o.threads);
    if (o.rows > 100) return cli_usage_error("eval", "--html-rows %zu is more than 100", o.rows);
    o.all = !strcmp(o.query, "all");
    o.one = bqb_ask_parse(o.query);
    if (!o.all && o.one == BQB_ASKS) return cli_usage_error("eval", "--query %s is no kind of query", o.query);
    if (o.all && (o.predictions || o.score || o.muge))
        return cli_usage_error("eval", "--predictions, --save-score and --muge need one kind of query, not all");
    if (o.texts && o.page) return cli_usage_error("eval", "--html shows --query, not --texts");
    if (o.texts && o.all) return cli_usage_error("eval", "either --texts or --query all");
    if (!o.llm && (o.adapter || o.prose)) return cli_usage_error("eval", "--adapter and --prose belong to --llm");
    if (o.llm && (o.texts || o.page || o.predictions || o.score || o.muge || o.confusion || o.zeroshot))
        return cli_usage_error("eval", "--llm has a report of its own: a table or --json");
    if (o.llm && (!o.asks || o.asks > 1000000)) return cli_usage_error("eval", "--asks is 1 … 1000000");
    if (o.llm) return run_llm(&o);
    status = spare(env, &o);
    return status >= 0 ? status : run(&o);
}
