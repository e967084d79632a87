#include "file/json.h"

#include "base/fs.h"
#include "base/mem.h"
#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

/* jansson allows 2,048 levels and any number of values, which lets a small
 * file ask for a lot of memory. One pass over the bytes bounds both first; it
 * need not understand JSON, only strings and brackets. */
static bqb_status check_limits(const char *text, size_t n, size_t max_depth, size_t max_items, bqb_err *err) {
    size_t depth = 0, items = 0;
    bool in_string = false;
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        if (in_string) {
            if (c == '\\') i++;
            else if (c == '"') in_string = false;
            continue;
        }
        switch (c) {
        case '"':
            in_string = true;
            break;
        case '{':
        case '[':
            items++;
            if (++depth > max_depth)
                return bqb_fail_at(err, BQB_ELIMIT, (int64_t)i, "JSON nests deeper than %zu levels",
                                   max_depth);
            break;
        case '}':
        case ']':
            if (depth) depth--;
            break;
        case ',':
        case ':':
            items++;
            break;
        default:
            break;
        }
        if (items > max_items)
            return bqb_fail_at(err, BQB_ELIMIT, (int64_t)i, "JSON holds more than %zu items", max_items);
    }
    return BQB_OK;
}

bqb_status bqb_json_parse(json_t **out, const char *text, size_t n, size_t max_depth, size_t max_items,
                          bqb_err *err) {
    *out = NULL;
    bqb_status s = check_limits(text, n, max_depth, max_items, err);
    if (s) return s;
    json_error_t why;
    json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES, &why);
    if (!root) {
        bool nomem = json_error_code(&why) == json_error_out_of_memory;
        return bqb_fail_at(err, nomem ? BQB_ENOMEM : BQB_EFORMAT, why.position, "invalid JSON: %s", why.text);
    }
    if (!json_is_object(root)) {
        json_decref(root);
        return bqb_fail_at(err, BQB_EFORMAT, 0, "JSON is an array, an object is needed");
    }
    *out = root;
    return BQB_OK;
}

bqb_status bqb_json_read(json_t **out, const char *path, size_t max_bytes, size_t max_depth, size_t max_items,
                         bqb_err *err) {
    *out = NULL;
    char *text;
    size_t n;
    bqb_status s = bqb_file_read(&text, &n, path, max_bytes, err);
    if (s) return s;
    s = bqb_json_parse(out, text, n, max_depth, max_items, err);
    if (s) bqb_err_prefix(err, path);
    free(text);
    return s;
}

json_t *bqb_json_text(const char *text) {
    size_t n = strlen(text);
    if (bqb_utf8_check(text, n) == n) return json_string(text);
    bqb_buf b = {.max = 1 << 24};
    bqb_status s = bqb_buf_append(&b, "", 0, NULL);
    for (size_t i = 0; i < n && !s;) {
        uint32_t cp;
        char utf8[4];
        i += bqb_utf8_next(text + i, n - i, &cp, NULL);
        s = bqb_buf_append(&b, utf8, bqb_utf8_put(utf8, cp), NULL);
    }
    json_t *j = s ? NULL : json_string(b.data);
    bqb_buf_free(&b);
    return j;
}
