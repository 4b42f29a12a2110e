#include "weights.h"

#include <stdatomic.h>
#include <string.h>

#include "error.h"
#include "platform.h"

enum { DEFAULT_LOAD_THREADS = 4, MAX_LOAD_THREADS = 64 };

typedef struct {
    hth_file *file;
    char *source; /* the mapped file; NULL where it cannot be mapped */
    char *to;
    const hth_weights_part *part;
    _Atomic size_t next; /* the first block that nobody has taken */
    _Atomic uint64_t done; /* bytes */
    _Atomic bool stop;
    const char *_Atomic reason; /* of the first block that could not be read */
} loading;

/* Copying from the mapped file takes a third less time than reading it, where both are in the system's cache. But what
 * cannot be read would be a signal there: so the pages come in first, and where they do not, reading tells why. */
static bool fetch(const loading *load, uint64_t offset, uint64_t size, const char **reason) {
    char *pages = load->source != NULL ? load->source + offset : NULL;
    if (pages == NULL || !hth_pages_read_in(pages, (size_t)size)) {
        return hth_file_read(load->file, load->to + offset, size, offset, reason);
    }
    memcpy(load->to + offset, pages, (size_t)size);
    hth_pages_release(pages, (size_t)size); /* or we would hold the weights twice */
    return true;
}

/* Takes the next block and reads it. False when there is none, or when loading stops. */
static bool read_block(loading *load) {
    if (atomic_load(&load->stop)) return false;
    const size_t taken = atomic_fetch_add(&load->next, 1);
    if (taken >= load->part->count) return false;
    const hth_weights_block *block = &load->part->blocks[taken];
    const char *reason = NULL;
    if (!fetch(load, block->offset, block->size, &reason)) {
        atomic_store(&load->reason, reason);
        atomic_store(&load->stop, true);
        return false;
    }
    atomic_fetch_add(&load->done, block->size);
    return true;
}

static void reader(void *pointer) {
    while (read_block(pointer)) {
    }
}

static hearth_status load(hth_file *file, const hth_memory *memory, const hth_weights_part *part,
                          const hearth_open_options *options) {
    loading load = {.file = file, .to = memory->data, .part = part};
    if (memory->size > 0) load.source = hth_file_map(file, memory->size);
    hth_thread *threads[MAX_LOAD_THREADS] = {NULL};
    uint32_t count = options->load_threads > 0 ? options->load_threads : DEFAULT_LOAD_THREADS;
    if (count > MAX_LOAD_THREADS) count = MAX_LOAD_THREADS;
    if (count > part->count) count = (uint32_t)part->count;
    /* A thread that cannot be started only makes the loading slower: this one reads too. */
    for (uint32_t i = 1; i < count; ++i) threads[i] = hth_thread_start(reader, &load);

    bool cancelled = false;
    do {
        if (options->progress != NULL &&
            options->progress(options->progress_user, atomic_load(&load.done), part->bytes) != 0) {
            cancelled = true;
            atomic_store(&load.stop, true);
        }
    } while (read_block(&load));
    for (uint32_t i = 1; i < count; ++i) {
        if (threads[i] != NULL) hth_thread_join(threads[i]);
    }
    if (load.source != NULL) hth_pages_free(load.source, memory->size);
    const char *reason = atomic_load(&load.reason);
    if (reason != NULL) return hth_fail(HEARTH_IO, "weights.bin: %s", reason);
    if (!cancelled && options->progress != NULL) {
        cancelled = options->progress(options->progress_user, part->bytes, part->bytes) != 0;
    }
    return cancelled ? hth_fail(HEARTH_CANCELLED, "loading was cancelled") : HEARTH_OK;
}

static hearth_status map(hth_file *file, hth_weights *weights, const hth_weights_part *part) {
    char *pages = weights->size <= SIZE_MAX ? hth_file_map(file, weights->size) : NULL;
    if (pages == NULL) return hth_fail(HEARTH_MEMORY, "weights.bin cannot be mapped");
    hth_pages_want_huge(pages, (size_t)weights->size);
    for (size_t i = 0; i < part->count; ++i) {
        hth_pages_read_ahead(pages + part->blocks[i].offset, (size_t)part->blocks[i].size);
    }
    weights->data = pages;
    weights->mapped = true;
    return HEARTH_OK;
}

static hearth_status place(hth_file *file, hth_weights *weights, const hth_weights_part *part, hth_budget *budget,
                           const hearth_open_options *options) {
    if (options->use_mmap != 0 && weights->size > 0) return map(file, weights, part);
    hearth_status status = hth_budget_take(budget, part->bytes, "the weights");
    if (status != HEARTH_OK) return status;
    if (!hth_memory_allocate(&weights->memory, weights->size)) {
        return hth_fail(HEARTH_MEMORY, "%llu bytes for the weights cannot be had", (unsigned long long)part->bytes);
    }
    weights->data = weights->memory.data;
    return load(file, &weights->memory, part, options);
}

static hearth_status check_size(uint64_t given, uint64_t size) {
    if (given == size) return HEARTH_OK;
    return hth_fail(HEARTH_CORRUPT, "weights.bin has %llu bytes, plan.bin expects %llu", (unsigned long long)given,
                    (unsigned long long)size);
}

hearth_status hth_weights_open(hth_weights *weights, const char *path, const hth_plan *plan, const uint8_t *used,
                               hth_budget *budget, const hearth_open_options *options) {
    const char *reason = NULL;
    uint64_t file_size = 0;
    hth_file *file = hth_file_open(path, &file_size, &reason);
    if (file == NULL) return hth_fail(HEARTH_IO, "%s: %s", path, reason);
    hth_weights_part part = {.count = 0};
    weights->size = plan->header->weights_bytes;
    hearth_status status = check_size(file_size, weights->size);
    if (status == HEARTH_OK) status = hth_weights_part_find(&part, plan, used);
    if (status == HEARTH_OK) status = place(file, weights, &part, budget, options);
    hth_weights_part_free(&part);
    hth_file_close(file);
    return status;
}

hearth_status hth_weights_lend(hth_weights *weights, const void *data, uint64_t given, uint64_t size) {
    const uint32_t align = 64; /* kernels load whole vectors */
    if ((uintptr_t)data % align != 0) {
        return hth_fail(HEARTH_INVALID, "weights begin at an address that is no multiple of %u", align);
    }
    weights->data = data;
    weights->size = size;
    return check_size(given, size);
}

void hth_weights_close(hth_weights *weights) {
    if (weights->mapped) hth_pages_free((void *)(uintptr_t)weights->data, (size_t)weights->size);
    hth_memory_free(&weights->memory);
}

uint64_t hth_weights_huge_bytes(const hth_weights *weights) {
    return weights->data != NULL ? hth_pages_huge_bytes(weights->data, (size_t)weights->size) : 0;
}
