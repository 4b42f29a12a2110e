/* WebAssembly: no files, a memory that only grows. What is needed of the world outside is imported from the module
 * "hearth". Pages for what the host hands over (plan.bin, weights.bin, arrays of a batch) it takes here too, by
 * hth_pages_allocate, which is exported beside hearth.h. Threads are in platform_wasm_threads.c: they run kernels, and all
 * else, memory too, belongs to the one thread that calls. */
#include "platform.h"

#if defined(__wasm__)

#include <stdlib.h>
#include <string.h>

/* Milliseconds since some moment, with fractions: performance.now(). */
__attribute__((import_module("hearth"), import_name("now"))) double hth_host_now(void);

/* ---- this process, its time ---- */

uint64_t hth_process_id(void) { return 0; }

void hth_yield(void) {}

void hth_sleep(uint64_t ns) { (void)ns; }

uint64_t hth_now_ns(void) { return (uint64_t)(hth_host_now() * 1e6); }

/* ---- mutual exclusion of one who calls, no libraries ---- */

struct hth_mutex {
    int unused;
};

hth_mutex *hth_mutex_create(void) { return calloc(1, sizeof(hth_mutex)); }

void hth_mutex_free(hth_mutex *mutex) { free(mutex); }

void hth_mutex_lock(hth_mutex *mutex) { (void)mutex; }

void hth_mutex_unlock(hth_mutex *mutex) { (void)mutex; }

void *hth_library_open(const char *path, const char **reason) {
    (void)path;
    *reason = "WebAssembly loads no libraries";
    return NULL;
}

void *hth_library_symbol(void *library, const char *name) {
    (void)library, (void)name;
    return NULL;
}

/* ---- files ---- */

hth_file *hth_file_open(const char *path, uint64_t *size, const char **reason) {
    (void)path, (void)size;
    *reason = "WebAssembly has no files: hearth_open_memory takes their bytes";
    return NULL;
}

bool hth_file_read(hth_file *file, void *to, uint64_t size, uint64_t offset, const char **reason) {
    (void)file, (void)to, (void)size, (void)offset, (void)reason;
    return false;
}

void *hth_file_map(hth_file *file, uint64_t size) {
    (void)file, (void)size;
    return NULL;
}

void hth_file_close(hth_file *file) { (void)file; }

/* ---- pages of memory ----
 *
 * Memory grows and never shrinks, so what is given back is kept for the next who asks: a list in the order of addresses,
 * written in the free pages themselves, neighbours joined. The C library's allocator rounds large blocks up to powers of
 * two, which weights cannot afford. */

enum { WASM_PAGE = 65536, PAGE = 4096 };

typedef struct region {
    struct region *next;
    size_t size; /* a multiple of PAGE, as the address is */
} region;

static region *free_regions;

static size_t rounded(size_t size, size_t align) { return (size + align - 1) & ~(align - 1); }

/* Puts a free region into the list. */
static void give(char *pages, size_t size) {
    region **link = &free_regions, *before = NULL;
    while (*link != NULL && (char *)*link < pages) {
        before = *link;
        link = &before->next;
    }
    region *here = (region *)(void *)pages;
    *here = (region){.next = *link, .size = size};
    *link = here;
    if (here->next != NULL && pages + size == (char *)here->next) {
        here->size += here->next->size;
        here->next = here->next->next;
    }
    if (before != NULL && (char *)before + before->size == pages) {
        before->size += here->size;
        before->next = here->next;
    }
}

/* Takes `size` bytes out of the first free region that has them, or answers NULL. */
static char *take(size_t size, size_t align) {
    for (region **link = &free_regions; *link != NULL; link = &(*link)->next) {
        char *const begin = (char *)*link, *const end = begin + (*link)->size;
        const size_t lead = rounded((uintptr_t)begin, align) - (uintptr_t)begin;
        if ((*link)->size < lead || (*link)->size - lead < size) continue;
        *link = (*link)->next;
        if (lead > 0) give(begin, lead);
        if (begin + lead + size < end) give(begin + lead + size, (size_t)(end - begin) - lead - size);
        return begin + lead;
    }
    return NULL;
}

void *hth_pages_allocate(size_t size, size_t align) {
    if (align < PAGE) align = PAGE;
    if (size == 0 || size > SIZE_MAX - align - WASM_PAGE) return NULL;
    size = rounded(size, PAGE);
    char *pages = take(size, align);
    if (pages != NULL) {
        memset(pages, 0, size);
        return pages;
    }
    /* What is new is zero, and takes no memory of the machine before it is written. */
    const size_t end = __builtin_wasm_memory_size(0) * WASM_PAGE; /* 0 where all 4 GiB are in use: then it cannot grow */
    const size_t lead = rounded(end, align) - end, grown = rounded(lead + size, WASM_PAGE);
    if (__builtin_wasm_memory_grow(0, grown / WASM_PAGE) == SIZE_MAX) return NULL;
    pages = (char *)(uintptr_t)end;
    if (lead > 0) give(pages, lead);
    if (lead + size < grown) give(pages + lead + size, grown - lead - size);
    return pages + lead;
}

void hth_pages_free(void *pages, size_t size) { give(pages, rounded(size, PAGE)); }

void hth_pages_want_huge(void *pages, size_t size) { (void)pages, (void)size; }

bool hth_pages_read_in(void *pages, size_t size) {
    (void)pages, (void)size;
    return false;
}

void hth_pages_read_ahead(void *pages, size_t size) { (void)pages, (void)size; }

void hth_pages_release(void *pages, size_t size) { (void)pages, (void)size; }

uint64_t hth_pages_huge_bytes(const void *pages, size_t size) {
    (void)pages, (void)size;
    return 0;
}

#endif
