#include "make_webm.h"

#include "make_picture.h"

#include <stdlib.h>
#include <string.h>
#ifdef BQB_WITH_vpx
#include <vpx/vp8cx.h>
#include <vpx/vpx_encoder.h>

enum { W = 32, H = 24 };

static void put_id(bqb_buf *b, unsigned long id) {
    for (int shift = 24; shift >= 0; shift -= 8)
        if (id >> shift) make_u8(b, (unsigned)(id >> shift & 0xFF));
}

/* An element; its size in four bytes, or none that is known. */
static void put_element(bqb_buf *b, unsigned long id, const void *bytes, size_t n, bool unknown) {
    put_id(b, id);
    if (unknown) make_u8(b, 0xFF);
    else make_be32(b, 0x10000000 | n);
    make_put(b, bytes, n);
}

static void put_number(bqb_buf *b, unsigned long id, unsigned v) {
    uint8_t bytes[2] = {(uint8_t)(v >> 8), (uint8_t)v};
    put_element(b, id, bytes, 2, false);
}

static void put_child(bqb_buf *b, unsigned long id, bqb_buf *child, bool unknown) {
    put_element(b, id, child->data, child->len, unknown);
    bqb_buf_free(child);
}

typedef struct {
    vpx_codec_ctx_t c;
    vpx_image_t *i;
} coder;

static void coder_open(coder *k) {
    vpx_codec_enc_cfg_t cfg;
    if (vpx_codec_enc_config_default(vpx_codec_vp9_cx(), &cfg, 0)) abort();
    cfg.g_w = W;
    cfg.g_h = H;
    cfg.g_lag_in_frames = 0;
    cfg.rc_end_usage = VPX_Q;
    cfg.rc_max_quantizer = 10;
    cfg.g_timebase.num = 1;
    cfg.g_timebase.den = 25;
    if (vpx_codec_enc_init(&k->c, vpx_codec_vp9_cx(), &cfg, 0)) abort();
    k->i = vpx_img_alloc(NULL, VPX_IMG_FMT_I420, W, H, 1);
    if (!k->i) abort();
}

/* A frame: luma left and right. Appended to out. */
static void coder_frame(coder *k, bqb_buf *out, unsigned t, unsigned left, unsigned right) {
    for (unsigned y = 0; y < H; y++)
        for (unsigned x = 0; x < W; x++)
            k->i->planes[0][y * (unsigned)k->i->stride[0] + x] = (uint8_t)(x < W / 2 ? left : right);
    for (int p = 1; p < 3; p++)
        for (unsigned y = 0; y < H / 2; y++) memset(k->i->planes[p] + y * (unsigned)k->i->stride[p], 128, W / 2);
    if (vpx_codec_encode(&k->c, k->i, t, 1, 0, VPX_DL_GOOD_QUALITY)) abort();
    vpx_codec_iter_t iter = NULL;
    const vpx_codec_cx_pkt_t *packet;
    while ((packet = vpx_codec_get_cx_data(&k->c, &iter)))
        if (packet->kind == VPX_CODEC_CX_FRAME_PKT) make_put(out, packet->data.frame.buf, packet->data.frame.sz);
}

static void coder_close(coder *k) {
    vpx_img_free(k->i);
    vpx_codec_destroy(&k->c);
}

void make_webm(bqb_buf *b, unsigned frames, bool alpha, bool unknown_sizes) {
    bqb_buf head = {.max = 1 << 20}, info = head, video = head, track = head, tracks = head, cluster = head, segment = head;
    coder colour, clear;
    coder_open(&colour);
    coder_open(&clear);
    put_element(&head, 0x4282, "webm", 4, false);
    put_child(b, 0x1A45DFA3, &head, false);
    put_element(&info, 0x2AD7B1, "\x0F\x42\x40", 3, false);
    put_child(&segment, 0x1549A966, &info, false);
    put_number(&video, 0xB0, W);
    put_number(&video, 0xBA, H);
    put_number(&track, 0xD7, 1);
    put_number(&track, 0x83, 1);
    put_element(&track, 0x86, "V_VP9", 5, false);
    put_child(&track, 0xE0, &video, false);
    put_child(&tracks, 0xAE, &track, false);
    put_child(&segment, 0x1654AE6B, &tracks, false);
    put_number(&cluster, 0xE7, 0);
    for (unsigned t = 0; t < frames; t++) {
        bqb_buf block = {.max = 1 << 20}, group = block, more = block, additions = block, mask = block;
        make_u8(&block, 0x81);
        make_u8(&block, 40 * t >> 8);
        make_u8(&block, 40 * t & 0xFF);
        make_u8(&block, 0x80);
        coder_frame(&colour, &block, t, 60 + 40 * t, 60 + 40 * t);
        if (!alpha) {
            put_child(&cluster, 0xA3, &block, false);
            continue;
        }
        put_child(&group, 0xA1, &block, false);
        coder_frame(&clear, &mask, t, 0, 255);
        put_number(&more, 0xEE, 1);
        put_child(&more, 0xA5, &mask, false);
        put_child(&additions, 0xA6, &more, false);
        put_child(&group, 0x75A1, &additions, false);
        put_child(&cluster, 0xA0, &group, false);
    }
    put_child(&segment, 0x1F43B675, &cluster, unknown_sizes);
    put_child(b, 0x18538067, &segment, unknown_sizes);
    coder_close(&colour);
    coder_close(&clear);
}
#else
void make_webm(bqb_buf *b, unsigned frames, bool alpha, bool unknown_sizes) { (void)b, (void)frames, (void)alpha, (void)unknown_sizes; }
#endif
