#include "error.h"

#include <stdarg.h>
#include <stdio.h>

static _Thread_local char last_error[512] = "";

hearth_status hth_fail(hearth_status status, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(last_error, sizeof last_error, format, arguments);
    va_end(arguments);
    return status;
}

const char *hearth_error(void) { return last_error; }

uint32_t hearth_abi_version(void) { return HEARTH_ABI_VERSION; }
