/* How PyTorch's pickles name the storages of each number format; for torch.c and torch_write.c. */
#ifndef BQB_FILE_TORCH_NAMES_H
#define BQB_FILE_TORCH_NAMES_H

#include "file/safetensors.h"

/* "torch.FloatStorage"; NULL where PyTorch has none. */
extern const char *const bqb_torch_storage[BQB_DTYPES];

#endif
