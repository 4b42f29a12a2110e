#include "gpu_shaders.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "gpu_adapter.h"
#include "platform.h"
#include "plan.h"
#include "utf8.h"

/* Far above any network's. A compiler of strangers' text is behind this: it gets no more than that. */
enum { MOST_BYTES = 64 << 20, MOST_SHADERS = 1 << 16, MOST_THREADS = 256 };

#define CORRUPT(...) hth_fail(HEARTH_CORRUPT, "gpu_kernels.wgsl: " __VA_ARGS__)

static const char mark[] = "//@ ";

enum { MARK = sizeof mark - 1 };

static bool begins_shader(const char *line, size_t left) { return left >= MARK && memcmp(line, mark, MARK) == 0; }

static bool is_name(const char *word, size_t size) {
    if (size < 1 || size > HTH_MAX_NAME || (word[0] >= '0' && word[0] <= '9')) return false;
    for (size_t i = 0; i < size; ++i) {
        const char c = word[i];
        if (!(c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))) return false;
    }
    return true;
}

static bool is_count(const char *word, size_t size, uint32_t *count) {
    *count = 0;
    for (size_t i = 0; i < size && size <= 4; ++i) {
        if (word[i] < '0' || word[i] > '9') return false;
        *count = 10 * *count + (uint32_t)(word[i] - '0');
    }
    return *count >= 1 && *count <= MOST_THREADS;
}

/* "NAME THREADS FEATURES" */
static hearth_status read_header(hth_gpu_shader *shader, const char *line, size_t size, uint32_t number) {
    const char *words[3];
    size_t sizes[3], begin = 0;
    for (int w = 0; w < 3; ++w) {
        size_t end = begin;
        while (end < size && line[end] != ' ') ++end;
        if (end == begin || (end == size) != (w == 2)) return CORRUPT("line %u: must be //@ NAME THREADS FEATURES", number);
        words[w] = line + begin;
        sizes[w] = end - begin;
        begin = end + 1;
    }
    if (!is_name(words[0], sizes[0])) return CORRUPT("line %u: its name is no name", number);
    if (!is_count(words[1], sizes[1], &shader->threads)) {
        return CORRUPT("line %u: threads must be 1 to %d", number, MOST_THREADS);
    }
    if (!hth_gpu_features_read(words[2], sizes[2], &shader->features)) {
        return CORRUPT("line %u: unknown features %.*s", number, (int)(sizes[2] < 100 ? sizes[2] : 100), words[2]);
    }
    shader->name = words[0];
    shader->name_size = sizes[0];
    return HEARTH_OK;
}

/* Lines of the file: counts its shaders, or reads them. */
static hearth_status read_shaders(hth_gpu_shaders *s, size_t size) {
    uint32_t number = 0, count = 0;
    for (size_t begin = 0; begin < size;) {
        const char *line = s->bytes + begin;
        const char *newline = memchr(line, '\n', size - begin);
        const size_t length = newline != NULL ? (size_t)(newline - line) : size - begin;
        ++number;
        begin += length + (newline != NULL);
        if (begins_shader(line, length)) {
            if (count == MOST_SHADERS) return CORRUPT("more than %d shaders", MOST_SHADERS);
            if (s->shaders != NULL) {
                hth_gpu_shader *shader = &s->shaders[count];
                const hearth_status status = read_header(shader, line + MARK, length - MARK, number);
                if (status != HEARTH_OK) return status;
                shader->text = s->bytes + begin;
            }
            ++count;
        } else if (count == 0) {
            return CORRUPT("line %u: text that belongs to no shader", number);
        } else if (s->shaders != NULL) {
            s->shaders[count - 1].text_size = (size_t)(s->bytes + begin - s->shaders[count - 1].text);
        }
    }
    s->count = count;
    return HEARTH_OK;
}

static hearth_status check_text(const char *bytes, size_t size) {
    for (size_t i = 0; i < size;) {
        const uint32_t length = hth_utf8_length((const uint8_t *)bytes + i, size - i);
        if (length == 0 || bytes[i] == 0) return CORRUPT("it is no text at byte %zu", i);
        i += length;
    }
    return HEARTH_OK;
}

static hearth_status read_file(hth_gpu_shaders *s, const char *path, uint64_t *size) {
    const char *reason = NULL;
    hth_file *file = hth_file_open(path, size, &reason);
    if (file == NULL) return hth_fail(HEARTH_IO, "%s: %s", path, reason);
    hearth_status status = *size <= MOST_BYTES ? HEARTH_OK : CORRUPT("more than %d bytes", MOST_BYTES);
    if (status == HEARTH_OK && (s->bytes = malloc((size_t)*size + 1)) == NULL) {
        status = hth_fail(HEARTH_MEMORY, "no memory for gpu_kernels.wgsl");
    }
    if (status == HEARTH_OK && !hth_file_read(file, s->bytes, *size, 0, &reason)) {
        status = hth_fail(HEARTH_IO, "%s: %s", path, reason);
    }
    hth_file_close(file);
    return status;
}

hearth_status hth_gpu_shaders_read(hth_gpu_shaders *s, const char *path) {
    uint64_t size = 0;
    memset(s, 0, sizeof *s);
    hearth_status status = read_file(s, path, &size);
    if (status == HEARTH_OK) status = check_text(s->bytes, (size_t)size);
    if (status == HEARTH_OK) status = read_shaders(s, (size_t)size);
    if (status != HEARTH_OK) return status;
    s->shaders = calloc((size_t)s->count + 1, sizeof *s->shaders);
    if (s->shaders == NULL) return hth_fail(HEARTH_MEMORY, "no memory for the shaders");
    return read_shaders(s, (size_t)size);
}

void hth_gpu_shaders_free(hth_gpu_shaders *s) {
    free(s->shaders);
    free(s->bytes);
    memset(s, 0, sizeof *s);
}

const hth_gpu_shader *hth_gpu_shader_choose(const hth_gpu_shaders *s, const char *name, uint32_t features) {
    const size_t size = strlen(name);
    const hth_gpu_shader *core = NULL;
    for (uint32_t i = 0; i < s->count; ++i) {
        const hth_gpu_shader *shader = &s->shaders[i];
        if (shader->name_size != size || memcmp(shader->name, name, size) != 0) continue;
        if (shader->features != 0 && (shader->features & ~features) == 0) return shader;
        if (shader->features == 0 && core == NULL) core = shader;
    }
    return core;
}
