#include "file/svg.h"

#include "base/utf8.h"

#include <math.h>
#include <string.h>

bqb_status bqb_svg_begin(bqb_buf *b, int width, int height, bqb_err *err) {
    return bqb_buf_printf(b, err,
                          "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" "
                          "font-family=\"'Noto Sans CJK SC','Source Han Sans SC','PingFang SC','Microsoft YaHei','WenQuanYi Micro Hei',sans-serif\" "
                          "font-size=\"12\">\n" BQB_SVG_MARK "\n<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n",
                          width, height, width, height);
}

bqb_status bqb_svg_end(bqb_buf *b, bqb_err *err) { return bqb_buf_puts(b, "</svg>\n", err); }

static bqb_status put_character(bqb_buf *b, uint32_t cp, bqb_err *err) {
    char utf8[4];
    if (cp == '<') return bqb_buf_puts(b, "&lt;", err);
    if (cp == '>') return bqb_buf_puts(b, "&gt;", err);
    if (cp == '&') return bqb_buf_puts(b, "&amp;", err);
    if (cp < 0x20 || cp == 0xFFFE || cp == 0xFFFF) cp = BQB_UTF8_BAD; /* XML has no way to write them */
    return bqb_buf_append(b, utf8, bqb_utf8_put(utf8, cp), err);
}

bqb_status bqb_svg_text(bqb_buf *b, double x, double y, bqb_svg_anchor anchor, const char *style, const char *text, size_t max_chars,
                        bqb_err *err) {
    static const char *const anchors[] = {"", " text-anchor=\"middle\"", " text-anchor=\"end\""};
    size_t n = strlen(text), chars = bqb_utf8_count(text, n);
    size_t shown = max_chars && chars > max_chars ? max_chars - 1 : chars;
    bqb_status s = bqb_buf_printf(b, err, "<text x=\"%.1f\" y=\"%.1f\"%s%s%s>", x, y, anchors[anchor], *style ? " " : "", style);
    for (size_t at = 0, k = 0; k < shown && at < n && !s; k++) {
        uint32_t cp;
        at += bqb_utf8_next(text + at, n - at, &cp, NULL);
        s = put_character(b, cp, err);
    }
    if (!s && shown < chars) s = bqb_buf_puts(b, "…", err);
    return s ? s : bqb_buf_puts(b, "</text>\n", err);
}

double bqb_svg_tick(double span) {
    double t = pow(10, floor(log10(span / 4)));
    return span / t >= 20 ? 5 * t : span / t >= 8 ? 2 * t : t;
}
