/* LMDB databases: whatever the pages claim, keys and values lie inside the file. */
#include "file/lmdb.h"
#include "target.h"

#include <stdlib.h>
#include <string.h>

static volatile unsigned char seen;

static bqb_status look(void *ctx, const uint8_t *key, size_t n, const uint8_t *data, size_t size, bqb_err *err) {
    const uint8_t *again;
    size_t size_again;
    (void)err;
    for (size_t i = 0; i < n; i++) seen ^= key[i];
    for (size_t i = 0; i < size; i++) seen ^= data[i];
    if (!bqb_lmdb_get(ctx, key, n, &again, &size_again, NULL))
        for (size_t i = 0; i < size_again; i++) seen ^= again[i];
    return BQB_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *path = fuzz_file(data, size);
    const uint8_t *value;
    size_t n;
    bqb_lmdb *db = NULL;
    if (!path || bqb_lmdb_open(&db, path, NULL)) return 0;
    if (!bqb_is_lmdb(path)) abort();
    bqb_status s = bqb_lmdb_each(db, look, db, NULL);
    if (s && s != BQB_EFORMAT && s != BQB_EUNSUPPORTED) abort();
    if (!bqb_lmdb_get(db, "key001", 6, &value, &n, NULL))
        for (size_t i = 0; i < n; i++) seen ^= value[i];
    bqb_lmdb_close(db);
    return 0;
}
