/* Structures that callers fill in and that may grow: each begins with the size it had when the caller was compiled. */
#ifndef HEARTH_OPTIONS_H
#define HEARTH_OPTIONS_H

#include "hearth.h"

/* Copies the caller's structure over `known`, which holds the defaults. Fails if it comes from a newer header. `what`
 * names it in the error. */
hearth_status hth_options_read(void *known, size_t known_size, const void *given, const char *what);

#endif
