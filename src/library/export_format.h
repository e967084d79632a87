/* What the formats of export.h have in common: one file a format, driven by export.c. */
#ifndef BQB_LIBRARY_EXPORT_FORMAT_H
#define BQB_LIBRARY_EXPORT_FORMAT_H

#include "base/fs.h"
#include "library/export.h"

/* A sticker on its way out. Strings are lent for the call. */
typedef struct {
    bqb_sticker sticker;
    char id[BQB_SHORT_ID_SIZE];
    char name[BQB_SHORT_ID_SIZE + 16]; /* "ID.jpg", so that no name is there twice, is unsafe, or passes for a caption when it is imported again */
    const char *path;        /* of its file */
    const char *bytes;       /* [size] its content; NULL for a format that wants no pictures */
    size_t size;
    const bqb_annotated *note;
    const char *reader, *reading; /* NULL: never read, or the format has no place for it */
    const char *filename;         /* what the file's name says, where another caption is believed; else NULL */
} bqb_export_item;

typedef struct {
    bqb_catalogue *c;
    const char *dir;
    const bqb_export_options *o;
    bqb_export_report *report;
    void *state; /* the format's own; begin makes it, end frees it */
} bqb_exporter;

typedef struct {
    bool pictures;
    bool origins; /* there is a place for who says so: guessed labels may be written, and what was read */
    bqb_status (*check)(const bqb_export_options *o, bqb_err *err); /* before anything is written */
    /* Make what is needed, take an earlier export's tables away. */
    bqb_status (*begin)(bqb_exporter *x, bqb_err *err);
    /* *why is set (a text that lasts) when this sticker has to be left out. */
    bqb_status (*add)(bqb_exporter *x, const bqb_export_item *item, const char **why, bqb_err *err);
    /* All tables at once. */
    bqb_status (*commit)(bqb_exporter *x, bqb_err *err);
    /* Also after failures; state may be NULL. */
    void (*end)(bqb_exporter *x);
} bqb_export_writer;

extern const bqb_export_writer bqb_export_folder, bqb_export_muge, bqb_export_clip_retrieval, bqb_export_pairs,
    bqb_export_infos;

/* A format that has one text a picture: what it shows, else what it says, else what it feels; NULL: nothing. */
const char *bqb_export_one_text(const bqb_annotated *a);

/* Is o->split a name for files? A `check`. */
bqb_status bqb_export_check_split(const bqb_export_options *o, bqb_err *err);

/* *path = DIR/NAME; a file of that name is removed. Free *path with free(). */
bqb_status bqb_export_clear(char **path, const char *dir, const char *name, bqb_err *err);

/* The same, opened to be written. */
bqb_status bqb_export_open(bqb_outfile *out, const char *dir, const char *name, bqb_err *err);

#endif
