#include "options.h"

#include <string.h>

#include "error.h"

hearth_status hth_options_read(void *known, size_t known_size, const void *given, const char *what) {
    uint32_t size;
    if (given == NULL) return HEARTH_OK;
    memcpy(&size, given, sizeof size);
    if (size < sizeof size) return hth_fail(HEARTH_INVALID, "%s: struct_size is not set", what);
    if (size > known_size) return hth_fail(HEARTH_MISMATCH, "%s: made for a newer hearth.h", what);
    memcpy(known, given, size);
    return HEARTH_OK;
}
