/* The door "text": what hearth_forward has to know of a function that it runs, by the names that its inputs, symbols and
 * outputs have in the plan (docs/architecture.md). It is found once, when the model is opened. There may be two: the model
 * itself, and its block that predicts further tokens, which takes hidden states beside tokens. */
#ifndef HEARTH_TEXT_H
#define HEARTH_TEXT_H

#include "hearth.h"
#include "plan.h"

/* A work item of attention: a tile (tokens of one sequence, one after the other) and a range of splits of its context.
 * With a slot, its partial results go to slots [slot, slot + count * splits); without, it folds them itself. */
typedef struct {
    int32_t first, count, seq, split_begin, split_end, slot, zero[2];
} hth_item;

/* The tokens of one sequence in a batch, and the slot with the state before them: -1 where it is zeros. */
typedef struct {
    int32_t first, count, from, zero;
} hth_run;

/* Tokens of one adapter that stand together, HTH_ADAPTER_ITEM_TOKENS at most, and its units. */
typedef struct {
    int32_t first, count, unit, units;
} hth_adapter_item;

enum { HTH_ADAPTER_ITEM_TOKENS = 16 };

/* A tile whose partial results, `count` slots for each split, are to be folded. */
typedef struct {
    int32_t first, count, slot, splits;
} hth_merge;

typedef enum hth_text_symbol {
    HTH_TOKENS,
    HTH_SEQUENCES,
    HTH_NUM_LOGIT_ROWS,
    HTH_NUM_ITEMS,
    HTH_NUM_MERGES,
    HTH_BLOCK_TABLE_STRIDE,
    HTH_PAGES,
    HTH_PAGE_TOKENS,
    HTH_TILE_TOKENS,
    HTH_SPLIT_TOKENS,
    HTH_NUM_EMBEDDINGS,
    HTH_PROMPT_TOKENS,
    HTH_LONGEST_TILE,
    HTH_HIDDEN_TOKENS,
    HTH_LIKELIEST_ROWS,
    HTH_IN_PARTS,
    HTH_SLOTS,
    HTH_NUM_RUNS,
    HTH_ADAPTERS,
    HTH_NUM_ADAPTER_ITEMS,
    HTH_ADAPTER_UNITS,
    HTH_NUM_TEXT_SYMBOLS
} hth_text_symbol;

typedef enum hth_text_input {
    HTH_TOKEN_IDS,
    HTH_POSITIONS,
    HTH_TOKEN_SEQ,
    HTH_ITEMS,
    HTH_BLOCK_TABLE,
    HTH_LOGIT_ROWS,
    HTH_MERGES,
    HTH_EMBEDDINGS,
    HTH_EMBEDDED_TOKENS,
    HTH_LAST_SEEN,
    HTH_ROPE_POSITIONS,
    HTH_RUNS,
    HTH_STATE_TO,
    HTH_HIDDEN_STATES,
    HTH_ADAPTER_ITEMS,
    HTH_NUM_TEXT_INPUTS
} hth_text_input;

/* In place of an id: the function has no such input, the plan no such symbol. */
#define HTH_ABSENT UINT32_MAX

typedef enum hth_text_output {
    HTH_LOGITS,
    HTH_ARGMAX,
    HTH_HIDDEN,
    HTH_LIKELIEST,
    HTH_NUM_TEXT_OUTPUTS
} hth_text_output;

typedef struct {
    const hth_function *function; /* NULL: the plan has none */
    uint32_t symbols[HTH_NUM_TEXT_SYMBOLS];               /* ids, HTH_ABSENT of what is optional */
    uint32_t inputs[HTH_NUM_TEXT_INPUTS];                 /* likewise */
    const hth_plan_output *outputs[HTH_NUM_TEXT_OUTPUTS]; /* NULL: the function does not give it */
    uint32_t max_tokens, max_seqs, max_logit_rows, max_partials, vocab_size, max_position;
    uint32_t page_tokens, tile_tokens, split_tokens;
    uint32_t max_embeddings, hidden_size; /* 0: it takes no embeddings in place of tokens' own */
    uint32_t adapter_units;               /* most of one adapter; 0: the model has no room for adapters */
    uint32_t rope_streams;                /* positions that a token turns by, where they are an input; else 0 */
    uint32_t hidden_columns;              /* of the hidden states that it takes; 0: it takes none */

    /* Of a session; empty in a model. */
    uint32_t num_pages;
    uint32_t num_slots;    /* of state; 0: the model has none */
    uint32_t num_adapters; /* units of all adapters together; 0: the model has no room for any */
    uint32_t table_stride; /* most pages of one sequence: of the longest context, and no more than there are */
    uint8_t *seq_seen;     /* [max_seqs], all zero between forwards */
} hth_text;

/* Finds the function of the model, and that of its block that predicts further tokens, as far as the plan has them.
 * HEARTH_CORRUPT names what is missing or of another shape. */
hearth_status hth_text_find(const hth_plan *plan, hth_text *text, hth_text *draft);

/* Takes what the model found into a session whose sizes are known, and bounds its block table by its pages. */
void hth_text_begin(hearth_session *session);

/* Memory that forwards need beside the inputs, for seq_seen. */
uint64_t hth_text_bytes(const hth_text *text);

/* Checks a batch, copies it into the session's inputs, cuts it into work items and sets the symbols (batch.c). */
hearth_status hth_batch_take(hearth_session *session, const hth_text *text, const hearth_batch *batch);

#endif
