/* Sessions: all memory is taken once, at the largest size that the session's symbols allow. */
#include "session.h"

#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "options.h"
#include "platform.h"

/* Largest intervals of all scalars in this session, in fresh memory. They cannot overflow: a checked plan has none that
 * does within wider bounds. */
static hth_interval *intervals_of(const hearth_session *session) {
    const hth_plan *plan = &session->model->plan;
    hth_interval *intervals = calloc((size_t)plan->header->num_scalars + 1, sizeof *intervals);
    for (uint32_t i = 0; intervals != NULL && i < plan->header->num_scalars; ++i) {
        (void)hth_scalar_interval(&plan->scalars[i], session->bounds, intervals, &intervals[i]);
    }
    return intervals;
}

/* Offsets of all inputs, written in the place of their pointers, and what they take together. */
static hearth_status place_inputs(hearth_session *session, const hth_interval *intervals, uint64_t *total) {
    const hth_plan *plan = &session->model->plan;
    const uint64_t align = session->model->device->input_align;
    for (uint32_t f = 0; f < plan->header->num_functions; ++f) {
        const hth_function *function = &plan->functions[f];
        uint64_t offset = 0;
        for (uint32_t i = function->first_input; i < function->first_input + function->num_inputs; ++i) {
            const hth_plan_input *input = &plan->inputs[i];
            if (input->checks == HTH_LENT) continue; /* takes no memory here */
            uint64_t size = hth_dtype_bytes(input->dtype);
            for (uint32_t d = 0; d < input->num_dims; ++d) {
                const uint64_t axis = (uint64_t)intervals[plan->dims[input->first_dim + d]].high;
                uint64_t product = 0;
                if (!hth_add_product(&product, size, axis)) return hth_fail(HEARTH_MEMORY, "the inputs leave 64 bits");
                size = product;
            }
            session->inputs[i] = (void *)(uintptr_t)offset;
            session->input_bytes[i] = size;
            if (size > INT64_MAX / 2 - offset) return hth_fail(HEARTH_MEMORY, "the inputs leave 64 bits");
            offset = (offset + size + align - 1) & ~(align - 1);
        }
        if (offset > *total) *total = offset;
    }
    return HEARTH_OK;
}

static hearth_status size_inputs(hearth_session *session, uint64_t *total) {
    hth_interval *intervals = intervals_of(session);
    if (intervals == NULL) return hth_fail(HEARTH_MEMORY, "no memory for the plan's intervals");
    const hearth_status status = place_inputs(session, intervals, total);
    free(intervals);
    return status;
}

static hearth_status take_memory(hearth_session *session) {
    const hth_plan *plan = &session->model->plan;
    uint64_t inputs = 0, total = 0;
    hearth_status status = size_inputs(session, &inputs);
    if (status == HEARTH_OK) status = session->model->device->measure(session, &total);
    if (status != HEARTH_OK) return status;
    const uint64_t text = hth_text_bytes(&session->text);
    if (!hth_add_product(&total, inputs, 1) || !hth_add_product(&total, text, 1)) {
        return hth_fail(HEARTH_MEMORY, "the session's memory leaves 64 bits");
    }
    status = hth_budget_take(&session->model->budget, total, "a session");
    if (status != HEARTH_OK) return status;
    session->reserved_bytes = total;
    if (!hth_memory_allocate(&session->input_memory, inputs + text)) {
        return hth_fail(HEARTH_MEMORY, "%llu bytes for a session cannot be had", (unsigned long long)total);
    }
    for (uint32_t i = 0; i < plan->header->num_inputs; ++i) {
        if (plan->inputs[i].checks == HTH_LENT) continue;
        session->inputs[i] = session->input_memory.data + (uintptr_t)session->inputs[i];
    }
    session->text.seq_seen = session->draft.seq_seen = (uint8_t *)session->input_memory.data + inputs;
    return HEARTH_OK;
}

/* The units of states by the name of their symbol, of which each is to be given once. */
static hearth_status take_sizes(hearth_session *session, const hearth_session_options *options) {
    const hth_plan *plan = &session->model->plan;
    uint64_t counting = 0, given = 0;
    for (uint32_t i = 0; i < plan->header->num_states; ++i) counting |= (uint64_t)1 << plan->states[i].symbol;
    /* Sequences are cut into pages also where no layer keeps anything in them. */
    if (session->model->text.function != NULL) counting |= (uint64_t)1 << session->model->text.symbols[HTH_PAGES];
    for (uint32_t i = 0; i < options->num_sizes; ++i) {
        const char *name = options->sizes[i].name;
        const int64_t value = options->sizes[i].value;
        if (name == NULL) return hth_fail(HEARTH_INVALID, "a size has no name");
        uint32_t s = 0;
        while (s < plan->header->num_symbols &&
               ((counting >> s & 1) == 0 || strcmp(plan->strings + plan->symbols[s].name, name) != 0)) {
            ++s;
        }
        if (s == plan->header->num_symbols) {
            return hth_fail(HEARTH_INVALID, "there is no state whose units are counted by %.200s", name);
        }
        if ((given >> s & 1) != 0) return hth_fail(HEARTH_INVALID, "the size %.200s is given twice", name);
        const hth_interval bounds = plan->symbols[s].interval;
        if (value < bounds.low || value > bounds.high) {
            return hth_fail(HEARTH_INVALID, "%.200s is %lld, must be %lld to %lld", name, (long long)value,
                            (long long)bounds.low, (long long)bounds.high);
        }
        session->bounds[s] = (hth_interval){value, value};
        given |= (uint64_t)1 << s;
    }
    for (uint32_t s = 0; s < plan->header->num_symbols; ++s) {
        const bool needed = (counting & ~given) >> s & 1;
        if (needed && !hth_is_constant(&plan->symbols[s])) {
            return hth_fail(HEARTH_INVALID, "the size %.200s is missing: how many units the states have",
                            plan->strings + plan->symbols[s].name);
        }
    }
    return HEARTH_OK;
}

static hearth_status build(hearth_session *session, const hearth_session_options *options) {
    const hth_plan *plan = &session->model->plan;
    session->inputs = calloc((size_t)plan->header->num_inputs + 1, sizeof *session->inputs);
    session->input_bytes = calloc((size_t)plan->header->num_inputs + 1, sizeof *session->input_bytes);
    if (session->inputs == NULL || session->input_bytes == NULL) {
        return hth_fail(HEARTH_MEMORY, "no memory for the tables of a session");
    }
    for (uint32_t s = 0; s < plan->header->num_symbols; ++s) session->bounds[s] = plan->symbols[s].interval;
    hearth_status status = take_sizes(session, options);
    if (status != HEARTH_OK) return status;
    hth_text_begin(session);
    for (uint32_t s = 0; s < plan->header->num_symbols; ++s) session->symbols[s] = session->bounds[s].low;
    status = take_memory(session);
    if (status == HEARTH_OK) status = hth_session_prepare(session);
    return status == HEARTH_OK ? session->model->device->begin(session) : status;
}

hearth_status hearth_session_create(hearth_model *model, const hearth_session_options *options,
                                    hearth_session **session) {
    hearth_session_options known = {.struct_size = sizeof known};
    if (session == NULL) return hth_fail(HEARTH_INVALID, "hearth_session_create: session is NULL");
    *session = NULL;
    if (model == NULL) return hth_fail(HEARTH_INVALID, "hearth_session_create: model is NULL");
    hearth_status status = hth_options_read(&known, sizeof known, options, "hearth_session_options");
    if (status != HEARTH_OK) return status;
    if (known.threads > 1024) return hth_fail(HEARTH_INVALID, "threads is %u, must be at most 1024", known.threads);
    if (known.sizes == NULL && known.num_sizes > 0) return hth_fail(HEARTH_INVALID, "sizes is NULL");
    hearth_session *made = calloc(1, sizeof *made);
    if (made == NULL) return hth_fail(HEARTH_MEMORY, "no memory for a session");
    hth_model_retain(model);
    made->model = model;
    made->threads = known.threads > 0 ? known.threads : hth_processor_count();
    status = build(made, &known);
    if (status == HEARTH_OK) {
        *session = made;
    } else {
        hearth_session_free(made);
    }
    return status;
}

void hearth_session_free(hearth_session *session) {
    if (session == NULL) return;
    session->model->device->end(session);
    hth_memory_free(&session->input_memory);
    free(session->inputs);
    free(session->input_bytes);
    free(session->scalars);
    free(session->functions);
    free(session->units);
    free(session->arguments);
    free(session->function_scalars);
    hth_budget_give_back(&session->model->budget, session->reserved_bytes);
    hearth_close(session->model);
    free(session);
}

uint64_t hearth_session_bytes(const hearth_session *session) { return session != NULL ? session->reserved_bytes : 0; }

void hearth_session_clear_states(hearth_session *session) {
    if (session != NULL) (void)session->model->device->clear_states(session);
}

/* Where a write goes, checked. */
static hearth_status find_units(const hearth_session *session, const char *name, int64_t first, int64_t count,
                                uint32_t *state) {
    const hth_plan *plan = &session->model->plan;
    *state = 0;
    while (*state < plan->header->num_states && strcmp(plan->strings + plan->states[*state].name, name) != 0) ++*state;
    if (*state == plan->header->num_states) return hth_fail(HEARTH_INVALID, "there is no state %.200s", name);
    const int64_t units = session->bounds[plan->states[*state].symbol].high;
    if (first < 0 || count < 0 || first > units || count > units - first) {
        return hth_fail(HEARTH_INVALID, "%.200s: %lld units from %lld on cannot be written, there are %lld", name,
                        (long long)count, (long long)first, (long long)units);
    }
    if (plan->states[*state].unit_bytes % 4 != 0) return hth_fail(HEARTH_INVALID, "%.200s cannot be written", name);
    return HEARTH_OK;
}

hearth_status hearth_session_write(hearth_session *session, const char *name, int64_t first, int64_t count,
                                   const void *data) {
    uint32_t state = 0;
    if (session == NULL || name == NULL || (data == NULL && count > 0)) {
        return hth_fail(HEARTH_INVALID, "hearth_session_write: an argument is NULL");
    }
    hearth_status status = hth_session_enter(session);
    if (status != HEARTH_OK) return status;
    status = find_units(session, name, first, count, &state);
    if (status == HEARTH_OK && session->model->device->write_state == NULL) {
        status = hth_fail(HEARTH_INVALID, "states of this device cannot be written");
    }
    if (status == HEARTH_OK && count > 0 && session->model->layers.states[state] != 0) {
        /* Units and their bytes are below 2^32, so products are exact. */
        const uint64_t unit = session->model->plan.states[state].unit_bytes;
        status = session->model->device->write_state(session, state, unit * (uint64_t)first, unit * (uint64_t)count, data);
    }
    hth_session_leave(session);
    return status;
}

hearth_status hth_session_enter(hearth_session *session) {
    uint32_t idle = 0;
    if (atomic_compare_exchange_strong(&session->busy, &idle, 1)) return HEARTH_OK;
    return hth_fail(HEARTH_INVALID, "another thread runs a function in this session");
}

void hth_session_leave(hearth_session *session) { atomic_store(&session->busy, 0); }
