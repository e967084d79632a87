/* Small StickerCLIPs on disk, to open and to damage. */
#ifndef MODEL_FOLDER_H
#define MODEL_FOLDER_H

#include "file/safetensors.h"
#include "model/clip.h"

/* Width 24 with 3 heads, 2 layers each, 12 px in patches of 4, vocabulary of
 * model_vocab, context 10 of 12 positions. */
extern const bqb_clip_config MODEL_CONFIG;
extern const char MODEL_VOCAB[];

/* The model of MODEL_CONFIG with random weights large enough to tell inputs apart. */
bqb_clip *model_new(uint64_t seed, bqb_precision precision, int threads);

/* DIR as a Hugging Face folder of that model in f32 with its vocabulary. */
void model_folder(const char *dir, uint64_t seed);

/* Set a number or (text not NULL) a string of DIR/config.json; part NULL is the top level. */
void model_set(const char *dir, const char *part, const char *key, long long number, const char *text);

/* Write DIR/model.safetensors again with its tensors changed by `edit`, which may
 * point them at other data, change their shape, rename or drop them (name NULL). */
typedef void (*model_edit)(bqb_tensor *t, void *ctx);
void model_rewrite(const char *dir, model_edit edit, void *ctx);

/* Patches of random colours, `equal`: all three frames of each picture the same. rgb[N,3,R,R,3] */
uint8_t *model_pictures(size_t N, uint64_t seed, bool equal);

/* [CLS] some tokens [SEP] [PAD]…: ids[N,L]; row n has lengths[n] tokens in all. */
int32_t *model_tokens(size_t N, size_t L, const size_t *lengths, uint64_t seed);

/* The largest |a - b| of n. Infinity when anything is not finite. */
double model_distance(const float *a, const float *b, size_t n);

#endif
