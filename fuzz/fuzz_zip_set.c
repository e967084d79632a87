/* Zip archives of stickers, as other programs write them: names, tables, pictures within bounds. */
#include "file/zip_name.h"
#include "library/zip_set.h"
#include "target.h"

#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

static volatile unsigned char seen;

static bqb_status take(void *ctx, const bqb_zip_sticker *x, bqb_err *err) {
    (void)ctx, (void)err;
    size_t n = strlen(x->name);
    if (bqb_utf8_check(x->name, n) != n || !bqb_zip_name_is_safe(x->name) || x->size > (64 << 20)) abort();
    for (size_t i = 0; i < x->size; i++) seen ^= x->data[i];
    for (int f = 0; f < BQB_FIELDS; f++)
        if (x->note.field[f]) seen ^= (unsigned char)strlen(x->note.field[f]);
    return BQB_OK;
}

static void skip(void *ctx, const char *name, const char *reason) {
    (void)ctx;
    if (!name || !*reason) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *path = fuzz_file(data, size);
    const bqb_zip_reader r = {.sticker = take, .skip = skip};
    size_t others;
    if (path && !bqb_zip_set_each(path, &r, &others, NULL) && !bqb_is_zip(path) && size > 3 && !memcmp(data, "PK\3\4", 4)) abort();
    return 0;
}
