#include "test.h"

#include "base/sha256.h"

#include <stdlib.h>
#include <string.h>

static const char *digest(const void *data, size_t n) {
    static char hex[65];
    uint8_t d[32];
    bqb_sha256_of(d, data, n);
    bqb_hex(hex, d, sizeof d);
    return hex;
}

/* The examples that NIST publishes for FIPS 180-4. */
TEST(sha256_published_vectors) {
    CHECK_STR(digest("", 0), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    CHECK_STR(digest("abc", 3), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    const char *two = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    CHECK_STR(digest(two, strlen(two)), "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    size_t n = 1000000;
    char *a = malloc(n);
    if (!a) return;
    memset(a, 'a', n);
    CHECK_STR(digest(a, n), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    free(a);
}

/* However the bytes arrive, around every block boundary, the digest is the same. */
TEST(sha256_in_pieces) {
    uint8_t data[200], whole[32], pieces[32];
    for (size_t i = 0; i < sizeof data; i++) data[i] = (uint8_t)(i * 7);
    for (size_t n = 0; n <= sizeof data; n++) {
        bqb_sha256_of(whole, data, n);
        for (size_t step = 1; step <= 67; step += 11) {
            bqb_sha256 h;
            bqb_sha256_init(&h);
            for (size_t i = 0; i < n; i += step) bqb_sha256_update(&h, data + i, n - i < step ? n - i : step);
            bqb_sha256_final(&h, pieces);
            CHECK_MSG(!memcmp(whole, pieces, 32), "%zu bytes in steps of %zu", n, step);
        }
    }
}
