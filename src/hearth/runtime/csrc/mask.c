/* Tokens that may not come: a row of logits with minus infinity in their places. */
#include <math.h>
#include <string.h>

#include "error.h"

enum { WORD_TOKENS = 32 };

static const uint32_t token_bits[WORD_TOKENS] = {
    1u << 0,  1u << 1,  1u << 2,  1u << 3,  1u << 4,  1u << 5,  1u << 6,  1u << 7,  1u << 8,  1u << 9,  1u << 10,
    1u << 11, 1u << 12, 1u << 13, 1u << 14, 1u << 15, 1u << 16, 1u << 17, 1u << 18, 1u << 19, 1u << 20, 1u << 21,
    1u << 22, 1u << 23, 1u << 24, 1u << 25, 1u << 26, 1u << 27, 1u << 28, 1u << 29, 1u << 30, 1u << 31,
};

/* One word of the mask where some tokens may come and some not: a comparison, and a choice between two bit patterns. */
static void choose(const float *logits, uint32_t word, float *out) {
    const uint32_t refused = 0xff800000u; /* minus infinity */
    uint32_t bits[WORD_TOKENS];
    memcpy(bits, logits, sizeof bits);
    for (int t = 0; t < WORD_TOKENS; ++t) {
        const uint32_t allowed = (word & token_bits[t]) != 0 ? 0xffffffffu : 0;
        bits[t] = (bits[t] & allowed) | (refused & ~allowed);
    }
    memcpy(out, bits, sizeof bits);
}

hearth_status hearth_apply_mask(const float *logits, const int32_t *mask, int64_t count, float *out) {
    if (logits == NULL || mask == NULL || out == NULL || count < 1) {
        return hth_fail(HEARTH_INVALID, "hearth_apply_mask: an argument is out of range");
    }
    const int64_t words = count / WORD_TOKENS;
    for (int64_t w = 0; w < words; ++w) {
        const uint32_t word = (uint32_t)mask[w];
        const int64_t first = w * WORD_TOKENS;
        if (word == 0) { /* most words of a grammar's mask are these two */
            for (int t = 0; t < WORD_TOKENS; ++t) out[first + t] = -INFINITY;
        } else if (word == 0xffffffffu) {
            memmove(out + first, logits + first, WORD_TOKENS * sizeof(float));
        } else {
            choose(logits + first, word, out + first);
        }
    }
    for (int64_t t = words * WORD_TOKENS; t < count; ++t) {
        out[t] = ((uint32_t)mask[words] & token_bits[t % WORD_TOKENS]) != 0 ? logits[t] : -INFINITY;
    }
    return HEARTH_OK;
}
