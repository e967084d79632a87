/* Vectors of what stickers say: the text of the picture through the text tower, kind "text" in the catalogue.
 * The text is the words believed to stand on it, else its caption. A change of that text takes the vector out of the
 * catalogue (bqb_catalogue_annotate, bqb_catalogue_forget); here the missing ones are made. */
#ifndef BQB_LIBRARY_EMBED_WORDS_H
#define BQB_LIBRARY_EMBED_WORDS_H

#include "library/labeller.h"

#define BQB_KIND_TEXT "text"

/* That text, of what is believed of a sticker; NULL: there is none. Borrowed. */
const char *bqb_spoken(const bqb_annotated *a);

/* Give a vector to every shown sticker that has words and no vector of them. What was committed (512 at a
 * time) stays, whatever happens. *n (may be NULL): how many got one. progress may be NULL.
 * Errors: BQB_ECANCEL, of the catalogue (open for writing), of the embedder. */
bqb_status bqb_embed_words(bqb_catalogue *c, const bqb_text_embedder *e, bqb_progress_fn progress, void *ctx, size_t *n,
                           bqb_err *err);

/* The same with the text tower of a model folder, which is opened only when the library's main model lacks
 * something; nothing is done unless the library has pictures' vectors of it, nor
 * when the folder has no text tower that can be read (then no words can be asked of it either). Whoever has changed words calls this
 * at the end. */
bqb_status bqb_embed_words_by(bqb_catalogue *c, const char *model_dir, bqb_progress_fn progress, void *ctx, size_t *n,
                              bqb_err *err);

#endif
