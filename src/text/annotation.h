/* The five fields of a sticker's annotation, and the text that the towers see.
 * Source: Sticker820K, arXiv 2306.06870, and its authors' data loader. */
#ifndef BQB_TEXT_ANNOTATION_H
#define BQB_TEXT_ANNOTATION_H

#include "base/err.h"
#include "base/mem.h"
#include "base/rand.h"

#include <stdbool.h>

/* In the order of the evaluation text. */
typedef enum {
    BQB_CAPTION, BQB_EMOTION, BQB_EMOTION_LABEL, BQB_STYLE, BQB_OCR,
    BQB_FIELDS
} bqb_field;

/* "caption" "emotion" "emotion_label" "style" "ocr": the column names of
 * captions.tsv. bqb_field_parse also takes "emotion_class", "style_class",
 * "ocr_text"; BQB_FIELDS when it is none of them. */
const char *bqb_field_name(bqb_field f);
bqb_field bqb_field_parse(const char *name, size_t n);

/* Whether a label says nothing: 其他类型, 其他/中性, 其他, 中性. Never a caption or ocr. */
bool bqb_label_is_neutral(bqb_field f, const char *s);

/* Absent fields are NULL or "". Strings are borrowed. */
typedef struct {
    const char *field[BQB_FIELDS];
} bqb_annotation;

/* Append the fields joined by "；" to out: OCR cut to 24 characters, empty
 * fields and neutral labels (其他类型, 其他/中性, 其他, 中性) left out.
 * shuffle NULL: the fixed order (evaluation); else a random one (training). */
bqb_status bqb_annotation_text(bqb_buf *out, const bqb_annotation *a, bqb_rand *shuffle, bqb_err *err);

#endif
