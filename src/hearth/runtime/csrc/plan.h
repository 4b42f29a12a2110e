/* The launch plan: the tables of plan.bin as they lie in the file, and the check that makes them safe to follow.
 * docs/architecture.md describes the format. */
#ifndef HEARTH_PLAN_H
#define HEARTH_PLAN_H

#include <stdbool.h>

#include "hearth.h"

enum { HTH_PLAN_VERSION = 2, HTH_PLAN_ALIGN = 64 };

typedef enum hth_symbol {
    HTH_ONE,
    HTH_NUM_TOKENS,
    HTH_NUM_SEQS,
    HTH_NUM_LOGIT_ROWS,
    HTH_NUM_ITEMS,
    HTH_BLOCK_TABLE_STRIDE,
    HTH_NUM_PAGES,
    HTH_NUM_MERGES,
    HTH_NUM_SYMBOLS
} hth_symbol;

typedef enum hth_buffer_kind { HTH_ARENA, HTH_WEIGHT, HTH_KV, HTH_INPUT, HTH_NUM_BUFFER_KINDS } hth_buffer_kind;

typedef enum hth_input {
    HTH_TOKEN_IDS,
    HTH_POSITIONS,
    HTH_TOKEN_SEQ,
    HTH_ITEMS,
    HTH_BLOCK_TABLE,
    HTH_LOGIT_ROWS,
    HTH_MERGES,
    HTH_NUM_INPUTS
} hth_input;

typedef struct {
    char magic[8];
    uint32_t version, header_size;
    uint64_t file_size;
    uint32_t num_strings_bytes, num_scalars, num_buffers, num_weights, num_kv, num_kernels, num_steps, num_args;
    uint32_t num_outputs, num_meta;
    uint64_t arena_bytes, scratch_bytes, weights_bytes;
    uint32_t max_tokens, max_seqs, max_logit_rows, tile_tokens, page_tokens, vocab_size, hidden_size, max_position;
    uint32_t split_tokens, max_partials;
    uint8_t zero[64];
} hth_plan_header;

/* A work item of attention: a tile (tokens of one sequence, one after the other) and a range of splits of its context.
 * With a slot, its partial results go to slots [slot, slot + count * splits); without, it folds them itself. */
typedef struct {
    int32_t first, count, seq, split_begin, split_end, slot, zero[2];
} hth_item;

/* A tile whose partial results, `count` slots for each split, are to be folded. */
typedef struct {
    int32_t first, count, slot, splits;
} hth_merge;

typedef struct {
    uint32_t symbol, zero;
    int64_t mul, add, div;
} hth_scalar;

typedef struct {
    uint32_t kind, index;
    uint64_t offset, size;
} hth_buffer;

typedef struct {
    uint32_t name, zero;
    uint64_t offset, size;
} hth_weight;

typedef struct {
    uint32_t name, zero;
    uint64_t bytes_per_page;
} hth_kv;

typedef struct {
    uint32_t name, num_buffers, num_scalars, zero;
} hth_plan_kernel;

typedef struct {
    uint32_t kernel, first_arg, units, grain, label, flags;
} hth_step;

typedef struct {
    uint32_t name, buffer, rows, row_stride, cols, dtype;
} hth_plan_output;

/* A checked plan. The pointers lead into the bytes that it was made of. */
typedef struct {
    const hth_plan_header *header;
    const char *strings;
    const hth_scalar *scalars;
    const hth_buffer *buffers;
    const hth_weight *weights;
    const hth_kv *kv;
    const hth_plan_kernel *kernels;
    const hth_step *steps;
    const uint32_t *args;
    const hth_plan_output *outputs;
    uint32_t max_block_table_stride; /* pages that max_position positions take */
    uint64_t kv_bytes_per_page;      /* of all regions together */
} hth_plan;

/* Checks `size` bytes (aligned to 8) in full and points `plan` into them. Answers HEARTH_CORRUPT or HEARTH_MISMATCH with
 * a text that names what is wrong. After HEARTH_OK every index and offset in the tables may be followed unchecked. */
hearth_status hth_plan_parse(hth_plan *plan, const void *bytes, uint64_t size);

/* Each tile is an item and has at least one token; an item that is a part of a tile takes at least one partial. */
static inline uint32_t hth_plan_max_items(const hth_plan_header *header) {
    return header->max_tokens + header->max_partials;
}

/* floor((symbol * mul + add) / div). Cannot overflow in a checked plan while symbols are in [0, INT32_MAX]. */
int64_t hth_scalar_value(const hth_scalar *scalar, const int64_t symbols[HTH_NUM_SYMBOLS]);

#endif
