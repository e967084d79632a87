#include "cli/eval_report.h"

#include "base/words.h"
#include "cli/output.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *recall_json(const bqb_recall *r) {
    return json_pack("{s:I,s:f,s:f,s:f,s:f,s:f}", "n", (json_int_t)r->n, "r1", r->r1, "r5", r->r5, "r10", r->r10, "mr",
                     r->mr, "median_rank", r->median);
}

const char cli_eval_no_classes[] = "no sticker has one that says something";

static void print_zeroshots(const cli_evaluation *e) {
    size_t shown = 0;
    for (size_t k = 0; k < e->n_zeroshots; k++) {
        const bqb_zeroshot *z = &e->zeroshot[k];
        if (!z->n) continue;
        if (!shown++)
            printf("\n%-13s %8s %8s %7s  %6s %6s %6s %6s\n", "zero-shot", "pictures", "left out", "classes", "top-1", "top-3", "macro",
                   "chance");
        printf("%-13s %8zu %8zu %7zu  %6.2f %6.2f %6.2f %6.2f\n", bqb_field_name(z->field), z->n, z->left_out, z->n_classes, z->top1,
               z->top3, z->macro, 100.0 / (double)z->n_classes);
    }
    for (size_t k = 0; k < e->n_zeroshots; k++)
        if (!e->zeroshot[k].n) printf("no zero-shot %s: %s\n", bqb_field_name(e->zeroshot[k].field), cli_eval_no_classes);
}

static void print_muge(const cli_evaluation *e) {
    const bqb_recall *r = &e->muge.r.to_image;
    printf("%-13s %7s %7s  %6s %6s %6s %6s %4s\n", "query", "texts", "judged", "R@1", "R@5", "R@10", "MR", "med");
    printf("%-13s %7zu %7zu  ", "texts", e->muge.r.n, e->muge.n_judged);
    if (r->n) printf("%6.2f %6.2f %6.2f %6.2f %4g\n", r->r1, r->r5, r->r10, r->mr, r->median);
    else puts("no text names a picture that is there");
    if (e->n_zeroshots) print_zeroshots(e);
}

/* Two blocks, so that a terminal of 100 columns shows both. */
static void print_strict(const cli_evaluation *e) {
    printf("%-13s %7s %8s  %-32s  %s\n", "strict", "", "", "text to picture", "picture to text");
    printf("%-13s %7s %8s  %6s %6s %6s %6s %4s  %6s %6s %6s %6s %4s\n", "query", "texts", "left out", "R@1", "R@5", "R@10", "MR", "med",
           "R@1", "R@5", "R@10", "MR", "med");
    for (size_t k = 0; k < e->n_answers; k++) {
        const bqb_ask_result *r = &e->answer[k].r;
        printf("%-13s %7zu %8zu  ", bqb_ask_name(e->answer[k].ask), r->n, r->left_out);
        if (!r->n) {
            puts("no sticker has one");
            continue;
        }
        const bqb_recall *t = &r->to_image, *p = &r->to_text;
        printf("%6.2f %6.2f %6.2f %6.2f %4g  ", t->r1, t->r5, t->r10, t->mr, t->median);
        printf("%6.2f %6.2f %6.2f %6.2f %4g\n", p->r1, p->r5, p->r10, p->mr, p->median);
    }
}

/* The same queries, with more than their own sticker right. */
static void print_lenient(const cli_evaluation *e) {
    size_t some = 0;
    for (size_t k = 0; k < e->n_answers; k++) some += e->answer[k].r.n > 0;
    if (!some) return;
    printf("\n%-15s %-15s  %-15s  %s\n", "near-dup. right", "text to picture", "picture to text", "text to any with that query");
    printf("%-14s %7s %7s  %7s %7s  %7s %7s %7s %7s\n", "query", "R@1", "MR", "R@1", "MR", "R@1", "R@5", "R@10", "MR");
    for (size_t k = 0; k < e->n_answers; k++) {
        const bqb_ask_result *r = &e->answer[k].r;
        const bqb_recall *t = &r->to_image_or_near, *p = &r->to_text_or_near, *a = &r->any;
        if (r->n)
            printf("%-14s %7.2f %7.2f  %7.2f %7.2f  %7.2f %7.2f %7.2f %7.2f\n", bqb_ask_name(e->answer[k].ask), t->r1, t->mr, p->r1, p->mr,
                   a->r1, a->r5, a->r10, a->mr);
    }
}

void cli_eval_print(const cli_evaluation *e) {
    const bqb_gallery *g = e->g;
    printf("%zu %s; %zu %s a near-duplicate (same annotation, cosine of at least %.2f)\n", g->n,
           bqb_word(g->n, "picture", "pictures"), g->n_near, bqb_word(g->n_near, "has", "have"),
           (double)BQB_NEAR);
    if (g->n_crowded)
        printf("%zu share their annotation with more than %d others: no near-duplicates were looked for among them\n",
               g->n_crowded, BQB_NEAR_SHARED - 1);
    if (e->muge.r.n) {
        print_muge(e);
        return;
    }
    print_strict(e);
    print_lenient(e);
    if (e->n_zeroshots) print_zeroshots(e);
}

static json_t *zeroshots_json(const cli_evaluation *e) {
    json_t *all = json_object();
    for (size_t k = 0; k < e->n_zeroshots; k++) {
        const bqb_zeroshot *z = &e->zeroshot[k];
        json_t *o = json_pack("{s:I,s:I,s:I}", "images", (json_int_t)z->n, "left_out", (json_int_t)z->left_out, "classes",
                              (json_int_t)z->n_classes);
        if (z->n) {
            cli_json_set(o, "top1", json_real(z->top1));
            cli_json_set(o, "top3", json_real(z->top3));
            cli_json_set(o, "macro_top1", json_real(z->macro));
        }
        cli_json_set(all, bqb_field_name(z->field), o);
    }
    return all;
}

int cli_eval_print_json(const cli_evaluation *e) {
    const bqb_gallery *g = e->g;
    json_t *all = json_object();
    for (size_t k = 0; k < e->n_answers; k++) {
        const bqb_ask_result *r = &e->answer[k].r;
        json_t *o = json_pack("{s:I,s:I}", "texts", (json_int_t)r->n, "left_out", (json_int_t)r->left_out);
        if (r->n) {
            cli_json_set(o, "text_to_image", recall_json(&r->to_image));
            cli_json_set(o, "image_to_text", recall_json(&r->to_text));
            cli_json_set(o, "text_to_image_or_near_duplicate", recall_json(&r->to_image_or_near));
            cli_json_set(o, "image_to_text_or_near_duplicate", recall_json(&r->to_text_or_near));
            cli_json_set(o, "text_to_any", recall_json(&r->any));
        }
        cli_json_set(all, bqb_ask_name(e->answer[k].ask), o);
    }
    json_t *out = json_pack("{s:o,s:o,s:I,s:I,s:{s:f,s:I,s:I},s:o}", "model", cli_json_text(e->model), "data",
                            cli_json_text(e->data), "images", (json_int_t)g->n, "unreadable", (json_int_t)g->n_unreadable,
                            "near_duplicates", "cosine", (double)BQB_NEAR, "images", (json_int_t)g->n_near, "not_looked_for",
                            (json_int_t)g->n_crowded, "query", all);
    if (e->muge.r.n) {
        json_t *o = json_pack("{s:I,s:I}", "texts", (json_int_t)e->muge.r.n, "judged", (json_int_t)e->muge.n_judged);
        if (e->muge.n_judged) cli_json_set(o, "text_to_image", recall_json(&e->muge.r.to_image));
        cli_json_set(out, "texts", o);
    }
    if (e->n_zeroshots) cli_json_set(out, "zero_shot", zeroshots_json(e));
    char *text = out && cli_json_whole(out) ? json_dumps(out, JSON_REAL_PRECISION(8)) : NULL;
    if (text) cli_puts_json(text);
    int status = text ? 0 : 1;
    free(text);
    json_decref(out);
    return status;
}
