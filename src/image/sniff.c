#define _GNU_SOURCE
#include "image/sniff.h"

#include "base/little_endian.h"
#include "base/utf8.h"

#include <string.h>
#include <strings.h>
#include <zlib.h>

static bool starts(const uint8_t *data, size_t size, size_t at, const char *magic, size_t n) {
    return size >= at && size - at >= n && memcmp(data + at, magic, n) == 0;
}

/* The brands in an ISO media file's first box say whether a still AV1 or HEVC picture is inside. */
static bqb_picture_kind sniff_ftyp(const uint8_t *data, size_t size) {
    size_t box = (size_t)data[0] << 24 | (size_t)data[1] << 16 | (size_t)data[2] << 8 | data[3];
    if (box > size) box = size;
    bqb_picture_kind kind = BQB_PICTURE_NONE;
    for (size_t at = 8; at + 4 <= box; at += at == 8 ? 8 : 4) {
        if (!memcmp(data + at, "avif", 4) || !memcmp(data + at, "avis", 4)) return BQB_PICTURE_AVIF;
        if (!memcmp(data + at, "hei", 3) || !memcmp(data + at, "mif1", 4)) kind = BQB_PICTURE_HEIC;
    }
    return kind;
}

/* Does gzip hold what could be a Lottie animation: an object that begins with one of its keys? */
static bool sniff_tgs(const uint8_t *data, size_t size) {
    static const char *const keys[] = {"\"tgs\"", "\"v\"", "\"fr\"", "\"ip\"", "\"op\"", "\"w\"", "\"h\"", "\"nm\"", "\"ddd\"", "\"assets\"",
                                       "\"layers\"", "\"meta\""};
    uint8_t head[65] = {0};
    z_stream zs = {.next_in = (Bytef *)(uintptr_t)data, .avail_in = (uInt)(size < 4096 ? size : 4096), .next_out = head,
                   .avail_out = sizeof head - 1};
    if (inflateInit2(&zs, MAX_WBITS + 16) != Z_OK) return false;
    inflate(&zs, Z_SYNC_FLUSH);
    inflateEnd(&zs);
    const char *space = " \t\r\n", *c = (const char *)head;
    c += strspn(c, space);
    if (*c++ != '{') return false;
    c += strspn(c, space);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (!strncmp(c, keys[i], strlen(keys[i]))) return true;
    return false;
}

bqb_picture_kind bqb_sniff(const uint8_t *data, size_t size) {
    if (starts(data, size, 0, "\x89PNG\r\n\x1a\n", 8)) return BQB_PICTURE_PNG;
    if (starts(data, size, 0, "\xff\xd8\xff", 3)) return BQB_PICTURE_JPEG;
    if (starts(data, size, 0, "GIF87a", 6) || starts(data, size, 0, "GIF89a", 6)) return BQB_PICTURE_GIF;
    if (starts(data, size, 0, "RIFF", 4) && starts(data, size, 8, "WEBP", 4)) return BQB_PICTURE_WEBP;
    if (starts(data, size, 4, "ftyp", 4)) return sniff_ftyp(data, size);
    if (starts(data, size, 0, "\x1a\x45\xdf\xa3", 4) && memmem(data, size < 64 ? size : 64, "webm", 4)) return BQB_PICTURE_WEBM;
    if (starts(data, size, 0, "\x1f\x8b\x08", 3) && sniff_tgs(data, size)) return BQB_PICTURE_TGS;
    return BQB_PICTURE_NONE;
}

const char *bqb_picture_kind_name(bqb_picture_kind kind) {
    static const char *const names[] = {"", "png", "jpeg", "gif", "webp", "avif", "heic", "tgs", "webm"};
    return names[kind];
}

int bqb_extension_says(const char *name) {
    static const char *const yes[] = {"png", "jpg", "jpeg", "jpe", "jfif", "gif", "webp", "avif", "apng", "tgs", "webm"};
    static const char *const never[] = {"tsv", "txt", "json", "jsonl", "md", "db", "zip", "html", "mp4", "npy", "csv"};
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < sizeof yes / sizeof *yes; i++)
        if (!strcasecmp(dot + 1, yes[i])) return 1;
    for (size_t i = 0; dot && i < sizeof never / sizeof *never; i++)
        if (!strcasecmp(dot + 1, never[i])) return -1;
    return 0;
}

const char *bqb_sniff_other(const uint8_t *data, size_t size) {
    static const struct {
        size_t at;
        const char *magic, *what;
    } known[] = {
        {0, "BM", "a BMP picture"},
        {0, "II*", "a TIFF picture"},
        {0, "MM", "a TIFF picture"},
        {0, "8BPS", "a Photoshop file"},
        {0, "\xff\x0a", "a JPEG XL picture"},
        {4, "JXL ", "a JPEG XL picture"},
        {4, "ftyp", "an MP4 video"},
        {0, "\x1a\x45\xdf\xa3", "a Matroska video"},
        {0, "\x1f\x8b", "gzip data"},
        {0, "%PDF", "a PDF"},
        {0, "PK\x03\x04", "a ZIP archive"},
    };
    if (!data || !size) return "nothing (0 bytes)";
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (starts(data, size, known[i].at, known[i].magic, strlen(known[i].magic))) return known[i].what;
    size_t head = size < 512 ? size : 512;
    if (memchr(data, 0, head)) return "unknown binary data";
    if (memmem(data, head, "<svg", 4)) return "an SVG drawing";
    if (memmem(data, head, "<html", 5) || memmem(data, head, "<HTML", 5) ||
        memmem(data, head, "<!DOCTYPE", 9) || memmem(data, head, "<!doctype", 9))
        return "an HTML page";
    /* A character cut at the end of the head is no evidence against text. */
    return bqb_utf8_check((const char *)data, head) + 4 > head ? "text" : "unknown binary data";
}

/* Skip a chain of length-prefixed blocks; 0 when it does not end inside the file. */
static size_t gif_skip_blocks(const uint8_t *data, size_t size, size_t at) {
    while (at < size) {
        size_t n = data[at];
        if (!n) return at + 1;
        at += n + 1;
    }
    return 0;
}

static bqb_animation gif_animation(const uint8_t *data, size_t size) {
    bqb_animation a = {.passes = 1};
    if (size < 13) return a;
    size_t at = 13 + (data[10] & 0x80 ? 3u << ((data[10] & 7) + 1) : 0);
    while (at && at < size) {
        if (data[at] == 0x3b) {
            a.complete = true;
            break;
        }
        if (data[at] == 0x21) at = gif_skip_blocks(data, size, at + 2); /* extension: label, blocks */
        else if (data[at] == 0x2c && size - at > 10) { /* image: box, flags, colours, code size, blocks */
            uint8_t flags = data[at + 9];
            at = gif_skip_blocks(data, size, at + 11 + (flags & 0x80 ? 3u << ((flags & 7) + 1) : 0));
            if (!at) break;
            a.frames++;
        } else
            break; /* stray bytes: what follows cannot be trusted to be blocks, and libvips stops here, too */
    }
    return a;
}

static bqb_animation webp_animation(const uint8_t *data, size_t size) {
    bqb_animation a = {.passes = 1};
    size_t end = (size_t)bqb_le32(data + 4) + 8;
    a.complete = end <= size;
    if (end > size) end = size;
    bool animated = false;
    for (size_t at = 12; at < end && end - at >= 8;) {
        size_t n = bqb_le32(data + at + 4);
        if (n > end - at - 8) {
            a.complete = false;
            break;
        }
        if (!memcmp(data + at, "ANIM", 4)) animated = true;
        if (!memcmp(data + at, "ANMF", 4) && n >= 16) a.frames++;
        at += 8 + n + (n & 1);
    }
    if (!animated) a.frames = a.complete;
    return a;
}

static bqb_animation jpeg_animation(const uint8_t *data, size_t size) {
    bqb_animation a = {.frames = 1};
    for (size_t at = 2; at < size && size - at >= 2;) {
        uint8_t marker = data[at + 1];
        if (data[at] != 0xff || marker == 0 || marker == 0xff || (marker >= 0xd0 && marker <= 0xd7)) {
            /* Compressed data, fill bytes, restarts: on to the next 0xff. */
            const uint8_t *next = memchr(data + at + 1, 0xff, size - at - 1);
            at = next ? (size_t)(next - data) : size;
        } else if (marker == 0xd9) {
            a.complete = true;
            break;
        } else {
            a.passes += marker == 0xda;
            at += size - at >= 4 ? 2 + ((size_t)data[at + 2] << 8 | data[at + 3]) : 2;
        }
    }
    if (!a.passes) a.passes = 1;
    return a;
}

bqb_animation bqb_sniff_animation(bqb_picture_kind kind, const uint8_t *data, size_t size) {
    if (kind == BQB_PICTURE_GIF) return gif_animation(data, size);
    if (kind == BQB_PICTURE_WEBP) return webp_animation(data, size);
    if (kind == BQB_PICTURE_JPEG) return jpeg_animation(data, size);
    bqb_animation a = {.frames = 1, .passes = 1, .complete = true};
    if (kind == BQB_PICTURE_PNG) a.complete = memmem(data, size, "IEND", 4) != NULL;
    return a;
}
