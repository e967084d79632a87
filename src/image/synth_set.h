/* Which synthetic set a folder holds: two sets in one folder would be one wrong set. */
#ifndef BQB_IMAGE_SYNTH_SET_H
#define BQB_IMAGE_SYNTH_SET_H

#include "image/synth.h"

/* Make dir a folder of the set of s with count stickers: dir/images/ and dir/synth.json are there afterwards.
 * A folder that holds the same set stays as it is; one that holds another set, or pictures and tables that
 * nothing tells about, is refused (BQB_EINVAL; the message says what differs). replace: another set, but not
 * what nothing tells about, is removed first: the two tables, then images/NNNNNN.*, and nothing else. */
bqb_status synth_set_claim(const bqb_synth *s, const char *dir, size_t count, bool replace, bqb_err *err);

#endif
