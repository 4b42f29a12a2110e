/* A batch, from the caller's arrays to the plan's inputs. Kernels index memory by what stands in these arrays, so every
 * number is checked here before one of them runs. */
#include <string.h>

#include "error.h"
#include "session.h"

static int32_t *input_of(const hearth_session *session, const hth_text *text, hth_text_input which) {
    return session->inputs[text->inputs[which]];
}

static hth_item *items_of(const hearth_session *session, const hth_text *text) {
    return (hth_item *)(void *)input_of(session, text, HTH_ITEMS);
}

static void set_symbol(hearth_session *session, const hth_text *text, hth_text_symbol symbol, int64_t value) {
    const uint32_t id = text->symbols[symbol];
    if (id != HTH_ABSENT) session->symbols[id] = value;
}

#define INVALID(...) hth_fail(HEARTH_INVALID, __VA_ARGS__)

static hearth_status check_sizes(const hth_text *text, const hearth_batch *batch) {
    if (batch->num_tokens < 1 || batch->num_tokens > text->max_tokens) {
        return INVALID("num_tokens is %u, must be 1 to %u", batch->num_tokens, text->max_tokens);
    }
    if (batch->num_seqs < 1 || batch->num_seqs > text->max_seqs) {
        return INVALID("num_seqs is %u, must be 1 to %u", batch->num_seqs, text->max_seqs);
    }
    if (batch->num_logit_rows > text->max_logit_rows) {
        return INVALID("num_logit_rows is %u, must be at most %u", batch->num_logit_rows, text->max_logit_rows);
    }
    if (batch->num_prompt_tokens > batch->num_tokens) {
        return INVALID("num_prompt_tokens is %u, must be at most num_tokens, %u", batch->num_prompt_tokens,
                       batch->num_tokens);
    }
    if (batch->block_table_stride < 1 || batch->block_table_stride > INT32_MAX) {
        return INVALID("block_table_stride is %u", batch->block_table_stride);
    }
    if (batch->token_ids == NULL || batch->positions == NULL || batch->token_seq == NULL ||
        batch->block_table == NULL || (batch->logit_rows == NULL && batch->num_logit_rows > 0)) {
        return INVALID("an array of the batch is NULL");
    }
    if ((batch->outputs & ~(uint32_t)(HEARTH_LOGITS | HEARTH_ARGMAX | HEARTH_HIDDEN | HEARTH_NOTHING | HEARTH_LIKELIEST)) != 0) {
        return INVALID("outputs is %u, must be bits of hearth_outputs", batch->outputs);
    }
    if (batch->num_embeddings > 0 && text->max_embeddings == 0) {
        return INVALID("num_embeddings is %u, but the model takes tokens only", batch->num_embeddings);
    }
    if (batch->num_embeddings > text->max_embeddings) {
        return INVALID("num_embeddings is %u, must be at most %u", batch->num_embeddings, text->max_embeddings);
    }
    if (batch->last_seen != NULL && text->inputs[HTH_LAST_SEEN] == HTH_ABSENT) {
        return INVALID("last_seen is given, but tokens of this model see no later ones");
    }
    if (batch->rope_positions != NULL && text->rope_streams == 0) {
        return INVALID("rope_positions is given, but tokens of this model turn by positions alone");
    }
    if ((text->num_slots > 0) != (batch->state_from != NULL) || (text->num_slots > 0) != (batch->state_to != NULL)) {
        return text->num_slots > 0 ? INVALID("state_from or state_to is NULL, but the model has slots of state")
                                   : INVALID("state_from or state_to is given, but the model has no slots of state");
    }
    if (batch->adapters != NULL && text->num_adapters == 0) {
        return INVALID("adapters is given, but the model has no room for adapters");
    }
    if (batch->num_embeddings > 0 && (batch->embeddings == NULL || batch->embedded_tokens == NULL)) {
        return INVALID("embeddings or embedded_tokens is NULL");
    }
    return HEARTH_OK;
}

/* Every page from the first position of a sequence to its last in this batch must be given. */
static hearth_status check_pages(const hth_text *text, const hearth_batch *batch, int32_t seq, int32_t last_position) {
    const uint32_t pages = (uint32_t)last_position / text->page_tokens + 1;
    if (pages > batch->block_table_stride) {
        return INVALID("sequence %d: position %d needs %u pages, block_table has %u columns", seq, last_position, pages,
                       batch->block_table_stride);
    }
    if (pages > text->table_stride) {
        return INVALID("sequence %d: position %d needs %u pages, the session has %u", seq, last_position, pages,
                       text->num_pages);
    }
    const int32_t *row = batch->block_table + (size_t)seq * batch->block_table_stride;
    for (uint32_t i = 0; i < pages; ++i) {
        if (row[i] < 0 || (uint32_t)row[i] >= text->num_pages) {
            return INVALID("sequence %d: page %u is %d, the session has %u pages", seq, i, row[i], text->num_pages);
        }
    }
    return HEARTH_OK;
}

/* The last position that a token sees: its own, unless the caller says more. */
static int32_t last_seen(const hearth_batch *batch, uint32_t i) {
    return batch->last_seen == NULL ? batch->positions[i] : batch->last_seen[i];
}

/* Tokens [first, end) of a sequence see themselves, nothing that is not written, and none less than the one before. */
static hearth_status check_seen(const hearth_batch *batch, uint32_t first, uint32_t end) {
    if (batch->last_seen == NULL) return HEARTH_OK;
    for (uint32_t i = first; i < end; ++i) {
        const int32_t seen = batch->last_seen[i];
        if (seen < batch->positions[i] || seen > batch->positions[end - 1] ||
            (i > first && seen < batch->last_seen[i - 1])) {
            return INVALID("token %u: last_seen is %d, must be %d to %d and ascend", i, seen, batch->positions[i],
                           batch->positions[end - 1]);
        }
    }
    return HEARTH_OK;
}

/* Slots that a sequence reads and writes. */
static hearth_status check_slots(const hth_text *text, const hearth_batch *batch, int32_t seq, uint32_t first,
                                 uint32_t end) {
    if (text->num_slots == 0) return HEARTH_OK;
    const int32_t most = (int32_t)text->num_slots - 1, from = batch->state_from[seq];
    if (from < -1 || from > most) return INVALID("sequence %d: state_from is %d, must be -1 to %d", seq, from, most);
    for (uint32_t i = first; i < end; ++i) {
        const int32_t to = batch->state_to[i];
        if (to < -1 || to > most) return INVALID("token %u: state_to is %d, must be -1 to %d", i, to, most);
    }
    return HEARTH_OK;
}

/* The tokens of each sequence together, which have been checked, for what goes from one to the next. */
static void take_runs(hearth_session *session, const hth_text *text, const hearth_batch *batch) {
    hth_run *runs = (hth_run *)(void *)input_of(session, text, HTH_RUNS);
    uint32_t num_runs = 0;
    for (uint32_t i = 0; i < batch->num_tokens; ++i) {
        const int32_t seq = batch->token_seq[i];
        if (i == 0 || seq != batch->token_seq[i - 1]) {
            runs[num_runs++] = (hth_run){.first = (int32_t)i, .from = batch->state_from[seq]};
        }
        ++runs[num_runs - 1].count;
    }
    memcpy(input_of(session, text, HTH_STATE_TO), batch->state_to, (size_t)batch->num_tokens * 4);
    set_symbol(session, text, HTH_NUM_RUNS, num_runs);
}

/* The units of the adapter that a sequence has; none where it has none. */
static hearth_status check_adapter(const hth_text *text, const hearth_batch *batch, int32_t seq) {
    if (batch->adapters == NULL) return HEARTH_OK;
    const int32_t unit = batch->adapters[2 * seq], units = batch->adapters[2 * seq + 1];
    if (units == 0) return HEARTH_OK;
    if (units < 0 || (uint32_t)units > text->adapter_units) {
        return INVALID("sequence %d: its adapter has %d units, must be 0 to %u", seq, units, text->adapter_units);
    }
    if (unit < 0 || (uint32_t)unit > text->num_adapters || (uint32_t)units > text->num_adapters - (uint32_t)unit) {
        return INVALID("sequence %d: its adapter has units from %d on, there are %u", seq, unit, text->num_adapters);
    }
    return HEARTH_OK;
}

/* Tokens of one adapter together, which have been checked, whichever sequences they are of. */
static void take_adapters(hearth_session *session, const hth_text *text, const hearth_batch *batch) {
    hth_adapter_item *items = (hth_adapter_item *)(void *)input_of(session, text, HTH_ADAPTER_ITEMS);
    uint32_t num_items = 0;
    for (uint32_t i = 0; batch->adapters != NULL && i < batch->num_tokens; ++i) {
        const int32_t *adapter = batch->adapters + 2 * (size_t)batch->token_seq[i];
        if (adapter[1] == 0) continue;
        hth_adapter_item *item = num_items > 0 ? &items[num_items - 1] : NULL;
        if (item != NULL && item->first + item->count == (int32_t)i && item->unit == adapter[0] &&
            item->units == adapter[1] && item->count < HTH_ADAPTER_ITEM_TOKENS) {
            ++item->count;
        } else {
            items[num_items++] =
                (hth_adapter_item){.first = (int32_t)i, .count = 1, .unit = adapter[0], .units = adapter[1]};
        }
    }
    set_symbol(session, text, HTH_NUM_ADAPTER_ITEMS, num_items);
}

/* Walks one sequence's run of tokens from `first` on, checks it and cuts it into tiles: items over all their splits. */
static hearth_status take_run(hearth_session *session, const hth_text *text, const hearth_batch *batch, uint32_t first,
                              uint32_t *end, uint32_t *num_tiles) {
    hth_item *tiles = items_of(session, text);
    const int32_t seq = batch->token_seq[first];
    if (seq < 0 || (uint32_t)seq >= batch->num_seqs) {
        return INVALID("token %u: sequence %d, there are %u", first, seq, batch->num_seqs);
    }
    if (text->seq_seen[seq] != 0) return INVALID("sequence %d: its tokens do not stand together", seq);
    text->seq_seen[seq] = 1;
    const int64_t start = batch->positions[first];
    uint32_t i = first;
    for (; i < batch->num_tokens && batch->token_seq[i] == seq; ++i) {
        const int32_t token = batch->token_ids[i], position = batch->positions[i];
        if (token < 0 || (uint32_t)token >= text->vocab_size) {
            return INVALID("token %u: id %d, the vocabulary has %u", i, token, text->vocab_size);
        }
        if (position < 0 || (uint32_t)position >= text->max_position) {
            return INVALID("token %u: position %d, must be below %u", i, position, text->max_position);
        }
        if (position != start + (i - first)) {
            return INVALID("token %u: position %d, positions of a sequence must ascend by 1", i, position);
        }
        if ((i - first) % text->tile_tokens == 0) {
            tiles[(*num_tiles)++] = (hth_item){.first = (int32_t)i, .seq = seq, .slot = -1};
        }
        hth_item *tile = &tiles[*num_tiles - 1];
        ++tile->count;
        tile->split_end = last_seen(batch, i) / (int32_t)text->split_tokens + 1;
    }
    *end = i;
    hearth_status status = check_seen(batch, first, i);
    if (status == HEARTH_OK) status = check_slots(text, batch, seq, first, i);
    if (status == HEARTH_OK) status = check_adapter(text, batch, seq);
    return status == HEARTH_OK ? check_pages(text, batch, seq, batch->positions[i - 1]) : status;
}

static hearth_status take_tokens(hearth_session *session, const hth_text *text, const hearth_batch *batch,
                                 uint32_t *num_tiles) {
    for (uint32_t i = 0; i < batch->num_tokens;) {
        const hearth_status status = take_run(session, text, batch, i, &i, num_tiles);
        if (status != HEARTH_OK) return status;
    }
    for (uint32_t i = 0; i < batch->num_logit_rows; ++i) {
        const int32_t row = batch->logit_rows[i];
        if (row < 0 || (uint32_t)row >= batch->num_tokens) {
            return INVALID("logit_rows[%u] is %d, there are %u tokens", i, row, batch->num_tokens);
        }
    }
    for (uint32_t i = 0; i < batch->num_embeddings; ++i) {
        const int32_t token = batch->embedded_tokens[i];
        if (token < 0 || (uint32_t)token >= batch->num_tokens) {
            return INVALID("embedded_tokens[%u] is %d, there are %u tokens", i, token, batch->num_tokens);
        }
        if (i > 0 && token <= batch->embedded_tokens[i - 1]) {
            return INVALID("embedded_tokens[%u] is %d, must be more than the one before", i, token);
        }
    }
    return HEARTH_OK;
}

/* What tokens turn by: nothing indexes memory by it. A token of text has the same position in all streams. */
static void take_rope_positions(const hearth_session *session, const hth_text *text, const hearth_batch *batch) {
    const size_t streams = text->rope_streams;
    if (streams == 0) return;
    int32_t *rope = input_of(session, text, HTH_ROPE_POSITIONS);
    if (batch->rope_positions != NULL) {
        memcpy(rope, batch->rope_positions, batch->num_tokens * streams * 4);
        return;
    }
    for (size_t i = 0; i < batch->num_tokens; ++i) {
        for (size_t s = 0; s < streams; ++s) rope[i * streams + s] = batch->positions[i];
    }
}

/* Items that each worker should have, so that workers end together, where there is only one KV head. */
enum { ITEMS_PER_WORKER = 4 };

/* Cuts tiles that have more than their share of the splits into several items: decoding, where a long context would
 * otherwise be one worker's work. Splits are computed apart in any case, so this is a question of time only. */
static void cut_tiles(hearth_session *session, const hth_text *text, uint32_t num_tiles) {
    hth_item *items = items_of(session, text);
    hth_merge *merges = (hth_merge *)(void *)input_of(session, text, HTH_MERGES);
    uint64_t splits = 0;
    int32_t longest = 1;
    for (uint32_t t = 0; t < num_tiles; ++t) {
        splits += (uint64_t)items[t].split_end;
        if (items[t].count > longest) longest = items[t].count;
    }
    const uint64_t wanted = (uint64_t)ITEMS_PER_WORKER * session->model->device->workers(session);
    const int32_t most = (int32_t)((splits + wanted - 1) / wanted); /* splits of one item */
    uint32_t num_items = num_tiles, num_merges = 0, slots = 0;
    for (uint32_t t = 0; t < num_tiles; ++t) {
        const hth_item tile = items[t];
        const uint64_t needed = (uint64_t)tile.count * (uint64_t)tile.split_end;
        if (tile.split_end <= most || needed > text->max_partials - slots) continue;
        merges[num_merges++] = (hth_merge){
            .first = tile.first, .count = tile.count, .slot = (int32_t)slots, .splits = tile.split_end};
        for (int32_t begin = 0; begin < tile.split_end; begin += most) {
            hth_item *item = begin == 0 ? &items[t] : &items[num_items++];
            *item = tile;
            item->split_begin = begin;
            item->split_end = tile.split_end - begin > most ? begin + most : tile.split_end;
            item->slot = (int32_t)slots + begin * tile.count;
        }
        slots += (uint32_t)needed;
    }
    set_symbol(session, text, HTH_LONGEST_TILE, longest);
    set_symbol(session, text, HTH_NUM_ITEMS, num_items);
    set_symbol(session, text, HTH_NUM_MERGES, num_merges);
}

hearth_status hth_batch_take(hearth_session *session, const hth_text *text, const hearth_batch *batch) {
    const uint32_t n = batch->num_tokens;
    uint32_t num_tiles = 0;
    hearth_status status = check_sizes(text, batch);
    if (status != HEARTH_OK) return status;
    status = take_tokens(session, text, batch, &num_tiles);
    memset(text->seq_seen, 0, batch->num_seqs);
    if (status != HEARTH_OK) return status;

    memcpy(input_of(session, text, HTH_TOKEN_IDS), batch->token_ids, (size_t)n * 4);
    memcpy(input_of(session, text, HTH_POSITIONS), batch->positions, (size_t)n * 4);
    memcpy(input_of(session, text, HTH_TOKEN_SEQ), batch->token_seq, (size_t)n * 4);
    if (batch->num_logit_rows > 0) {
        memcpy(input_of(session, text, HTH_LOGIT_ROWS), batch->logit_rows, (size_t)batch->num_logit_rows * 4);
    }
    if (text->inputs[HTH_LAST_SEEN] != HTH_ABSENT) {
        memcpy(input_of(session, text, HTH_LAST_SEEN), batch->last_seen == NULL ? batch->positions : batch->last_seen,
               (size_t)n * 4);
    }
    take_rope_positions(session, text, batch);
    if (text->num_slots > 0) take_runs(session, text, batch);
    if (text->num_adapters > 0) take_adapters(session, text, batch);
    if (batch->num_embeddings > 0) {
        const size_t rows = batch->num_embeddings;
        memcpy(session->inputs[text->inputs[HTH_EMBEDDINGS]], batch->embeddings, rows * text->hidden_size * sizeof(float));
        memcpy(input_of(session, text, HTH_EMBEDDED_TOKENS), batch->embedded_tokens, rows * 4);
    }
    if (batch->hidden != NULL) {
        memcpy(session->inputs[text->inputs[HTH_HIDDEN_STATES]], batch->hidden,
               (size_t)n * text->hidden_columns * sizeof(float));
    }
    if (text->max_embeddings > 0) set_symbol(session, text, HTH_NUM_EMBEDDINGS, batch->num_embeddings);
    /* Further columns can never be needed: they are left out, so the copy always fits. */
    const uint32_t most = text->table_stride;
    const uint32_t stride = batch->block_table_stride < most ? batch->block_table_stride : most;
    for (uint32_t s = 0; s < batch->num_seqs; ++s) {
        memcpy(input_of(session, text, HTH_BLOCK_TABLE) + (size_t)s * stride,
               batch->block_table + (size_t)s * batch->block_table_stride, (size_t)stride * 4);
    }
    set_symbol(session, text, HTH_TOKENS, n);
    set_symbol(session, text, HTH_PROMPT_TOKENS, batch->num_prompt_tokens);
    set_symbol(session, text, HTH_SEQUENCES, batch->num_seqs);
    set_symbol(session, text, HTH_NUM_LOGIT_ROWS, batch->num_logit_rows);
    set_symbol(session, text, HTH_BLOCK_TABLE_STRIDE, stride);
    cut_tiles(session, text, num_tiles);
    return HEARTH_OK;
}
