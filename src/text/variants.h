/* Traditional and simplified Chinese characters. */
#ifndef BQB_TEXT_VARIANTS_H
#define BQB_TEXT_VARIANTS_H

#include <stddef.h>
#include <stdint.h>

/* The simplified writing of a traditional character, any other code point as it is; twice is as once.
 * Several may become one (發, 髮: 发): good for comparing texts, not for rewriting them.
 * A character and its simplified one are equally long in UTF-8 (3 bytes). Any thread.
 * Source: Unicode CLDR, transforms/Simplified-Traditional; tools/make-variants.sh. */
uint32_t bqb_simplified(uint32_t cp);

size_t bqb_variants_count(void); /* how many characters that changes */

#endif
