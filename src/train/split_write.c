/* A split on disk: tables, pictures, and what was left out. */
#define _GNU_SOURCE
#include "train/split.h"

#include "base/sha256.h"
#include "base/words.h"
#include "file/table.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    const bqb_dataset *ds;
    const bqb_split_options *o;
    const bqb_copies *c;
    const uint8_t *side;
    char *dir[BQB_SIDES]; /* absolute, without links; NULL: not written */
    bqb_split_report *r;
} writing;

/* The absolute path without links in its folders; its own name stays. */
static bqb_status find_real(char **out, const char *path, bqb_err *err) {
    const char *name = bqb_path_base(path);
    char *dir = bqb_strndup(path, (size_t)(name - path)), *real = NULL;
    if (dir) real = realpath(*dir ? dir : ".", NULL);
    free(dir);
    if (!real) return bqb_fail_errno(err, "%s", path);
    *out = bqb_path_join(real, name);
    free(real);
    return *out ? BQB_OK : bqb_fail_nomem(err, path, strlen(path));
}

/* `to` as seen from the folder `from`; both absolute, without links. */
static bqb_status relate(bqb_buf *out, const char *from, const char *to, bqb_err *err) {
    size_t same = 0, i = 0;
    for (; from[i] && from[i] == to[i]; i++)
        if (to[i] == '/') same = i + 1;
    if (!from[i] && to[i] == '/') same = i + 1;
    bqb_status s = BQB_OK;
    out->len = 0;
    if (from[i] || to[i] != '/') {
        for (const char *p = from + same; *p && !s; p++)
            if (p == from + same || p[-1] == '/') s = bqb_buf_puts(out, "../", err);
    }
    return s ? s : bqb_buf_puts(out, to + same, err);
}

/* ---- pictures ---- */

static bqb_status picture_name(char **out, const writing *w, size_t i, bqb_err *err) {
    const bqb_copy *x = &w->c->item[i];
    char hex[65];
    bqb_hex(hex, x->sha256, sizeof x->sha256);
    *out = bqb_asprintf("images/%.20s.%s", hex, strcmp(x->format, "jpeg") ? x->format : "jpg");
    return *out ? BQB_OK : bqb_fail_nomem(err, "path", 64);
}

static bool has_own_copy(const writing *w, size_t i) {
    return w->o->pictures != BQB_SPLIT_REFER || !bqb_dataset_is_file(w->ds, i);
}

static bqb_status put_picture(const writing *w, size_t i, bqb_err *err) {
    char *name = NULL, *to = NULL;
    bqb_status s = picture_name(&name, w, i, err);
    if (!s && !(to = bqb_path_join(w->dir[w->side[i]], name))) s = bqb_fail_nomem(err, name, strlen(name));
    const char *path = bqb_dataset_at(w->ds, i)->path;
    if (!s && !bqb_is_file(to)) { /* it may be there from a time that was stopped */
        if (w->o->pictures == BQB_SPLIT_LINK && bqb_dataset_is_file(w->ds, i)) {
            if (link(path, to) && errno != EEXIST)
                s = errno == EXDEV ? bqb_fail(err, BQB_EIO, "%s: lies on another file system than %s and cannot be linked; --pictures copy", path, w->o->out)
                                   : bqb_fail_errno(err, "%s: linked to %s", path, to);
        } else {
            bqb_picture p;
            s = bqb_dataset_picture(w->ds, i, &p, err);
            if (!s) s = bqb_file_write(to, p.data, p.size, err);
            bqb_picture_close(&p);
        }
        if (!s) w->r->copied++;
    }
    free(name);
    free(to);
    return s;
}

static bqb_status put_pictures(const writing *w, bqb_err *err) {
    bqb_status s = BQB_OK;
    size_t n = 0, done = 0, total = 0;
    for (size_t i = 0; i < w->c->n; i++) total += w->side[i] < BQB_SIDES && has_own_copy(w, i);
    for (size_t k = 0; k < BQB_SIDES && total && !s; k++) {
        if (!w->dir[k]) continue;
        char *images = bqb_path_join(w->dir[k], "images");
        s = images ? bqb_make_dirs(images, err) : bqb_fail_nomem(err, "path", 16);
        free(images);
    }
    for (size_t i = 0; i < w->c->n && n < total && !s; i++) {
        if (w->side[i] == BQB_SIDES || !has_own_copy(w, i)) continue;
        s = put_picture(w, i, err);
        n++;
        if (!s && w->o->progress && w->o->progress(w->o->ctx, "copying pictures", ++done, total))
            s = bqb_fail(err, BQB_ECANCEL, "stopped while copying pictures");
    }
    return s;
}

/* ---- tables ---- */

/* The picture's name as a side's tables have it. */
static bqb_status name_of(bqb_buf *out, const writing *w, size_t i, bqb_err *err) {
    char *text = NULL;
    bool own = has_own_copy(w, i);
    bqb_status s = own ? picture_name(&text, w, i, err) : find_real(&text, bqb_dataset_at(w->ds, i)->path, err);
    out->len = 0;
    if (!s) s = own ? bqb_buf_puts(out, text, err) : relate(out, w->dir[w->side[i]], text, err);
    free(text);
    return s;
}

typedef struct {
    bqb_outfile captions, queries;
    size_t n_queries;
} tables;

static bqb_status write_row(const writing *w, tables *t, size_t i, const bool *used, bqb_buf *name, bqb_err *err) {
    const bqb_sample *x = bqb_dataset_at(w->ds, i);
    bqb_status s = name_of(name, w, i, err);
    if (!s) s = bqb_table_write_cell(&t->captions, name->data, err);
    for (size_t f = 0; f < BQB_FIELDS && !s; f++) {
        if (!used[f]) continue;
        s = bqb_outfile_write(&t->captions, "\t", 1, err);
        if (!s && x->note.field[f]) s = bqb_table_write_cell(&t->captions, x->note.field[f], err);
    }
    if (!s) s = bqb_outfile_write(&t->captions, "\n", 1, err);
    for (size_t q = 0; q < x->n_queries && !s; q++) {
        s = bqb_table_write_cell(&t->queries, name->data, err);
        if (!s) s = bqb_outfile_write(&t->queries, "\t", 1, err);
        if (!s) s = bqb_table_write_cell(&t->queries, bqb_dataset_query(w->ds, x->first_query + q), err);
        if (!s) s = bqb_outfile_write(&t->queries, "\n", 1, err);
        t->n_queries++;
    }
    return s;
}

static bqb_status open_tables(const writing *w, tables *t, size_t side, const bool *used, bqb_err *err) {
    char *captions = bqb_path_join(w->dir[side], "captions.tsv"), *queries = bqb_path_join(w->dir[side], "queries.tsv");
    bqb_status s = captions && queries ? BQB_OK : bqb_fail_nomem(err, "path", 16);
    if (!s) s = bqb_outfile_open(&t->captions, captions, err);
    if (!s) s = bqb_outfile_open(&t->queries, queries, err);
    if (!s) s = bqb_outfile_printf(&t->captions, err, "file");
    for (size_t f = 0; f < BQB_FIELDS && !s; f++)
        if (used[f]) s = bqb_outfile_printf(&t->captions, err, "\t%s", bqb_field_name((bqb_field)f));
    if (!s) s = bqb_outfile_printf(&t->captions, err, "\n");
    if (!s) s = bqb_outfile_printf(&t->queries, err, "file\tquery\n");
    free(captions);
    free(queries);
    return s;
}

static bqb_status write_left_out(const writing *w, bqb_err *err) {
    bqb_outfile f = {0};
    char *path = bqb_path_join(w->o->out, "left-out.tsv");
    bqb_status s = path ? bqb_outfile_open(&f, path, err) : bqb_fail_nomem(err, w->o->out, strlen(w->o->out));
    if (!s) s = bqb_outfile_printf(&f, err, "file\tkept\treason\n");
    for (size_t i = 0; i < w->c->n && !s; i++) {
        const bqb_copy *x = &w->c->item[i];
        if (x->kind == BQB_COPY_NOT) continue;
        s = bqb_table_write_cell(&f, bqb_dataset_at(w->ds, i)->path, err);
        if (!s) s = bqb_outfile_write(&f, "\t", 1, err);
        if (!s && x->of != i) s = bqb_table_write_cell(&f, bqb_dataset_at(w->ds, x->of)->path, err);
        if (!s) s = bqb_outfile_printf(&f, err, "\t%s\n", bqb_copy_name((bqb_copy_kind)x->kind));
    }
    if (!s) s = bqb_outfile_commit(&f, err);
    bqb_outfile_abort(&f);
    free(path);
    return s;
}

static bqb_status write_settings(const writing *w, bqb_err *err) {
    static const char *const pictures[] = {"refer", "copy", "link"};
    const bqb_split_options *o = w->o;
    char hash[24];
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)bqb_dataset_hash(w->ds));
    json_t *j = json_pack("{s:s,s:I,s:f,s:f,s:f,s:b,s:s,s:s,s:I,s:{s:I,s:I,s:I},s:{s:I,s:I,s:I}}", "bqb", BQB_VERSION, "seed",
                          (json_int_t)o->seed, "train", o->share[0], "valid", o->share[1], "test", o->share[2], "keep_near",
                          (int)o->keep_near, "pictures", pictures[o->pictures], "data_hash", hash, "stickers",
                          (json_int_t)w->r->stickers, "left_out", "exact", (json_int_t)w->r->exact, "near", (json_int_t)w->r->near,
                          "unreadable", (json_int_t)w->r->unreadable, "kept", "train", (json_int_t)w->r->n[0], "valid",
                          (json_int_t)w->r->n[1], "test", (json_int_t)w->r->n[2]);
    char *text = j ? json_dumps(j, JSON_INDENT(1) | JSON_REAL_PRECISION(12)) : NULL, *path = bqb_path_join(o->out, "split.json");
    json_decref(j);
    bqb_status s = text && path ? bqb_file_write(path, text, strlen(text), err) : bqb_fail_nomem(err, "split.json", 4096);
    free(text);
    free(path);
    return s;
}

/* All are begun before any is finished: tables appear together, after the pictures. */
static bqb_status write_tables(const writing *w, bqb_err *err) {
    tables t[BQB_SIDES] = {0};
    bool used[BQB_FIELDS] = {0};
    bqb_buf name = {.max = 1 << 16};
    bqb_status s = BQB_OK;
    for (size_t i = 0; i < w->c->n; i++)
        for (size_t f = 0; f < BQB_FIELDS; f++) {
            const char *text = bqb_dataset_at(w->ds, i)->note.field[f];
            used[f] |= text && *text;
        }
    for (size_t k = 0; k < BQB_SIDES && !s; k++)
        if (w->dir[k]) s = open_tables(w, &t[k], k, used, err);
    for (size_t i = 0; i < w->c->n && !s; i++) {
        if (w->side[i] == BQB_SIDES) continue;
        s = write_row(w, &t[w->side[i]], i, used, &name, err);
        w->r->n[w->side[i]]++;
    }
    if (!s) s = write_left_out(w, err);
    if (!s) s = write_settings(w, err);
    for (size_t k = 0; k < BQB_SIDES; k++) {
        w->r->queries[k] = t[k].n_queries;
        if (!s && t[k].n_queries) s = bqb_outfile_commit(&t[k].queries, err);
        if (!s && w->dir[k]) s = bqb_outfile_commit(&t[k].captions, err);
        bqb_outfile_abort(&t[k].captions);
        bqb_outfile_abort(&t[k].queries);
    }
    bqb_buf_free(&name);
    return s;
}

/* ---- the whole ---- */

static bqb_status open_sides(writing *w, bqb_err *err) {
    bqb_status s = bqb_make_dirs(w->o->out, err);
    for (size_t k = 0; k < BQB_SIDES && !s; k++) {
        char *dir = bqb_path_join(w->o->out, bqb_side_name((bqb_side)k)), *table = dir ? bqb_path_join(dir, "captions.tsv") : NULL;
        if (!table) s = bqb_fail_nomem(err, w->o->out, strlen(w->o->out));
        else if (bqb_is_file(table)) s = bqb_fail(err, BQB_EINVAL, "%s is there already; choose another folder", table);
        else if (w->o->share[k] > 0) {
            s = bqb_make_dirs(dir, err);
            if (!s && !(w->dir[k] = realpath(dir, NULL))) s = bqb_fail_errno(err, "%s", dir);
        }
        free(table);
        free(dir);
    }
    return s;
}

bqb_status bqb_split(const bqb_dataset *ds, const bqb_split_options *o, bqb_split_report *report, bqb_err *err) {
    double sum = 0;
    *report = (bqb_split_report){.stickers = bqb_dataset_count(ds)};
    for (size_t k = 0; k < BQB_SIDES; k++) {
        if (!(o->share[k] >= 0 && o->share[k] <= 1))
            return bqb_fail(err, BQB_EINVAL, "%s %g is not within 0 … 1", bqb_side_name((bqb_side)k), o->share[k]);
        sum += o->share[k];
    }
    if (sum < 1 - 1e-6 || sum > 1 + 1e-6) return bqb_fail(err, BQB_EINVAL, "the shares add up to %g, not to 1", sum);
    bqb_copies c = {0};
    writing w = {.ds = ds, .o = o, .c = &c, .r = report};
    uint8_t *side = bqb_calloc(report->stickers, 1);
    bqb_status s = side ? open_sides(&w, err) : bqb_fail_nomem(err, "split", report->stickers);
    if (!s) s = bqb_copies_find(&c, ds, !o->keep_near, o->out, o->threads, o->progress, o->ctx, err);
    report->exact = c.count[BQB_COPY_EXACT];
    report->near = c.count[BQB_COPY_NEAR];
    report->unreadable = c.count[BQB_COPY_UNREADABLE];
    report->kin = c.n_kin;
    if (!s && !c.count[BQB_COPY_NOT])
        s = bqb_fail(err, BQB_EFORMAT, "none of the %zu %s can be read; the first: %s", report->stickers,
                     bqb_word(report->stickers, "picture", "pictures"), c.notes.data);
    if (!s) s = bqb_split_sides(side, ds, &c, o->share, o->seed, err);
    w.side = side;
    if (!s) s = put_pictures(&w, err);
    if (!s) s = write_tables(&w, err);
    report->notes = c.notes;
    c.notes = (bqb_buf){0};
    for (size_t k = 0; k < BQB_SIDES; k++) free(w.dir[k]);
    free(side);
    bqb_copies_free(&c);
    return s;
}
