#include "text.h"

#include <string.h>

#include "error.h"
#include "options.h"
#include "session.h"

_Static_assert(sizeof(hth_item) == 32 && sizeof(hth_merge) == 16 && sizeof(hth_run) == 16 &&
                   sizeof(hth_adapter_item) == 16,
               "layout of inputs");

#define CORRUPT(...) hth_fail(HEARTH_CORRUPT, "plan.bin: text function: " __VA_ARGS__)

enum { CONSTANT = -1 };

/* What a forward sets lies in [low, high]: those that every batch has begin at 1. */
static const struct {
    const char *name;
    int64_t low; /* or CONSTANT, of at least 1 */
    bool optional;
} symbols[HTH_NUM_TEXT_SYMBOLS] = {
    [HTH_TOKENS] = {"tokens", 1, false},
    [HTH_SEQUENCES] = {"sequences", 1, false},
    [HTH_NUM_LOGIT_ROWS] = {"logit_rows", 0, false},
    [HTH_NUM_ITEMS] = {"items", 1, false},
    [HTH_NUM_MERGES] = {"merges", 0, false},
    [HTH_BLOCK_TABLE_STRIDE] = {"block_table_stride", 1, false},
    [HTH_PAGES] = {"pages", 1, false},
    [HTH_PAGE_TOKENS] = {"page_tokens", CONSTANT, false},
    [HTH_TILE_TOKENS] = {"tile_tokens", CONSTANT, false},
    [HTH_SPLIT_TOKENS] = {"split_tokens", CONSTANT, false},
    [HTH_NUM_EMBEDDINGS] = {"embeddings", 0, true},
    [HTH_PROMPT_TOKENS] = {"prompt_tokens", 0, true},
    [HTH_LONGEST_TILE] = {"longest_tile", 1, true},
    [HTH_HIDDEN_TOKENS] = {"hidden_tokens", 0, true},
    [HTH_LIKELIEST_ROWS] = {"likeliest_rows", 0, true},
    [HTH_IN_PARTS] = {"in_parts", 0, true},
    [HTH_SLOTS] = {"slots", 1, true},
    [HTH_NUM_RUNS] = {"runs", 1, true},
    [HTH_ADAPTERS] = {"adapters", 1, true},
    [HTH_NUM_ADAPTER_ITEMS] = {"adapter_items", 0, true},
    [HTH_ADAPTER_UNITS] = {"adapter_units", CONSTANT, true},
};

enum { ANY_COLUMNS = -1 };

/* An axis is a symbol, or where `columns` says so a constant. Inputs of an optional symbol are there where that is. */
static const struct {
    const char *name;
    hearth_dtype dtype;
    uint32_t num_dims;
    hth_text_symbol rows, columns_symbol;
    int64_t columns; /* or ANY_COLUMNS */
    bool optional;
} inputs[HTH_NUM_TEXT_INPUTS] = {
    [HTH_TOKEN_IDS] = {"token_ids", HEARTH_I32, 1, HTH_TOKENS, 0, 0, false},
    [HTH_POSITIONS] = {"positions", HEARTH_I32, 1, HTH_TOKENS, 0, 0, false},
    [HTH_TOKEN_SEQ] = {"token_seq", HEARTH_I32, 1, HTH_TOKENS, 0, 0, false},
    [HTH_ITEMS] = {"items", HEARTH_I32, 2, HTH_NUM_ITEMS, 0, sizeof(hth_item) / 4, false},
    [HTH_BLOCK_TABLE] = {"block_table", HEARTH_I32, 2, HTH_SEQUENCES, HTH_BLOCK_TABLE_STRIDE, 0, false},
    [HTH_LOGIT_ROWS] = {"logit_rows", HEARTH_I32, 1, HTH_NUM_LOGIT_ROWS, 0, 0, false},
    [HTH_MERGES] = {"merges", HEARTH_I32, 2, HTH_NUM_MERGES, 0, sizeof(hth_merge) / 4, false},
    [HTH_EMBEDDINGS] = {"embeddings", HEARTH_F32, 2, HTH_NUM_EMBEDDINGS, 0, ANY_COLUMNS, false},
    [HTH_EMBEDDED_TOKENS] = {"embedded_tokens", HEARTH_I32, 1, HTH_NUM_EMBEDDINGS, 0, 0, false},
    [HTH_LAST_SEEN] = {"last_seen", HEARTH_I32, 1, HTH_TOKENS, 0, 0, true},
    [HTH_ROPE_POSITIONS] = {"rope_positions", HEARTH_I32, 2, HTH_TOKENS, 0, ANY_COLUMNS, true},
    [HTH_RUNS] = {"runs", HEARTH_I32, 2, HTH_NUM_RUNS, 0, sizeof(hth_run) / 4, false},
    [HTH_STATE_TO] = {"state_to", HEARTH_I32, 1, HTH_TOKENS, 0, 0, true},
    [HTH_HIDDEN_STATES] = {"hidden_states", HEARTH_F32, 2, HTH_TOKENS, 0, ANY_COLUMNS, true},
    [HTH_ADAPTER_ITEMS] = {"adapter_items", HEARTH_I32, 2, HTH_NUM_ADAPTER_ITEMS, 0, sizeof(hth_adapter_item) / 4, false},
};

static const struct {
    const char *name;
    hearth_dtype dtype;
    uint32_t num_dims;
    hth_text_symbol rows;
    hearth_outputs bit;
} outputs[HTH_NUM_TEXT_OUTPUTS] = {
    [HTH_LOGITS] = {"logits", HEARTH_F32, 2, HTH_NUM_LOGIT_ROWS, HEARTH_LOGITS},
    [HTH_ARGMAX] = {"argmax", HEARTH_I32, 1, HTH_NUM_LOGIT_ROWS, HEARTH_ARGMAX},
    [HTH_HIDDEN] = {"hidden", HEARTH_F32, 2, HTH_TOKENS, HEARTH_HIDDEN},
    [HTH_LIKELIEST] = {"likeliest", HEARTH_I32, 2, HTH_NUM_LOGIT_ROWS, HEARTH_LIKELIEST},
};

static hth_interval interval_of(const hth_plan *plan, const hth_text *text, hth_text_symbol symbol) {
    return plan->symbols[text->symbols[symbol]].interval;
}

static uint32_t high_of(const hth_plan *plan, const hth_text *text, hth_text_symbol symbol) {
    return (uint32_t)interval_of(plan, text, symbol).high;
}

/* Something is kept of a sequence, and nothing that a forward sets is fixed by the session. */
static hearth_status check_states(const hth_plan *plan, const hth_text *text) {
    bool kept = false;
    for (uint32_t i = 0; i < plan->header->num_states; ++i) {
        for (int s = 0; s < HTH_NUM_TEXT_SYMBOLS; ++s) {
            if (plan->states[i].symbol != text->symbols[s]) continue;
            if (s == HTH_ADAPTERS) continue; /* known before any sequence */
            if (s != HTH_PAGES && s != HTH_SLOTS) return CORRUPT("state %u is counted by %s", i, symbols[s].name);
            kept = true;
        }
    }
    return kept ? HEARTH_OK : CORRUPT("there is no state whose units are counted by pages or slots");
}

static hearth_status find_symbols(const hth_plan *plan, hth_text *text) {
    uint64_t known = hth_plan_fixed_symbols(plan);
    for (int i = 0; i < HTH_NUM_TEXT_SYMBOLS; ++i) {
        uint32_t s = 0;
        while (s < plan->header->num_symbols && strcmp(plan->strings + plan->symbols[s].name, symbols[i].name) != 0) ++s;
        if (s == plan->header->num_symbols) {
            if (!symbols[i].optional) return CORRUPT("there is no symbol %s", symbols[i].name);
            text->symbols[i] = HTH_ABSENT;
            continue;
        }
        const hth_interval bounds = plan->symbols[s].interval;
        if (symbols[i].low == CONSTANT && (bounds.low != bounds.high || bounds.low < 1)) {
            return CORRUPT("symbol %s lies in %lld to %lld, must be a constant of at least 1", symbols[i].name,
                           (long long)bounds.low, (long long)bounds.high);
        }
        if (symbols[i].low != CONSTANT && bounds.low != symbols[i].low) {
            return CORRUPT("symbol %s may be %lld, must be at least %lld", symbols[i].name, (long long)bounds.low,
                           (long long)symbols[i].low);
        }
        text->symbols[i] = s;
        known |= (uint64_t)1 << s;
    }
    const uint64_t unknown = hth_function_symbols(plan, text->function) & ~known;
    for (uint32_t s = 0; s < plan->header->num_symbols; ++s) {
        if ((unknown >> s & 1) != 0) return CORRUPT("nothing gives symbol %s", plan->strings + plan->symbols[s].name);
    }
    return check_states(plan, text);
}

static bool is_symbol(const hth_plan *plan, uint32_t dim, uint32_t symbol) {
    const hth_scalar *scalar = &plan->scalars[plan->dims[dim]];
    return scalar->op == HTH_SYMBOL && scalar->a == symbol;
}

static bool is_number(const hth_plan *plan, uint32_t scalar, int64_t *number) {
    *number = plan->scalars[scalar].interval.low;
    return *number == plan->scalars[scalar].interval.high;
}

static hearth_status find_input(const hth_plan *plan, hth_text *text, hth_text_input which) {
    const hth_function *f = text->function;
    text->inputs[which] = HTH_ABSENT;
    if (text->symbols[inputs[which].rows] == HTH_ABSENT) return HEARTH_OK;
    uint32_t i = f->first_input;
    const uint32_t end = i + f->num_inputs;
    while (i < end && strcmp(plan->strings + plan->inputs[i].name, inputs[which].name) != 0) ++i;
    if (i == end && inputs[which].optional) return HEARTH_OK;
    if (i == end) return CORRUPT("there is no input %s", inputs[which].name);
    const hth_plan_input *input = &plan->inputs[i];
    bool right = input->dtype == (uint32_t)inputs[which].dtype && input->num_dims == inputs[which].num_dims &&
                 is_symbol(plan, input->first_dim, text->symbols[inputs[which].rows]);
    if (right && input->num_dims == 2) {
        int64_t columns = 0;
        right = inputs[which].columns == 0
                    ? is_symbol(plan, input->first_dim + 1, text->symbols[inputs[which].columns_symbol])
                    : is_number(plan, plan->dims[input->first_dim + 1], &columns) && columns >= 1 &&
                          (columns == inputs[which].columns || inputs[which].columns == ANY_COLUMNS);
    }
    if (!right) return CORRUPT("input %s has another type or shape", inputs[which].name);
    text->inputs[which] = i;
    return HEARTH_OK;
}

/* How many values an input may have: they lie in 0 to that, without it. */
static hearth_status find_count(const hth_plan *plan, const hth_text *text, hth_text_input which, uint32_t *count) {
    const hth_plan_input *input = &plan->inputs[text->inputs[which]];
    int64_t low = -1, high = -1;
    if (input->checks != HTH_IN_RANGE || !is_number(plan, input->low, &low) || !is_number(plan, input->high, &high) ||
        low != 0 || high < 0 || high >= INT32_MAX) {
        return CORRUPT("the values of input %s must lie in 0 to a constant", inputs[which].name);
    }
    *count = (uint32_t)high + 1;
    return HEARTH_OK;
}

static hearth_status find_output(const hth_plan *plan, hth_text *text, const hth_plan_output *output) {
    const char *name = plan->strings + output->name;
    int which = 0;
    while (which < HTH_NUM_TEXT_OUTPUTS && strcmp(outputs[which].name, name) != 0) ++which;
    if (which == HTH_NUM_TEXT_OUTPUTS) return CORRUPT("unknown output %s", name);
    bool right = output->dtype == (uint32_t)outputs[which].dtype && output->num_dims == outputs[which].num_dims &&
                 is_symbol(plan, output->first_dim, text->symbols[outputs[which].rows]);
    if (right && output->num_dims == 2) {
        int64_t columns = 0, stride = 0;
        right = is_number(plan, plan->dims[output->first_dim + 1], &columns) &&
                is_number(plan, output->row_stride, &stride) && columns >= 1 && columns <= stride &&
                stride <= INT32_MAX && (which != HTH_LOGITS || columns == text->vocab_size) &&
                (which != HTH_LIKELIEST || columns % 2 == 0);
    }
    if (!right) return CORRUPT("output %s has another type or shape", name);
    text->outputs[which] = output;
    return HEARTH_OK;
}

/* Numbers that belong together. */
static hearth_status check_limits(const hth_plan *plan, const hth_text *text) {
    if (text->split_tokens % text->page_tokens != 0) {
        return CORRUPT("split_tokens is %u, no multiple of page_tokens, %u", text->split_tokens, text->page_tokens);
    }
    if ((uint64_t)high_of(plan, text, HTH_NUM_ITEMS) != (uint64_t)text->max_tokens + text->max_partials) {
        return CORRUPT("items may be %u, tokens and merges together %llu", high_of(plan, text, HTH_NUM_ITEMS),
                       (unsigned long long)text->max_tokens + text->max_partials);
    }
    if (text->symbols[HTH_PROMPT_TOKENS] != HTH_ABSENT &&
        high_of(plan, text, HTH_PROMPT_TOKENS) != text->max_tokens) {
        return CORRUPT("prompt_tokens may be %u, tokens %u", high_of(plan, text, HTH_PROMPT_TOKENS), text->max_tokens);
    }
    if (text->symbols[HTH_HIDDEN_TOKENS] != HTH_ABSENT &&
        high_of(plan, text, HTH_HIDDEN_TOKENS) != text->max_tokens) {
        return CORRUPT("hidden_tokens may be %u, tokens %u", high_of(plan, text, HTH_HIDDEN_TOKENS), text->max_tokens);
    }
    if (text->symbols[HTH_LIKELIEST_ROWS] != HTH_ABSENT &&
        high_of(plan, text, HTH_LIKELIEST_ROWS) != text->max_logit_rows) {
        return CORRUPT("likeliest_rows may be %u, logit_rows %u", high_of(plan, text, HTH_LIKELIEST_ROWS),
                       text->max_logit_rows);
    }
    if (text->symbols[HTH_IN_PARTS] != HTH_ABSENT && high_of(plan, text, HTH_IN_PARTS) != 1) {
        return CORRUPT("in_parts may be %u, must be 0 or 1", high_of(plan, text, HTH_IN_PARTS));
    }
    const bool has_slots = text->symbols[HTH_SLOTS] != HTH_ABSENT;
    if (has_slots != (text->symbols[HTH_NUM_RUNS] != HTH_ABSENT) || has_slots != (text->inputs[HTH_STATE_TO] != HTH_ABSENT)) {
        return CORRUPT("symbols slots and runs and input state_to are not all there");
    }
    if (has_slots && high_of(plan, text, HTH_NUM_RUNS) != text->max_seqs) {
        return CORRUPT("runs may be %u, sequences %u", high_of(plan, text, HTH_NUM_RUNS), text->max_seqs);
    }
    const bool has_adapters = text->symbols[HTH_ADAPTERS] != HTH_ABSENT;
    if (has_adapters != (text->symbols[HTH_NUM_ADAPTER_ITEMS] != HTH_ABSENT) ||
        has_adapters != (text->symbols[HTH_ADAPTER_UNITS] != HTH_ABSENT)) {
        return CORRUPT("symbols adapters, adapter_items and adapter_units are not all there");
    }
    if (has_adapters && high_of(plan, text, HTH_NUM_ADAPTER_ITEMS) != text->max_tokens) {
        return CORRUPT("adapter_items may be %u, tokens %u", high_of(plan, text, HTH_NUM_ADAPTER_ITEMS), text->max_tokens);
    }
    if (text->symbols[HTH_LONGEST_TILE] != HTH_ABSENT && high_of(plan, text, HTH_LONGEST_TILE) != text->tile_tokens) {
        return CORRUPT("longest_tile may be %u, tile_tokens %u", high_of(plan, text, HTH_LONGEST_TILE),
                       text->tile_tokens);
    }
    if (high_of(plan, text, HTH_BLOCK_TABLE_STRIDE) < (text->max_position - 1) / text->page_tokens + 1) {
        return CORRUPT("block_table_stride is too small for position %u", text->max_position - 1);
    }
    return HEARTH_OK;
}

/* Columns of an input that may have any number of them: find_input has seen to it that it is a number. */
static hearth_status find_columns(const hth_plan *plan, const hth_text *text, hth_text_input which, uint32_t *count) {
    int64_t columns = 0;
    is_number(plan, plan->dims[plan->inputs[text->inputs[which]].first_dim + 1], &columns);
    if (columns > INT32_MAX) return CORRUPT("%s have %lld columns", inputs[which].name, (long long)columns);
    *count = (uint32_t)columns;
    return HEARTH_OK;
}

/* Whether a function is the block that predicts further tokens: it takes hidden states. */
static bool takes_hidden(const hth_plan *plan, const hth_function *f) {
    for (uint32_t i = f->first_input; i < f->first_input + f->num_inputs; ++i) {
        if (strcmp(plan->strings + plan->inputs[i].name, inputs[HTH_HIDDEN_STATES].name) == 0) return true;
    }
    return false;
}

static hearth_status find(const hth_plan *plan, hth_text *text) {
    hearth_status status = find_symbols(plan, text);
    if (takes_hidden(plan, text->function)) { /* it keeps no state, is given no embeddings and has no adapters */
        text->symbols[HTH_NUM_EMBEDDINGS] = text->symbols[HTH_SLOTS] = text->symbols[HTH_NUM_RUNS] = HTH_ABSENT;
        text->symbols[HTH_ADAPTERS] = text->symbols[HTH_NUM_ADAPTER_ITEMS] = HTH_ABSENT;
        text->symbols[HTH_ADAPTER_UNITS] = HTH_ABSENT;
    }
    for (int i = 0; status == HEARTH_OK && i < HTH_NUM_TEXT_INPUTS; ++i) {
        status = find_input(plan, text, (hth_text_input)i);
    }
    uint32_t known = 0;
    for (int i = 0; status == HEARTH_OK && i < HTH_NUM_TEXT_INPUTS; ++i) known += text->inputs[i] != HTH_ABSENT;
    if (status == HEARTH_OK && text->function->num_inputs != known) {
        status = CORRUPT("%u inputs, must be %u", text->function->num_inputs, known);
    }
    if (status == HEARTH_OK) status = find_count(plan, text, HTH_TOKEN_IDS, &text->vocab_size);
    if (status == HEARTH_OK) status = find_count(plan, text, HTH_POSITIONS, &text->max_position);
    for (uint32_t i = 0; status == HEARTH_OK && i < text->function->num_outputs; ++i) {
        status = find_output(plan, text, &plan->outputs[text->function->first_output + i]);
    }
    if (status != HEARTH_OK) return status;
    text->max_tokens = high_of(plan, text, HTH_TOKENS);
    text->max_seqs = high_of(plan, text, HTH_SEQUENCES);
    text->max_logit_rows = high_of(plan, text, HTH_NUM_LOGIT_ROWS);
    text->max_partials = high_of(plan, text, HTH_NUM_MERGES);
    text->page_tokens = high_of(plan, text, HTH_PAGE_TOKENS);
    text->tile_tokens = high_of(plan, text, HTH_TILE_TOKENS);
    text->split_tokens = high_of(plan, text, HTH_SPLIT_TOKENS);
    if (text->symbols[HTH_ADAPTER_UNITS] != HTH_ABSENT) text->adapter_units = high_of(plan, text, HTH_ADAPTER_UNITS);
    if (text->inputs[HTH_EMBEDDINGS] != HTH_ABSENT) {
        status = find_columns(plan, text, HTH_EMBEDDINGS, &text->hidden_size);
        text->max_embeddings = high_of(plan, text, HTH_NUM_EMBEDDINGS);
    }
    if (status == HEARTH_OK && text->inputs[HTH_ROPE_POSITIONS] != HTH_ABSENT) {
        status = find_columns(plan, text, HTH_ROPE_POSITIONS, &text->rope_streams);
    }
    if (status == HEARTH_OK && text->inputs[HTH_HIDDEN_STATES] != HTH_ABSENT) {
        status = find_columns(plan, text, HTH_HIDDEN_STATES, &text->hidden_columns);
    }
    if (status != HEARTH_OK) return status;
    return check_limits(plan, text);
}

hearth_status hth_text_find(const hth_plan *plan, hth_text *text, hth_text *draft) {
    for (uint32_t i = 0; i < plan->header->num_functions; ++i) {
        const hth_function *f = &plan->functions[i];
        if (strcmp(plan->strings + f->door, HTH_TEXT_DOOR) != 0) continue;
        hth_text *which = takes_hidden(plan, f) ? draft : text;
        if (which->function != NULL) return CORRUPT("function %u is a second one of its kind", i);
        which->function = f;
    }
    if (text->function == NULL && draft->function != NULL) return CORRUPT("there is none that takes tokens alone");
    hearth_status status = text->function != NULL ? find(plan, text) : HEARTH_OK;
    if (status == HEARTH_OK && draft->function != NULL) status = find(plan, draft);
    return status;
}

static void begin(hearth_session *session, hth_text *text) {
    if (text->function == NULL) return;
    text->num_pages = (uint32_t)session->bounds[text->symbols[HTH_PAGES]].high;
    if (text->symbols[HTH_SLOTS] != HTH_ABSENT) {
        text->num_slots = (uint32_t)session->bounds[text->symbols[HTH_SLOTS]].high;
    }
    if (text->symbols[HTH_ADAPTERS] != HTH_ABSENT) {
        text->num_adapters = (uint32_t)session->bounds[text->symbols[HTH_ADAPTERS]].high;
    }
    hth_interval *stride = &session->bounds[text->symbols[HTH_BLOCK_TABLE_STRIDE]];
    if (stride->high > text->num_pages) stride->high = text->num_pages;
    text->table_stride = (uint32_t)stride->high;
}

void hth_text_begin(hearth_session *session) {
    session->text = session->model->text;
    session->draft = session->model->draft;
    begin(session, &session->text);
    begin(session, &session->draft);
}

uint64_t hth_text_bytes(const hth_text *text) { return hth_align64(text->max_seqs); }

/* Whether the caller wants an output that the model has. */
static bool is_wanted(const hearth_session *session, const hth_text *text, const hearth_batch *batch, int output) {
    if (session->model->layers.to != NULL) return false; /* the layers that make it are another part's */
    const uint32_t asked = batch->outputs != 0 ? batch->outputs : HEARTH_LOGITS | HEARTH_ARGMAX | HEARTH_HIDDEN;
    return text->outputs[output] != NULL && (asked & (uint32_t)outputs[output].bit) != 0;
}

static void set_output(const hearth_session *session, const hth_text *text, const hearth_batch *batch,
                       hearth_output *answer) {
    const hth_plan *plan = &session->model->plan;
    hearth_view *const views[] = {&answer->logits, &answer->argmax, &answer->hidden, &answer->likeliest};
    for (int i = 0; i < HTH_NUM_TEXT_OUTPUTS; ++i) {
        const hth_plan_output *output = text->outputs[i];
        if (!is_wanted(session, text, batch, i)) continue;
        const uint32_t *dims = plan->dims + output->first_dim;
        const bool matrix = output->num_dims == 2;
        *views[i] = (hearth_view){
            .data = session->model->device->output(session, (uint32_t)(output - plan->outputs)),
            .dtype = output->dtype,
            .rows = (uint32_t)session->scalars[dims[0]],
            .cols = matrix ? (uint32_t)session->scalars[dims[1]] : 1,
            .row_stride = matrix ? (uint32_t)session->scalars[output->row_stride] : 1,
        };
    }
    const hth_cut *cut = session->model->layers.to;
    if (cut == NULL) return;
    answer->layer_output = (hearth_view){.data = session->model->device->layer_output(session),
                                         .dtype = HEARTH_F32,
                                         .rows = (uint32_t)session->scalars[cut->rows],
                                         .cols = cut->columns,
                                         .row_stride = cut->columns};
}

static hearth_status check_layer_input(const hth_layers *layers, const hearth_batch *batch) {
    if (batch->hidden != NULL && !hth_layers_are_all(layers)) {
        return hth_fail(HEARTH_INVALID, "hidden is given, but the model was opened without some of its layers");
    }
    if ((layers->from != NULL) == (batch->layer_input != NULL)) return HEARTH_OK;
    return layers->from != NULL
               ? hth_fail(HEARTH_INVALID, "layer_input is NULL, but the model begins with layer %u", layers->first)
               : hth_fail(HEARTH_INVALID, "layer_input is given, but the model begins with tokens");
}

static void set_symbol(hearth_session *session, const hth_text *text, hth_text_symbol symbol, int64_t value) {
    const uint32_t id = text->symbols[symbol];
    if (id != HTH_ABSENT) session->symbols[id] = value;
}

/* What is computed for those alone who want it, and what depends on whether all layers are here. */
static void set_wanted(hearth_session *session, const hth_text *text, const hearth_batch *batch) {
    const uint32_t hidden = is_wanted(session, text, batch, HTH_HIDDEN) ? batch->num_tokens : 0;
    const uint32_t likeliest = is_wanted(session, text, batch, HTH_LIKELIEST) ? batch->num_logit_rows : 0;
    set_symbol(session, text, HTH_HIDDEN_TOKENS, hidden);
    set_symbol(session, text, HTH_LIKELIEST_ROWS, likeliest);
    set_symbol(session, text, HTH_IN_PARTS, !hth_layers_are_all(&session->model->layers));
}

static hearth_status run(hearth_session *session, const hearth_batch *batch, hearth_output *output) {
    const hth_text *text = batch->hidden == NULL ? &session->text : &session->draft;
    const hth_layers *layers = &session->model->layers;
    if (text->function == NULL) {
        return hth_fail(HEARTH_INVALID, "hidden is given, but the model has no block that predicts further tokens");
    }
    uint32_t wanted[HTH_NUM_TEXT_OUTPUTS], count = 0;
    for (int i = 0; i < HTH_NUM_TEXT_OUTPUTS; ++i) {
        if (!is_wanted(session, text, batch, i)) continue;
        wanted[count++] = (uint32_t)(text->outputs[i] - session->model->plan.outputs);
    }
    const hth_call call = {.function = text->function,
                           .outputs = wanted,
                           .num_outputs = count,
                           .from = layers->from,
                           .input = batch->layer_input,
                           .to = layers->to};
    hearth_status status = check_layer_input(layers, batch);
    if (status == HEARTH_OK) status = hth_batch_take(session, text, batch);
    if (status == HEARTH_OK) set_wanted(session, text, batch);
    if (status == HEARTH_OK) status = hth_session_evaluate(session, text->function);
    if (status == HEARTH_OK) status = session->model->device->run(session, &call);
    if (status == HEARTH_OK) set_output(session, text, batch, output);
    return status;
}

hearth_status hearth_forward(hearth_session *session, const hearth_batch *batch, hearth_output *output) {
    hearth_batch known_batch = {.struct_size = sizeof known_batch};
    hearth_output known_output = {.struct_size = sizeof known_output};
    if (session == NULL || batch == NULL || output == NULL) {
        return hth_fail(HEARTH_INVALID, "hearth_forward: an argument is NULL");
    }
    if (session->text.function == NULL) {
        return hth_fail(HEARTH_INVALID, "the model takes no tokens: its functions are run by hearth_run");
    }
    hearth_status status = hth_options_read(&known_batch, sizeof known_batch, batch, "hearth_batch");
    if (status != HEARTH_OK) return status;
    const uint32_t output_size = output->struct_size;
    if (output_size < sizeof output_size || output_size > sizeof known_output) {
        return hth_fail(HEARTH_INVALID, "hearth_output: struct_size is %u", output_size);
    }
    status = hth_session_enter(session);
    if (status != HEARTH_OK) return status;
    status = run(session, &known_batch, &known_output);
    hth_session_leave(session);
    if (status == HEARTH_OK) {
        known_output.struct_size = output_size;
        memcpy(output, &known_output, output_size);
    }
    return status;
}
