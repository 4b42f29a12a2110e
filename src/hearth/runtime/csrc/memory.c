#include "memory.h"

#include <string.h>

#include "platform.h"

enum { HUGE_PAGE = 2 << 20, SMALL_ALIGN = 4096 };

bool hth_memory_allocate(hth_memory *memory, uint64_t size) {
    memset(memory, 0, sizeof *memory);
    if (size > SIZE_MAX / 2) return false;
    /* Less than a huge page would only waste address space on alignment. */
    const bool huge = size >= HUGE_PAGE;
    const size_t mapped = size > 0 ? (size_t)size : 1;
    memory->data = hth_pages_allocate(mapped, huge ? HUGE_PAGE : SMALL_ALIGN);
    if (memory->data == NULL) return false;
    memory->size = (size_t)size;
    memory->mapped = mapped;
    if (huge) hth_pages_want_huge(memory->data, mapped);
    return true;
}

void hth_memory_free(hth_memory *memory) {
    if (memory->data != NULL) hth_pages_free(memory->data, memory->mapped);
    memset(memory, 0, sizeof *memory);
}

bool hth_add_product(uint64_t *total, uint64_t a, uint64_t b) {
    uint64_t product;
    return !__builtin_mul_overflow(a, b, &product) && !__builtin_add_overflow(*total, product, total);
}
