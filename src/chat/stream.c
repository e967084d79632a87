#include "chat/stream.h"

#include "base/utf8.h"

#include <string.h>

/* How many bytes begin a character that may yet be completed at the end of s; 0: none. */
static size_t unfinished(const char *s, size_t n) {
    for (size_t back = 1; back <= 3 && back <= n; back++) {
        unsigned char c = (unsigned char)s[n - back];
        if ((c & 0xC0) == 0x80) continue;
        size_t needs = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : c >= 0xC2 ? 2 : 1;
        char whole[4] = {0};
        uint32_t cp;
        bool ok = false;
        if (needs <= back || c > 0xF4) return 0;
        memcpy(whole, s + n - back, back);
        /* Some second byte must be able to follow: 0xE0 needs a high one, 0xED a low one. Only the first to come is free. */
        for (unsigned next = 0x80; next <= 0xBF && !ok; next++) {
            whole[back] = (char)(unsigned char)next;
            for (size_t i = back + 1; i < needs; i++) whole[i] = (char)(unsigned char)0x80;
            bqb_utf8_next(whole, needs, &cp, &ok);
        }
        return ok ? back : 0;
    }
    return 0;
}

static bqb_status show(bqb_stream *s, const char *bytes, size_t n, bqb_err *err) {
    bqb_status st = BQB_OK;
    for (size_t i = 0; i < n && !st && !s->ended;) {
        uint32_t cp;
        char utf8[4];
        i += bqb_utf8_next(bytes + i, n - i, &cp, NULL);
        bool line_end = cp == '\n' && s->blank_line_ends;
        if (line_end && s->break_held) s->ended = true;
        else if (s->break_held) st = bqb_buf_append(&s->text, "\n", 1, err);
        s->break_held = line_end && !s->ended;
        if (!line_end && !st) st = bqb_buf_append(&s->text, utf8, bqb_utf8_put(utf8, cp ? cp : BQB_UTF8_BAD), err);
    }
    return st;
}

bqb_status bqb_stream_add(bqb_stream *s, const char *bytes, size_t n, bqb_err *err) {
    bqb_buf all = {.max = sizeof s->held + n};
    bqb_status st = bqb_buf_append(&all, s->held, s->n_held, err);
    if (!st) st = bqb_buf_append(&all, bytes, n, err);
    if (!st) {
        size_t left = unfinished(all.data, all.len);
        memcpy(s->held, all.data + all.len - left, left);
        s->n_held = left;
        st = show(s, all.data, all.len - left, err);
    }
    bqb_buf_free(&all);
    return st;
}

bqb_status bqb_stream_end(bqb_stream *s, bqb_err *err) {
    bqb_status st = s->n_held ? show(s, "\xEF\xBF\xBD", 3, err) : BQB_OK;
    s->n_held = 0;
    s->break_held = false;
    return st;
}
