#define _GNU_SOURCE
#include "search/search.h"

#include "base/mem.h"
#include "base/utf8.h"
#include "search/folding.h"
#include "search/parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_RESULTS = 10000 };

typedef struct {
    bqb_catalogue *c;
    const bqb_search_query *q;
    bqb_parts *parts;
    bqb_entrant *e;
    size_t n;
} search;

bqb_status bqb_found_load(bqb_found *out, bqb_catalogue *c, bqb_sticker_id id, bqb_err *err) {
    bqb_annotated a = {0};
    *out = (bqb_found){0};
    bqb_status s = bqb_catalogue_get_sticker(c, id, &out->sticker, err);
    if (!s) s = bqb_catalogue_short_id(c, out->sticker.sha256, out->id, err);
    if (!s) s = bqb_catalogue_path_of(c, id, &out->path, &out->missing, err);
    if (!s) s = bqb_catalogue_get_annotation(c, id, &a, err);
    for (int f = 0; f < BQB_FIELDS && !s; f++) {
        out->field[f] = a.field[f] ? a.field[f] : bqb_strdup("");
        a.field[f] = NULL;
        if (!out->field[f]) s = bqb_fail_nomem(err, "result", 1);
    }
    bqb_annotated_free(&a);
    if (s) bqb_found_free(out);
    return s;
}

void bqb_found_free(bqb_found *f) {
    free(f->path);
    for (int i = 0; i < BQB_FIELDS; i++) free(f->field[i]);
    *f = (bqb_found){0};
}

static bqb_status load(bqb_search_results *out, const search *s, bqb_err *err) {
    size_t n = s->n < s->q->n ? s->n : s->q->n;
    bool picture_alone = bqb_parts_picture_alone(s->q);
    out->item = bqb_calloc(n, sizeof *out->item);
    if (!out->item) return bqb_fail_nomem(err, "results", n * sizeof *out->item);
    for (size_t i = 0; i < n; i++) {
        const bqb_entrant *e = &s->e[i];
        bqb_status st = bqb_found_load(&out->item[out->n], s->c, e->id, err);
        if (st == BQB_ENOTFOUND) continue; /* removed by another process meanwhile */
        if (st) return st;
        bqb_found *f = &out->item[out->n++];
        f->sum = e->sum;
        f->folded = e->folded;
        f->score = picture_alone ? e->sum : bqb_fusion_score(e->sum);
        memcpy(f->reason, e->reason, sizeof f->reason);
    }
    return BQB_OK;
}

/* That nothing speaks for the best answer says something only where most stickers have words. */
static bqb_status judge(bqb_search_results *out, const search *s, bqb_err *err) {
    double with_words = 0, best_z = -INFINITY, best_words = 0;
    if (!s->q->text || !*s->q->text || s->q->image_vec) return BQB_OK;
    if (!s->n && bqb_parts_vectors(s->parts)) return BQB_OK; /* nothing passed the filters */
    for (size_t i = 0; i < s->n; i++) {
        const bqb_reason *picture = &s->e[i].reason[BQB_PART_PICTURE], *words = &s->e[i].reason[BQB_PART_WORDS];
        if (picture->known && picture->z > best_z) best_z = picture->z;
        if (words->raw > best_words) best_words = words->raw;
    }
    if (bqb_fusion_fits(best_z, bqb_parts_spread(s->parts, BQB_PART_PICTURE).n, best_words,
                        bqb_parts_trust(s->parts))) {
        out->fits = BQB_FITS;
        return BQB_OK;
    }
    bqb_status st = bqb_catalogue_words_share(s->c, &with_words, err);
    if (!st && with_words >= 0.5) out->fits = BQB_FITS_NOT;
    return st;
}

const char *bqb_query_problem(const char *text, size_t n) {
    if (n > BQB_QUERY_MAX) return "longer than 16 KiB";
    return bqb_utf8_check(text, n) < n ? "not valid UTF-8" : NULL;
}

static bqb_status check_words(const char *what, const char *text, bqb_err *err) {
    const char *problem = text ? bqb_query_problem(text, strlen(text)) : NULL;
    return problem ? bqb_fail(err, BQB_EINVAL, "the %s is %s", what, problem) : BQB_OK;
}

static bqb_status check(const bqb_search_query *q, bqb_err *err) {
    bqb_status s = check_words("query", q->text, err);
    if (!s) s = check_words("emotion", q->emotion, err);
    if (!s) s = check_words("style", q->style, err);
    for (size_t i = 0; i < q->n_not_words && !s; i++) s = check_words("unwanted text", q->not_words[i], err);
    return s;
}

static bqb_status run(bqb_search_results *out, search *s, bqb_err *err) {
    const bqb_search_query *q = s->q;
    if (!(q->text && *q->text) && !q->text_vec && !q->image_vec)
        return bqb_fail(err, BQB_EINVAL, "nothing to search for: no words and no picture");
    if (!q->n || q->n > MAX_RESULTS)
        return bqb_fail(err, BQB_EINVAL, "%zu results were asked for; 1 to %d are possible", q->n, MAX_RESULTS);
    bqb_status st = check(q, err);
    if (!st) st = bqb_parts_open(&s->parts, s->c, q, err);
    if (st) return st;
    const bqb_vectors *v = bqb_parts_vectors(s->parts);
    out->in_library = v ? v->n : 0;
    out->passed = bqb_parts_passed(s->parts);
    /* Folding drops some; whether the answer fits is judged by the best few. */
    size_t k = q->n + (q->fold > 0 || !q->apart ? 10 * q->n : 0);
    st = bqb_parts_best(s->parts, &s->e, &s->n, k < 20 ? 20 : k, err);
    if (!st) st = judge(out, s, err);
    if (!st) st = bqb_fold(s->e, &s->n, s->c, s->parts, q, err);
    return st ? st : load(out, s, err);
}

bqb_status bqb_search_run(bqb_search_results *out, bqb_catalogue *c, const bqb_search_query *q, bqb_err *err) {
    search s = {.c = c, .q = q};
    *out = (bqb_search_results){0};
    bqb_status st = run(out, &s, err);
    bqb_parts_close(s.parts);
    free(s.e);
    if (st) bqb_search_results_free(out);
    return st;
}

void bqb_search_results_free(bqb_search_results *r) {
    for (size_t i = 0; i < r->n; i++) bqb_found_free(&r->item[i]);
    free(r->item);
    *r = (bqb_search_results){0};
}

bqb_status bqb_find_named(bqb_sticker_id *id, bqb_catalogue *c, const char *name, bqb_err *err) {
    bqb_file f;
    bool known = false;
    char *real = realpath(name, NULL);
    bqb_status s = bqb_catalogue_get_file(c, real ? real : name, &f, &known, err);
    free(real);
    if (s) return s;
    if (known) {
        *id = f.sticker;
        return BQB_OK;
    }
    s = bqb_catalogue_find_prefix(c, name, id, err);
    if (s == BQB_EINVAL && (strchr(name, '/') || strchr(name, '.')))
        return bqb_fail(err, BQB_ENOTFOUND, access(name, F_OK) ? "%s: no such file" : "%s: no file of this library", name);
    return s;
}
