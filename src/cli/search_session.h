/* What bqb search and bqb similar share: the library and the model, open for many queries, and the answer. */
#ifndef BQB_CLI_SEARCH_SESSION_H
#define BQB_CLI_SEARCH_SESSION_H

#include "cli/cli.h"
#include "model/clip.h"
#include "search/encode.h"
#include "search/search.h"

typedef struct {
    const char *model, *emotion, *style, *by, *queries;
    cli_list image, not_words, not_image;
    size_t n;
    double fold;
    bool animated, all, json, no_pictures, explain;
} cli_search_options;

typedef struct {
    const cli_search_options *o;
    bqb_catalogue *c;
    bqb_clip *m;             /* NULL: words alone */
    char model_id[65];       /* whose vectors; "" for none */
    bqb_question_vectors pictures; /* of the options' pictures and unwanted things, the same for every query */
    float *text_vec;               /* of the query at hand */
    bool by_words, by_picture;
} cli_search_session;

/* Open the library; *s is to be freed whatever comes out. */
bqb_status cli_search_open(cli_search_session *s, const cli_search_options *o, const char *library, bqb_err *err);
void cli_search_free(cli_search_session *s);

/* Open the model if it can help. It must when it was asked for or when a picture is to be looked at
 * (towers: BQB_TOWER_…); else the library may do with its words, and says so. */
bqb_status cli_search_model(cli_search_session *s, int towers, bqb_err *err);

/* Encode the pictures of the options, and what is unwanted. */
bqb_status cli_search_encode(cli_search_session *s, bqb_err *err);

/* The query of the options, with these words (NULL for none). Encodes the words; borrowed from s until the next. */
bqb_status cli_search_query(cli_search_session *s, bqb_search_query *q, const char *words, bqb_err *err);

/* Search and write the answer: lines, pictures or JSON; `query` is what it is headed by.
 * On an error nothing was written; BQB_ENOTFOUND: no sticker has the value that a filter asks for. */
bqb_status cli_search_answer(cli_search_session *s, const bqb_search_query *q, const char *query, double since_ms,
                             bqb_err *err);

/* Every line of the file (or "-": standard input) as a query; the exit status. */
int cli_search_many(cli_search_session *s, const char *file);

#endif
