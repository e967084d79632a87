/* Embeddings in the catalogue, and its figures. */
#include "library/catalogue_db.h"

#include "base/mem.h"
#include "file/safetensors.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_DIM = 65536 };

/* A statement whose first two values are a model and a kind of vector. */
static bqb_status prepare_kind(bqb_catalogue *c, bqb_statement which, sqlite3_stmt **st, const char *model, const char *kind,
                               bqb_err *err) {
    bqb_status s = bqb_db_prepare(c, which, st, err);
    if (s) return s;
    bind_text(*st, 1, model);
    bind_text(*st, 2, kind);
    return BQB_OK;
}

static bqb_status has_row(bqb_catalogue *c, sqlite3_stmt *st, bool *has, bqb_err *err) {
    bqb_status s = bqb_db_step(c, st, has, err);
    if (!s && *has) sqlite3_reset(st);
    return s;
}

/* Do all vectors of this kind belong to stickers before this one, also those that a cache may still have? */
static bqb_status is_last(bqb_catalogue *c, bqb_sticker_id id, const char *model, const char *kind, bool *last, bqb_err *err) {
    sqlite3_stmt *st;
    bool row;
    bqb_status s = prepare_kind(c, EMBEDDING_LAST, &st, model, kind, err);
    if (!s) s = bqb_db_step(c, st, &row, err);
    if (s) return s;
    *last = !row || sqlite3_column_int64(st, 0) < id;
    if (row) sqlite3_reset(st);
    return BQB_OK;
}

bqb_status bqb_catalogue_put_embedding(bqb_catalogue *c, bqb_sticker_id id, const char *model, const char *kind,
                                       const float *vec, size_t dim, bqb_err *err) {
    sqlite3_stmt *st;
    if (!dim || dim > MAX_DIM) return bqb_fail(err, BQB_EINVAL, "an embedding of %zu numbers", dim);
    uint16_t *half = bqb_calloc(dim, sizeof *half);
    if (!half) return bqb_fail_nomem(err, "embedding", dim * sizeof *half);
    for (size_t i = 0; i < dim; i++) half[i] = bqb_f32_to_f16(vec[i]);
    bqb_status s = bqb_db_prepare(c, MODEL_ADD, &st, err);
    if (!s) {
        bind_text(st, 1, model);
        sqlite3_bind_int64(st, 2, (int64_t)dim);
        s = bqb_db_run(c, st, err);
    }
    bool last = false;
    if (!s) s = is_last(c, id, model, kind, &last, err);
    if (!s) s = prepare_kind(c, EMBEDDING_PUT, &st, model, kind, err);
    if (!s) {
        sqlite3_bind_int64(st, 3, id);
        bind_blob(st, 4, half, dim * sizeof *half);
        sqlite3_bind_int64(st, 5, (int64_t)dim);
        s = bqb_db_run(c, st, err);
        if (!s && !sqlite3_changes(c->db))
            s = bqb_fail(err, BQB_EINVAL, "%s: model %.12s has vectors of another width than %zu", c->path, model, dim);
        sqlite3_clear_bindings(st);
        if (last) c->added = true;
        else if (!s) s = bqb_db_touch(c, id, err);
    }
    free(half);
    return s;
}

bqb_status bqb_catalogue_has_embedding(bqb_catalogue *c, bqb_sticker_id id, const char *model, const char *kind,
                                       bool *has, bqb_err *err) {
    sqlite3_stmt *st;
    *has = false;
    bqb_status s = prepare_kind(c, EMBEDDING_HAS, &st, model, kind, err);
    if (s) return s;
    sqlite3_bind_int64(st, 3, id);
    return has_row(c, st, has, err);
}

bqb_status bqb_catalogue_has_model(bqb_catalogue *c, const char *model, const char *kind, bool *has, bqb_err *err) {
    sqlite3_stmt *st;
    *has = false;
    bqb_status s = prepare_kind(c, EMBEDDING_ANY, &st, model, kind, err);
    return s ? s : has_row(c, st, has, err);
}

bqb_status bqb_catalogue_get_embedding(bqb_catalogue *c, bqb_sticker_id id, const char *kind, char model[65],
                                       float **vec, size_t *dim, bqb_err *err) {
    sqlite3_stmt *st;
    bool row;
    *vec = NULL;
    *dim = 0;
    bqb_status s = bqb_db_prepare(c, EMBEDDING_GET, &st, err);
    if (s) return s;
    sqlite3_bind_int64(st, 1, id);
    bind_text(st, 2, kind);
    if (*model) bind_text(st, 3, model);
    if ((s = bqb_db_step(c, st, &row, err))) return s;
    if (!row) return bqb_fail(err, BQB_ENOTFOUND, "sticker number %lld has no vector", (long long)id);
    const char *name = (const char *)sqlite3_column_text(st, 0);
    const uint8_t *half = sqlite3_column_blob(st, 1);
    size_t n = (size_t)sqlite3_column_bytes(st, 1) / 2;
    if (!name || strlen(name) != 64 || !half)
        s = bqb_fail(err, BQB_EFORMAT, "%s: damaged (the vector of sticker number %lld)", c->path, (long long)id);
    else if (!(*vec = bqb_calloc(n, sizeof(float)))) s = bqb_fail_nomem(err, "vector", n * sizeof(float));
    for (size_t i = 0; i < n && !s; i++) {
        uint16_t h;
        memcpy(&h, half + 2 * i, sizeof h);
        (*vec)[i] = bqb_f16_to_f32(h);
    }
    if (!s) {
        memcpy(model, name, 65);
        *dim = n;
    }
    sqlite3_reset(st);
    sqlite3_clear_bindings(st);
    return s;
}

bqb_status bqb_catalogue_count_embeddings(bqb_catalogue *c, const char *model, const char *kind, size_t *dim,
                                          size_t *n, bqb_err *err) {
    sqlite3_stmt *st;
    bool row;
    *dim = *n = 0;
    bqb_status s = prepare_kind(c, EMBEDDING_COUNT, &st, model, kind, err);
    if (s) return s;
    if ((s = bqb_db_step(c, st, &row, err))) return s;
    int64_t width = row ? sqlite3_column_int64(st, 0) : 0;
    int64_t count = row ? sqlite3_column_int64(st, 1) : 0;
    if (row) sqlite3_reset(st);
    if (count > 0 && (width < 1 || width > MAX_DIM))
        return bqb_fail(err, BQB_EFORMAT, "%s: damaged (model %.12s has vectors of %lld numbers)", c->path, model,
                        (long long)width);
    *n = (size_t)count;
    *dim = count ? (size_t)width : 0;
    return BQB_OK;
}

/* Hand the rows (sticker, vector, width) of st to fn. */
static bqb_status each_vector(bqb_catalogue *c, sqlite3_stmt *st, bqb_embedding_fn fn, void *ctx, bqb_err *err) {
    bool row;
    bqb_status s;
    while (!(s = bqb_db_step(c, st, &row, err)) && row) {
        const void *blob = sqlite3_column_blob(st, 1);
        int64_t dim = sqlite3_column_int64(st, 2);
        if (!blob || sqlite3_column_bytes(st, 1) != dim * 2) {
            s = bqb_fail(err, BQB_EFORMAT, "%s: damaged (the vector of sticker number %lld has %d bytes, not %lld)",
                         c->path, (long long)sqlite3_column_int64(st, 0), sqlite3_column_bytes(st, 1),
                         (long long)dim * 2);
            break;
        }
        if (!fn(ctx, sqlite3_column_int64(st, 0), blob, (size_t)dim)) continue;
        s = bqb_fail(err, BQB_ECANCEL, "stopped");
        break;
    }
    sqlite3_reset(st);
    return s;
}

bqb_status bqb_catalogue_each_embedding(bqb_catalogue *c, const char *model, const char *kind, bqb_embedding_fn fn,
                                        void *ctx, bqb_err *err) {
    sqlite3_stmt *st;
    bqb_status s = prepare_kind(c, EMBEDDING_EACH, &st, model, kind, err);
    return s ? s : each_vector(c, st, fn, ctx, err);
}

bqb_status bqb_catalogue_each_embedding_after(bqb_catalogue *c, const char *model, const char *kind,
                                              bqb_sticker_id last, bqb_embedding_fn fn, void *ctx, bqb_err *err) {
    sqlite3_stmt *st;
    bqb_status s = prepare_kind(c, EMBEDDING_AFTER, &st, model, kind, err);
    if (s) return s;
    sqlite3_bind_int64(st, 3, last);
    return each_vector(c, st, fn, ctx, err);
}

bqb_status bqb_catalogue_each_embedding_touched(bqb_catalogue *c, const char *model, const char *kind, uint64_t generation,
                                                bqb_embedding_fn fn, void *ctx, bqb_err *err) {
    sqlite3_stmt *st;
    bqb_status s = prepare_kind(c, EMBEDDING_TOUCHED, &st, model, kind, err);
    if (s) return s;
    sqlite3_bind_int64(st, 3, (int64_t)generation);
    return each_vector(c, st, fn, ctx, err);
}

bqb_status bqb_catalogue_each_touched(bqb_catalogue *c, uint64_t generation, bqb_id_fn fn, void *ctx, bqb_err *err) {
    sqlite3_stmt *st;
    bqb_status s = bqb_db_prepare(c, TOUCHED, &st, err);
    if (s) return s;
    sqlite3_bind_int64(st, 1, (int64_t)generation);
    return bqb_db_each_id(c, st, fn, ctx, err);
}

bqb_status bqb_catalogue_each_unembedded(bqb_catalogue *c, const char *model, const char *kind, bqb_path_fn fn,
                                         void *ctx, bqb_err *err) {
    sqlite3_stmt *st;
    bqb_status s = prepare_kind(c, EMBEDDING_LACKING, &st, model, kind, err);
    return s ? s : bqb_db_each_path(c, st, fn, ctx, err);
}

bqb_status bqb_catalogue_each_unworded(bqb_catalogue *c, const char *model, bqb_id_fn fn, void *ctx, bqb_err *err) {
    sqlite3_stmt *st;
    bqb_status s = bqb_db_prepare(c, UNWORDED, &st, err);
    if (s) return s;
    bind_text(st, 1, model);
    return bqb_db_each_id(c, st, fn, ctx, err);
}

bqb_status bqb_catalogue_main_model(bqb_catalogue *c, char model[65], bqb_err *err) {
    sqlite3_stmt *st;
    bool row;
    model[0] = 0;
    bqb_status s = bqb_db_prepare(c, MODEL_MAIN, &st, err);
    if (!s) s = bqb_db_step(c, st, &row, err);
    if (s) return s;
    const char *name = row ? (const char *)sqlite3_column_text(st, 0) : NULL;
    if (name && strlen(name) == 64) memcpy(model, name, 65);
    if (row) sqlite3_reset(st);
    return BQB_OK;
}

/* ---- figures ---- */

bqb_status bqb_catalogue_get_stats(bqb_catalogue *c, bqb_catalogue_stats *out, bqb_err *err) {
    sqlite3_stmt *st;
    bool row;
    *out = (bqb_catalogue_stats){0};
    bqb_status s = bqb_db_prepare(c, STATS, &st, err);
    if (!s) s = bqb_db_step(c, st, &row, err);
    if (s) return s;
    if (row) {
        uint64_t *const to[] = {&out->stickers, &out->animated, &out->files, &out->missing,
                                &out->with_embedding, &out->models, &out->bytes};
        for (int i = 0; i < (int)(sizeof to / sizeof *to); i++) *to[i] = (uint64_t)sqlite3_column_int64(st, i);
        sqlite3_reset(st);
    }
    for (int f = 0; f < BQB_FIELDS && !s; f++) {
        if ((s = bqb_db_prepare(c, STATS_FIELD, &st, err))) break;
        bind_text(st, 1, bqb_field_name((bqb_field)f));
        s = bqb_db_step(c, st, &row, err);
        if (!s && row) out->with_field[f] = (uint64_t)sqlite3_column_int64(st, 0);
        if (row) sqlite3_reset(st);
    }
    return s;
}
