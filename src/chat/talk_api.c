/* The public interface's conversation: a thin layer over assistant and dialogue. */
#include "bqb.h"

#include "base/fs.h"
#include "base/mem.h"
#include "chat/dialogue.h"

#include <stdlib.h>

struct bqb_talk {
    bqb_catalogue *c;
    bqb_assistant *a;
    bqb_dialogue *d;
};

bqb_status bqb_talk_open(bqb_talk **out, const char *library_dir, const char *model_dir, const char *llm, const char *adapter, uint64_t seed,
                         bqb_err *err) {
    *out = NULL;
    if (!library_dir || !*library_dir || !model_dir || !llm) return bqb_fail(err, BQB_EINVAL, "a library, a StickerCLIP and a language model are needed");
    bqb_talk *c = bqb_calloc(1, sizeof *c);
    if (!c) return bqb_fail_nomem(err, llm, sizeof *c);
    bqb_assistant_options o = {.llm = llm, .adapter = adapter, .clip = model_dir, .precision = bqb_precision_best()};
    bqb_dialogue_options d = bqb_dialogue_defaults();
    d.sampling.seed = seed;
    bqb_status s = bqb_catalogue_open(&c->c, library_dir, BQB_CATALOGUE_READ, err);
    if (!s) s = bqb_assistant_open(&c->a, &o, err);
    if (!s) s = bqb_dialogue_new(&c->d, c->a, c->c, &d, err);
    if (s) bqb_talk_close(c);
    else *out = c;
    return s;
}

void bqb_talk_close(bqb_talk *c) {
    if (!c) return;
    bqb_dialogue_free(c->d);
    bqb_assistant_close(c->a);
    bqb_catalogue_close(c->c);
    free(c);
}

bqb_status bqb_talk_reset(bqb_talk *c, bqb_err *err) { return bqb_dialogue_reset(c->d, err); }

bqb_status bqb_talk_say(bqb_talk *c, const char *text, const char *picture, int sticker_now, bqb_talk_fn said, void *ctx, bqb_results **stickers,
                        bqb_err *err) {
    bqb_map file = {0};
    bqb_answer a = {.n_sent = 0};
    bqb_answer_events events = {.text = said, .ctx = ctx};
    *stickers = NULL;
    bqb_status s = picture ? bqb_map_open(&file, picture, err) : BQB_OK;
    bqb_picture p = {.data = file.data, .size = file.size, .name = picture};
    bqb_message m = {.text = text ? text : "", .picture = &p, .n_pictures = picture != NULL, .pret = sticker_now != 0};
    if (!s) s = bqb_dialogue_say(c->d, &m, &events, &a, err);
    if (!s) s = bqb_results_take(stickers, a.sticker, a.n_stickers, err);
    bqb_answer_free(&a);
    bqb_map_close(&file);
    return s;
}
