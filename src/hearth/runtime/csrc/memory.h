/* Big blocks of memory: weights, arena, KV cache. In huge pages where the system has them, which reads them up to 1.4x
 * faster, for one entry of the processor's address cache then covers 2 MiB. */
#ifndef HEARTH_MEMORY_H
#define HEARTH_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct hth_memory {
    char *data;  /* aligned to 64 at least; never NULL in a block that was allocated */
    size_t size; /* bytes asked for */
    size_t mapped;
} hth_memory;

/* Zeroed memory that costs real pages only once touched. False when the system refuses. */
bool hth_memory_allocate(hth_memory *memory, uint64_t size);
void hth_memory_free(hth_memory *memory);

/* *total += a * b; false if that leaves 64 bits. */
bool hth_add_product(uint64_t *total, uint64_t a, uint64_t b);

/* Rounds up to a multiple of 64, the line of a cache; sizes here stay far from the end of 64 bits. */
static inline uint64_t hth_align64(uint64_t size) { return (size + 63) & ~(uint64_t)63; }

#endif
