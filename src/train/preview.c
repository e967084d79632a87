#include "train/preview.h"

#include "base/mem.h"
#include "image/sheet.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_PAIRS = 64, CAPTION_MAX = 4096 };

static void grey_out(uint8_t *rgb, const uint16_t *keep, size_t n_keep, size_t R, size_t patch) {
    size_t side = R / patch, next = 0;
    for (size_t p = 0; p < side * side; p++) {
        if (next < n_keep && keep[next] == p) {
            next++;
            continue;
        }
        uint8_t *at = rgb + (p / side * patch * R + p % side * patch) * 3;
        for (size_t y = 0; y < patch; y++) memset(at + y * R * 3, 160, patch * 3);
    }
}

/* The tokens between start and end, written together where they belong together:
 * WordPiece marks the later parts of a word, CLIP's BPE the last one. */
static bqb_status spell(bqb_buf *out, const int32_t *ids, size_t L, const bqb_tokenizer *tok, bqb_err *err) {
    const char *start = L ? bqb_tokenizer_token(tok, (size_t)ids[0]) : NULL;
    bool pieces = start && !strcmp(start, "[CLS]");
    bqb_status s = bqb_buf_puts(out, "", err);
    for (size_t i = 1; i < L && !s; i++) {
        const char *token = bqb_tokenizer_token(tok, (size_t)ids[i]);
        if (!token || !strcmp(token, "[SEP]") || !strcmp(token, "<|endoftext|>")) break;
        size_t n = strlen(token);
        bool later = n > 2 && !memcmp(token, "##", 2), last = n > 4 && !memcmp(token + n - 4, "</w>", 4);
        bool latin = *token > 0 && out->len && out->data[out->len - 1] > ' '; /* ASCII words keep their space */
        if (pieces && latin && !later) s = bqb_buf_puts(out, " ", err);
        if (later) token += 2, n -= 2;
        if (!s) s = bqb_buf_append(out, token, last ? n - 4 : n, err);
        if (!s && last) s = bqb_buf_puts(out, " ", err);
    }
    return s;
}

bqb_status bqb_preview_write(const char *path, const bqb_clip_batch *batch, const bqb_tokenizer *tok, size_t R,
                             size_t patch, bqb_err *err) {
    size_t n = batch->N < MAX_PAIRS ? batch->N : MAX_PAIRS, frame = 3 * R * R, P = 0;
    bqb_sheet_cell cell[MAX_PAIRS];
    bqb_buf caption[MAX_PAIRS] = {{0}};
    uint8_t *rgb = bqb_calloc(n, frame);
    bqb_status s = rgb ? BQB_OK : bqb_fail_nomem(err, path, n * frame);
    for (size_t i = 0; i < n && !s; i++) {
        memcpy(rgb + i * frame, batch->rgb + P * frame, frame);
        if (batch->keep) grey_out(rgb + i * frame, batch->keep + P * batch->n_keep, batch->n_keep, R, patch);
        caption[i].max = CAPTION_MAX;
        s = spell(&caption[i], batch->ids + i * batch->L, batch->L, tok, err);
        cell[i] = (bqb_sheet_cell){.pixels = rgb + i * frame, .width = R, .height = R, .C = 3, .caption = caption[i].data};
        P += batch->frames ? batch->frames[i] : 3;
    }
    bqb_sheet_style style = {.side = R < 160 ? 160 : R > 256 ? 256 : R, .caption_lines = 3};
    if (!s) s = bqb_image_sheet(path, cell, n, &style, err);
    for (size_t i = 0; i < n; i++) bqb_buf_free(&caption[i]);
    free(rgb);
    return s;
}
