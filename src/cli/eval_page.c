#include "cli/eval_page.h"

#include "base/words.h"
#include "cli/eval_report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SORTS = 4, TEN = 10, HEAT_MAX = 60 };

/* ---- which rows are shown ---- */

static const char *const sort_name[SORTS] = {"Found first", "Among the ten", "Missed", "The hardest"};

typedef struct {
    size_t n, all;  /* shown; of how many */
    size_t *query;  /* [n] */
} sorted;

typedef struct {
    const cli_answer *a;
    sorted sort[SORTS];
} shown;

static int sort_of(const bqb_place *p) {
    double rank = bqb_place_rank(p);
    return rank < 1.5 ? 0 : rank <= TEN ? 1 : 2;
}

typedef struct {
    double rank;
    size_t query;
} ranked;

static int worst_first(const void *a, const void *b) {
    const ranked *x = a, *y = b;
    if (x->rank != y->rank) return x->rank < y->rank ? 1 : -1;
    return (x->query > y->query) - (x->query < y->query);
}

/* Evenly over all queries of a sort; the last sort has the highest ranks of those missed. */
static bool choose(shown *v, const cli_answer *a, size_t rows) {
    const bqb_ask_result *r = &a->r;
    ranked *missed = bqb_calloc(r->n, sizeof *missed);
    bool ok = missed != NULL;
    v->a = a;
    for (size_t s = 0; s < SORTS && ok; s++) ok = (v->sort[s].query = bqb_calloc(rows, sizeof(size_t))) != NULL;
    size_t n_missed = 0;
    for (size_t i = 0; i < r->n && ok; i++) {
        int s = sort_of(&r->place[i]);
        v->sort[s].all++;
        if (s == 2) missed[n_missed++] = (ranked){bqb_place_rank(&r->place[i]), i};
    }
    if (ok) qsort(missed, n_missed, sizeof *missed, worst_first);
    size_t at[SORTS] = {0};
    for (size_t i = 0; i < r->n && ok; i++) {
        int s = sort_of(&r->place[i]);
        sorted *t = &v->sort[s];
        size_t want = t->all < rows ? t->all : rows;
        if (t->n < want && at[s] * want >= t->n * t->all) t->query[t->n++] = i;
        at[s]++;
    }
    v->sort[3].all = n_missed;
    if (n_missed > rows) /* else all of them are among the missed */
        for (size_t k = 0; k < rows && ok; k++) v->sort[3].query[v->sort[3].n++] = missed[k].query;
    free(missed);
    return ok;
}

static void mark(const shown *v, bool *wanted) {
    const bqb_ask_result *r = &v->a->r;
    for (size_t s = 0; s < SORTS; s++) {
        for (size_t k = 0; k < v->sort[s].n; k++) {
            size_t i = v->sort[s].query[k];
            wanted[r->target[i]] = true;
            for (size_t t = 0; t < TEN; t++)
                if (r->top[TEN * i + t] != UINT32_MAX) wanted[r->top[TEN * i + t]] = true;
        }
    }
}

/* ---- tables ---- */

static void summary(cli_page *p, const cli_evaluation *e) {
    cli_page_put(p, "<h2>Recall</h2>\n<div class=scroll><table class=sum><thead><tr><th rowspan=2>query<th rowspan=2>texts"
                    "<th rowspan=2>left out<th colspan=5 class='l g'>text to picture, strict<th colspan=5 class='l g'>picture to "
                    "text, strict<th colspan=2 class='l g'>near-duplicate right, too<th class='l g'>text to any\n<tr>");
    for (int k = 0; k < 2; k++) cli_page_put(p, "<th class=l>R@1<th>R@5<th>R@10<th>MR<th>median");
    cli_page_put(p, "<th class=l>text MR<th>picture MR<th class=l>MR<tbody>\n");
    for (size_t k = 0; k < e->n_answers; k++) {
        const bqb_ask_result *r = &e->answer[k].r;
        cli_page_putf(p, "<tr><th>%s<td>%zu<td>%zu", bqb_ask_name(e->answer[k].ask), r->n, r->left_out);
        if (!r->n) {
            cli_page_put(p, "<td class='l g' colspan=13>no sticker has one\n");
            continue;
        }
        const bqb_recall *both[2] = {&r->to_image, &r->to_text};
        for (int b = 0; b < 2; b++)
            cli_page_putf(p, "<td class=l>%.1f<td>%.1f<td>%.1f<td class=mr style='--v:%.1f'>%.1f<td>%g", both[b]->r1,
                          both[b]->r5, both[b]->r10, both[b]->mr, both[b]->mr, both[b]->median);
        cli_page_putf(p, "<td class=l>%.1f<td>%.1f<td class=l>%.1f\n", r->to_image_or_near.mr, r->to_text_or_near.mr,
                      r->any.mr);
    }
    cli_page_putf(p, "</table></div>\n<p class=dim>Percent of queries whose right answer is among the first 1, 5 or 10; MR is the "
                     "mean of the three. <b>Strict</b>: only the query's own sticker is right. <b>Near-duplicate right, too</b>: "
                     "so are stickers with the same annotation whose pictures have a cosine of at least %.2f (%zu of %zu %s one). ",
                  (double)BQB_NEAR, e->g->n_near, e->g->n, bqb_word(e->g->n_near, "stickers has", "stickers have"));
    cli_page_put(p, "<b>Text to any</b>: every sticker with exactly the same query is right, and each distinct query is asked "
                    "once. Ties count as if in random order.</p>\n");
}

static void heat_map(cli_page *p, const bqb_zeroshot *z) {
    size_t C = z->n_classes;
    cli_page_put(p, "<div class=scroll><table class=heat><thead><tr><th>");
    for (size_t c = 0; c < C; c++) {
        cli_page_put(p, "<th lang=zh-Hans scope=col>");
        cli_page_text(p, z->label[c]);
    }
    cli_page_put(p, "<tbody>\n");
    for (size_t k = 0; k < C; k++) {
        cli_page_put(p, "<tr><th lang=zh-Hans scope=row>");
        cli_page_text(p, z->label[k]);
        for (size_t c = 0; c < C; c++) {
            unsigned n = z->confusion[k * C + c];
            double share = (double)n / (double)z->count[k];
            cli_page_putf(p, "<td class='%s%s'", k == c ? "d" : "", share > 0.5 ? " h" : "");
            if (n) {
                cli_page_putf(p, " style='--p:%.2f' title=\"", share);
                cli_page_text(p, z->label[k]);
                cli_page_put(p, " → ");
                cli_page_text(p, z->label[c]);
                cli_page_putf(p, ": %u of %zu\">%u", n, z->count[k], n);
            } else cli_page_put(p, ">");
        }
        cli_page_putf(p, "<td class=acc>%.0f%%\n", z->accuracy[k]);
    }
    cli_page_put(p, "</table></div>\n");
}

static void zeroshots(cli_page *p, const cli_evaluation *e) {
    for (size_t k = 0; k < e->n_zeroshots; k++) {
        const bqb_zeroshot *z = &e->zeroshot[k];
        if (!z->n) {
            cli_page_putf(p, "<p class=dim>No zero-shot %s: %s.</p>\n", bqb_field_name(z->field), cli_eval_no_classes);
            continue;
        }
        cli_page_putf(p, "<h2>Zero-shot: %s</h2>\n<div class=tiles>", bqb_field_name(z->field));
        cli_page_putf(p, "<div><b>%.1f %%</b><span>right at once</span></div><div><b>%.1f %%</b><span>among three</span></div>",
                      z->top1, z->top3);
        cli_page_putf(p, "<div><b>%.1f %%</b><span>mean over classes</span></div><div><b>%.1f %%</b><span>chance</span></div>"
                         "<div><b>%zu</b><span>pictures</span></div><div><b>%zu</b><span>classes</span></div></div>\n",
                      z->macro, 100.0 / (double)z->n_classes, z->n, z->n_classes);
        cli_page_put(p, "<p class=dim>Every picture is given the class whose words are nearest. ");
        if (z->left_out) cli_page_putf(p, "%zu %s no class, or one that says nothing. ", z->left_out,
                                        bqb_word(z->left_out, "picture has", "pictures have"));
        cli_page_put(p, "A line is what the stickers are, a column what they were taken for; the stronger the colour, the "
                        "larger the line's share.</p>\n");
        if (z->n_classes <= HEAT_MAX) heat_map(p, z);
        else cli_page_putf(p, "<p>%zu classes are too many to draw: <code>--confusion</code> writes them.</p>\n", z->n_classes);
    }
}

/* ---- rows of pictures ---- */

/* Whether a picture has this very text among its own queries. They stand in the order of their pictures. */
static bool has_text(const bqb_ask_result *r, uint32_t picture, const char *text) {
    size_t lo = 0, hi = r->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (r->target[mid] < picture) lo = mid + 1;
        else hi = mid;
    }
    for (; lo < r->n && r->target[lo] == picture; lo++)
        if (!strcmp(r->text[lo], text)) return true;
    return false;
}

static void picture(cli_page *p, const char *tag, const char *mark_class, const cli_evaluation *e, uint32_t item,
                    const bool *written) {
    bqb_buf text = {.max = 1 << 20};
    const bqb_sample *x = bqb_dataset_at(e->g->ds, e->g->sample[item]);
    cli_page_putf(p, "<%s class='p p%u %s%s' role=img title=\"", tag, (unsigned)item, mark_class, written[item] ? "" : " none");
    if (!p->status) p->status = bqb_annotation_text(&text, &x->note, NULL, p->err);
    cli_page_text(p, text.data ? text.data : "");
    cli_page_put(p, " (");
    cli_page_text(p, x->file);
    cli_page_putf(p, ")\"></%s>", tag);
    bqb_buf_free(&text);
}

static void row(cli_page *p, const cli_evaluation *e, const bqb_ask_result *r, size_t i, int sort, const bool *written) {
    static const char *const chip[] = {"ok", "warn", "bad", "bad"};
    const bqb_place *at = &r->place[i];
    cli_page_put(p, "<div class=row><div><p class=q lang=zh-Hans>");
    cli_page_text(p, r->text[i]);
    cli_page_putf(p, "</p><span class='chip %s'>rank %.4g</span>", chip[sort], bqb_place_rank(at));
    if (at->tied_wrong) cli_page_putf(p, " <span class=dim>tied with %u</span>", (unsigned)at->tied_wrong);
    cli_page_put(p, "</div><div class=right>");
    picture(p, "span", "", e, r->target[i], written);
    cli_page_put(p, "right one</div><ol class=ten>");
    for (size_t t = 0; t < TEN && r->top[TEN * i + t] != UINT32_MAX; t++) {
        uint32_t item = r->top[TEN * i + t];
        picture(p, "li", item == r->target[i] ? "hit" : has_text(r, item, r->text[i]) ? "same" : "", e, item, written);
    }
    cli_page_put(p, "</ol></div>\n");
}

static void rows_of(cli_page *p, const cli_evaluation *e, const shown *v, const bool *written) {
    const bqb_ask_result *r = &v->a->r;
    cli_page_putf(p, "<h2>Asked with: %s</h2>\n", bqb_ask_name(v->a->ask));
    for (int s = 0; s < SORTS; s++) {
        if (!v->sort[s].n) continue;
        cli_page_putf(p, "<h3>%s <span>%zu of %zu</span></h3>\n", sort_name[s], s == 3 ? v->sort[s].n : v->sort[s].all, r->n);
        for (size_t k = 0; k < v->sort[s].n; k++) row(p, e, r, v->sort[s].query[k], s, written);
    }
}

static void body(cli_page *p, const cli_evaluation *e, const shown *v, size_t n, const bool *written) {
    cli_page_put(p, "<main>\n<h1>How well stickers are found</h1>\n<p class=dim>model <code>");
    cli_page_text(p, e->model);
    cli_page_put(p, "</code>, data <code>");
    cli_page_text(p, e->data);
    cli_page_putf(p, "</code>, %zu %s", e->g->n, bqb_word(e->g->n, "picture", "pictures"));
    if (e->g->n_unreadable) cli_page_putf(p, ", %zu more could not be read", e->g->n_unreadable);
    cli_page_put(p, "</p>\n");
    summary(p, e);
    zeroshots(p, e);
    if (n)
        cli_page_put(p, "<h2>Rows of pictures</h2>\n<p>The ten nearest pictures, the nearest first."
                        "<span class='key hit'></span>the right one<span class='key same'></span>another with the same words</p>\n");
    for (size_t k = 0; k < n; k++) rows_of(p, e, &v[k], written);
    cli_page_put(p, "<footer>Made by bqb " BQB_VERSION ". Pictures are small copies; moving ones show at most ten frames.</footer>\n"
                    "</main>\n");
}

/* Labels alone belong to dozens of stickers: rows of those show nothing that the tables do not. */
static bool has_rows(bqb_ask a) { return a != (bqb_ask)BQB_EMOTION && a != (bqb_ask)BQB_EMOTION_LABEL && a != (bqb_ask)BQB_STYLE; }

bqb_status cli_eval_write_page(const char *path, const cli_evaluation *e, size_t rows, int threads,
                               bqb_progress_fn progress, void *ctx, bqb_err *err) {
    cli_page p = {.err = err};
    shown v[BQB_ASKS] = {0};
    size_t n = 0;
    bool *wanted = bqb_calloc(e->g->n, sizeof *wanted);
    bool ok = wanted != NULL;
    for (size_t k = 0; k < e->n_answers && ok && rows; k++) {
        if (!e->answer[k].r.n || !has_rows(e->answer[k].ask)) continue;
        ok = choose(&v[n++], &e->answer[k], rows);
        if (ok) mark(&v[n - 1], wanted);
    }
    p.status = ok ? bqb_outfile_open(&p.f, path, err) : bqb_fail_nomem(err, path, 0);
    cli_page_put(&p, "<!doctype html>\n<html lang=en><head><meta charset=utf-8>"
                     "<meta name=generator content=bqb>"
                     "<meta name=viewport content='width=device-width,initial-scale=1'>"
                     "<title>bqb eval</title>\n<style>\n");
    for (size_t k = 0; cli_eval_style[k]; k++) cli_page_put(&p, cli_eval_style[k]);
    if (!p.status) cli_page_pictures(&p, e->g, wanted, threads, progress, ctx);
    cli_page_put(&p, "</style></head>\n<body>\n");
    if (!p.status) body(&p, e, v, n, wanted);
    cli_page_put(&p, "</body></html>\n");
    if (!p.status) p.status = bqb_outfile_commit(&p.f, err);
    bqb_outfile_abort(&p.f);
    for (size_t k = 0; k < n; k++)
        for (size_t s = 0; s < SORTS; s++) free(v[k].sort[s].query);
    free(wanted);
    return p.status;
}
