/* A conversation as JSON, as bqb reply gets it, read into what the dialogue takes. Form: docs/chat.md. */
#ifndef BQB_CHAT_REQUEST_H
#define BQB_CHAT_REQUEST_H

#include "chat/dialogue.h"

#include <jansson.h>

enum {
    BQB_REQUEST_MESSAGES = 1000,
    BQB_REQUEST_RESULTS = 100,
    BQB_REQUEST_MAX = 64 << 20, /* of a request */
};

typedef struct {
    bqb_role role;
    char *text;
    bqb_picture *picture; /* [n_pictures] */
    bqb_buf *bytes;       /* [n_pictures] that they lie in */
    char **name;          /* [n_pictures] */
    size_t n_pictures;
    bqb_sticker_id *sticker;
    size_t n_stickers;
} bqb_request_message;

typedef struct {
    json_t *json;
    bqb_request_message *message; /* the last one is the user's, and is to be answered */
    size_t n_messages;
    bool pret;
    bqb_sticker_id *except;
    bqb_dialogue_options o; /* the given ones, with what the request says otherwise; borrows from the request */
} bqb_request;

/* c: where ids of stickers are looked up; NULL: there are none. Errors: BQB_EFORMAT (of JSON itself with the byte position), BQB_ELIMIT, BQB_ENOTFOUND, of
 * pictures' files; the message begins with the place ("messages[2].role"). Free also after an error. */
bqb_status bqb_request_read(bqb_request *r, const char *text, size_t n, const bqb_dialogue_options *o, bqb_catalogue *c, bqb_err *err);
void bqb_request_free(bqb_request *r);

#endif
