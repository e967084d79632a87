/* Sticker sets of Telegram: names that are names, words that are UTF-8. */
#include "library/telegram_set.h"
#include "target.h"

#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

static bqb_status hear(void *ctx, const char *stem, const bqb_annotation *note, bqb_err *err) {
    (void)ctx, (void)err;
    const char *caption = note->field[BQB_CAPTION];
    if (strpbrk(stem, "/.") || !*stem || bqb_utf8_check(caption, strlen(caption)) != strlen(caption)) abort();
    return BQB_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    bqb_telegram_set_each((const char *)data, size, hear, NULL, NULL);
    return 0;
}
