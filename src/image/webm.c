#include "image/webm.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_FRAMES = 1 << 16 };

/* The elements that we look at. */
enum {
    SEGMENT = 0x18538067, INFO = 0x1549A966, SCALE = 0x2AD7B1, DURATION = 0x4489,
    TRACKS = 0x1654AE6B, TRACK = 0xAE, NUMBER = 0xD7, TYPE = 0x83, CODEC = 0x86, ENCODINGS = 0x6D80,
    VIDEO = 0xE0, WIDTH = 0xB0, HEIGHT = 0xBA,
    CLUSTER = 0x1F43B675, TIME = 0xE7, SIMPLE_BLOCK = 0xA3, GROUP = 0xA0, BLOCK = 0xA1,
    ADDITIONS = 0x75A1, MORE = 0xA6, ADDITIONAL = 0xA5
};

typedef struct {
    uint64_t number, type, width, height;
    char codec[16];
    bool encoded;
} track;

typedef struct {
    bqb_webm *w;
    const uint8_t *data;
    size_t size, at, cap;
    track now, video;    /* the one that is being described; the one whose frames are taken */
    uint64_t scale_ns, cluster_time;
    double duration;
    bool last_is_ours;   /* the block that additions would belong to */
} parser;

/* A number of 1 to 8 bytes whose first bits tell how many. marker: that bit stays, as in ids. False at
 * the end of the data. *unknown (may be NULL): all other bits are ones. */
static bool read_vint(parser *p, uint64_t *v, size_t most, bool marker, bool *unknown) {
    if (p->at >= p->size || !p->data[p->at]) return false;
    size_t n = 1;
    while (!(p->data[p->at] & (0x80 >> (n - 1)))) n++;
    if (n > most || n > p->size - p->at) return false;
    uint64_t x = marker ? p->data[p->at] : p->data[p->at] & (0x7Fu >> (n - 1));
    bool ones = (p->data[p->at] & (0x7Fu >> (n - 1))) == (0x7Fu >> (n - 1));
    for (size_t i = 1; i < n; i++) {
        x = x << 8 | p->data[p->at + i];
        ones = ones && p->data[p->at + i] == 0xFF;
    }
    if (unknown) *unknown = ones;
    p->at += n;
    *v = x;
    return true;
}

static uint64_t number(const uint8_t *b, size_t n) {
    uint64_t v = 0;
    for (size_t i = 0; i < n && n <= 8; i++) v = v << 8 | b[i];
    return v;
}

static double real(const uint8_t *b, size_t n) {
    uint64_t bits = number(b, n);
    uint32_t half = (uint32_t)bits;
    float f;
    double d;
    memcpy(&f, &half, sizeof f);
    memcpy(&d, &bits, sizeof d);
    return n == 4 ? (double)f : n == 8 ? d : 0;
}

/* The track is described: is it the one? */
static void end_track(parser *p) {
    if (!p->video.type && p->now.type == 1) p->video = p->now;
    p->now = (track){0};
}

/* A block: track, time relative to the cluster, flags, one frame. */
static bqb_status take_block(parser *p, size_t at, size_t size, bqb_err *err) {
    parser in = {.data = p->data, .at = at, .size = at + size};
    uint64_t of;
    p->last_is_ours = false;
    if (!read_vint(&in, &of, 8, false, NULL) || in.size - in.at < 3)
        return bqb_fail_at(err, BQB_EFORMAT, (int64_t)at, "a block at byte %zu is broken", at);
    int16_t relative = (int16_t)(uint16_t)(p->data[in.at] << 8 | p->data[in.at + 1]);
    uint8_t flags = p->data[in.at + 2];
    in.at += 3;
    if (!p->video.type || of != p->video.number) return BQB_OK;
    if (flags & 0x06) return bqb_fail_at(err, BQB_EUNSUPPORTED, (int64_t)at, "the block at byte %zu is laced, as no video is", at);
    if (p->w->n == MAX_FRAMES) return bqb_fail(err, BQB_ELIMIT, "it has more than %d frames", MAX_FRAMES);
    bqb_webm_frame *frames = bqb_grow(p->w->frame, p->w->n, &p->cap, sizeof *frames, 64);
    if (!frames) return bqb_fail_nomem(err, "frames", 2 * p->cap * sizeof *frames);
    p->w->frame = frames;
    double ms = ((double)p->cluster_time + relative) * (double)p->scale_ns / 1e6;
    frames[p->w->n++] = (bqb_webm_frame){.at = in.at, .size = in.size - in.at,
                                         .time_ms = fabs(ms) < 1e12 ? (int64_t)ms : 0};
    p->last_is_ours = true;
    return BQB_OK;
}

/* A leaf whose bytes are all there. */
static bqb_status take_leaf(parser *p, uint64_t id, size_t at, size_t size, bqb_err *err) {
    const uint8_t *b = p->data + at;
    switch (id) {
    case SCALE: p->scale_ns = number(b, size); break;
    case DURATION: p->duration = real(b, size); break;
    case NUMBER: p->now.number = number(b, size); break;
    case TYPE: p->now.type = number(b, size); break;
    case WIDTH: p->now.width = number(b, size); break;
    case HEIGHT: p->now.height = number(b, size); break;
    case ENCODINGS: p->now.encoded = true; break;
    case CODEC:
        if (size < sizeof p->now.codec) memcpy(p->now.codec, b, size);
        break;
    case TIME: p->cluster_time = number(b, size); break;
    case SIMPLE_BLOCK:
    case BLOCK: return take_block(p, at, size, err);
    case ADDITIONAL:
        if (p->last_is_ours && !p->w->frame[p->w->n - 1].alpha_size) {
            p->w->frame[p->w->n - 1].alpha_at = at;
            p->w->frame[p->w->n - 1].alpha_size = size;
            p->w->alpha = p->w->alpha || size;
        }
        break;
    default: break;
    }
    return BQB_OK;
}

/* Elements that hold others are entered and their ends not kept in mind: what is inside can be told by its id
 * alone, and so a live stream's elements of unknown size need no care. */
static bool is_entered(uint64_t id) {
    static const uint32_t ids[] = {SEGMENT, INFO, TRACKS, TRACK, VIDEO, CLUSTER, GROUP, ADDITIONS, MORE};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        if (id == ids[i]) return true;
    return false;
}

static bqb_status parse(parser *p, bqb_err *err) {
    bqb_status s = BQB_OK;
    while (!s && p->at < p->size) {
        uint64_t id, size;
        size_t start = p->at;
        bool unknown = false;
        if (!read_vint(p, &id, 4, true, NULL) || !read_vint(p, &size, 8, false, &unknown)) break; /* cut, or not EBML from here on */
        if (id == TRACK || id == CLUSTER) end_track(p);
        if (is_entered(id)) continue;
        if (unknown) return bqb_fail_at(err, BQB_EFORMAT, (int64_t)start, "the element at byte %zu has no size", start);
        if (size > p->size - p->at) break; /* cut */
        s = take_leaf(p, id, p->at, (size_t)size, err);
        p->at += (size_t)size;
    }
    return s;
}

bqb_status bqb_webm_parse(bqb_webm *w, const uint8_t *data, size_t size, bqb_err *err) {
    *w = (bqb_webm){0};
    parser p = {.w = w, .data = data, .size = size, .scale_ns = 1000000};
    bqb_status s = parse(&p, err);
    end_track(&p);
    if (!s && p.video.encoded) s = bqb_fail(err, BQB_EUNSUPPORTED, "its frames are compressed or encrypted once more");
    if (!s && (p.video.type != 1 || !p.video.width || !p.video.height || p.video.width > UINT16_MAX || p.video.height > UINT16_MAX))
        s = bqb_fail(err, BQB_EFORMAT, "it has no video track of a possible size");
    if (!s && !w->n) s = bqb_fail(err, BQB_EFORMAT, "it is cut short: not one whole frame in %zu bytes", size);
    if (s) {
        bqb_webm_free(w);
        return s;
    }
    w->width = (size_t)p.video.width;
    w->height = (size_t)p.video.height;
    memcpy(w->codec, p.video.codec, sizeof w->codec);
    double ms = p.duration * (double)p.scale_ns / 1e6;
    w->duration_ms = ms > 0 && ms < 1e9 ? ms : 0;
    return BQB_OK;
}

void bqb_webm_free(bqb_webm *w) {
    free(w->frame);
    *w = (bqb_webm){0};
}
