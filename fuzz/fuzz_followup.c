/* Tables of follow-ups, and any message held against the real one; and what a model says in pieces of any bytes, whose text is
 * always whole characters and the same however it is cut. */
#include "base/utf8.h"
#include "chat/followup.h"
#include "chat/stream.h"
#include "target.h"

#include <stdlib.h>
#include <string.h>

static void match(const bqb_followups *f, const char *message) {
    bqb_followup got;
    if (bqb_followups_match(&got, f, message, NULL)) return;
    bool leans = got.kind == BQB_FOLLOW_TOWARDS || got.kind == BQB_FOLLOW_AWAY;
    if (got.kind >= BQB_FOLLOWS || leans != (*got.what != 0) || bqb_utf8_check(got.what, strlen(got.what)) != strlen(got.what)) abort();
}

static void cut(bqb_stream *s, const uint8_t *data, size_t size, size_t step) {
    for (size_t i = 0; i < size; i += step) {
        size_t n = size - i < step ? size - i : step, before = s->text.len;
        if (bqb_stream_add(s, (const char *)data + i, n, NULL)) return;
        if (s->text.len < before || (s->text.data && bqb_utf8_check(s->text.data, s->text.len) != s->text.len)) abort();
    }
    bqb_stream_end(s, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static bqb_followups *real;
    if (!real && bqb_followups_open(&real, "data/chat/followups.tsv", NULL)) abort();
    bqb_followups *f = NULL;
    bqb_err err = {0};
    const char *path = fuzz_file(data, size);
    char message[256] = {0};
    memcpy(message, data, size < sizeof message - 1 ? size : sizeof message - 1);
    match(real, message);
    if (path && bqb_followups_open(&f, path, &err) && !err.msg[0]) abort();
    if (f) match(f, message);
    bqb_followups_close(f);

    bqb_stream whole = {.text = {.max = 1 << 24}}, bytes = whole;
    cut(&whole, data, size, size ? size : 1);
    cut(&bytes, data, size, 1);
    if (whole.text.len != bytes.text.len || (whole.text.len && memcmp(whole.text.data, bytes.text.data, whole.text.len))) abort();
    bqb_buf_free(&whole.text);
    bqb_buf_free(&bytes.text);
    return 0;
}
