/* Which blocks of weights.bin the weights in use lie in. */
#include <stdlib.h>

#include "error.h"
#include "weights.h"

enum {
    BLOCK_BYTES = 8 << 20,
    EDGE_BYTES = 64 << 10 /* blocks begin and end at multiples of this, whatever the size of the system's pages */
};

typedef struct {
    uint64_t begin, end;
} stretch;

static int by_begin(const void *a, const void *b) {
    const stretch *x = a, *y = b;
    return x->begin < y->begin ? -1 : x->begin > y->begin;
}

/* Those of the weights in use, widened to edges, those that touch as one. Answers how many. */
static size_t find_stretches(const hth_plan *plan, const uint8_t *used, stretch *stretches) {
    const uint64_t edge = EDGE_BYTES, total = plan->header->weights_bytes;
    size_t found = 0, kept = 0;
    for (uint32_t i = 0; i < plan->header->num_weights; ++i) {
        const hth_weight *weight = &plan->weights[i];
        if (used[i] == 0 || weight->size == 0) continue;
        const uint64_t end = weight->offset + weight->size, room = (edge - end % edge) % edge;
        stretches[found++] =
            (stretch){.begin = weight->offset - weight->offset % edge, .end = room < total - end ? end + room : total};
    }
    qsort(stretches, found, sizeof *stretches, by_begin);
    for (size_t i = 0; i < found; ++i) {
        if (kept > 0 && stretches[i].begin <= stretches[kept - 1].end) {
            if (stretches[i].end > stretches[kept - 1].end) stretches[kept - 1].end = stretches[i].end;
        } else {
            stretches[kept++] = stretches[i];
        }
    }
    return kept;
}

static bool all_used(const hth_plan *plan, const uint8_t *used) {
    uint32_t i = 0;
    while (i < plan->header->num_weights && used[i] != 0) ++i;
    return i == plan->header->num_weights;
}

static hearth_status cut_blocks(hth_weights_part *part, const stretch *stretches, size_t count) {
    uint64_t blocks = 0;
    for (size_t i = 0; i < count; ++i) blocks += (stretches[i].end - stretches[i].begin) / BLOCK_BYTES + 1;
    part->blocks = blocks < SIZE_MAX / sizeof *part->blocks ? calloc((size_t)blocks + 1, sizeof *part->blocks) : NULL;
    if (part->blocks == NULL) return hth_fail(HEARTH_MEMORY, "no memory for the table of the weights");
    for (size_t i = 0; i < count; ++i) {
        for (uint64_t at = stretches[i].begin; at < stretches[i].end; at += BLOCK_BYTES) {
            const uint64_t rest = stretches[i].end - at, size = rest < BLOCK_BYTES ? rest : BLOCK_BYTES;
            part->blocks[part->count++] = (hth_weights_block){.offset = at, .size = size};
        }
        part->bytes += stretches[i].end - stretches[i].begin;
    }
    return HEARTH_OK;
}

hearth_status hth_weights_part_find(hth_weights_part *part, const hth_plan *plan, const uint8_t *used) {
    const stretch all = {.begin = 0, .end = plan->header->weights_bytes};
    *part = (hth_weights_part){.count = 0};
    if (all_used(plan, used)) return cut_blocks(part, &all, 1);
    stretch *stretches = calloc((size_t)plan->header->num_weights + 1, sizeof *stretches);
    if (stretches == NULL) return hth_fail(HEARTH_MEMORY, "no memory for the table of the weights");
    const size_t count = find_stretches(plan, used, stretches);
    const hearth_status status = cut_blocks(part, stretches, count);
    free(stretches);
    return status;
}

void hth_weights_part_free(hth_weights_part *part) { free(part->blocks); }
