#include "chat/request.h"

#include "base/fs.h"
#include "base/utf8.h"
#include "file/base64.h"
#include "file/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_DEPTH = 16, MOST_ITEMS = 200000, MOST_STICKERS = BQB_CHOICE_EXCEPT_MOST };

/* Where in the request we are, and what went wrong first. */
typedef struct {
    bqb_catalogue *c;
    bqb_status status;
    bqb_err *err;
    char at[96];
} reader;

static void fail(reader *r, bqb_status code, const char *key, const char *what) {
    if (!r->status) r->status = bqb_fail(r->err, code, "%s%s%s: %s", r->at, *r->at && *key ? "." : "", key, what);
}

static void go_to(reader *r, const char *list, size_t i) { snprintf(r->at, sizeof r->at, "%s[%zu]", list, i); }

/* A key that nobody knows is a mistake that would otherwise go unnoticed. */
static void check_keys(reader *r, json_t *o, const char *const *known) {
    const char *key;
    json_t *value;
    json_object_foreach(o, key, value) {
        size_t i = 0;
        while (known[i] && strcmp(known[i], key)) i++;
        if (!known[i]) fail(r, BQB_EFORMAT, key, "is a key that is not known");
    }
}

static const char *text_of(reader *r, const json_t *o, const char *key) {
    const json_t *v = json_object_get(o, key);
    if (!v || json_is_null(v)) return NULL;
    if (!json_is_string(v)) fail(r, BQB_EFORMAT, key, "is no text");
    return json_string_value(v);
}

static double number_of(reader *r, const json_t *o, const char *key, double otherwise) {
    const json_t *v = json_object_get(o, key);
    if (!v) return otherwise;
    if (!json_is_number(v)) fail(r, BQB_EFORMAT, key, "is no number");
    return json_number_value(v);
}

static uint64_t count_of(reader *r, const json_t *o, const char *key, uint64_t otherwise, uint64_t most) {
    const json_t *v = json_object_get(o, key);
    if (!v) return otherwise;
    json_int_t n = json_integer_value(v);
    if (!json_is_integer(v) || n < 0 || (uint64_t)n > most) fail(r, BQB_EFORMAT, key, "is no whole number within its range");
    return (uint64_t)n;
}

static bool flag_of(reader *r, const json_t *o, const char *key, bool otherwise) {
    const json_t *v = json_object_get(o, key);
    if (!v) return otherwise;
    if (!json_is_boolean(v)) fail(r, BQB_EFORMAT, key, "is neither true nor false");
    return json_is_true(v);
}

static void read_ids(reader *r, bqb_sticker_id **out, size_t *n, const json_t *o, const char *key) {
    const json_t *list = json_object_get(o, key);
    *n = 0;
    if (!list || r->status) return;
    if (!json_is_array(list) || json_array_size(list) > MOST_STICKERS) {
        fail(r, BQB_EFORMAT, key, json_is_array(list) ? "has more than 1000 ids" : "is no list of ids");
        return;
    }
    *out = bqb_calloc(json_array_size(list) + 1, sizeof **out);
    if (!*out) fail(r, BQB_ENOMEM, key, "out of memory");
    for (size_t i = 0; i < json_array_size(list) && !r->status; i++) {
        const char *id = json_string_value(json_array_get(list, i));
        bqb_err why = {0};
        if (!id) fail(r, BQB_EFORMAT, key, "has an entry that is no text");
        else if (!r->c) fail(r, BQB_ENOTFOUND, key, "there is no library");
        else if (bqb_catalogue_find_prefix(r->c, id, &(*out)[(*n)++], &why)) fail(r, why.code, key, why.msg);
    }
}

/* ---- messages ---- */

static void add_text(reader *r, bqb_buf *text, const char *more) {
    bqb_err why;
    if (!r->status && bqb_buf_puts(text, more, &why)) fail(r, why.code, "content", why.code == BQB_ELIMIT ? "a message has at most 1 MiB of text" : why.msg);
}

/* "data:image/png;base64,…", a file's path, or base64 alone. */
static bqb_status picture_bytes(bqb_buf *out, const char *value, const char **name, bqb_err *err) {
    const char *comma = strncmp(value, "data:", 5) ? NULL : strchr(value, ',');
    *name = "picture";
    if (!comma && strlen(value) < 4096 && bqb_is_file(value)) {
        bqb_map m;
        *name = bqb_path_base(value);
        bqb_status s = bqb_map_open(&m, value, err);
        if (!s) s = bqb_buf_append(out, m.data, m.size, err);
        bqb_map_close(&m);
        return s;
    }
    const char *coded = comma ? comma + 1 : value;
    bqb_err why;
    if (strlen(coded) >= 16 && !bqb_base64_decode(out, coded, strlen(coded), &why)) return BQB_OK;
    return bqb_fail(err, BQB_ENOTFOUND, "\"%.60s\" is neither a file that is there nor base64", value);
}

static void add_picture(reader *r, bqb_request_message *m, const char *value) {
    size_t n = m->n_pictures;
    const char *name;
    bqb_err why = {0};
    if (n == BQB_MESSAGE_PICTURES) fail(r, BQB_ELIMIT, "content", "a message has at most 16 pictures");
    if (r->status) return;
    if (!m->picture) {
        m->picture = bqb_calloc(BQB_MESSAGE_PICTURES, sizeof *m->picture);
        m->bytes = bqb_calloc(BQB_MESSAGE_PICTURES, sizeof *m->bytes);
        m->name = bqb_calloc(BQB_MESSAGE_PICTURES, sizeof *m->name);
    }
    if (!m->picture || !m->bytes || !m->name) {
        fail(r, BQB_ENOMEM, "content", "out of memory");
        return;
    }
    m->bytes[n] = (bqb_buf){.max = BQB_PICTURE_MAX};
    m->n_pictures++;
    if (picture_bytes(&m->bytes[n], value, &name, &why)) fail(r, why.code, "content", why.msg);
    else if (!(m->name[n] = bqb_strdup(name))) fail(r, BQB_ENOMEM, "content", "out of memory");
    else m->picture[n] = (bqb_picture){.data = m->bytes[n].data ? m->bytes[n].data : "", .size = m->bytes[n].len, .name = m->name[n]};
}

static void read_part(reader *r, bqb_request_message *m, bqb_buf *text, json_t *part) {
    static const char *const known[] = {"type", "text", "image", NULL};
    if (json_is_string(part)) {
        add_text(r, text, json_string_value(part));
        return;
    }
    if (!json_is_object(part)) {
        fail(r, BQB_EFORMAT, "content", "has a part that is neither text nor an object");
        return;
    }
    check_keys(r, part, known);
    const char *words = text_of(r, part, "text"), *image = text_of(r, part, "image");
    if (!words == !image) fail(r, BQB_EFORMAT, "content", "has a part that needs either \"text\" or \"image\"");
    else if (words) add_text(r, text, words);
    else if (m->role != BQB_USER) fail(r, BQB_EFORMAT, "content", "only a user's message has pictures");
    else add_picture(r, m, image);
}

static void read_message(reader *r, bqb_request_message *m, json_t *o) {
    static const char *const known[] = {"role", "content", "stickers", NULL};
    bqb_buf text = {.max = BQB_MESSAGE_MAX};
    if (!json_is_object(o)) fail(r, BQB_EFORMAT, "", "is no object");
    check_keys(r, o, known);
    const char *role = text_of(r, o, "role");
    m->role = BQB_SYSTEM;
    while (role && m->role <= BQB_ASSISTANT && strcmp(role, bqb_role_name(m->role))) m->role++;
    if (!role || m->role > BQB_ASSISTANT) fail(r, BQB_EFORMAT, "role", "needs \"system\", \"user\" or \"assistant\"");
    json_t *content = json_object_get(o, "content");
    if (json_is_array(content))
        for (size_t i = 0; i < json_array_size(content) && !r->status; i++) read_part(r, m, &text, json_array_get(content, i));
    else if (json_is_string(content)) add_text(r, &text, json_string_value(content));
    else if (content && !json_is_null(content)) fail(r, BQB_EFORMAT, "content", "is neither text nor a list of parts");
    if (!r->status && m->role != BQB_ASSISTANT && json_object_get(o, "stickers")) fail(r, BQB_EFORMAT, "stickers", "only the assistant's messages have them");
    read_ids(r, &m->sticker, &m->n_stickers, o, "stickers");
    if (!r->status && !(m->text = bqb_strdup(text.data ? text.data : ""))) fail(r, BQB_ENOMEM, "content", "out of memory");
    bqb_buf_free(&text);
}

static void read_messages(reader *r, bqb_request *q) {
    const json_t *list = json_object_get(q->json, "messages");
    size_t n = json_array_size(list);
    if (!json_is_array(list) || !n) fail(r, BQB_EFORMAT, "messages", "a list of one message or more is needed");
    else if (n > BQB_REQUEST_MESSAGES) fail(r, BQB_ELIMIT, "messages", "there are more than 1000");
    if (!r->status && !(q->message = bqb_calloc(n, sizeof *q->message))) fail(r, BQB_ENOMEM, "messages", "out of memory");
    for (size_t i = 0; i < n && !r->status; i++) {
        go_to(r, "messages", i);
        read_message(r, &q->message[q->n_messages++], json_array_get(list, i));
        if (!r->status && i && q->message[i].role == BQB_SYSTEM) fail(r, BQB_EFORMAT, "role", "a system message can only be the first");
    }
    if (!r->status && q->message[n - 1].role != BQB_USER) fail(r, BQB_EFORMAT, "role", "the last message must be the user's");
    *r->at = 0;
}

/* ---- all the rest ---- */

static void read_options(reader *r, bqb_request *q) {
    static const char *const known[] = {"messages", "pret", "filters", "exclude", "n", "seed", "temperature", "top_k", "top_p", "repetition", "max_tokens", "beta", "anyway", NULL};
    static const char *const filters[] = {"emotion", "style", "animated", NULL};
    json_t *o = q->json, *f = json_object_get(o, "filters");
    bqb_choice_options *ch = &q->o.choice;
    check_keys(r, o, known);
    q->pret = flag_of(r, o, "pret", false);
    q->o.sampling.seed = count_of(r, o, "seed", q->o.sampling.seed, INT64_MAX);
    q->o.sampling.temperature = number_of(r, o, "temperature", q->o.sampling.temperature);
    q->o.sampling.top_k = (size_t)count_of(r, o, "top_k", q->o.sampling.top_k, 1 << 24);
    q->o.sampling.top_p = number_of(r, o, "top_p", q->o.sampling.top_p);
    q->o.sampling.repetition = number_of(r, o, "repetition", q->o.sampling.repetition);
    q->o.most_tokens = (size_t)count_of(r, o, "max_tokens", q->o.most_tokens, 1 << 20);
    ch->beta = number_of(r, o, "beta", ch->beta);
    ch->n = (size_t)count_of(r, o, "n", ch->n, BQB_REQUEST_RESULTS);
    if (!ch->n) fail(r, BQB_EFORMAT, "n", "1 to 100 are possible");
    if (flag_of(r, o, "anyway", false)) ch->least = -INFINITY;
    read_ids(r, &q->except, &ch->n_except, o, "exclude");
    ch->except = q->except;
    if (!f || r->status) return;
    snprintf(r->at, sizeof r->at, "filters");
    if (!json_is_object(f)) fail(r, BQB_EFORMAT, "", "is no object");
    check_keys(r, f, filters);
    const char *emotion = text_of(r, f, "emotion"), *style = text_of(r, f, "style");
    if (emotion) ch->emotion = emotion;
    if (style) ch->style = style;
    ch->animated = flag_of(r, f, "animated", ch->animated);
    *r->at = 0;
}

bqb_status bqb_request_read(bqb_request *q, const char *text, size_t n, const bqb_dialogue_options *o, bqb_catalogue *c, bqb_err *err) {
    bqb_err own;
    reader r = {.c = c, .err = err ? err : &own};
    *q = (bqb_request){.o = *o};
    r.status = bqb_json_parse(&q->json, text, n, MOST_DEPTH, MOST_ITEMS, r.err);
    if (r.status) return r.status;
    read_options(&r, q);
    if (!r.status) read_messages(&r, q);
    if (!r.status && q->message[0].role == BQB_SYSTEM) q->o.system = q->message[0].text;
    return r.status;
}

void bqb_request_free(bqb_request *q) {
    for (size_t i = 0; i < q->n_messages; i++) {
        bqb_request_message *m = &q->message[i];
        for (size_t k = 0; k < m->n_pictures; k++) {
            bqb_buf_free(&m->bytes[k]);
            free(m->name[k]);
        }
        free(m->picture);
        free(m->bytes);
        free(m->name);
        free(m->sticker);
        free(m->text);
    }
    free(q->message);
    free(q->except);
    json_decref(q->json);
    *q = (bqb_request){.n_messages = 0};
}
