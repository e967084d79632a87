/* Queries against a library: words, a picture, filters. */
#ifndef BQB_SEARCH_SEARCH_H
#define BQB_SEARCH_SEARCH_H

#include "library/catalogue.h"
#include "search/fusion.h"

enum {
    BQB_MAX_UNLIKE = 128,
    BQB_QUERY_MAX = 16 << 10, /* bytes of a query, of unwanted words, of a filter's value */
};

/* What is wrong with words [n] to search for, to follow "is": "not valid UTF-8", "longer than 16 KiB"; NULL: nothing. */
const char *bqb_query_problem(const char *text, size_t n);

typedef struct {
    const char *text;        /* for the lexical match; NULL or "": none */
    const float *text_vec;   /* [dim] unit, the text tower's; NULL: none */
    const float *image_vec;  /* [dim] unit, the image tower's; NULL: none */
    const float *unlike_vec; /* [n_unlike,dim] unit, of either tower: what the results should not be like */
    size_t n_unlike;         /* 0 … BQB_MAX_UNLIKE */
    size_t n_unlike_words;   /* the first of them are the text tower's */
    const char *const *not_words; /* [n_not_words] who has one of these is left out (bqb_filter_with_words) */
    size_t n_not_words;
    const char *model;       /* 64 hex digits: whose vectors; needed with a vector */
    bool picture_only;       /* text_vec is not held against the text of the pictures */
    bqb_sticker_id except;   /* leave this one out (a sticker's own likenesses); 0: none */
    const char *emotion;     /* filters; NULL: any. A value, or one part of "惊讶/震惊" */
    const char *style;
    bool animated;           /* only those */
    size_t n;                /* results wanted, 1 … 10,000 */
    bool apart;              /* near copies are results of their own, hidden ones too (search/folding.h) */
    double fold;             /* leave out what resembles a better result by this cosine or more; 0: nothing */
    int threads;             /* 0: all processors */
} bqb_search_query;

/* What is known of a result. Strings are owned and never NULL. */
typedef struct {
    bqb_sticker sticker;
    char id[BQB_SHORT_ID_SIZE];
    double score;            /* bqb_fusion_score; for a picture alone, its cosine */
    double sum;              /* what ranks: the gains of the reasons, added up; for a picture alone, its cosine */
    bqb_reason reason[BQB_PARTS];
    size_t folded;           /* near copies that stand behind it */
    char *path;
    bool missing;
    char *field[BQB_FIELDS];
} bqb_found;

/* Does the best answer fit the query, or is it only the nearest there is? Unknown for pictures, and
 * where nothing speaks for it but most stickers have no words. */
typedef enum { BQB_FITS_UNKNOWN, BQB_FITS_NOT, BQB_FITS } bqb_fits;

typedef struct {
    bqb_found *item;
    size_t n;
    bqb_fits fits;
    size_t in_library;       /* stickers with vectors of this model */
    size_t passed;           /* those that passed the filters */
} bqb_search_results;

/* A picture alone ranks by cosine; all else by the sum of its reasons' gains. Without any
 * vectors the words alone decide. Equal ranks: the older sticker first.
 * Errors: BQB_EINVAL (nothing asked for, n, a word without letters, bqb_query_problem), BQB_ENOTFOUND (a filter's value that
 * no sticker has; the message lists those there are), of the catalogue. */
bqb_status bqb_search_run(bqb_search_results *out, bqb_catalogue *c, const bqb_search_query *q, bqb_err *err);
void bqb_search_results_free(bqb_search_results *r);

/* One sticker as a result (show, remove): score 0. */
bqb_status bqb_found_load(bqb_found *out, bqb_catalogue *c, bqb_sticker_id id, bqb_err *err);
void bqb_found_free(bqb_found *f);

/* Results for the public interface. items are moved out, their array is not taken; nothing is moved when memory is out. */
bqb_status bqb_results_take(bqb_results **out, bqb_found *items, size_t n, bqb_err *err);

/* The sticker that a user means: digits of its id, or a path that the library knows. */
bqb_status bqb_find_named(bqb_sticker_id *id, bqb_catalogue *c, const char *name, bqb_err *err);

#endif
