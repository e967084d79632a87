/* Time for measuring. */
#ifndef BQB_BASE_CLOCK_H
#define BQB_BASE_CLOCK_H

/* Seconds since some moment, never going back. Any thread. */
double bqb_now_s(void);

#endif
