/* weights.bin in memory: read into huge pages, mapped, or where the caller has it. */
#ifndef HEARTH_WEIGHTS_H
#define HEARTH_WEIGHTS_H

#include <stdbool.h>

#include "budget.h"
#include "memory.h"
#include "plan.h"

typedef struct {
    const char *data; /* NULL until they are open */
    uint64_t size;
    bool mapped;
    hth_memory memory; /* empty when they are mapped or the caller's */
} hth_weights;

/* A stretch of the file that is read at once. */
typedef struct {
    uint64_t offset, size;
} hth_weights_block;

/* What is read of the file. */
typedef struct {
    hth_weights_block *blocks; /* [count], ascending */
    size_t count;
    uint64_t bytes; /* of all of them */
} hth_weights_part;

/* The blocks with the weights that are `used` [num_weights of the plan]; all of the file where all are. It is to be freed in
 * any case. */
hearth_status hth_weights_part_find(hth_weights_part *part, const hth_plan *plan, const uint8_t *used);
void hth_weights_part_free(hth_weights_part *part);

/* Reads the weights that are `used` in several threads, or maps the file, which must have the size that the plan says. What is
 * copied is taken from `budget`; the rest takes no memory. After a failure, too, the weights are to be closed. */
hearth_status hth_weights_open(hth_weights *weights, const char *path, const hth_plan *plan, const uint8_t *used,
                               hth_budget *budget, const hearth_open_options *options);

/* Takes the weights where the caller has them, `given` bytes, of which there must be `size`. */
hearth_status hth_weights_lend(hth_weights *weights, const void *data, uint64_t given, uint64_t size);

void hth_weights_close(hth_weights *weights);

/* Bytes of them that lie in huge pages now; 0 where the system does not tell. */
uint64_t hth_weights_huge_bytes(const hth_weights *weights);

#endif
