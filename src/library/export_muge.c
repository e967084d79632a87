/* The files that Chinese-CLIP's tools make their databases of. */
#include "library/export_format.h"

#include "base/mem.h"
#include "file/muge.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    bqb_outfile imgs, texts, ids;
    size_t n;
} muge;

static bqb_status open_part(bqb_outfile *out, const bqb_exporter *x, const char *split, const char *end, bqb_err *err) {
    char name[120];
    snprintf(name, sizeof name, "%s%s", split, end);
    return bqb_export_open(out, x->dir, name, err);
}

static bool is_name(const char *s) {
    size_t n = strlen(s);
    for (const char *c = s; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr("-_.", *c)) return false;
    return n && n <= 64 && *s != '.' && *s != '-';
}

bqb_status bqb_export_check_split(const bqb_export_options *o, bqb_err *err) {
    if (!o->split || is_name(o->split)) return BQB_OK;
    return bqb_fail(err, BQB_EINVAL, "\"%.80s\" is no name of a split: letters, digits and - _ . are possible", o->split);
}

static bqb_status begin(bqb_exporter *x, bqb_err *err) {
    const char *split = x->o->split ? x->o->split : "train";
    muge *m = x->state = bqb_calloc(1, sizeof *m);
    if (!m) return bqb_fail_nomem(err, x->dir, sizeof *m);
    bqb_status s = open_part(&m->imgs, x, split, "_imgs.tsv", err);
    if (!s) s = open_part(&m->texts, x, split, "_texts.jsonl", err);
    if (!s) s = open_part(&m->ids, x, split, "_ids.tsv", err);
    return s ? s : bqb_outfile_printf(&m->ids, err, "image_id\tsticker\n");
}

const char *bqb_export_one_text(const bqb_annotated *a) {
    static const bqb_field order[] = {BQB_CAPTION, BQB_OCR, BQB_EMOTION, BQB_EMOTION_LABEL};
    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        if (a->field[order[i]] && *a->field[order[i]]) return a->field[order[i]];
    return NULL;
}

/* Ids are numbers, for Chinese-CLIP takes no others. */
static bqb_status add(bqb_exporter *x, const bqb_export_item *item, const char **why, bqb_err *err) {
    muge *m = x->state;
    char id[24];
    const char *text = bqb_export_one_text(item->note), *const ids[1] = {id};
    (void)why;
    snprintf(id, sizeof id, "%zu", m->n++);
    bqb_status s = bqb_muge_write_image(&m->imgs, id, item->bytes, item->size, err);
    if (!s && text) s = bqb_muge_write_text(&m->texts, id, text, ids, 1, err);
    return s ? s : bqb_outfile_printf(&m->ids, err, "%s\t%s\n", id, item->id);
}

/* The texts last: without them there is no set. */
static bqb_status commit(bqb_exporter *x, bqb_err *err) {
    muge *m = x->state;
    bqb_status s = bqb_outfile_commit(&m->imgs, err);
    if (!s) s = bqb_outfile_commit(&m->ids, err);
    return s ? s : bqb_outfile_commit(&m->texts, err);
}

static void end(bqb_exporter *x) {
    muge *m = x->state;
    if (!m) return;
    bqb_outfile_abort(&m->imgs);
    bqb_outfile_abort(&m->texts);
    bqb_outfile_abort(&m->ids);
    free(m);
}

const bqb_export_writer bqb_export_muge = {true, false, bqb_export_check_split, begin, add, commit, end};
