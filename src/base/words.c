#include "base/words.h"

const char *bqb_word(uint64_t n, const char *one, const char *many) { return n == 1 ? one : many; }
