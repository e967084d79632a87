#include "cli/annotate_labels.h"

#include "cli/cli.h"
#include "cli/output.h"
#include "library/labeller.h"

#include <stdio.h>

static json_t *json_of(const bqb_label_report *r) {
    json_t *o = json_object();
    const struct {
        const char *name;
        size_t n;
    } figures[] = {{"asked", r->stickers},    {"given", r->given},     {"without_vector", r->without_vector},
                   {"labelled", r->labelled}, {"unsure", r->unsure},   {"changed", r->changed},
                   {"classes", r->classes}};
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++)
        cli_json_set(o, figures[i].name, json_integer((json_int_t)figures[i].n));
    cli_json_set(o, "own_classes", json_boolean(r->own_classes));
    cli_json_set(o, "trust", json_real(r->trust));
    return o;
}

static void print(const char *what, const bqb_label_report *r) {
    printf("%s: %zu guessed, %zu unsure, %zu given, %zu changed\n", what, r->labelled, r->unsure, r->given, r->changed);
}

static void tell(const char *what, const bqb_label_report *r) {
    if (r->without_vector)
        fprintf(stderr, "bqb: %s: %zu of %zu stickers have no vector of this model and stay as they are; "
                        "`bqb import` gives them one\n", what, r->without_vector, r->stickers);
    if (r->trust < 0.05 && r->stickers > r->given)
        fprintf(stderr, "bqb: %s: this model does not know pictures like these, so only what is written of them counts\n",
                what);
}

static bqb_status one(bqb_catalogue *c, const bqb_sticker_id *ids, size_t n, bqb_field field, const cli_label_wish *w,
                      const bqb_text_embedder *e, json_t *json, bqb_err *err) {
    cli_progress bar = {0};
    bqb_label_report report;
    const bqb_label_options o = {.embedder = e, .min_score = w->min_score, .progress = cli_progress_show, .ctx = &bar};
    bqb_status s = bqb_library_label(c, ids, n, field, &o, &report, err);
    cli_progress_end(&bar);
    if (s && s != BQB_ECANCEL) return s;
    tell(bqb_field_name(field), &report);
    if (json) cli_json_set(json, bqb_field_name(field), json_of(&report));
    else print(bqb_field_name(field), &report);
    return s;
}

bqb_status cli_annotate_labels(bqb_catalogue *c, const bqb_sticker_id *ids, size_t n, const cli_label_wish *w,
                               json_t *json, bqb_err *err) {
    bqb_clip *m = NULL;
    bqb_status s = bqb_clip_open(&m, cli_model_dir(w->model), BQB_TOWER_TEXT, bqb_precision_best(), 0, err);
    if (s) return s;
    const bqb_text_embedder e = bqb_text_embedder_of_clip(m);
    if (w->emotion) s = one(c, ids, n, BQB_EMOTION, w, &e, json, err);
    if (!s && w->style) s = one(c, ids, n, BQB_STYLE, w, &e, json, err);
    bqb_clip_free(m);
    return s;
}
