#include "model/config_read.h"

#include "file/json.h"

enum { MAX_BYTES = 1 << 20, MAX_DEPTH = 32, MAX_ITEMS = 1 << 16 };

/* What no network comes near; bqb_layout_new and bqb_decoder_config_check draw the line for each size. */
enum { SIZE_MOST = 1 << 28 };

bqb_status bqb_config_open(json_t **out, const char *path, bqb_err *err) {
    return bqb_json_read(out, path, MAX_BYTES, MAX_DEPTH, MAX_ITEMS, err);
}

const json_t *bqb_config_at(const json_t *o, const char *key) {
    const json_t *v = json_object_get(o, key);
    return json_is_null(v) ? NULL : v;
}

size_t bqb_config_size(bqb_config_reader *r, const json_t *o, const char *key, size_t fallback) {
    const json_t *v = bqb_config_at(o, key);
    if (!v && fallback) return fallback;
    if (r->status) return 1;
    if (!v) r->status = bqb_fail(r->err, BQB_EFORMAT, "%s: \"%s\" is missing", r->path, key);
    else if (!json_is_integer(v)) r->status = bqb_fail(r->err, BQB_EFORMAT, "%s: \"%s\" must be a whole number", r->path, key);
    else if (json_integer_value(v) <= 0 || json_integer_value(v) > SIZE_MOST)
        r->status = bqb_fail(r->err, BQB_EFORMAT, "%s: \"%s\" is %lld, must be 1 … %d", r->path, key, (long long)json_integer_value(v),
                             SIZE_MOST);
    return r->status ? 1 : (size_t)json_integer_value(v);
}

int64_t bqb_config_id_of(bqb_config_reader *r, const json_t *v, const char *key) {
    if (!r->status && (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > SIZE_MOST))
        r->status = bqb_fail(r->err, BQB_EFORMAT, "%s: \"%s\" must be a token's id", r->path, key);
    return r->status ? 0 : json_integer_value(v);
}

int64_t bqb_config_id(bqb_config_reader *r, const json_t *o, const char *key, int64_t fallback) {
    const json_t *v = bqb_config_at(o, key);
    return v ? bqb_config_id_of(r, v, key) : fallback;
}

double bqb_config_real(bqb_config_reader *r, const json_t *o, const char *key, double fallback, double most) {
    const json_t *v = bqb_config_at(o, key);
    if (r->status || !v) return fallback;
    double x = json_number_value(v);
    if (!json_is_number(v) || !(x > 0 && x < most))
        r->status = bqb_fail(r->err, BQB_EFORMAT, "%s: \"%s\" must be a number between 0 and %g", r->path, key, most);
    return r->status ? fallback : x;
}

const json_t *bqb_config_object(bqb_config_reader *r, const json_t *o, const char *key) {
    const json_t *v = json_object_get(o, key);
    if (!r->status && !json_is_object(v)) r->status = bqb_fail(r->err, BQB_EFORMAT, "%s: \"%s\" is missing", r->path, key);
    return v;
}
