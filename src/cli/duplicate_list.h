/* What bqb duplicates shows: groups of near copies, and stickers that are one picture with other words. */
#ifndef BQB_CLI_DUPLICATE_LIST_H
#define BQB_CLI_DUPLICATE_LIST_H

#include "library/catalogue.h"
#include "search/search.h"

/* Best first: the keeper; then animated ones, the most pixels, the most fields, the oldest. */
typedef struct {
    bqb_found *item;
    size_t n, cap;
    bqb_sticker_id first;  /* the group's, or any number that is the same for all */
    bqb_sticker_id keeper; /* 0: none */
} cli_alike;

typedef struct {
    cli_alike *item;
    size_t n, cap;
} cli_alikes;

/* Groups of at least two that are there. Free also after an error. */
bqb_status cli_groups_load(cli_alikes *groups, bqb_catalogue *c, bqb_err *err);

/* Of a group one stands for it: its keeper, else its first. */
bqb_status cli_other_words_load(cli_alikes *list, bqb_catalogue *c, bqb_err *err);
void cli_alikes_free(cli_alikes *list);

/* Lines, or pictures where stdout is a terminal; one JSON object; a contact sheet at `path`. */
void cli_alikes_show(const cli_alikes *groups, const cli_alikes *words, bool pictures);
int cli_alikes_json(const cli_alikes *groups, const cli_alikes *words);
bqb_status cli_alikes_sheet(const cli_alikes *groups, const cli_alikes *words, const char *path, bqb_err *err);

#endif
