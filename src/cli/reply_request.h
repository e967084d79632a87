/* One request to bqb reply: a conversation as JSON, read into what the dialogue takes. docs/chat.md has the form. */
#ifndef BQB_CLI_REPLY_REQUEST_H
#define BQB_CLI_REPLY_REQUEST_H

#include "chat/dialogue.h"

#include <jansson.h>

enum {
    REPLY_MESSAGES_MAX = 1000,
    REPLY_RESULTS_MAX = 100,
    REPLY_BYTES_MAX = 64 << 20, /* of a request */
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
} reply_message;

typedef struct {
    json_t *json;
    reply_message *message; /* the last one is the user's, and is to be answered */
    size_t n_messages;
    bool pret;
    bqb_sticker_id *except;
    bqb_dialogue_options o; /* the given ones, with what the request says otherwise; borrows from the request */
} reply_request;

/* Errors: BQB_EFORMAT, BQB_ELIMIT, BQB_ENOTFOUND, of pictures' files; the message begins with the place ("messages[2].role").
 * Free also after an error. */
bqb_status reply_request_read(reply_request *r, const char *text, size_t n, const bqb_dialogue_options *o, bqb_catalogue *c, bqb_err *err);
void reply_request_free(reply_request *r);

#endif
