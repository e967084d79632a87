#include "image/svg_png.h"

#include "image/decode.h"
#include "image/drawing.h"

#include <vips/vips.h>

bqb_status bqb_svg_to_png(const char *path, const char *svg, size_t n, double scale, bqb_err *err) {
    bqb_status s = bqb_image_init(err);
    if (s) return s;
    VipsImage *drawn = NULL, *flat = NULL;
    void *png = NULL;
    size_t size = 0;
    VipsArrayDouble *white = vips_array_double_newv(1, 255.0);
    if (vips_svgload_buffer((void *)(uintptr_t)svg, n, &drawn, "scale", scale, NULL))
        s = bqb_fail(err, BQB_EUNSUPPORTED, "%s: SVG cannot be drawn here (%s); a name that ends in .svg needs no drawing", path,
                     vips_error_buffer());
    else if (vips_flatten(drawn, &flat, "background", white, NULL) || vips_pngsave_buffer(flat, &png, &size, NULL))
        s = bqb_fail(err, BQB_ENOMEM, "%s: %s", path, vips_error_buffer());
    vips_error_clear();
    if (!s) s = bqb_drawing_write(path, png, size, err);
    g_free(png);
    vips_area_unref(VIPS_AREA(white));
    if (flat) g_object_unref(flat);
    if (drawn) g_object_unref(drawn);
    return s;
}
