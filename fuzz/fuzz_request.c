/* Requests of bqb reply: whatever is taken has a last message of the user's, text within its limits, and options that were asked for. */
#include "base/utf8.h"
#include "chat/request.h"
#include "target.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    bqb_err err = {0};
    bqb_dialogue_options o = bqb_dialogue_defaults();
    bqb_request r;
    bqb_status s = bqb_request_read(&r, (const char *)data, size, &o, NULL, &err);
    if (s && !err.msg[0]) abort();
    if (!s) {
        if (!r.n_messages || r.n_messages > BQB_REQUEST_MESSAGES || r.message[r.n_messages - 1].role != BQB_USER) abort();
        if (!r.o.choice.n || r.o.choice.n > BQB_REQUEST_RESULTS || r.o.choice.n_except) abort(); /* there is no library */
    }
    for (size_t i = 0; i < r.n_messages && !s; i++) {
        const bqb_request_message *m = &r.message[i];
        size_t n = strlen(m->text);
        if (n > BQB_MESSAGE_MAX || bqb_utf8_check(m->text, n) != n || m->n_pictures > BQB_MESSAGE_PICTURES || m->n_stickers) abort();
        if (m->role == BQB_SYSTEM && i) abort();
        for (size_t k = 0; k < m->n_pictures; k++)
            if (!m->picture[k].data || !m->picture[k].name) abort();
    }
    bqb_request_free(&r);
    return 0;
}
