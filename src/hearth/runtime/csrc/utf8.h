/* UTF-8 of strangers. */
#ifndef HEARTH_UTF8_H
#define HEARTH_UTF8_H

#include <stdint.h>

/* Bytes of the character at `text`, 0 if there is none (Unicode, table 3-7: no overlong forms, no surrogates). */
uint32_t hth_utf8_length(const uint8_t *text, uint64_t left);

#endif
