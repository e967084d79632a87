/* Lottie animations: the JSON, packed here so that changes of it get past gzip's checksum; now and then the bytes as
 * they are. Nothing is drawn: that is librlottie's, in a process of its own. */
#include "image/movie.h"
#include "target.h"

#include <stdlib.h>
#include <zlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    bqb_movie m;
    uLong room = compressBound((uLong)size) + 64;
    uint8_t *packed = malloc(room);
    z_stream zs = {.next_in = (Bytef *)(uintptr_t)data, .avail_in = (uInt)size, .next_out = packed, .avail_out = (uInt)room};
    if (!packed || deflateInit2(&zs, 1, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK ||
        deflate(&zs, Z_FINISH) != Z_STREAM_END)
        abort();
    size_t n = room - zs.avail_out;
    deflateEnd(&zs);
    if (size % 8 == 0) packed[n / 2] ^= 1;
    if (!bqb_lottie_open(&m, packed, n, "fuzz", NULL)) {
        int sum = 0;
        if (!m.width || !m.height || !m.frames || !m.fn) abort();
        for (size_t f = 0; f < m.frames; f++) sum |= m.delay_ms[f];
        if (sum < 0) abort();
    }
    bqb_movie_close(&m);
    free(packed);
    return 0;
}
