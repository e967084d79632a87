/* The entry point of every fuzz target: libFuzzer's, so that either can drive it.
 * data is freed after the call. Returns 0. */
#ifndef BQB_FUZZ_TARGET_H
#define BQB_FUZZ_TARGET_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* For targets whose parser reads a path: the bytes in a file under a name that
 * stays the same, replaced by every call. NULL when it cannot be written. */
const char *fuzz_file(const uint8_t *data, size_t size);

/* The same once more, for parsers of two files. */
const char *fuzz_second_file(const uint8_t *data, size_t size);

#endif
