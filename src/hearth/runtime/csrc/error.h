/* The text of the last error, one for each thread. */
#ifndef HEARTH_ERROR_H
#define HEARTH_ERROR_H

#include "hearth.h"

#if defined(__GNUC__)
#define HTH_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define HTH_PRINTF(text, first)
#endif

/* Keeps the text for hearth_error() and answers `status`, so that callers can `return hth_fail(...)`. */
hearth_status hth_fail(hearth_status status, const char *format, ...) HTH_PRINTF(2, 3);

#endif
