/* bqb: find the right sticker. The public interface.
 *
 * Conventions that hold for every function here and inside:
 *   - What can fail returns a bqb_status (0 is success) and takes a last
 *     `bqb_err *`, which may be NULL; it is written only on failure.
 *   - Strings are UTF-8, NUL-terminated, borrowed for the call unless said otherwise.
 *   - _new/_open objects are freed by _free/_close, which accept NULL.
 *   - The library never prints, exits, or keeps global errors.
 * This header includes nothing of the project and may be included by every layer. */
#ifndef BQB_H
#define BQB_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BQB_VERSION "0.1.0"

typedef enum {
    BQB_OK = 0,
    BQB_EINVAL,       /* the caller's argument is wrong */
    BQB_EIO,          /* the operating system refused: open, read, write, full disk */
    BQB_EFORMAT,      /* a file or text is not what it says it is */
    BQB_ELIMIT,       /* larger, longer or slower than a named maximum */
    BQB_ENOMEM,       /* out of memory */
    BQB_ENOTFOUND,    /* the named thing does not exist */
    BQB_EVERSION,     /* written by a newer bqb */
    BQB_EUNSUPPORTED, /* valid, but this build or model cannot do it */
    BQB_ECANCEL       /* the caller's progress function asked to stop */
} bqb_status;

typedef struct {
    bqb_status code;
    int64_t pos;   /* byte or line position in the input, -1 when there is none */
    char msg[512]; /* names the thing, what was found and what was needed */
} bqb_err;

/* Told how far long work is. Return non-zero to stop it: the call then ends
 * cleanly with BQB_ECANCEL and nothing committed is lost. `total` is 0 when
 * unknown. Called from the thread that started the work. */
typedef int (*bqb_progress_fn)(void *ctx, const char *what, uint64_t done, uint64_t total);

/* ---- a library of stickers, and a model to look into it ---- */

/* One thread at a time per object; several objects, processes and the `bqb`
 * program may use one library at once. */
typedef struct bqb bqb;

/* library_dir: the folder; bqb_import makes it when it is not there.
 * model_dir: a Hugging Face style folder (config.json, model.safetensors,
 * vocab.txt or vocab.json and merges.txt), read when it is first needed; NULL: no model, words only. */
bqb_status bqb_open(bqb **out, const char *library_dir, const char *model_dir, bqb_err *err);
void bqb_close(bqb *b);

typedef struct {
    size_t added;    /* new stickers */
    size_t already;  /* files that were there, or whose content was */
    size_t gone;     /* files that are there no more; their stickers are not shown */
    size_t embedded; /* stickers that got a vector */
    size_t skipped;  /* bad files, folders and table lines */
} bqb_imported;

/* Told of everything that is left out, and why. */
typedef void (*bqb_skipped_fn)(void *ctx, const char *path, const char *reason);

/* Add stickers: folders, captions.tsv files, pictures. What was committed stays,
 * whatever happens; the same call again goes on. out is filled on failure, too.
 * progress and skipped may be NULL; ctx is handed to both. */
bqb_status bqb_import(bqb *b, const char *const *paths, size_t n, bqb_imported *out, bqb_progress_fn progress,
                      bqb_skipped_fn skipped, void *ctx, bqb_err *err);

/* A zeroed query with text, picture or pictures set is complete. Strings and lists are borrowed. */
typedef struct {
    const char *text;    /* words, NULL for none */
    const char *picture; /* path of a picture that the results should look like, NULL for none */
    const char *emotion; /* only stickers with this one; NULL: any */
    const char *style;
    int animated;        /* not 0: only animated ones */
    size_t n;            /* results wanted; 0: 10 */
    double fold;         /* leave out what resembles a better result by this cosine or more; 0: nothing */
    int all;             /* not 0: near copies as results of their own, hidden ones too; else one of a group is shown */
    const char *const *pictures;     /* more pictures: what looks like all of them */
    size_t n_pictures;
    const char *const *not_words;    /* words: stickers that have one are left out, what looks like it ranks lower */
    size_t n_not_words;
    const char *const *not_pictures; /* pictures: what looks like one of them ranks lower */
    size_t n_not_pictures;
} bqb_query;

typedef struct bqb_results bqb_results;

/* Best first. Errors: BQB_EINVAL (nothing asked), BQB_ENOTFOUND (no library, no
 * such emotion or style; the message lists those there are), BQB_EUNSUPPORTED
 * (a picture without a model), of the model's and picture's files. */
bqb_status bqb_search(bqb *b, const bqb_query *q, bqb_results **out, bqb_err *err);
void bqb_results_free(bqb_results *r);
size_t bqb_results_count(const bqb_results *r);

/* Strings are borrowed from the results and never NULL. path is bytes, as the
 * file system has it; everything else is UTF-8. */
typedef struct {
    const char *id;   /* the first digits of the file's SHA-256, as many as tell it from the others */
    const char *path;
    double score;     /* 0 … 1, 0.5 standing four deviations out of the library; a picture alone: the cosine */
    const char *caption, *ocr, *emotion, *emotion_label, *style;
    size_t width, height, frames;
    size_t folded;       /* near copies that stand behind it */
} bqb_result;

/* i < bqb_results_count(r), else all is zero and "". */
bqb_result bqb_results_get(const bqb_results *r, size_t i);

/* ---- vectors ---- */

/* Numbers in a vector of the model. */
bqb_status bqb_dimension(bqb *b, size_t *dim, bqb_err *err);

/* The unit vector of a text or of a picture's file, out [dim]. Text and picture
 * live in one space: their dot product says how well they fit. */
bqb_status bqb_embed_text(bqb *b, const char *text, float *out, bqb_err *err);
bqb_status bqb_embed_picture(bqb *b, const char *path, float *out, bqb_err *err);

/* ---- a conversation ---- */

/* A language model that learnt to answer with stickers (`bqb tune`), and the library that they are in. One thread at a time. */
typedef struct bqb_talk bqb_talk;

/* library_dir, model_dir as for bqb_open; the library must have vectors of that model. llm: a Hugging Face folder or a GGUF
 * file; adapter: what it learnt, NULL: the folder "adapter" in or beside it. The same seed gives the same answers.
 * Errors: BQB_ENOTFOUND (no such model, not tuned yet, no stickers or vectors), BQB_EINVAL (an adapter of other models),
 * BQB_EFORMAT, BQB_EUNSUPPORTED, BQB_ENOMEM; the message says what to do. */
bqb_status bqb_talk_open(bqb_talk **out, const char *library_dir, const char *model_dir, const char *llm, const char *adapter, uint64_t seed,
                         bqb_err *err);
void bqb_talk_close(bqb_talk *c);
bqb_status bqb_talk_reset(bqb_talk *c, bqb_err *err); /* a new conversation */

/* Told what is said as it comes: whole characters, UTF-8, not terminated. Non-zero stops the answer; what was said is kept. */
typedef int (*bqb_talk_fn)(void *ctx, const char *utf8, size_t n_bytes);

/* One round. text: any bytes, what is no UTF-8 is read as U+FFFD; picture: path of a picture that belongs to the message, NULL for
 * none; sticker_now: not 0: the answer has a sticker, if one fits. said (may be NULL) gets ctx.
 * stickers: those that were sent, often none; free with bqb_results_free. On an error the conversation is as before.
 * Errors: BQB_EINVAL (an empty message), BQB_ELIMIT (one that is too long), of the picture and the library. */
bqb_status bqb_talk_say(bqb_talk *c, const char *text, const char *picture, int sticker_now, bqb_talk_fn said, void *ctx, bqb_results **stickers,
                        bqb_err *err);

#ifdef __cplusplus
}
#endif
#endif
