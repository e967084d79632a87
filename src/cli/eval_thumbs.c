#include "cli/eval_page.h"

#include "base/thread.h"
#include "base/utf8.h"
#include "file/base64.h"
#include "image/synth.h"
#include "image/thumbnail.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 120, FRAMES = 10, QUALITY = 70, ONE_MAX = 48 << 10, ALL_MAX = 32 << 20, AT_ONCE = 32, PIECE_MAX = 1 << 20 };

void cli_page_put(cli_page *p, const char *html) {
    if (!p->status) p->status = bqb_outfile_write(&p->f, html, strlen(html), p->err);
}

void cli_page_putf(cli_page *p, const char *fmt, ...) {
    if (p->status) return;
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    cli_page_put(p, text);
}

void cli_page_text(cli_page *p, const char *text) {
    for (size_t i = 0, n = strlen(text); i < n && !p->status;) {
        uint32_t cp;
        char utf8[4];
        i += bqb_utf8_next(text + i, n - i, &cp, NULL);
        if (cp < 0x20 || (cp >= 0x7F && cp < 0xA0) || (cp >= 0x202A && cp <= 0x202E) || (cp >= 0x2066 && cp <= 0x2069))
            cp = BQB_UTF8_BAD;
        if (cp == '<') cli_page_put(p, "&lt;");
        else if (cp == '&') cli_page_put(p, "&amp;");
        else if (cp == '"') cli_page_put(p, "&quot;");
        else p->status = bqb_outfile_write(&p->f, utf8, bqb_utf8_put(utf8, cp), p->err);
    }
}

/* ---- pictures ---- */

typedef struct {
    const bqb_gallery *g;
    size_t item[AT_ONCE];
    void *webp[AT_ONCE]; /* NULL: not to be had */
    size_t size[AT_ONCE];
} encoding;

static void *encode(const bqb_thumbnail *t, size_t frames, size_t *size) {
    bqb_sticker st = {.width = t->width, .height = t->height, .frames = frames, .rgba = t->rgba, .ext = "webp",
                      .quality = QUALITY};
    for (size_t k = 0; k < frames; k++) st.delay_ms += t->delay_ms[k];
    st.delay_ms /= (int)frames;
    void *bytes;
    return bqb_sticker_encode(&st, &bytes, size, NULL) ? NULL : bytes;
}

static void encode_one(void *ctx, size_t k, int worker) {
    (void)worker;
    encoding *e = ctx;
    size_t i = e->g->sample[e->item[k]];
    bqb_picture picture = {0};
    bqb_thumbnail t = {0};
    e->webp[k] = NULL;
    if (bqb_dataset_picture(e->g->ds, i, &picture, NULL)) return;
    if (!bqb_image_thumbnail(&t, picture.data, picture.size, "", SIDE, SIDE, FRAMES, NULL, NULL)) {
        e->webp[k] = encode(&t, t.frames, &e->size[k]);
        if (e->webp[k] && e->size[k] > ONE_MAX && t.frames > 1) {
            free(e->webp[k]);
            e->webp[k] = encode(&t, 1, &e->size[k]);
        }
        if (e->webp[k] && e->size[k] > ONE_MAX) {
            free(e->webp[k]);
            e->webp[k] = NULL;
        }
    }
    bqb_thumbnail_free(&t);
    bqb_picture_close(&picture);
}

static void write_one(cli_page *p, size_t item, const void *webp, size_t size) {
    bqb_buf text = {.max = PIECE_MAX};
    if (!p->status) p->status = bqb_base64_encode(&text, webp, size, p->err);
    cli_page_putf(p, ".p%zu{background-image:url(data:image/webp;base64,", item);
    if (text.data) cli_page_put(p, text.data);
    cli_page_put(p, ")}\n");
    bqb_buf_free(&text);
}

void cli_page_pictures(cli_page *p, const bqb_gallery *g, bool *wanted, int threads, bqb_progress_fn progress, void *ctx) {
    size_t n = 0, done = 0, written = 0;
    for (size_t i = 0; i < g->n; i++) n += wanted[i];
    if (!p->status) p->status = bqb_image_init(p->err);
    encoding *e = bqb_calloc(1, sizeof *e);
    if (!e && !p->status) p->status = bqb_fail_nomem(p->err, "pictures", sizeof *e);
    if (e) e->g = g;
    for (size_t i = 0; i < g->n && !p->status;) {
        size_t held = 0;
        for (; i < g->n && held < AT_ONCE; i++)
            if (wanted[i]) e->item[held++] = i;
        bool full = written > ALL_MAX;
        if (!full) bqb_parallel_for(held, threads ? threads : bqb_cpu_count(), encode_one, e);
        for (size_t k = 0; k < held; k++) {
            wanted[e->item[k]] = !full && e->webp[k] && written + e->size[k] * 4 / 3 <= ALL_MAX;
            if (wanted[e->item[k]]) write_one(p, e->item[k], e->webp[k], e->size[k]);
            if (!full && e->webp[k]) written += e->size[k] * 4 / 3;
            if (!full) free(e->webp[k]);
        }
        done += held;
        if (!p->status && progress && progress(ctx, "drawing thumbnails", done, n))
            p->status = bqb_fail(p->err, BQB_ECANCEL, "stopped while drawing thumbnails");
    }
    free(e);
}
