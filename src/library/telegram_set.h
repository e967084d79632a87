/* What a Telegram sticker set says of its files: the answer of getStickerSet, saved beside them.
 * Source: core.telegram.org/bots/api, StickerSet and Sticker. */
#ifndef BQB_LIBRARY_TELEGRAM_SET_H
#define BQB_LIBRARY_TELEGRAM_SET_H

#include "text/annotation.h"

/* The extensions that the files of a set have, with the point; NULL ends them. */
extern const char *const bqb_telegram_extensions[];

/* Told of each sticker under each name that its file may have without extension, file_unique_id and file_id. The
 * caption is its emoji and their everyday names, the emotion that of the first that has one; strings are lent for
 * the call. Non-OK ends the reading. */
typedef bqb_status (*bqb_telegram_fn)(void *ctx, const char *stem, const bqb_annotation *note, bqb_err *err);

/* {"stickers":[{"file_unique_id","emoji",…}]}, also as {"ok":true,"result":{…}}. What emoji mean is looked up in
 * aliases.tsv and emotions.tsv of bqb's data; without those the caption is the emoji alone. Ids that could be
 * no file's name are passed over. Errors: BQB_EFORMAT, BQB_ELIMIT (no such JSON), BQB_ENOMEM, of fn. */
bqb_status bqb_telegram_set_each(const char *json, size_t n, bqb_telegram_fn fn, void *ctx, bqb_err *err);

#endif
