#include "library/naming.h"

#include "base/utf8.h"

#include <stdbool.h>
#include <string.h>

/* What programs call pictures, in lower case, without digits and punctuation. */
static const char *const generic[] = {
    "img", "image", "images", "imgs", "dsc", "dscn", "dscf", "pic", "pics", "picture", "photo", "photos", "vid",
    "screenshot", "screenshots", "screen", "mmexport", "wxcamera", "wechat", "wechatimg", "weixin", "wx", "qq", "tim",
    "download", "downloads", "unnamed", "untitled", "unknown", "noname", "sticker", "stickers", "emoji", "emoticon",
    "gif", "gifs", "frame", "file", "tmp", "temp", "default", "original", "thumb", "thumbnail", "avatar", "icon", "meme",
    "output", "result", "test", "copy", "new", "final", "cat", "lqip", "src", "main", "index", "imagecopy", "fig",
    "微信图片", "微信截图", "微信表情", "qq图片", "qq截图", "qq表情", "图片", "截图", "屏幕截图", "屏幕快照", "截屏", "截屏录屏",
    "下载", "未命名", "未标题", "无标题", "表情", "表情包", "动图", "动态图", "照片", "相片", "拍照", "新建", "副本", "文件", "画板",
    "图像", "贴纸", "斗图", "头像", "缩略图", "图层",
};

static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
static bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

typedef struct {
    size_t letters, digits, hex, others, bytes; /* others: bytes past ASCII */
} census;

static census count(const char *s, size_t n) {
    census k = {.bytes = n};
    for (size_t i = 0; i < n; i++) {
        k.letters += is_letter(s[i]);
        k.digits += is_digit(s[i]);
        k.hex += is_hex(s[i]);
        k.others += (s[i] & 0x80) != 0;
    }
    return k;
}

/* The stem in lower case with only its letters and bytes past ASCII. */
static void essence(char *out, size_t size, const char *s, size_t n) {
    size_t m = 0;
    for (size_t i = 0; i < n && m + 1 < size; i++)
        if (is_letter(s[i]) || (s[i] & 0x80)) out[m++] = (char)(is_letter(s[i]) ? s[i] | 0x20 : s[i]);
    out[m] = 0;
}

static bool is_generic(const char *s, size_t n) {
    census k = count(s, n);
    if (!k.letters && !k.others) return true;               /* digits and punctuation */
    char core[64];
    essence(core, sizeof core, s, n);
    for (size_t i = 0; i < sizeof generic / sizeof *generic; i++)
        if (!strcmp(core, generic[i])) return true;
    if (k.others) return false;
    if (k.letters <= 3 && k.digits >= 3) return true;       /* a00017, IMG_0001 */
    bool only_hex = k.hex == k.letters + k.digits;
    if (only_hex && k.digits && k.hex >= 8) return true;    /* a hash, a UUID */
    if (only_hex && k.hex >= 16) return true;
    bool one_word = k.letters + k.digits == k.bytes;
    return one_word && k.digits >= 2 && k.bytes >= 12;      /* FkX9aYzaM0E3qb: a server's number */
}

/* The name's length without extension: up to five letters or digits after the last point. */
static size_t stem_length(const char *name) {
    const char *dot = strrchr(name, '.');
    size_t n = strlen(name);
    if (!dot || dot == name) return n;
    size_t ext = strlen(dot + 1);
    if (ext > 5) return n;
    for (const char *c = dot + 1; *c; c++)
        if (!is_letter(*c) && !is_digit(*c)) return n;
    return (size_t)(dot - name);
}

/* Without " (2)" at the end, which browsers and file managers add to copies. */
static size_t without_copy_mark(const char *s, size_t n) {
    size_t i = n;
    if (i < 3 || s[i - 1] != ')') return n;
    i--;
    size_t digits = 0;
    while (i && is_digit(s[i - 1])) i--, digits++;
    if (!digits || digits > 3 || !i || s[i - 1] != '(') return n;
    i--;
    while (i && s[i - 1] == ' ') i--;
    return i;
}

bqb_status bqb_caption_of_name(bqb_buf *out, const char *name, bqb_err *err) {
    size_t n = without_copy_mark(name, stem_length(name)), start = out->len;
    bqb_status s = bqb_buf_append(out, "", 0, err);
    if (s || is_generic(name, n)) return s;
    bool space = false;
    for (size_t i = 0; i < n && !s;) {
        uint32_t cp;
        char utf8[4];
        i += bqb_utf8_next(name + i, n - i, &cp, NULL);
        if (cp == '_' || cp == '+' || cp <= ' ' || cp == 0x7F) {
            space = true;
            continue;
        }
        if (space && out->len > start) s = bqb_buf_append(out, " ", 1, err);
        space = false;
        if (!s) s = bqb_buf_append(out, utf8, bqb_utf8_put(utf8, cp), err);
    }
    return s;
}
