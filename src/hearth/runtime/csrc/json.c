#include "json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void append_bytes(hth_json *json, const char *bytes, size_t size) {
    if (json->failed) return;
    if (json->room - json->size <= size) {
        const size_t room = 2 * json->room + size + 1024;
        char *data = room <= HTH_MOST_JSON ? realloc(json->data, room) : NULL;
        if (data == NULL) {
            json->failed = true;
            return;
        }
        json->data = data;
        json->room = room;
    }
    memcpy(json->data + json->size, bytes, size);
    json->size += size;
    json->data[json->size] = 0;
}

void hth_json_append(hth_json *json, const char *text) { append_bytes(json, text, strlen(text)); }

void hth_json_append_number(hth_json *json, int64_t number) {
    char digits[24];
    const int size = snprintf(digits, sizeof digits, "%lld", (long long)number);
    append_bytes(json, digits, (size_t)size);
}

void hth_json_append_unsigned(hth_json *json, const char *name, uint64_t value) {
    char field[64];
    const int size = snprintf(field, sizeof field, "\"%s\": %llu", name, (unsigned long long)value);
    append_bytes(json, field, (size_t)size);
}

void hth_json_append_escaped(hth_json *json, const char *text) {
    for (; *text != 0; ++text) {
        const unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\') {
            append_bytes(json, "\\", 1);
            append_bytes(json, text, 1);
        } else if (c < 0x20) {
            char escape[8];
            append_bytes(json, escape, (size_t)snprintf(escape, sizeof escape, "\\u%04x", c));
        } else {
            append_bytes(json, text, 1);
        }
    }
}

void hth_json_append_string(hth_json *json, const char *text) {
    hth_json_append(json, "\"");
    hth_json_append_escaped(json, text);
    hth_json_append(json, "\"");
}
