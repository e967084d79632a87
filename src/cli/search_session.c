#include "cli/search_session.h"

#include "cli/output.h"
#include "cli/search_explain.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bqb_status cli_search_open(cli_search_session *s, const cli_search_options *o, const char *library, bqb_err *err) {
    *s = (cli_search_session){.o = o};
    s->by_words = !o->by || strcmp(o->by, "picture") != 0;
    s->by_picture = !o->by || strcmp(o->by, "words") != 0;
    return bqb_catalogue_open(&s->c, library, BQB_CATALOGUE_READ, err);
}

void cli_search_free(cli_search_session *s) {
    bqb_catalogue_close(s->c);
    bqb_clip_free(s->m);
    free(s->text_vec);
    bqb_question_vectors_free(&s->pictures);
}

bqb_status cli_search_model(cli_search_session *s, int towers, bqb_err *err) {
    bqb_err why;
    bool has, must = (towers & BQB_TOWER_IMAGE) || !s->by_words;
    bqb_status st = bqb_clip_open(&s->m, cli_model_dir(s->o->model), towers, bqb_precision_best(), 0, &why);
    if ((st == BQB_EIO || st == BQB_ENOTFOUND) && !cli_model_named(s->o->model) && !must) {
        fprintf(stderr, "bqb: no model (%s): searching the words only\n", why.msg);
        return BQB_OK;
    }
    if (st) {
        if (err) *err = why;
        return st;
    }
    snprintf(s->model_id, sizeof s->model_id, "%s", bqb_clip_id(s->m));
    if ((st = bqb_catalogue_has_model(s->c, s->model_id, "image", &has, err)) || has) return st;
    char other[65];
    if ((st = bqb_catalogue_main_model(s->c, other, err))) return st;
    const char *fix = "`bqb import` with this --model makes them";
    if (must)
        return bqb_fail(err, BQB_ENOTFOUND, "the library has no vectors of this model%s; %s",
                        *other ? " (it has another's)" : "", fix);
    fprintf(stderr, "bqb: the library has no vectors of this model%s: searching the words only; %s\n",
            *other ? " (it has another's)" : "", fix);
    bqb_clip_free(s->m);
    s->m = NULL;
    return BQB_OK;
}

bqb_status cli_search_encode(cli_search_session *s, bqb_err *err) {
    const cli_search_options *o = s->o;
    bqb_question q = {.pictures = o->image.item, .n_pictures = o->image.n, .not_words = o->not_words.item,
                      .n_not_words = o->not_words.n, .not_pictures = o->not_image.item, .n_not_pictures = o->not_image.n};
    return bqb_encode_question(&s->pictures, s->by_picture ? s->m : NULL, s->m, &q, err);
}

bqb_status cli_search_query(cli_search_session *s, bqb_search_query *q, const char *words, bqb_err *err) {
    const cli_search_options *o = s->o;
    *q = (bqb_search_query){.model = s->model_id, .image_vec = s->pictures.image, .unlike_vec = s->pictures.unlike,
                            .n_unlike = s->pictures.n_unlike,
                            .n_unlike_words = s->pictures.n_unlike_words, .not_words = o->not_words.item,
                            .n_not_words = o->not_words.n, .emotion = o->emotion, .style = o->style,
                            .animated = o->animated, .n = o->n, .apart = o->all, .fold = o->fold, .picture_only = !s->by_words};
    if (!words) return BQB_OK;
    if (s->by_words) q->text = words;
    if (!s->m || !s->by_picture) return BQB_OK;
    bqb_question_vectors v;
    bqb_status st = bqb_encode_question(&v, s->m, NULL, &(bqb_question){.words = words}, err);
    free(s->text_vec);
    q->text_vec = s->text_vec = v.text;
    return st;
}

static bqb_status print_json(const cli_search_session *s, const bqb_search_results *r, const char *words,
                             const char *query, double took_ms, bqb_err *err) {
    json_t *o = json_object(), *list = json_array();
    cli_json_set(o, "query", cli_json_text(query));
    cli_json_set(o, "took_ms", json_real(took_ms));
    cli_json_set(o, "fits", r->fits == BQB_FITS_UNKNOWN ? json_null() : json_boolean(r->fits == BQB_FITS));
    for (size_t i = 0; list && i < r->n; i++) {
        json_t *f = cli_json_found(&r->item[i], i + 1);
        if (s->o->explain) cli_json_set(f, "explain", cli_json_explain(&r->item[i], s->c, words));
        if (!f || json_array_append_new(list, f)) {
            json_decref(list);
            list = NULL;
        }
    }
    cli_json_set(o, "results", list);
    return cli_json_print(o) ? bqb_fail(err, BQB_EIO, "standard output: the answer could not be written") : BQB_OK;
}

static void tell_gone(const bqb_search_results *r) {
    size_t n = 0;
    for (size_t i = 0; i < r->n; i++) n += access(r->item[i].path, F_OK) && errno == ENOENT;
    if (n) fprintf(stderr, "bqb: %zu of these %s gone; importing the folder, archive or set again notes it or brings it back\n", n,
                   n == 1 ? "is a sticker whose file is" : "are stickers whose files are");
}

bqb_status cli_search_answer(cli_search_session *s, const bqb_search_query *q, const char *query, double since_ms,
                             bqb_err *err) {
    bqb_search_results r;
    bqb_status st = bqb_search_run(&r, s->c, q, err);
    if (st) return st;
    double took_ms = cli_now_ms() - since_ms;
    const char *words = q->text ? q->text : "";
    if (s->o->json) st = print_json(s, &r, words, query, took_ms, err);
    else if (r.n) {
        if (r.fits == BQB_FITS_NOT) fputs("bqb: nothing in the library fits this query well; these are the nearest\n", stderr);
        if (s->o->explain) st = cli_show_explained(&r, s->c, words, err);
        else cli_show_results(&r, !s->o->no_pictures);
    } else fputs("nothing found\n", stderr);
    tell_gone(&r);
    bqb_search_results_free(&r);
    return st;
}
