#include "library/labeller.h"

#include "base/mem.h"
#include "library/embed_words.h"
#include "library/familiar.h"
#include "model/prompts.h"
#include "model/texts.h"
#include "text/label_names.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BLOCK = 64,        /* stickers a transaction */
    SAMPLE = 200,      /* stickers that tell whether the model knows them */
    LOOK_AT = 2000,    /* stickers among which those are looked for */
    WORDS_NEEDED = 30,
    OWN_CLASS_SIZE = 3,
    MAX_CLASSES = 512,
};

static const double PICTURE_ALONE = 0.8, BESIDE_WORDS = 0.64;

static bqb_status encode_clip(void *ctx, float *out, const char *const *texts, size_t n, bqb_err *err) {
    return bqb_embed_texts(out, ctx, bqb_clip_tokenizer(ctx), texts, n, NULL, NULL, err);
}

bqb_text_embedder bqb_text_embedder_of_clip(bqb_clip *m) {
    return (bqb_text_embedder){.id = bqb_clip_id(m), .dim = bqb_clip_get_config(m)->embed,
                               .scale = exp((double)*bqb_clip_logit_scale(m)), .ctx = m, .encode = encode_clip};
}

/* ---- classes ---- */

typedef struct {
    char **name;    /* owned */
    float *feature; /* [n,D] */
    size_t n, cap;
    bqb_field field;
    bool failed;
} classes;

static bool add_class(classes *k, const char *name) {
    char **p = bqb_grow(k->name, k->n, &k->cap, sizeof *p, 32);
    if (p) k->name = p;
    char *copy = p ? bqb_strdup(name) : NULL;
    if (copy) k->name[k->n++] = copy;
    else k->failed = true;
    return copy != NULL;
}

static int add_given(void *ctx, const char *value, size_t n_stickers) {
    classes *k = ctx;
    if (n_stickers < OWN_CLASS_SIZE || k->n == MAX_CLASSES || bqb_label_is_neutral(k->field, value)) return 0;
    return !add_class(k, value);
}

static void drop_names(classes *k) {
    for (size_t i = 0; i < k->n; i++) free(k->name[i]);
    k->n = 0;
}

static void classes_free(classes *k) {
    drop_names(k);
    free(k->name);
    free(k->feature);
}

static bqb_status embed_classes(classes *k, const bqb_text_embedder *e, bqb_err *err) {
    char **texts = NULL;
    size_t each = 0;
    bqb_status s = bqb_prompts_new(&texts, &each, k->field, (const char *const *)k->name, k->n, err);
    if (s) return s;
    float *rows = bqb_alloc_aligned(k->n * each * e->dim, sizeof *rows);
    k->feature = bqb_alloc_aligned(k->n * e->dim, sizeof *k->feature);
    if (!rows || !k->feature) s = bqb_fail_nomem(err, "classes", k->n * each * e->dim * sizeof *rows);
    if (!s) s = e->encode(e->ctx, rows, (const char *const *)texts, k->n * each, err);
    if (!s) bqb_prompts_average(k->feature, rows, k->n, each, e->dim);
    bqb_prompts_free(texts, k->n * each);
    free(rows);
    return s;
}

/* The library's own labels where `c` is given and has enough of them, else the built-in ones. */
static bqb_status classes_new(classes *k, bqb_field field, bqb_catalogue *c, const bqb_text_embedder *e, bool *own,
                              bqb_err *err) {
    *k = (classes){.field = field};
    *own = false;
    bqb_status s = c ? bqb_catalogue_each_given(c, field, add_given, k, err) : BQB_OK;
    if (s && !k->failed) return s;
    *own = k->n >= BQB_OWN_CLASSES;
    if (!*own && !k->failed) {
        size_t n;
        const char *const *names = bqb_label_names(field, &n);
        drop_names(k);
        for (size_t i = 0; i < n; i++)
            if (!add_class(k, names[i])) break;
    }
    if (k->failed) return bqb_fail_nomem(err, "classes", k->cap * sizeof *k->name);
    return embed_classes(k, e, err);
}

static double dot(const float *x, const float *y, size_t D) {
    double s = 0;
    for (size_t d = 0; d < D; d++) s += (double)x[d] * (double)y[d];
    return s;
}

/* The best class and its chance; words NULL: none. p is room for [k->n]. */
static size_t choose(double *chance, double *p, const classes *k, size_t D, const float *picture, double by_picture,
                     const float *words, double by_words) {
    size_t best = 0;
    for (size_t i = 0; i < k->n; i++) {
        p[i] = by_picture * dot(picture, k->feature + i * D, D);
        if (words) p[i] += by_words * dot(words, k->feature + i * D, D);
    }
    bqb_softmax_f64(p, k->n);
    for (size_t i = 1; i < k->n; i++)
        if (p[i] > p[best]) best = i;
    *chance = p[best];
    return best;
}

/* ---- stickers, a block at a time ---- */

typedef struct {
    bqb_sticker_id id[BLOCK];
    float *picture, *words; /* [BLOCK,D]; words of those with text */
    char *text[BLOCK];      /* owned; NULL: no words */
    bool ready[BLOCK];      /* the library has the vector of this very text: it stands in words */
    size_t n;
} block;

typedef struct {
    bqb_catalogue *c;
    const bqb_label_options *o;
    const bqb_text_embedder *e;
    bqb_label_report *report;
    bqb_field field;
    classes k;
    double *p; /* [k.n] */
    block b;
} work;

/* What is written of a sticker, without its labels: fresh memory, or NULL where there is nothing. */
static bqb_status words_of(char **out, const bqb_annotated *a, bqb_err *err) {
    bqb_annotation words = {{0}};
    bqb_buf b = {.max = 1 << 16};
    *out = NULL;
    words.field[BQB_CAPTION] = a->field[BQB_CAPTION];
    words.field[BQB_OCR] = a->field[BQB_OCR];
    bqb_status s = bqb_annotation_text(&b, &words, NULL, err);
    if (!s && b.len) *out = b.data;
    else bqb_buf_free(&b);
    return s;
}

static bool is_given(const bqb_annotated *a, bqb_field f) { return a->field[f] && a->origin[f] <= BQB_GIVEN; }

/* A vector of a sticker into out [D]; *found false when the library has none of this model. */
static bqb_status vector_of(float *out, bool *found, bqb_catalogue *c, const bqb_text_embedder *e, bqb_sticker_id id,
                            const char *kind, bqb_err *err) {
    char model[65];
    float *vec = NULL;
    size_t dim = 0;
    snprintf(model, sizeof model, "%s", e->id);
    bqb_status s = bqb_catalogue_get_embedding(c, id, kind, model, &vec, &dim, err);
    *found = !s && dim == e->dim;
    if (*found) memcpy(out, vec, dim * sizeof *out);
    free(vec);
    return s == BQB_ENOTFOUND ? BQB_OK : s;
}

/* The vector of what is written of a sticker, where the library has one of this very text: of a caption alone, or words on
 * the picture alone. */
static bqb_status stored_words(float *out, bool *found, bqb_catalogue *c, const bqb_text_embedder *e, bqb_sticker_id id,
                               const bqb_annotated *a, const char *text, bqb_err *err) {
    const char *embedded = bqb_spoken(a);
    *found = false;
    if (!text || !embedded || strcmp(text, embedded)) return BQB_OK;
    return vector_of(out, found, c, e, id, BQB_KIND_TEXT, err);
}

/* Take a sticker into the block unless its label is given or it has no vector. */
static bqb_status take(work *w, bqb_sticker_id id, bqb_err *err) {
    bqb_annotated a;
    block *b = &w->b;
    bool found = false;
    bqb_status s = bqb_catalogue_get_annotation(w->c, id, &a, err);
    if (s) return s;
    if (is_given(&a, w->field) || (w->field == BQB_EMOTION && is_given(&a, BQB_EMOTION_LABEL))) w->report->given++;
    else {
        s = vector_of(b->picture + b->n * w->e->dim, &found, w->c, w->e, id, "image", err);
        if (!s && !found) w->report->without_vector++;
        if (!s && found) s = words_of(&b->text[b->n], &a, err);
        if (!s && found && w->field == BQB_EMOTION)
            s = stored_words(b->words + b->n * w->e->dim, &b->ready[b->n], w->c, w->e, id, &a, b->text[b->n], err);
        if (!s && found) b->id[b->n++] = id;
    }
    bqb_annotated_free(&a);
    return s;
}

static void empty(block *b) {
    for (size_t i = 0; i < b->n; i++) free(b->text[i]);
    b->n = 0;
}

/* The rows of words [n,D] that are not ready yet, of stickers that have a text; the others stay. */
static bqb_status embed_texts(float *words, char *const *text, const bool *ready, size_t n, const bqb_text_embedder *e,
                              bqb_err *err) {
    size_t D = e->dim, m = 0;
    const char **texts = bqb_calloc(n, sizeof *texts);
    size_t *at = bqb_calloc(n, sizeof *at);
    float *made = bqb_calloc(n, D * sizeof *made);
    bqb_status s = texts && at && made ? BQB_OK : bqb_fail_nomem(err, "words", n * D * sizeof *made);
    for (size_t i = 0; i < n && !s; i++)
        if (text[i] && !ready[i]) {
            texts[m] = text[i];
            at[m++] = i;
        }
    if (!s && m) s = e->encode(e->ctx, made, texts, m, err);
    for (size_t i = 0; i < m && !s; i++) memcpy(words + at[i] * D, made + i * D, D * sizeof *made);
    free(texts);
    free(at);
    free(made);
    return s;
}

static bqb_status store(work *w, size_t i, bqb_err *err) {
    size_t D = w->e->dim;
    bool changed = false, words = w->b.text[i] && w->field == BQB_EMOTION;
    double by_picture = w->report->trust * w->e->scale * (words ? BESIDE_WORDS : PICTURE_ALONE), chance = 0;
    size_t best = choose(&chance, w->p, &w->k, D, w->b.picture + i * D, by_picture, words ? w->b.words + i * D : NULL,
                         w->e->scale * BESIDE_WORDS);
    chance = floor(chance * 1000) / 1000;
    if (chance >= w->o->min_score && (words || w->report->trust > 0)) {
        bqb_annotation a = {{0}};
        a.field[w->field] = w->k.name[best];
        w->report->labelled++;
        bqb_status s = bqb_catalogue_annotate(w->c, w->b.id[i], &a, BQB_ZERO_SHOT, chance, NULL, &changed, err);
        w->report->changed += changed;
        return s;
    }
    w->report->unsure++;
    bqb_status s = bqb_catalogue_forget(w->c, w->b.id[i], w->field, BQB_ZERO_SHOT, &changed, err);
    w->report->changed += changed;
    return s;
}

static bqb_status finish(work *w, bqb_err *err) {
    if (!w->b.n) return BQB_OK;
    block *b = &w->b;
    bqb_status s = w->field == BQB_EMOTION ? embed_texts(b->words, b->text, b->ready, b->n, w->e, err) : BQB_OK;
    if (!s) s = bqb_catalogue_begin(w->c, err);
    for (size_t i = 0; i < w->b.n && !s; i++) s = store(w, i, err);
    if (!s) s = bqb_catalogue_commit(w->c, err);
    if (s) bqb_catalogue_rollback(w->c);
    empty(&w->b);
    return s;
}

/* ---- trust ---- */

static double ramp(double x, double from, double to) { return x <= from ? 0 : x >= to ? 1 : (x - from) / (to - from); }

/* How surely the style of these pictures [n,D] is told, on average. */
static bqb_status style_certainty(double *mean, const float *picture, size_t n, const bqb_text_embedder *e, bqb_err *err) {
    classes k;
    bool own;
    *mean = 0;
    bqb_status s = classes_new(&k, BQB_STYLE, NULL, e, &own, err);
    double *p = s ? NULL : bqb_calloc(k.n, sizeof *p);
    if (!s && !p) s = bqb_fail_nomem(err, "chances", k.n * sizeof *p);
    for (size_t i = 0; i < n && !s; i++) {
        double chance;
        choose(&chance, p, &k, e->dim, picture + i * e->dim, e->scale * PICTURE_ALONE, NULL, 0);
        *mean += chance / (double)n;
    }
    free(p);
    classes_free(&k);
    return s;
}

typedef struct {
    float *picture, *worded, *words; /* [SAMPLE,D]: of any; of those with words, and their words */
    char *text[SAMPLE];
    bool ready[SAMPLE];
    size_t n, n_worded;
} sample;

static bqb_status sample_one(sample *t, bqb_catalogue *c, const bqb_text_embedder *e, bqb_sticker_id id, bqb_err *err) {
    bqb_annotated a;
    bool found;
    char *text = NULL;
    float *row = t->picture + (t->n < SAMPLE ? t->n : SAMPLE - 1) * e->dim; /* when full the last gives way */
    bqb_status s = vector_of(row, &found, c, e, id, "image", err);
    if (s || !found) return s;
    if (t->n < SAMPLE) t->n++;
    if ((s = bqb_catalogue_get_annotation(c, id, &a, err))) return s;
    s = words_of(&text, &a, err);
    if (text) s = stored_words(t->words + t->n_worded * e->dim, &t->ready[t->n_worded], c, e, id, &a, text, err);
    bqb_annotated_free(&a);
    if (!text) return s;
    memcpy(t->worded + t->n_worded * e->dim, row, e->dim * sizeof *row);
    t->text[t->n_worded++] = text;
    return s;
}

/* trust, from stickers spread over the library. */
static bqb_status measure_trust(double *trust, bqb_catalogue *c, const bqb_text_embedder *e, const bqb_sticker_id *id,
                                size_t n, bqb_err *err) {
    size_t D = e->dim, looked = n < LOOK_AT ? n : LOOK_AT;
    sample t = {.picture = bqb_alloc_aligned(SAMPLE * D, sizeof(float)),
                .worded = bqb_alloc_aligned(SAMPLE * D, sizeof(float)),
                .words = bqb_alloc_aligned(SAMPLE * D, sizeof(float))};
    bqb_status s = t.picture && t.worded && t.words ? BQB_OK : bqb_fail_nomem(err, "sample", 3 * SAMPLE * D * sizeof(float));
    for (size_t i = 0; i < looked && t.n_worded < SAMPLE && !s; i++) s = sample_one(&t, c, e, id[i * n / looked], err);
    if (!s && t.n_worded >= WORDS_NEEDED) {
        s = embed_texts(t.words, t.text, t.ready, t.n_worded, e, err);
        if (!s) *trust = ramp(bqb_familiarity(t.worded, t.words, t.n_worded, t.picture, t.n, D), 0.55, 1.45);
    } else if (!s) {
        double certainty;
        s = style_certainty(&certainty, t.picture, t.n, e, err);
        if (!s) *trust = ramp(certainty, 0.7, 0.8);
    }
    for (size_t i = 0; i < t.n_worded; i++) free(t.text[i]);
    free(t.picture);
    free(t.worded);
    free(t.words);
    return s;
}

/* ---- all of it ---- */

static bqb_status label_all(work *w, const bqb_sticker_id *id, size_t n, bqb_err *err) {
    bqb_status s = BQB_OK;
    const char *what = w->field == BQB_EMOTION ? "emotions" : "styles";
    for (size_t i = 0; i < n && !s; i++) {
        s = take(w, id[i], err);
        if (s || (w->b.n < BLOCK && (i + 1) % 1024 && i + 1 < n)) continue;
        s = finish(w, err);
        if (!s && w->o->progress && w->o->progress(w->o->ctx, what, i + 1, n))
            s = bqb_fail(err, BQB_ECANCEL, "stopped; the labels so far are kept, the same command goes on from here");
    }
    return s;
}

bqb_status bqb_library_label(bqb_catalogue *c, const bqb_sticker_id *ids, size_t n, bqb_field field,
                             const bqb_label_options *o, bqb_label_report *r, bqb_err *err) {
    bqb_sticker_id *shown = NULL;
    size_t n_shown = 0, D = o->embedder->dim;
    *r = (bqb_label_report){.trust = 1};
    if (field != BQB_EMOTION && field != BQB_STYLE)
        return bqb_fail(err, BQB_EINVAL, "only emotion and style are guessed, not \"%s\"", bqb_field_name(field));
    work w = {.c = c, .o = o, .e = o->embedder, .report = r, .field = field};
    bqb_status s = bqb_catalogue_list_shown(c, &shown, &n_shown, err);
    r->stickers = ids ? n : n_shown;
    if (!s) s = classes_new(&w.k, field, c, w.e, &r->own_classes, err);
    r->classes = w.k.n;
    if (!s && field == BQB_EMOTION) s = measure_trust(&r->trust, c, w.e, shown, n_shown, err);
    w.p = bqb_calloc(w.k.n, sizeof *w.p);
    w.b.picture = bqb_alloc_aligned(BLOCK * D, sizeof(float));
    w.b.words = bqb_alloc_aligned(BLOCK * D, sizeof(float));
    if (!s && (!w.p || !w.b.picture || !w.b.words)) s = bqb_fail_nomem(err, "labels", 2 * BLOCK * D * sizeof(float));
    if (!s) s = label_all(&w, ids ? ids : shown, r->stickers, err);
    empty(&w.b);
    classes_free(&w.k);
    free(w.p);
    free(w.b.picture);
    free(w.b.words);
    free(shown);
    return s;
}
