#include "utf8.h"

uint32_t hth_utf8_length(const uint8_t *text, uint64_t left) {
    const uint8_t first = text[0];
    const uint32_t length = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
    if (length == 0 || length > left) return 0;
    if (length > 1) {
        const uint8_t low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
        const uint8_t high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
        if (text[1] < low || text[1] > high) return 0;
    }
    for (uint32_t i = 2; i < length; ++i) {
        if ((text[i] & 0xc0) != 0x80) return 0;
    }
    return length;
}
