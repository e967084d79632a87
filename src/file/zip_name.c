#include "file/zip_name.h"

#include "base/utf8.h"

#include <iconv.h>
#include <string.h>

enum { MAX_NAME = UINT16_MAX };

/* All of in, or nothing: false where a byte does not belong to the encoding, or libc has no table of it. */
static bool convert(bqb_buf *out, const char *encoding, const char *in, size_t n) {
    char piece[1024], *from = (char *)(uintptr_t)in;
    size_t before = out->len;
    iconv_t cd = iconv_open("UTF-8", encoding);
    if (cd == (iconv_t)-1) return false;
    bool good = true;
    while (good && n) {
        char *to = piece;
        size_t room = sizeof piece, left = n;
        size_t r = iconv(cd, &from, &n, &to, &room);
        good = (r != (size_t)-1 || n < left) && !bqb_buf_append(out, piece, (size_t)(to - piece), NULL);
    }
    iconv_close(cd);
    if (!good) out->len = before;
    return good;
}

bqb_status bqb_zip_name(bqb_buf *out, const bqb_zip_entry *e, bqb_err *err) {
    const char *name = e->unicode ? e->unicode : e->name;
    size_t n = strlen(name), start = out->len;
    bqb_status s = bqb_buf_append(out, "", 0, err);
    if (s) return s;
    bool said = e->utf8 || e->unicode;
    if (bqb_utf8_check(name, n) == n) s = bqb_buf_append(out, name, n, err);
    else if (said || !(convert(out, "GB18030", name, n) || convert(out, "CP437", name, n))) s = bqb_utf8_mend(out, name, n, err);
    for (size_t i = start; i < out->len; i++)
        if (out->data[i] == '\\') out->data[i] = '/';
    return s;
}

const char *bqb_zip_name_problem(const char *name) {
    static const char leaves[] = "its name would leave the folder";
    size_t n = strlen(name);
    if (!n) return "it has no name";
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)name[i] < 0x20 || name[i] == 0x7F) return "its name has control characters";
    if (n > MAX_NAME) return "its name is too long";
    if (*name == '/' || name[1] == ':') return leaves;
    for (const char *part = name; part; part = strchr(part, '/')) {
        part += *part == '/';
        if (part[0] == '.' && part[1] == '.' && (!part[2] || part[2] == '/')) return leaves;
    }
    return NULL;
}

bool bqb_zip_name_is_safe(const char *name) { return !bqb_zip_name_problem(name); }
