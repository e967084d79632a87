/* What the names in zip archives say, whichever program wrote them. */
#ifndef BQB_FILE_ZIP_NAME_H
#define BQB_FILE_ZIP_NAME_H

#include "file/zip.h"

/* Append an entry's name as UTF-8 with "/" between folders. Its bytes are
 * UTF-8 where the archive says so or they are it; else GBK (GB18030), as Chinese
 * systems write, where they are that; else CP437. What is no character becomes
 * U+FFFD. */
bqb_status bqb_zip_name(bqb_buf *out, const bqb_zip_entry *e, bqb_err *err);

/* Whether a name stays below the folder that it is put into: relative, no "..",
 * no drive, no control characters, not empty. */
bool bqb_zip_name_is_safe(const char *name);

/* Why it does not ("its name would leave the folder"), or NULL. */
const char *bqb_zip_name_problem(const char *name);

#endif
