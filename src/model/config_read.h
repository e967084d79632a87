/* Values of a config.json, checked one by one; the first complaint is kept and ends the reading. */
#ifndef BQB_MODEL_CONFIG_READ_H
#define BQB_MODEL_CONFIG_READ_H

#include "base/err.h"

#include <jansson.h>

typedef struct {
    const char *path;
    bqb_err *err;
    bqb_status status;
} bqb_config_reader;

/* The whole object of at most 1 MiB, 32 levels, 65,536 values; end it with json_decref. */
bqb_status bqb_config_open(json_t **out, const char *path, bqb_err *err);

/* The value under a key; NULL where there is none, or null. */
const json_t *bqb_config_at(const json_t *o, const char *key);

/* Each gives `fallback` where there is no value. A size is 1 … 2^28 and has to be there when fallback
 * is 0; it is never returned as 0. A token's id may be 0. A number is above 0 and below `most`. */
size_t bqb_config_size(bqb_config_reader *r, const json_t *o, const char *key, size_t fallback);
int64_t bqb_config_id(bqb_config_reader *r, const json_t *o, const char *key, int64_t fallback);
int64_t bqb_config_id_of(bqb_config_reader *r, const json_t *v, const char *key);
double bqb_config_real(bqb_config_reader *r, const json_t *o, const char *key, double fallback, double most);

/* It must be there. */
const json_t *bqb_config_object(bqb_config_reader *r, const json_t *o, const char *key);

#endif
