/* JSON as it grows. What is appended after a failure is lost; the failure is told once, at the end. */
#ifndef HEARTH_JSON_H
#define HEARTH_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    char *data; /* ends in a zero; NULL while nothing was appended. The user's to free */
    size_t size, room;
    bool failed; /* no memory, or more than HTH_MOST_JSON bytes */
} hth_json;

enum { HTH_MOST_JSON = 16 << 20 }; /* names and shapes of real networks take some KiB */

/* As it is. */
void hth_json_append(hth_json *json, const char *text);
void hth_json_append_number(hth_json *json, int64_t number);

/* The inside of a string, and a whole one; `text` is UTF-8. */
void hth_json_append_escaped(hth_json *json, const char *text);
void hth_json_append_string(hth_json *json, const char *text);

/* "name": value */
void hth_json_append_unsigned(hth_json *json, const char *name, uint64_t value);

#endif
