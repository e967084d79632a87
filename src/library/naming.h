/* What a file's name says about a sticker. */
#ifndef BQB_LIBRARY_NAMING_H
#define BQB_LIBRARY_NAMING_H

#include "base/err.h"
#include "base/mem.h"

/* Append the caption that a file name gives: the name without extension, copy
 * marks such as " (1)" and underscores; nothing when it is generic: a camera's
 * or program's (IMG_1234, 微信图片_2023…), a number (a00017), a hash. Bytes that
 * are no UTF-8 become U+FFFD. name: without folders. */
bqb_status bqb_caption_of_name(bqb_buf *out, const char *name, bqb_err *err);

#endif
