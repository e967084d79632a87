/* PyTorch checkpoints (.pt, .pth, pytorch_model.bin): a zip archive with a pickle
 * and one entry a storage. The pickle is read as data; nothing in it is run.
 * Source: torch/serialization.py and torch/_utils.py of PyTorch 2. */
#ifndef BQB_FILE_TORCH_H
#define BQB_FILE_TORCH_H

#include "file/safetensors.h"

#include <stdbool.h>

/* The tensors of a checkpoint: those of the dict "state_dict" (or
 * "model_state_dict", "model") when there is one, else of the pickle's own dict.
 * Everything beside them (optimiser, epoch, arguments) is passed over. A prefix
 * "module." that all names have is left out. Data are borrowed from the mapped
 * file; what does not lie in C order is copied.
 * BQB_EFORMAT: cut short, a storage that is not there, a tensor outside its
 * storage. BQB_EUNSUPPORTED: the format before PyTorch 1.6, TorchScript,
 * big-endian numbers, a name in the pickle that is not among those of tensors.
 * BQB_ELIMIT: a pickle over 64 MiB; copies beyond the size of the file. */
bqb_status bqb_torch_open(bqb_safetensors **out, const char *path, bqb_err *err);

/* A safetensors file or a PyTorch checkpoint, told apart by their first bytes. */
bqb_status bqb_weights_open(bqb_safetensors **out, const char *path, bqb_err *err);

/* A model folder's weights: model.safetensors or its shards, else model.pt, else pytorch_model.bin. */
bqb_status bqb_weights_open_folder(bqb_safetensors **out, const char *dir, bqb_err *err);

/* Write {"epoch": 0, "step": 0, "state_dict": {PREFIX + name: tensor, …}} so that
 * torch.load(path, weights_only=True) and Chinese-CLIP's code open it. f32, f16,
 * bf16, f64 and the integers that PyTorch has storages for. Data begin at
 * multiples of 64 bytes; the same tensors give the same bytes. Appears in one step. */
bqb_status bqb_torch_write(const char *path, const bqb_tensor *t, size_t n, const char *prefix, bqb_err *err);

#endif
