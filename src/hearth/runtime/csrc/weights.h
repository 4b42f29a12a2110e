/* weights.bin in memory: read into huge pages, mapped, or where the caller has it. */
#ifndef HEARTH_WEIGHTS_H
#define HEARTH_WEIGHTS_H

#include <stdbool.h>

#include "budget.h"
#include "memory.h"

typedef struct {
    const char *data; /* NULL until they are open */
    uint64_t size;
    bool mapped;
    hth_memory memory; /* empty when they are mapped or the caller's */
} hth_weights;

/* Reads the file in several threads, or maps it; it must have `size` bytes. What is copied is taken from `budget`. After
 * a failure, too, the weights are to be closed. */
hearth_status hth_weights_open(hth_weights *weights, const char *path, uint64_t size, hth_budget *budget,
                               const hearth_open_options *options);

/* Takes the weights where the caller has them, `given` bytes, of which there must be `size`. */
hearth_status hth_weights_lend(hth_weights *weights, const void *data, uint64_t given, uint64_t size);

void hth_weights_close(hth_weights *weights);

/* Bytes of them that lie in huge pages now; 0 where the system does not tell. */
uint64_t hth_weights_huge_bytes(const hth_weights *weights);

#endif
