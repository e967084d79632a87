/* Words for counts in messages. */
#ifndef BQB_BASE_WORDS_H
#define BQB_BASE_WORDS_H

#include <stdint.h>

/* `one` for a count of 1, `many` for every other: bqb_word(n, "picture was", "pictures were"). */
const char *bqb_word(uint64_t n, const char *one, const char *many);

#endif
