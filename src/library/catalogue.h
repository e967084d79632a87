/* The catalogue: the library's only truth, one SQLite database in its folder.
 *
 *   LIBRARY/library.db   stickers, their files, annotations, embeddings, words
 *   LIBRARY/cache/       whatever can be computed again from it
 *
 * A sticker is its bytes: SHA-256 is its identity, and the same bytes under two
 * paths are one sticker. Paths are absolute and kept as bytes. Readers and
 * writers of several processes may work at once; a writer waits up to ten
 * seconds for another, then says so. One thread at a time per handle.
 *
 * Errors: BQB_EIO (disk full, no permission, locked), BQB_EFORMAT (damaged, or
 * some other program's database), BQB_EVERSION (written by a newer bqb). Every
 * message names the database. */
#ifndef BQB_LIBRARY_CATALOGUE_H
#define BQB_LIBRARY_CATALOGUE_H

#include "base/err.h"
#include "base/sha256.h"
#include "text/annotation.h"

#include <stdbool.h>

/* 1: words as they are written. 2: simplified and traditional characters are one. 3: readings. 4: their words, too;
 * parts of words, whole lines. 5: near copies (likeness.h). 6: which stickers changed, for caches. */
enum { BQB_CATALOGUE_VERSION = 6 };

typedef struct bqb_catalogue bqb_catalogue;

/* READ: the library must exist (else BQB_ENOTFOUND); a folder that cannot be
 * written to is fine. WRITE: makes folder and database where they are missing.
 * An older library is brought up to date when it is opened, whichever way; where that
 * is impossible READ goes on with the old words and without readings. */
typedef enum { BQB_CATALOGUE_READ, BQB_CATALOGUE_WRITE } bqb_catalogue_mode;
bqb_status bqb_catalogue_open(bqb_catalogue **out, const char *dir, bqb_catalogue_mode mode, bqb_err *err);

/* Is its file still in its place? For who has it open for long: what is written into a file that was deleted is lost.
 * Errors: BQB_ENOTFOUND (deleted, moved, or another in its place), BQB_EIO. */
bqb_status bqb_catalogue_check_place(const bqb_catalogue *c, bqb_err *err);
void bqb_catalogue_close(bqb_catalogue *c); /* rolls back what is not committed */
const char *bqb_catalogue_dir(const bqb_catalogue *c);

/* Every write below belongs between begin and commit; begin takes the write
 * lock, of a library that is still there (bqb_catalogue_check_place). A failed write leaves the transaction open: roll back. */
bqb_status bqb_catalogue_begin(bqb_catalogue *c, bqb_err *err);
bqb_status bqb_catalogue_commit(bqb_catalogue *c, bqb_err *err);
void bqb_catalogue_rollback(bqb_catalogue *c); /* outside a transaction: does nothing */

/* What is read between the two is as of one moment, and read sooner: many small reads need not each ask for the
 * right to. Inside a transaction or without one; no writing in between. */
bqb_status bqb_catalogue_look(bqb_catalogue *c, bqb_err *err);
void bqb_catalogue_looked(bqb_catalogue *c);

/* A number that is new after every committed change of stickers, files'
 * presence or embeddings, and a text that no other database shares: caches
 * that carry both are up to date. */
bqb_status bqb_catalogue_generation(bqb_catalogue *c, uint64_t *generation, char uid[33], bqb_err *err);

/* The generation of the last change that cannot be followed: a cache that is no older lacks no more than the stickers
 * behind all others, and what bqb_catalogue_each_touched names. UINT64_MAX: not known. */
bqb_status bqb_catalogue_reshaped(bqb_catalogue *c, uint64_t *generation, bqb_err *err);

/* --- stickers and their files --- */

typedef int64_t bqb_sticker_id; /* > 0, rising, never used again */

typedef struct {
    bqb_sticker_id id;
    uint8_t sha256[BQB_SHA256_SIZE];
    uint64_t size_bytes;
    char format[8];
    uint32_t width, height, frames;
    int duration_ms;
    int64_t added; /* seconds since 1970 */
} bqb_sticker;

/* Find the sticker with s->sha256 or add it (as of now); s->id out. */
bqb_status bqb_catalogue_put_sticker(bqb_catalogue *c, bqb_sticker *s, bool *added, bqb_err *err);

/* BQB_ENOTFOUND when there is none. */
bqb_status bqb_catalogue_get_sticker(bqb_catalogue *c, bqb_sticker_id id, bqb_sticker *s, bqb_err *err);
bqb_status bqb_catalogue_find_sha256(bqb_catalogue *c, const uint8_t sha256[BQB_SHA256_SIZE], bqb_sticker_id *id,
                                     bqb_err *err);

/* The sticker whose SHA-256 starts with these hex digits. BQB_EINVAL: no hex
 * digits, or several stickers start so; BQB_ENOTFOUND: none does. */
bqb_status bqb_catalogue_find_prefix(bqb_catalogue *c, const char *hex, bqb_sticker_id *id, bqb_err *err);

/* The shortest prefix, of at least 12 digits, that is this sticker's alone. */
enum { BQB_SHORT_ID_SIZE = 65 };
bqb_status bqb_catalogue_short_id(bqb_catalogue *c, const uint8_t sha256[BQB_SHA256_SIZE],
                                  char out[BQB_SHORT_ID_SIZE], bqb_err *err);

/* Delete a sticker with its files' rows, annotations and embeddings. */
bqb_status bqb_catalogue_remove(bqb_catalogue *c, bqb_sticker_id id, bqb_err *err);

typedef struct {
    bqb_sticker_id sticker;
    uint64_t size_bytes;
    int64_t mtime_ns;
    bool missing; /* it was gone when last looked for */
} bqb_file;

/* What is known of a path; *found false when nothing is. */
bqb_status bqb_catalogue_get_file(bqb_catalogue *c, const char *path, bqb_file *f, bool *found, bqb_err *err);

/* Say that path now holds this sticker. A sticker that loses its last path by it is removed. */
bqb_status bqb_catalogue_put_file(bqb_catalogue *c, const char *path, const bqb_file *f, bqb_err *err);

/* The same for an import, where the old content may yet turn up under another path: a sticker that
 * loses its last path stays, not shown, until bqb_catalogue_remove_orphans takes all of these out. */
bqb_status bqb_catalogue_replace_file(bqb_catalogue *c, const char *path, const bqb_file *f, bqb_err *err);
bqb_status bqb_catalogue_remove_orphans(bqb_catalogue *c, bqb_err *err);

/* Forget a path; its sticker stays. Nothing is known of it: does nothing. */
bqb_status bqb_catalogue_drop_file(bqb_catalogue *c, const char *path, bqb_err *err);

/* Each path with this beginning ("" for all), in byte order; non-zero stops. Writing meanwhile is not allowed. */
typedef int (*bqb_path_fn)(void *ctx, const char *path, const bqb_file *f);
bqb_status bqb_catalogue_each_file(bqb_catalogue *c, const char *beginning, bqb_path_fn fn, void *ctx, bqb_err *err);

/* The same for the paths of one sticker; those that are there come first. */
bqb_status bqb_catalogue_each_file_of(bqb_catalogue *c, bqb_sticker_id id, bqb_path_fn fn, void *ctx, bqb_err *err);

/* The path to show a sticker by: the first that is not missing, else the first.
 * Free with free(). missing may be NULL. */
bqb_status bqb_catalogue_path_of(bqb_catalogue *c, bqb_sticker_id id, char **path, bool *missing, bqb_err *err);

/* --- annotations --- */

/* Who says so; a lower number is believed first, and stands in the database. EDITED: a person, of this
 * very sticker (`bqb set`); GIVEN: a table or data set that came with its file. BQB_ORIGINS is past the last. */
typedef enum { BQB_EDITED = -1, BQB_GIVEN, BQB_OCR_READ, BQB_ZERO_SHOT, BQB_FROM_FILE_NAME, BQB_ORIGINS } bqb_origin;
const char *bqb_origin_name(bqb_origin o); /* "edited" "given" "ocr" "zero-shot" "filename"; "" for others */

/* Set the fields of `a` that are neither NULL nor "", for one origin. `path` is
 * the file that they were said of: while that path holds the sticker, another
 * path's word does not replace its own, nor any path's what was edited, read or guessed
 * in this library itself (path NULL). A value is one line of text: control characters
 * (bqb_is_control; so tabs and line ends) become a space, or nothing at its ends. The words
 * index follows. *changed (may be NULL): something is now different. */
bqb_status bqb_catalogue_annotate(bqb_catalogue *c, bqb_sticker_id id, const bqb_annotation *a, bqb_origin origin,
                                  double score, const char *path, bool *changed, bqb_err *err);

/* Take back what one origin said of one field. The words index follows. *changed (may be NULL): it had said something. */
bqb_status bqb_catalogue_forget(bqb_catalogue *c, bqb_sticker_id id, bqb_field f, bqb_origin origin, bool *changed,
                                bqb_err *err);

/* Take back what `path` said of the fields that `a` has under another origin than origin[field] (but for BQB_FROM_FILE_NAME,
 * which is of the path itself): a table has changed its mind about who says so. */
bqb_status bqb_catalogue_retract(bqb_catalogue *c, bqb_sticker_id id, const bqb_annotation *a,
                                 const bqb_origin origin[BQB_FIELDS], const char *path, bool *changed, bqb_err *err);

/* Bytes that a value may have; bqb_catalogue_annotate cuts longer ones at a character. */
enum { BQB_VALUE_MAX = 4096 };

/* The believed value of each field, with its origin. */
typedef struct {
    char *field[BQB_FIELDS]; /* owned; NULL when absent */
    bqb_origin origin[BQB_FIELDS];
    double score[BQB_FIELDS];
} bqb_annotated;
bqb_status bqb_catalogue_get_annotation(bqb_catalogue *c, bqb_sticker_id id, bqb_annotated *a, bqb_err *err);
void bqb_annotated_free(bqb_annotated *a);

/* Without the fields in which this origin is believed: a model's guesses must not be learnt from, measured against or
 * written down as if somebody had said them. */
void bqb_annotated_leave_out(bqb_annotated *a, bqb_origin origin);

/* Each value of a field that some sticker is believed to have, most frequent first. */
typedef int (*bqb_value_fn)(void *ctx, const char *value, size_t n_stickers);
bqb_status bqb_catalogue_each_value(bqb_catalogue *c, bqb_field f, bqb_value_fn fn, void *ctx, bqb_err *err);

/* The same of what people and tables say alone (BQB_EDITED, BQB_GIVEN). */
bqb_status bqb_catalogue_each_given(bqb_catalogue *c, bqb_field f, bqb_value_fn fn, void *ctx, bqb_err *err);

/* Stickers that are shown, by who is believed: n[field][origin - BQB_EDITED]. */
typedef struct {
    uint64_t n[BQB_FIELDS][BQB_ORIGINS - BQB_EDITED];
} bqb_origin_counts;
bqb_status bqb_catalogue_count_origins(bqb_catalogue *c, bqb_origin_counts *out, bqb_err *err);

/* Each sticker believed to have exactly this value, rising; also all animated ones (frames > 1). */
typedef int (*bqb_id_fn)(void *ctx, bqb_sticker_id id);
bqb_status bqb_catalogue_each_with(bqb_catalogue *c, bqb_field f, const char *value, bqb_id_fn fn, void *ctx,
                                   bqb_err *err);
bqb_status bqb_catalogue_each_animated(bqb_catalogue *c, bqb_id_fn fn, void *ctx, bqb_err *err);

/* Each sticker that is not missing, rising. */
bqb_status bqb_catalogue_each_shown(bqb_catalogue *c, bqb_id_fn fn, void *ctx, bqb_err *err);

/* The same as a list [*n], for whoever asks for more of each. Free with free(). */
bqb_status bqb_catalogue_list_shown(bqb_catalogue *c, bqb_sticker_id **ids, size_t *n, bqb_err *err);

/* --- readings: what readers of words on pictures made out, right and wrong ---
 * text: distinct lines, one a line, "WEIGHT\tLINE", WEIGHT 0 … 1 the belief in it; "" when the
 * sticker was read and there are no words on it. reader names who read, and how. The one line
 * to show is the annotation BQB_OCR, of origin BQB_OCR_READ. */

/* Replaces an earlier reading; the words index follows. Over 64 KiB the last lines are left out. */
bqb_status bqb_catalogue_put_reading(bqb_catalogue *c, bqb_sticker_id id, const char *reader, const char *text,
                                     bqb_err *err);

/* Reading it failed, and would fail again: it counts as read, without lines, by a reader named "why". An earlier reading stays. */
bqb_status bqb_catalogue_put_unreadable(bqb_catalogue *c, bqb_sticker_id id, const char *why, bqb_err *err);

/* Free both with free(). BQB_ENOTFOUND: never read; both are NULL then. */
bqb_status bqb_catalogue_get_reading(bqb_catalogue *c, bqb_sticker_id id, char **reader, char **text, bqb_err *err);

/* Each sticker, not missing, rising, that was never read and of whose words nobody has said anything. */
bqb_status bqb_catalogue_each_unread(bqb_catalogue *c, bqb_id_fn fn, void *ctx, bqb_err *err);

/* --- words: what the lexical match runs on --- */

/* One text that is said of a sticker and looked for: the believed value of each field; what the file's name says even where
 * another value, not edited by a person, is believed; and, unless the words on the picture are given or edited, every line
 * of its reading (BQB_OCR of BQB_OCR_READ). belief: the value's score, the line's weight, 0 … 1. Borrowed; a text need not be terminated. */
typedef struct {
    bqb_field field;
    bqb_origin origin;
    double belief;
    const char *text;
    size_t n_bytes;
    bool whole; /* all of the field, not one line of many */
} bqb_said;
typedef int (*bqb_said_fn)(void *ctx, const bqb_said *s); /* non-zero stops with BQB_ECANCEL */
bqb_status bqb_catalogue_each_said(bqb_catalogue *c, bqb_sticker_id id, bqb_said_fn fn, void *ctx, bqb_err *err);

/* In how many stickers a gram stands (bqb_units_grams), and about how many stickers there are. */
bqb_status bqb_catalogue_word_count(bqb_catalogue *c, const char *gram, size_t n_bytes, uint64_t *n_stickers,
                                    bqb_err *err);
bqb_status bqb_catalogue_words_rows(bqb_catalogue *c, uint64_t *n, bqb_err *err);

/* The share of the stickers that are shown of which anything is said, 0 … 1. */
bqb_status bqb_catalogue_words_share(bqb_catalogue *c, double *share, bqb_err *err);

/* Each sticker, missing ones too, of which a text is said that has one of these grams (bqb_units_grams), rising.
 * Together they may have about 3,000 bytes. */
typedef struct {
    const char *text;
    size_t n_bytes;
} bqb_gram;
bqb_status bqb_catalogue_match_words(bqb_catalogue *c, const bqb_gram *gram, size_t n, bqb_id_fn fn, void *ctx,
                                     bqb_err *err);

/* Each sticker that is missing, rising. */
bqb_status bqb_catalogue_each_missing(bqb_catalogue *c, bqb_id_fn fn, void *ctx, bqb_err *err);

/* --- embeddings --- */

/* model: 64 hex digits (bqb_clip_id); kind: "image", or "text", of what the sticker says (library/embed_words.h): that
 * one goes by itself when that becomes another.
 * vec is a unit row [dim], stored as f16. */
bqb_status bqb_catalogue_put_embedding(bqb_catalogue *c, bqb_sticker_id id, const char *model, const char *kind,
                                       const float *vec, size_t dim, bqb_err *err);
bqb_status bqb_catalogue_has_embedding(bqb_catalogue *c, bqb_sticker_id id, const char *model, const char *kind,
                                       bool *has, bqb_err *err);

/* Is there any vector of this model? */
bqb_status bqb_catalogue_has_model(bqb_catalogue *c, const char *model, const char *kind, bool *has, bqb_err *err);

/* A sticker's own vector [dim], by `model` or, when that is "", by the newest
 * model that it has one of, whose name is then put there. Free *vec with
 * free(). BQB_ENOTFOUND when it has none. */
bqb_status bqb_catalogue_get_embedding(bqb_catalogue *c, bqb_sticker_id id, const char *kind, char model[65],
                                       float **vec, size_t *dim, bqb_err *err);

/* Width of a model's vectors and how many shown stickers have one; 0, 0 when there are none. */
bqb_status bqb_catalogue_count_embeddings(bqb_catalogue *c, const char *model, const char *kind, size_t *dim,
                                          size_t *n, bqb_err *err);

/* Each embedding of a sticker that is not missing, in rising order of id; f16, little-endian, unaligned. */
typedef int (*bqb_embedding_fn)(void *ctx, bqb_sticker_id id, const void *f16, size_t dim);
bqb_status bqb_catalogue_each_embedding(bqb_catalogue *c, const char *model, const char *kind,
                                        bqb_embedding_fn fn, void *ctx, bqb_err *err);

/* The same for the stickers past `last` alone. */
bqb_status bqb_catalogue_each_embedding_after(bqb_catalogue *c, const char *model, const char *kind,
                                              bqb_sticker_id last, bqb_embedding_fn fn, void *ctx, bqb_err *err);

/* The same for those that were touched after a generation alone: see bqb_catalogue_each_touched. */
bqb_status bqb_catalogue_each_embedding_touched(bqb_catalogue *c, const char *model, const char *kind, uint64_t generation,
                                                bqb_embedding_fn fn, void *ctx, bqb_err *err);

/* Each sticker, rising, that was removed, went or came back, or got or lost a vector, after this generation, but for
 * those that are new behind all others. Some of them may no longer exist. */
bqb_status bqb_catalogue_each_touched(bqb_catalogue *c, uint64_t generation, bqb_id_fn fn, void *ctx, bqb_err *err);

/* A path that is not missing of every sticker without an embedding, in byte order. */
bqb_status bqb_catalogue_each_unembedded(bqb_catalogue *c, const char *model, const char *kind, bqb_path_fn fn,
                                         void *ctx, bqb_err *err);

/* Each sticker, not missing, rising, that has a caption or ocr and no "text" vector of this model. */
bqb_status bqb_catalogue_each_unworded(bqb_catalogue *c, const char *model, bqb_id_fn fn, void *ctx, bqb_err *err);

/* The model with the most embeddings, "" when there is none. */
bqb_status bqb_catalogue_main_model(bqb_catalogue *c, char model[65], bqb_err *err);

/* --- figures --- */

typedef struct {
    uint64_t stickers, animated, files;          /* stickers: with a file that is not missing */
    uint64_t missing;                            /* stickers of which no file is left */
    uint64_t with_field[BQB_FIELDS];
    uint64_t with_embedding;                     /* by any model */
    uint64_t models;
    uint64_t bytes;                              /* of the stickers' files, each content once */
} bqb_catalogue_stats;
bqb_status bqb_catalogue_get_stats(bqb_catalogue *c, bqb_catalogue_stats *s, bqb_err *err);

#endif
