/* Why results stand where they do: bqb search --explain. */
#ifndef BQB_CLI_SEARCH_EXPLAIN_H
#define BQB_CLI_SEARCH_EXPLAIN_H

#include "cli/output.h"

/* {"sum","picture":{"value","z","weight","gain"},…,"matches":[…]}: the parts that the query has, null where the sticker
 * has none. query: the words, "" for none. NULL when memory is out; other errors leave "matches" empty. */
json_t *cli_json_explain(const bqb_found *f, bqb_catalogue *c, const char *query);

/* The results as lines, each with a table of its parts. */
bqb_status cli_show_explained(const bqb_search_results *r, bqb_catalogue *c, const char *query, bqb_err *err);

#endif
