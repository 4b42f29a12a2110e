#include "layers.h"

#include <stdlib.h>
#include <string.h>

#include "error.h"

/* The cuts of a function, of which `count` are written. */
static const hth_cut *cuts_of(const hth_plan *plan, const hth_function *function, uint32_t *count) {
    const hth_cut *first = NULL;
    *count = 0;
    for (uint32_t i = 0; function != NULL && i < plan->header->num_cuts; ++i) {
        const hth_cut *cut = &plan->cuts[i];
        if (&plan->functions[cut->function] != function) continue;
        if (first == NULL) first = cut;
        ++*count;
    }
    return first;
}

static hearth_status allocate(const hth_plan_header *h, hth_layers *layers) {
    layers->steps = malloc((size_t)h->num_steps + 1);
    layers->buffers = malloc((size_t)h->num_buffers + 1);
    layers->weights = malloc((size_t)h->num_weights + 1);
    layers->states = malloc((size_t)h->num_states + 1);
    if (layers->steps == NULL || layers->buffers == NULL || layers->weights == NULL || layers->states == NULL) {
        return hth_fail(HEARTH_MEMORY, "no memory for the layers");
    }
    memset(layers->steps, 1, h->num_steps);
    memset(layers->buffers, 1, h->num_buffers);
    memset(layers->weights, 1, h->num_weights);
    memset(layers->states, 1, h->num_states);
    layers->weights_bytes = h->weights_bytes;
    return HEARTH_OK;
}

/* Of the function's steps those before the first layer, which all parts need, and those of the part. */
static void mark_steps(const hth_function *text, uint32_t begin, hth_layers *layers) {
    const uint32_t from = layers->from != NULL ? layers->from->step : begin;
    const uint32_t to = layers->to != NULL ? layers->to->step : UINT32_MAX;
    for (uint32_t i = text->first_step; i < text->first_step + text->num_steps; ++i) {
        layers->steps[i] = i < begin || (from <= i && i < to);
    }
}

static void mark_uses(const hth_plan *plan, hth_layers *layers) {
    const hth_plan_header *h = plan->header;
    memset(layers->buffers, 0, h->num_buffers);
    memset(layers->weights, 0, h->num_weights);
    memset(layers->states, 0, h->num_states);
    for (uint32_t i = 0; i < h->num_steps; ++i) {
        const hth_step *step = &plan->steps[i];
        for (uint32_t a = 0; layers->steps[i] != 0 && a < plan->kernels[step->kernel].num_buffers; ++a) {
            const uint32_t id = plan->args[step->first_arg + a];
            const hth_buffer *buffer = &plan->buffers[id];
            layers->buffers[id] = 1;
            if (buffer->kind == HTH_WEIGHT) layers->weights[buffer->index] = 1;
            if (buffer->kind == HTH_STATE) layers->states[buffer->index] = 1;
        }
    }
    layers->weights_bytes = 0;
    for (uint32_t i = 0; i < h->num_weights; ++i) layers->weights_bytes += layers->weights[i] * plan->weights[i].size;
}

/* What crosses a cut is a row for each token, as long as at all others: so many numbers the caller gives. */
static bool crosses_by_tokens(const hth_plan *plan, const hth_text *text, const hth_cut *cut, uint32_t columns) {
    const hth_scalar *rows = &plan->scalars[cut->rows];
    return rows->op == HTH_SYMBOL && rows->a == text->symbols[HTH_TOKENS] && cut->columns == columns;
}

hearth_status hth_layers_find(const hth_plan *plan, const hth_text *text, const hth_text *draft, uint32_t first,
                              uint32_t end, hth_layers *layers) {
    uint32_t num_cuts = 0;
    const hth_cut *cuts = cuts_of(plan, text->function, &num_cuts);
    *layers = (hth_layers){.count = num_cuts > 0 ? num_cuts - 1 : 0};
    layers->end = layers->count;
    const hearth_status status = allocate(plan->header, layers);
    if (status != HEARTH_OK || (first == 0 && end == 0)) return status;
    if (first >= end || end > layers->count) {
        return hth_fail(HEARTH_INVALID, "layers from %u to before %u are asked for, the model has %u", first, end,
                        layers->count);
    }
    layers->first = first;
    layers->end = end;
    if (first > 0) layers->from = &cuts[first];
    if (end < layers->count) layers->to = &cuts[end];
    if (hth_layers_are_all(layers)) return HEARTH_OK;
    for (uint32_t i = first; i <= end; ++i) {
        if (!crosses_by_tokens(plan, text, &cuts[i], cuts->columns)) {
            return hth_fail(HEARTH_CORRUPT, "what crosses the plan's cut at layer %u is of another shape", i);
        }
    }
    layers->columns = cuts->columns;
    mark_steps(text->function, cuts->step, layers);
    if (draft->function != NULL) memset(layers->steps + draft->function->first_step, 0, draft->function->num_steps);
    mark_uses(plan, layers);
    return HEARTH_OK;
}

void hth_layers_free(hth_layers *layers) {
    free(layers->steps);
    free(layers->buffers);
    free(layers->weights);
    free(layers->states);
}
