/* Taking stickers out again, in the forms that bqb and other programs read.
 *
 *   folder          images/ID.FORMAT and captions.tsv: what import and training read; .bqb-export (export_written.h)
 *   muge            SPLIT_imgs.tsv, SPLIT_texts.jsonl; SPLIT_ids.tsv says which number is which sticker
 *   clip-retrieval  img_emb/img_emb_0.npy, text_emb/text_emb_0.npy (f16 unit rows),
 *                   metadata/metadata_0.jsonl (not Parquet); no pictures
 *   lmdb            SPLIT/imgs, SPLIT/pairs: Chinese-CLIP's databases
 *   sticker820k     imgs, infos, SPLIT.txt: Sticker820K's
 *
 * One sticker is held at a time (64 texts for clip-retrieval). The tables
 * appear last and at once; until then the folder holds UNFINISHED.txt, and the
 * same export may be given again. */
#ifndef BQB_LIBRARY_EXPORT_H
#define BQB_LIBRARY_EXPORT_H

#include "library/catalogue.h"
#include "library/export_written.h"
#include "model/clip.h"

typedef enum { BQB_EXPORT_FOLDER, BQB_EXPORT_MUGE, BQB_EXPORT_CLIP_RETRIEVAL, BQB_EXPORT_LMDB, BQB_EXPORT_STICKER820K, BQB_EXPORT_FORMATS } bqb_export_format;
const char *bqb_export_format_name(bqb_export_format f);       /* "folder" "muge" "clip-retrieval" "lmdb" "sticker820k" */
bqb_export_format bqb_export_format_parse(const char *name);   /* BQB_EXPORT_FORMATS: none of them */

typedef struct {
    size_t written; /* stickers */
    size_t skipped; /* stickers that could not be had: each told to skipped() */
    bqb_leftovers images; /* folder: what else is in images/ */
    char kept_table[32];  /* folder: captions.tsv of no export, or changed since, has this name now; "": there was none */
} bqb_export_report;

typedef struct {
    bqb_export_format format;
    const char *split;        /* MUGE and LMDB: the name of the split; NULL: "train" */
    const bqb_sticker_id *id; /* [n] which stickers, in this order; NULL: all that are shown, oldest first */
    size_t n;
    bqb_clip *clip;           /* clip-retrieval: whose vectors; needs its text tower */
    bool force;               /* into a folder that holds other things: what has the same name is replaced */
    bool prune;               /* folder: take away what earlier exports wrote and this one did not */
    bqb_skipped_fn skipped;   /* these may be NULL */
    bqb_skipped_fn left;      /* a picture of an earlier export that stays, and why */
    bqb_progress_fn progress;
    void *ctx;                /* for all three */
} bqb_export_options;

/* Write stickers to the folder DIR, which is made. Skipped and told: a sticker
 * whose files are gone or are no longer what was imported, and for
 * clip-retrieval one without a vector of this model. report is filled even on failure.
 * BQB_EINVAL: DIR is a library, or holds something other than an unfinished
 * export and force is not set; a split that is no name. BQB_EIO: another export is writing there. BQB_ECANCEL; BQB_EIO names
 * the file that could not be written. */
bqb_status bqb_library_export(bqb_catalogue *c, const char *dir, const bqb_export_options *o, bqb_export_report *report,
                              bqb_err *err);

#endif
