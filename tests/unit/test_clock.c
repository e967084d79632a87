#include "base/clock.h"
#include "test.h"

#include <time.h>

TEST(clock_goes_forward_in_seconds) {
    double a = bqb_now_s();
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    double b = bqb_now_s();
    CHECK(b - a >= 0.02 && b - a < 600);
}
