/* SHA-256 (FIPS 180-4): by which a library knows its plan. */
#ifndef HEARTH_SHA256_H
#define HEARTH_SHA256_H

#include <stdint.h>

enum { HTH_SHA256_BYTES = 32 };

/* The digest of `size` bytes. */
void hth_sha256(const void *data, uint64_t size, uint8_t digest[HTH_SHA256_BYTES]);

#endif
