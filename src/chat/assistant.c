#include "chat/assistant.h"

#include "base/data.h"
#include "base/fs.h"
#include "base/mem.h"
#include "chat/wordings.h"
#include "image/decode.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_WINDOW = 4096 };

size_t bqb_assistant_window(const bqb_decoder_config *c) { return c->context < MOST_WINDOW ? c->context : MOST_WINDOW; }

static bqb_status open_llm(bqb_assistant *a, const bqb_assistant_options *o, bqb_err *err) {
    if (!bqb_is_dir(o->llm) && !bqb_is_file(o->llm))
        return bqb_fail(err, BQB_ENOTFOUND, "%s: no such language model (a folder with config.json, or a GGUF file)", o->llm);
    bqb_status s = bqb_llm_tokenizer_of(&a->tok, o->llm, err); /* small, and whether it fits is soon known */
    if (!s) s = bqb_decoder_open(&a->llm, o->llm, o->precision, o->threads, err);
    if (s) return s;
    const bqb_decoder_config *c = bqb_decoder_get_config(a->llm);
    a->V = c->vocab;
    a->C = c->width;
    a->window = o->window ? o->window : bqb_assistant_window(c);
    if (a->window > c->context)
        return bqb_fail(err, BQB_EINVAL, "%s: a window of %zu tokens was asked for, the model was trained for %zu", o->llm, a->window, c->context);
    a->format = bqb_chat_format_of(a->tok);
    s = bqb_llm_tokenizer_fits(a->tok, a->V, o->llm, err);
    return s ? s : bqb_decoder_fits(a->llm, a->window, o->llm, err);
}

static bqb_status open_adapter(bqb_assistant *a, const bqb_assistant_options *o, bqb_err *err) {
    char *beside = o->adapter ? NULL : bqb_adapter_beside(o->llm);
    const char *dir = o->adapter ? o->adapter : beside;
    bqb_status s = dir ? BQB_OK : bqb_fail_nomem(err, o->llm, strlen(o->llm));
    if (!s && !o->adapter && !bqb_is_adapter(dir))
        s = bqb_fail(err, BQB_ENOTFOUND, "%s has not learnt to answer with stickers: `bqb tune --llm %s --out ADAPTER` teaches it, then --adapter ADAPTER", o->llm, o->llm);
    if (!s && !bqb_is_adapter(dir)) s = bqb_fail(err, BQB_ENOTFOUND, "%s: no adapter there (no adapter.json)", dir);
    if (!s) s = bqb_adapter_open(&a->adapter, dir, a->llm, a->text, err);
    free(beside);
    if (s) return s;
    a->F = a->adapter->parts.F;
    a->D = a->adapter->parts.D;
    return BQB_OK;
}

/* ---- what every conversation needs ---- */

static bqb_status open_followups(bqb_assistant *a, bqb_err *err) {
    char *path = NULL;
    bqb_status s = bqb_data_path(&path, "chat/followups.tsv", err);
    if (!s) s = bqb_followups_open(&a->followups, path, err);
    free(path);
    return s;
}

/* The words that requests for stickers have around what is wanted. */
static bqb_status read_common(bqb_assistant *a, bqb_err *err) {
    static const char *const columns[] = {"task", "side", "wording"};
    char *path = NULL;
    bqb_table *t = NULL;
    a->common.max = 1 << 20;
    bqb_status s = bqb_data_path(&path, "chat/requests.tsv", err);
    if (!s) s = bqb_wordings_open(&t, path, columns, 3, err);
    for (size_t i = 0; !s && i < bqb_table_rows(t); i++) {
        const char *text = strcmp(bqb_table_cell(t, i, 1), "learn") ? "" : bqb_table_cell(t, i, 2);
        while (*text && !s) { /* without {want} and {picture} */
            const char *open = strchr(text, '{'), *close = open ? strchr(open, '}') : NULL;
            s = bqb_buf_append(&a->common, text, close ? (size_t)(open - text) : strlen(text), err);
            if (!s) s = bqb_buf_append(&a->common, " ", 1, err);
            text = close ? close + 1 : "";
        }
    }
    bqb_table_close(t);
    free(path);
    return s;
}

/* Added tokens (the frame of a conversation, marks of tools and media) and rows behind the vocabulary are not said. */
static bqb_status find_mute(bqb_assistant *a, bqb_err *err) {
    const bqb_decoder_config *c = bqb_decoder_get_config(a->llm);
    bqb_buf b = {.max = 1 << 16};
    a->mute = bqb_calloc(a->V, sizeof *a->mute);
    if (!a->mute) return bqb_fail_nomem(err, "a conversation", a->V);
    for (size_t i = 0; i < a->V; i++) {
        b.len = 0;
        bqb_status s = bqb_llm_tokenizer_decode(a->tok, &b, (int32_t)i, false, NULL);
        a->mute[i] = (s || !b.len) && !bqb_chat_ends(a->tok, a->format, c, (int32_t)i);
    }
    bqb_buf_free(&b);
    return BQB_OK;
}

bqb_status bqb_assistant_open(bqb_assistant **out, const bqb_assistant_options *o, bqb_err *err) {
    *out = NULL;
    bqb_assistant *a = bqb_calloc(1, sizeof *a);
    if (!a) return bqb_fail_nomem(err, o->llm, sizeof *a);
    a->o = (bqb_assistant_options){.precision = o->precision, .threads = o->threads};
    bqb_status s = (a->clip_dir = bqb_strdup(o->clip)) ? open_llm(a, o, err) : bqb_fail_nomem(err, o->clip, strlen(o->clip));
    if (!s) s = bqb_clip_open(&a->text, o->clip, BQB_TOWER_TEXT, bqb_precision_best(), o->threads, err);
    if (!s) a->clip_id = bqb_clip_id(a->text);
    if (!s) s = open_adapter(a, o, err);
    if (!s) s = open_followups(a, err);
    if (!s) s = read_common(a, err);
    if (!s) s = find_mute(a, err);
    if (s) bqb_assistant_close(a);
    else *out = a;
    return s;
}

void bqb_assistant_close(bqb_assistant *a) {
    if (!a) return;
    bqb_adapter_close(a->adapter);
    bqb_followups_close(a->followups);
    bqb_buf_free(&a->common);
    free(a->mute);
    bqb_llm_tokenizer_close(a->tok);
    bqb_decoder_free(a->llm);
    bqb_clip_free(a->text);
    bqb_clip_free(a->image);
    free(a->clip_dir);
    free(a);
}

bqb_status bqb_assistant_picture(bqb_assistant *a, float *feature, const void *data, size_t size, const char *name, bqb_err *err) {
    bqb_status s = bqb_image_init(err);
    if (!s && !a->image) s = bqb_clip_open(&a->image, a->clip_dir, BQB_TOWER_IMAGE, bqb_precision_best(), a->o.threads, err);
    if (s) return s;
    size_t R = bqb_clip_get_config(a->image)->resolution;
    uint8_t *rgb = bqb_calloc(3 * R * R, 3);
    float *unit = bqb_calloc(a->D, sizeof *unit);
    s = rgb && unit ? bqb_image_frames(rgb, NULL, data, size, name, R, NULL, err) : bqb_fail_nomem(err, name, 9 * R * R);
    if (!s) s = bqb_clip_image_features(a->image, unit, feature, rgb, 1, err);
    free(rgb);
    free(unit);
    return s;
}

bqb_status bqb_assistant_words(bqb_assistant *a, float *vec, const char *words, bqb_err *err) {
    return bqb_clip_encode_texts(a->text, vec, &words, 1, err);
}
