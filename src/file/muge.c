#include "file/muge.h"

#include "base/utf8.h"
#include "file/base64.h"
#include "file/jsonl.h"
#include "file/lines.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_LINE_BYTES ((size_t)128 << 20)

struct bqb_muge_images {
    bqb_lines *lines;
    bqb_buf id, bytes;
};

bqb_status bqb_muge_images_open(bqb_muge_images **out, const char *path, bqb_err *err) {
    *out = NULL;
    bqb_muge_images *m = calloc(1, sizeof *m);
    if (!m) return bqb_fail_nomem(err, path, sizeof *m);
    m->id.max = m->bytes.max = MAX_LINE_BYTES;
    bqb_status s = bqb_lines_open(&m->lines, path, MAX_LINE_BYTES, err);
    if (s) {
        bqb_muge_images_close(m);
        return s;
    }
    *out = m;
    return BQB_OK;
}

void bqb_muge_images_close(bqb_muge_images *m) {
    if (!m) return;
    bqb_lines_close(m->lines);
    bqb_buf_free(&m->id);
    bqb_buf_free(&m->bytes);
    free(m);
}

static bqb_status fail_line(const bqb_lines *lines, bqb_err *err, const char *what) {
    size_t line = bqb_lines_number(lines);
    return bqb_fail_at(err, BQB_EFORMAT, (int64_t)line, "%s: line %zu: %s", bqb_lines_path(lines), line,
                       what);
}

bqb_status bqb_muge_images_next(bqb_muge_images *m, bqb_muge_image *image, bqb_err *err) {
    *image = (bqb_muge_image){0};
    const char *line;
    size_t n;
    do {
        bqb_status s = bqb_lines_next(m->lines, &line, &n, err);
        if (s) return s;
        if (!line) return BQB_OK;
    } while (!n);
    const char *tab = memchr(line, '\t', n);
    if (!tab) return fail_line(m->lines, err, "no tab between id and picture");
    size_t id_bytes = (size_t)(tab - line);
    if (!id_bytes || memchr(line, 0, id_bytes) || bqb_utf8_check(line, id_bytes) != id_bytes)
        return fail_line(m->lines, err, "the id is empty or not UTF-8 text");
    m->id.len = m->bytes.len = 0;
    bqb_status s = bqb_buf_append(&m->id, line, id_bytes, err);
    if (s) return s;
    bqb_err why = {0};
    s = bqb_base64_decode(&m->bytes, tab + 1, n - id_bytes - 1, &why);
    if (s == BQB_EFORMAT) return fail_line(m->lines, err, why.msg);
    if (s) return bqb_fail(err, s, "%s", why.msg);
    *image = (bqb_muge_image){m->id.data, (const uint8_t *)m->bytes.data, m->bytes.len,
                              bqb_lines_number(m->lines)};
    return BQB_OK;
}

struct bqb_muge_texts {
    bqb_jsonl *jsonl;
    char **id; /* [n_ids]: the text's, then the pictures' */
    size_t n_ids, cap;
};

bqb_status bqb_muge_texts_open(bqb_muge_texts **out, const char *path, bqb_err *err) {
    *out = NULL;
    bqb_muge_texts *m = calloc(1, sizeof *m);
    if (!m) return bqb_fail_nomem(err, path, sizeof *m);
    bqb_status s = bqb_jsonl_open(&m->jsonl, path, err);
    if (s) {
        bqb_muge_texts_close(m);
        return s;
    }
    *out = m;
    return BQB_OK;
}

static void forget_ids(bqb_muge_texts *m) {
    while (m->n_ids) free(m->id[--m->n_ids]);
}

void bqb_muge_texts_close(bqb_muge_texts *m) {
    if (!m) return;
    forget_ids(m);
    free(m->id);
    bqb_jsonl_close(m->jsonl);
    free(m);
}

static bqb_status reserve_ids(bqb_muge_texts *m, size_t n, bqb_err *err) {
    if (n <= m->cap) return BQB_OK;
    char **id = realloc(m->id, n * sizeof *id);
    if (!id) return bqb_fail_nomem(err, "ids", n * sizeof *id);
    m->id = id;
    m->cap = n;
    return BQB_OK;
}

/* Room for it must be reserved. */
static bqb_status add_id(bqb_muge_texts *m, const json_t *id, const char *what, bqb_err *err) {
    const char *s = json_string_value(id);
    if (!json_is_integer(id) && (!s || !*s)) return bqb_jsonl_fail(m->jsonl, err, what);
    char *copy = s ? bqb_strdup(s) : bqb_asprintf("%" JSON_INTEGER_FORMAT, json_integer_value(id));
    if (!copy) return bqb_fail_nomem(err, "id", 0);
    m->id[m->n_ids++] = copy;
    return BQB_OK;
}

bqb_status bqb_muge_texts_next(bqb_muge_texts *m, bqb_muge_text *text, bqb_err *err) {
    *text = (bqb_muge_text){0};
    forget_ids(m);
    const json_t *line;
    bqb_status s = bqb_jsonl_next(m->jsonl, &line, err);
    if (s || !line) return s;
    const json_t *words = json_object_get(line, "text"), *images = json_object_get(line, "image_ids");
    if (!json_is_string(words)) return bqb_jsonl_fail(m->jsonl, err, "\"text\" is not a string");
    if (images && !json_is_array(images))
        return bqb_jsonl_fail(m->jsonl, err, "\"image_ids\" is not an array");
    size_t n = json_array_size(images);
    s = reserve_ids(m, n + 1, err);
    if (!s) s = add_id(m, json_object_get(line, "text_id"), "\"text_id\" is not an integer or a string", err);
    for (size_t i = 0; !s && i < n; i++)
        s = add_id(m, json_array_get(images, i), "\"image_ids\" holds what is not an integer or a string",
                   err);
    if (s) return s;
    *text = (bqb_muge_text){m->id[0], json_string_value(words), (const char *const *)(m->id + 1), n,
                            bqb_jsonl_line(m->jsonl)};
    return BQB_OK;
}

bqb_status bqb_muge_texts_each(const char *path, bqb_muge_text_fn fn, bqb_skipped_fn skipped, void *ctx, bqb_err *err) {
    bqb_muge_texts *texts = NULL;
    bqb_status s = bqb_muge_texts_open(&texts, path, err);
    while (!s) {
        bqb_muge_text t;
        bqb_err why = {0};
        s = bqb_muge_texts_next(texts, &t, &why);
        if (s == BQB_EFORMAT || s == BQB_ELIMIT) {
            if (skipped) skipped(ctx, path, why.msg);
            s = BQB_OK;
        } else if (s) {
            if (err) *err = why;
        } else if (!t.id) break;
        else s = fn(ctx, &t, err);
    }
    bqb_muge_texts_close(texts);
    return s;
}

/* "12" and "-3" become numbers; "007", "1e3" and "cat.gif" stay strings. */
static json_t *id_to_json(const char *id) {
    char *end, again[32];
    errno = 0;
    long long v = strtoll(id, &end, 10);
    snprintf(again, sizeof again, "%lld", v);
    return !errno && !strcmp(again, id) ? json_integer(v) : json_string(id);
}

bqb_status bqb_muge_write_image(bqb_outfile *o, const char *id, const void *bytes, size_t size, bqb_err *err) {
    bqb_buf line = {.max = MAX_LINE_BYTES};
    bqb_status s = bqb_buf_printf(&line, err, "%s\t", id);
    if (!s) s = bqb_base64_encode(&line, bytes, size, err);
    if (!s) s = bqb_buf_append(&line, "\n", 1, err);
    if (!s) s = bqb_outfile_write(o, line.data, line.len, err);
    bqb_buf_free(&line);
    return s;
}

/* A line about a text and the pictures that belong to it; text NULL: only its id. */
static bqb_status write_pairs(bqb_outfile *o, const char *text_id, const char *text, const char *const *image_ids, size_t n,
                              bqb_err *err) {
    json_t *ids = json_array(), *id = id_to_json(text_id), *words = text ? json_string(text) : NULL;
    bool bad = !ids || !id || (text && !words);
    for (size_t i = 0; !bad && i < n; i++) bad = json_array_append_new(ids, id_to_json(image_ids[i]));
    if (bad) {
        json_decref(ids);
        json_decref(id);
        json_decref(words);
        return bqb_fail(err, BQB_EINVAL, "%s: an id of text \"%.100s\", or the text, is not UTF-8", o->path, text_id);
    }
    return bqb_jsonl_write_take(o, json_pack("{s:o, s:o*, s:o}", "text_id", id, "text", words, "image_ids", ids), err);
}

bqb_status bqb_muge_write_text(bqb_outfile *o, const char *text_id, const char *text, const char *const *image_ids,
                               size_t n, bqb_err *err) {
    return write_pairs(o, text_id, text, image_ids, n, err);
}

bqb_status bqb_muge_write_prediction(bqb_outfile *o, const char *text_id, const char *const *image_ids,
                                     size_t n, bqb_err *err) {
    return write_pairs(o, text_id, NULL, image_ids, n, err);
}

bqb_status bqb_muge_write_feature(bqb_outfile *o, const char *key, const char *id, const float *feature,
                                  size_t D, bqb_err *err) {
    for (size_t d = 0; d < D; d++)
        if (!isfinite(feature[d]))
            return bqb_fail(err, BQB_EINVAL, "%s: number %zu of the feature of \"%.100s\" is not finite",
                            o->path, d, id);
    json_t *numbers = json_array(), *json_id = id_to_json(id);
    bool bad = !numbers || !json_id;
    for (size_t d = 0; !bad && d < D; d++)
        bad = json_array_append_new(numbers, json_real((double)feature[d]));
    if (bad) {
        json_decref(numbers);
        json_decref(json_id);
        return bqb_fail(err, BQB_EINVAL, "%s: the id \"%.100s\" is not UTF-8", o->path, id);
    }
    return bqb_jsonl_write_take(o, json_pack("{s:o, s:o}", key, json_id, "feature", numbers), err);
}

bqb_status bqb_muge_score(bqb_buf *out, double r1, double r5, double r10, bqb_err *err) {
    double mean = (r1 + r5 + r10) / 3;
    json_t *j = json_pack("{s:b, s:f, s:{s:f, s:f, s:f, s:f, s:f}}", "success", 1, "score", mean, "scoreJson",
                          "score", mean, "mean_recall", mean, "r1", r1, "r5", r5, "r10", r10);
    char *text = j ? json_dumps(j, JSON_COMPACT | JSON_REAL_PRECISION(12)) : NULL;
    json_decref(j);
    if (!text) return bqb_fail(err, BQB_EINVAL, "the recalls are not finite, or memory is out");
    bqb_status s = bqb_buf_puts(out, text, err);
    free(text);
    return s;
}
