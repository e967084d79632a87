/* What StickerLLM has learnt, as a folder: adapter.safetensors (embed_new, head_new, vis_embedding.weight,
 * vis_embedding.bias, txt_proj.weight, logit_scale, all f32) and adapter.json, which names the language
 * model and the StickerCLIP that it belongs to. It fits no others. Format: docs/formats.md. */
#ifndef BQB_MODEL_ADAPTER_H
#define BQB_MODEL_ADAPTER_H

#include "model/stickerllm.h"

/* All text is UTF-8, for people and for messages. */
typedef struct {
    char *llm, *clip; /* what the two models were called: the last part of their paths; save does not read it */
    char *system;     /* what stood before every conversation that was learnt from; NULL: nothing */
    char *trained;    /* JSON object: how it was trained; NULL: nothing is said */
} bqb_adapter_info;

typedef struct {
    bqb_sticker_parts parts;
    bqb_adapter_info info; /* owned */
} bqb_adapter;

/* Write both files into a folder, which is made. Each appears in one step, the JSON last: a folder that
 * has it is complete. BQB_EINVAL: parts whose sizes are not the models', or that are no numbers. */
bqb_status bqb_adapter_save(const char *dir, const bqb_sticker_parts *parts, const bqb_adapter_info *info, bqb_decoder *m,
                            bqb_clip *clip, bqb_err *err);

/* clip NULL: which StickerCLIP it belongs to is not looked at.
 * Errors: BQB_EIO; BQB_EFORMAT names the key or tensor; BQB_EVERSION; BQB_EINVAL names both models of a wrong pair. */
bqb_status bqb_adapter_open(bqb_adapter **out, const char *dir, bqb_decoder *m, bqb_clip *clip, bqb_err *err);
void bqb_adapter_close(bqb_adapter *a);

/* Whether there is one: a folder with an adapter.json. */
bool bqb_is_adapter(const char *dir);

/* The folder of an adapter that nobody named, there or not: "adapter" in the language model's folder, or beside its GGUF
 * file. Fresh memory; NULL when it is out. */
char *bqb_adapter_beside(const char *llm);

#endif
