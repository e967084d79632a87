#define _GNU_SOURCE
#include "search/search.h"

#include "base/mem.h"
#include "file/safetensors.h"
#include "search/filter.h"
#include "search/fusion.h"
#include "search/lexical.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_RESULTS = 10000 };

typedef struct {
    bqb_sticker_id id;
    size_t row; /* SIZE_MAX: no vector */
    float cosine;
    double lexical, sum;
} entrant;

typedef struct {
    bqb_catalogue *c;
    const bqb_search_query *q;
    bqb_vectors *v;
    bqb_id_set set;
    bool all;          /* no filter */
    uint64_t *allow;   /* NULL: every row */
    bqb_spread text, image;
    bqb_word_hit *words;
    size_t n_words;
    entrant *e;
    size_t n, cap;
    double best_z, best_lexical;
} search;

static bqb_status enter(search *s, bqb_sticker_id id, size_t row, bqb_err *err) {
    entrant *e = bqb_grow(s->e, s->n, &s->cap, sizeof *e, 1024);
    if (!e) return bqb_fail_nomem(err, "results", (s->n + 1) * sizeof *e);
    s->e = e;
    s->e[s->n++] = (entrant){.id = id, .row = row};
    return BQB_OK;
}

/* The best rows for one vector enter; whoever is in neither these nor the word matches cannot win. */
static bqb_status enter_nearest(search *s, const float *vec, bqb_spread *spread, size_t k, bqb_err *err) {
    size_t n;
    if (k > s->v->n) k = s->v->n;
    bqb_hit *hits = bqb_calloc(k, sizeof *hits);
    if (!hits) return bqb_fail_nomem(err, "results", k * sizeof *hits);
    bqb_status st = bqb_scan(hits, k, &n, spread, s->v, vec, s->allow, s->q->threads, err);
    for (size_t i = 0; i < n && !st; i++) st = enter(s, s->v->id[hits[i].row], hits[i].row, err);
    free(hits);
    return st;
}

static bqb_status enter_words(search *s, bqb_err *err) {
    bqb_status st = bqb_lexical(&s->words, &s->n_words, s->c, s->q->text, err);
    for (size_t i = 0; i < s->n_words && !st; i++)
        if (s->all || bqb_id_set_has(&s->set, s->words[i].id))
            st = enter(s, s->words[i].id, s->v ? bqb_vectors_row(s->v, s->words[i].id) : SIZE_MAX, err);
    return st;
}

static int by_id(const void *a, const void *b) {
    const entrant *x = a, *y = b;
    return x->id < y->id ? -1 : x->id > y->id;
}

static int by_sum(const void *a, const void *b) {
    const entrant *x = a, *y = b;
    return x->sum > y->sum ? -1 : x->sum < y->sum ? 1 : by_id(a, b);
}

static double lexical_of(const search *s, bqb_sticker_id id) {
    size_t lo = 0, hi = s->n_words;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (s->words[mid].id == id) return s->words[mid].score;
        if (s->words[mid].id < id) lo = mid + 1;
        else hi = mid;
    }
    return 0;
}

/* Each sticker once, with its sum, best first. */
static void rank(search *s) {
    s->best_z = -INFINITY;
    const bqb_search_query *q = s->q;
    if (s->n) qsort(s->e, s->n, sizeof *s->e, by_id);
    size_t m = 0;
    for (size_t i = 0; i < s->n; i++) {
        entrant e = s->e[i];
        if ((m && s->e[m - 1].id == e.id) || e.id == q->except) continue;
        double zt = 0, zi = 0;
        e.lexical = lexical_of(s, e.id);
        if (e.row != SIZE_MAX && q->image_vec) {
            e.cosine = bqb_scan_row(s->v, e.row, q->image_vec);
            zi = bqb_fusion_z(e.cosine, &s->image);
        }
        if (e.row != SIZE_MAX && q->text_vec) {
            e.cosine = bqb_scan_row(s->v, e.row, q->text_vec);
            zt = bqb_fusion_z(e.cosine, &s->text);
            if (zt > s->best_z) s->best_z = zt;
        }
        if (e.lexical > s->best_lexical) s->best_lexical = e.lexical;
        bool picture_alone = q->image_vec && !q->text_vec && !(q->text && *q->text);
        e.sum = picture_alone ? (double)e.cosine : bqb_fusion_sum(zt, zi, e.lexical);
        s->e[m++] = e;
    }
    s->n = m;
    if (m) qsort(s->e, m, sizeof *s->e, by_sum);
}

/* Cosine of two stickers' pictures. */
static float resemblance(const search *s, float *vec, size_t a, size_t b) {
    if (a == SIZE_MAX || b == SIZE_MAX) return 0;
    for (size_t d = 0; d < s->v->dim; d++) vec[d] = bqb_f16_to_f32(s->v->f16[a * s->v->dim + d]);
    return bqb_scan_row(s->v, b, vec);
}

static bqb_status fold(search *s, bqb_err *err) {
    if (!(s->q->fold > 0) || !s->v) return BQB_OK;
    float *vec = bqb_calloc(s->v->dim, sizeof *vec);
    if (!vec) return bqb_fail_nomem(err, "results", s->v->dim * sizeof *vec);
    size_t m = 0;
    for (size_t i = 0; i < s->n && m < s->q->n; i++) {
        bool twin = false;
        for (size_t j = 0; j < m && !twin; j++)
            twin = (double)resemblance(s, vec, s->e[i].row, s->e[j].row) >= s->q->fold;
        if (!twin) s->e[m++] = s->e[i];
    }
    s->n = m;
    free(vec);
    return BQB_OK;
}

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
    bool picture_alone = s->q->image_vec && !s->q->text_vec && !(s->q->text && *s->q->text);
    out->item = bqb_calloc(n, sizeof *out->item);
    if (!out->item) return bqb_fail_nomem(err, "results", n * sizeof *out->item);
    for (size_t i = 0; i < n; i++) {
        bqb_status st = bqb_found_load(&out->item[out->n], s->c, s->e[i].id, err);
        if (st == BQB_ENOTFOUND) continue; /* removed by another process meanwhile */
        if (st) return st;
        bqb_found *f = &out->item[out->n++];
        f->cosine = s->e[i].cosine;
        f->lexical = s->e[i].lexical;
        f->score = picture_alone ? (double)f->cosine : bqb_fusion_score(s->e[i].sum);
    }
    return BQB_OK;
}

/* That nothing speaks for the best answer says something only where most stickers have words. */
static bqb_status judge(bqb_search_results *out, search *s, bqb_err *err) {
    double with_words = 0;
    if (!s->q->text || !*s->q->text || s->q->image_vec) return BQB_OK;
    if (bqb_fusion_fits(s->best_z, s->text.n, s->best_lexical)) {
        out->fits = BQB_FITS;
        return BQB_OK;
    }
    bqb_status st = bqb_catalogue_words_share(s->c, &with_words, err);
    if (!st && with_words >= 0.5) out->fits = BQB_FITS_NOT;
    return st;
}

static bqb_status run(bqb_search_results *out, search *s, bqb_err *err) {
    const bqb_search_query *q = s->q;
    bool words = q->text && *q->text, vectors = q->text_vec || q->image_vec;
    if (!words && !vectors) return bqb_fail(err, BQB_EINVAL, "nothing to search for: no words and no picture");
    if (!q->n || q->n > MAX_RESULTS)
        return bqb_fail(err, BQB_EINVAL, "%zu results were asked for; 1 to %d are possible", q->n, MAX_RESULTS);
    bqb_status st = bqb_filter(&s->set, &s->all, s->c, q->emotion, q->style, q->animated, err);
    if (!st && vectors) st = bqb_vectors_open(&s->v, s->c, q->model, "image", err);
    if (!st && s->v) {
        out->in_library = out->passed = s->v->n;
        if (!s->all) st = bqb_filter_rows(&s->allow, &out->passed, s->v, &s->set, err);
    }
    /* Folding drops some, and so does leaving one out. With two vectors the best of the sum
     * may be the best of neither, so many more enter. */
    size_t k = q->n + 1 + (q->fold > 0 ? 10 * q->n : 0);
    if (q->text_vec && q->image_vec) k = 20 * k + 1000;
    if (!st && s->v && q->text_vec) st = enter_nearest(s, q->text_vec, &s->text, k, err);
    if (!st && s->v && q->image_vec) st = enter_nearest(s, q->image_vec, &s->image, k, err);
    if (!st && words) st = enter_words(s, err);
    if (st) return st;
    rank(s);
    st = judge(out, s, err);
    if (!st) st = fold(s, err);
    return st ? st : load(out, s, err);
}

bqb_status bqb_search_run(bqb_search_results *out, bqb_catalogue *c, const bqb_search_query *q, bqb_err *err) {
    search s = {.c = c, .q = q};
    *out = (bqb_search_results){0};
    bqb_status st = run(out, &s, err);
    bqb_vectors_close(s.v);
    bqb_id_set_free(&s.set);
    free(s.allow);
    free(s.words);
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
