/* How much memory there is. */
#ifndef BQB_BASE_RAM_H
#define BQB_BASE_RAM_H

/* What this process may use at most: of the machine, of its control group, by ulimit -v; the least of them. Bytes. */
double bqb_memory_there(void);

/* How much of that is free now, or would be made free for it. */
double bqb_memory_free(void);

#endif
