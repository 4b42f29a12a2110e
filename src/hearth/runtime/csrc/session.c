/* Sessions: all memory and every pointer of every step is prepared once; a forward only evaluates scalars. */
#include "session.h"

#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "options.h"
#include "platform.h"

/* Smaller weights (norms, biases) stay in the caches anyway. */
enum { WORTH_FETCHING = 64 * 1024 };

/* Elements of each input at the limits of the plan and the session. */
static void input_elements(const hearth_session *session, uint64_t elements[HTH_NUM_INPUTS]) {
    const hth_plan_header *h = session->model->plan.header;
    elements[HTH_TOKEN_IDS] = h->max_tokens;
    elements[HTH_POSITIONS] = h->max_tokens;
    elements[HTH_TOKEN_SEQ] = h->max_tokens;
    elements[HTH_ITEMS] = sizeof(hth_item) / 4 * (uint64_t)hth_plan_max_items(h);
    elements[HTH_BLOCK_TABLE] = (uint64_t)h->max_seqs * session->table_stride;
    elements[HTH_LOGIT_ROWS] = h->max_logit_rows;
    elements[HTH_MERGES] = sizeof(hth_merge) / 4 * (uint64_t)h->max_partials;
}

/* A region that is large enough for huge pages begins on one. */
static uint64_t kv_region_start(uint64_t offset, uint64_t size) {
    const uint64_t huge = 2u << 20;
    return size >= huge ? (offset + huge - 1) & ~(huge - 1) : offset;
}

static hearth_status place_kv(hearth_session *session, uint64_t *total) {
    const hth_plan *plan = &session->model->plan;
    uint64_t offset = 0;
    for (uint32_t i = 0; i < plan->header->num_kv; ++i) {
        /* Both factors are below 2^32, so the product is exact. */
        const uint64_t size = plan->kv[i].bytes_per_page * session->num_pages;
        offset = kv_region_start(offset, size);
        session->kv_regions[i] = session->kv.data == NULL ? NULL : session->kv.data + offset;
        if (size > INT64_MAX / 2 - offset) return hth_fail(HEARTH_MEMORY, "the KV cache leaves 64 bits");
        offset = hth_align64(offset + size);
    }
    *total = offset;
    return HEARTH_OK;
}

static hearth_status take_memory(hearth_session *session) {
    const hth_plan *plan = &session->model->plan;
    const hth_plan_header *h = plan->header;
    uint64_t elements[HTH_NUM_INPUTS], inputs = hth_align64(h->max_seqs), kv = 0, total = 0;
    input_elements(session, elements);
    for (int i = 0; i < HTH_NUM_INPUTS; ++i) {
        if (elements[i] > INT64_MAX / 64) return hth_fail(HEARTH_MEMORY, "the inputs leave 64 bits");
        inputs += hth_align64(elements[i] * 4);
    }
    hearth_status status = place_kv(session, &kv);
    if (status != HEARTH_OK) return status;
    if (!hth_add_product(&total, inputs, 1) || !hth_add_product(&total, kv, 1) ||
        !hth_add_product(&total, h->arena_bytes, 1) || !hth_add_product(&total, h->scratch_bytes, session->threads)) {
        return hth_fail(HEARTH_MEMORY, "the session's memory leaves 64 bits");
    }
    status = hth_budget_take(&session->model->budget, total, "a session");
    if (status != HEARTH_OK) return status;
    session->reserved_bytes = total;
    if (!hth_memory_allocate(&session->arena, h->arena_bytes) || !hth_memory_allocate(&session->kv, kv) ||
        !hth_memory_allocate(&session->input_memory, inputs)) {
        return hth_fail(HEARTH_MEMORY, "%llu bytes for a session cannot be had", (unsigned long long)total);
    }
    char *next = session->input_memory.data;
    for (int i = 0; i < HTH_NUM_INPUTS; ++i) {
        session->inputs[i] = (int32_t *)(void *)next;
        next += hth_align64(elements[i] * 4);
    }
    session->seq_seen = (uint8_t *)next;
    return place_kv(session, &kv);
}

static void *buffer_pointer(const hearth_session *session, const hth_buffer *buffer) {
    const hearth_model *model = session->model;
    switch (buffer->kind) {
    case HTH_ARENA:
        return session->arena.data + buffer->offset;
    case HTH_WEIGHT:
        /* Kernels read weights through the pointer type that all buffers share; they never write to them. */
        return (void *)((uintptr_t)model->weights.data + model->plan.weights[buffer->index].offset + buffer->offset);
    case HTH_KV:
        return session->kv_regions[buffer->index];
    default:
        return session->inputs[buffer->index];
    }
}

static hearth_status prepare_steps(hearth_session *session) {
    const hearth_model *model = session->model;
    const hth_plan *plan = &model->plan;
    const hth_plan_header *h = plan->header;
    uint64_t num_pointers = 0, num_scalars = h->num_scalars;
    for (uint32_t i = 0; i < h->num_steps; ++i) {
        num_pointers += plan->kernels[plan->steps[i].kernel].num_buffers;
        num_scalars += plan->kernels[plan->steps[i].kernel].num_scalars;
    }
    session->steps = calloc((size_t)h->num_steps + 1, sizeof *session->steps);
    session->pointers = num_pointers < SIZE_MAX / 8 ? calloc((size_t)num_pointers + 1, sizeof(void *)) : NULL;
    session->scalars = num_scalars < SIZE_MAX / 8 ? calloc((size_t)num_scalars + 1, sizeof(int64_t)) : NULL;
    if (session->steps == NULL || session->pointers == NULL || session->scalars == NULL) {
        return hth_fail(HEARTH_MEMORY, "no memory for the steps");
    }
    session->step_scalars = session->scalars + h->num_scalars;
    void **pointer = session->pointers;
    int64_t *scalar = session->step_scalars;
    for (uint32_t i = 0; i < h->num_steps; ++i) {
        const hth_step *step = &plan->steps[i];
        const hth_plan_kernel *kernel = &plan->kernels[step->kernel];
        session->steps[i] = (hth_team_step){
            .run = model->kernels[step->kernel]->fn, .buffers = pointer, .scalars = scalar, .grain = step->grain};
        /* Units that are rows of the weight, not tokens: an embedding's table is read here and there. */
        const bool spread = plan->scalars[step->units].symbol == HTH_ONE;
        for (uint32_t a = 0; a < kernel->num_buffers; ++a) {
            const hth_buffer *buffer = &plan->buffers[plan->args[step->first_arg + a]];
            *pointer = buffer_pointer(session, buffer);
            if (buffer->kind == HTH_WEIGHT && buffer->size >= WORTH_FETCHING && spread) {
                session->steps[i].weights = *pointer;
                session->steps[i].weights_bytes = buffer->size;
            }
            ++pointer;
        }
        scalar += kernel->num_scalars;
    }
    return HEARTH_OK;
}

static hearth_status build(hearth_session *session) {
    const hth_plan_header *h = session->model->plan.header;
    session->kv_regions = calloc((size_t)h->num_kv + 1, sizeof *session->kv_regions);
    if (session->kv_regions == NULL) return hth_fail(HEARTH_MEMORY, "no memory for the KV table");
    hearth_status status = take_memory(session);
    if (status == HEARTH_OK) status = prepare_steps(session);
    if (status != HEARTH_OK) return status;
    session->team = hth_team_create(session->threads, h->scratch_bytes);
    if (session->team == NULL) {
        return hth_fail(HEARTH_MEMORY, "a team of %u threads cannot be had", session->threads);
    }
    hth_team_expect(session->team, session->steps, h->num_steps);
    return HEARTH_OK;
}

hearth_status hearth_session_create(hearth_model *model, const hearth_session_options *options,
                                    hearth_session **session) {
    hearth_session_options known = {.struct_size = sizeof known};
    if (session == NULL) return hth_fail(HEARTH_INVALID, "hearth_session_create: session is NULL");
    *session = NULL;
    if (model == NULL || options == NULL) return hth_fail(HEARTH_INVALID, "hearth_session_create: an argument is NULL");
    hearth_status status = hth_options_read(&known, sizeof known, options, "hearth_session_options");
    if (status != HEARTH_OK) return status;
    if (known.num_pages < 1 || known.num_pages > INT32_MAX) {
        return hth_fail(HEARTH_INVALID, "num_pages is %llu, must be 1 to 2147483647",
                        (unsigned long long)known.num_pages);
    }
    if (known.threads > 1024) return hth_fail(HEARTH_INVALID, "threads is %u, must be at most 1024", known.threads);
    hearth_session *made = calloc(1, sizeof *made);
    if (made == NULL) return hth_fail(HEARTH_MEMORY, "no memory for a session");
    hth_model_retain(model);
    made->model = model;
    made->num_pages = (uint32_t)known.num_pages;
    const uint32_t longest = model->plan.max_block_table_stride;
    made->table_stride = made->num_pages < longest ? made->num_pages : longest;
    made->threads = known.threads > 0 ? known.threads : hth_processor_count();
    status = build(made);
    if (status == HEARTH_OK) {
        *session = made;
    } else {
        hearth_session_free(made);
    }
    return status;
}

void hearth_session_free(hearth_session *session) {
    if (session == NULL) return;
    hth_team_free(session->team);
    hth_memory_free(&session->arena);
    hth_memory_free(&session->kv);
    hth_memory_free(&session->input_memory);
    free(session->kv_regions);
    free(session->steps);
    free(session->pointers);
    free(session->scalars);
    hth_budget_give_back(&session->model->budget, session->reserved_bytes);
    hearth_close(session->model);
    free(session);
}

uint64_t hearth_session_bytes(const hearth_session *session) { return session != NULL ? session->reserved_bytes : 0; }

void hearth_session_clear_kv(hearth_session *session) {
    if (session != NULL) memset(session->kv.data, 0, (size_t)session->kv.size);
}

/* Sets the units and the scalar arguments of all steps for the symbols of this batch. */
static hearth_status evaluate(hearth_session *session) {
    const hth_plan *plan = &session->model->plan;
    const hth_plan_header *h = plan->header;
    for (uint32_t i = 0; i < h->num_scalars; ++i) {
        session->scalars[i] = hth_scalar_value(&plan->scalars[i], session->symbols);
    }
    int64_t *scalar = session->step_scalars;
    for (uint32_t i = 0; i < h->num_steps; ++i) {
        const hth_step *step = &plan->steps[i];
        const hth_plan_kernel *kernel = &plan->kernels[step->kernel];
        const uint32_t *args = plan->args + step->first_arg + kernel->num_buffers;
        for (uint32_t a = 0; a < kernel->num_scalars; ++a) *scalar++ = session->scalars[args[a]];
        const int64_t units = session->scalars[step->units];
        if (units < 0 || units > INT32_MAX) {
            return hth_fail(HEARTH_CORRUPT, "plan.bin: step %u would have %lld units", i, (long long)units);
        }
        session->steps[i].units = units;
    }
    return HEARTH_OK;
}

static void set_output(const hearth_session *session, hearth_output *output) {
    const hth_plan *plan = &session->model->plan;
    for (uint32_t i = 0; i < plan->header->num_outputs; ++i) {
        const hth_plan_output *o = &plan->outputs[i];
        const char *name = plan->strings + o->name;
        hearth_view *view = strcmp(name, "logits") == 0   ? &output->logits
                            : strcmp(name, "argmax") == 0 ? &output->argmax
                                                          : &output->hidden;
        view->data = buffer_pointer(session, &plan->buffers[o->buffer]);
        view->dtype = o->dtype;
        view->rows = (uint32_t)session->scalars[o->rows];
        view->cols = o->cols;
        view->row_stride = o->row_stride;
    }
}

static hearth_status run(hearth_session *session, const hearth_batch *batch, hearth_output *output) {
    hearth_status status = hth_batch_take(session, batch);
    if (status == HEARTH_OK) status = evaluate(session);
    if (status != HEARTH_OK) return status;
    const int32_t answer =
        hth_team_run(session->team, session->steps, session->model->plan.header->num_steps, session->profile);
    if (answer != 0) return hth_fail(HEARTH_INTERNAL, "a kernel answered %d", answer);
    set_output(session, output);
    return HEARTH_OK;
}

hearth_status hearth_forward(hearth_session *session, const hearth_batch *batch, hearth_output *output) {
    hearth_batch known_batch = {.struct_size = sizeof known_batch};
    hearth_output known_output = {.struct_size = sizeof known_output};
    if (session == NULL || batch == NULL || output == NULL) {
        return hth_fail(HEARTH_INVALID, "hearth_forward: an argument is NULL");
    }
    hearth_status status = hth_options_read(&known_batch, sizeof known_batch, batch, "hearth_batch");
    if (status != HEARTH_OK) return status;
    const uint32_t output_size = output->struct_size;
    if (output_size < sizeof output_size || output_size > sizeof known_output) {
        return hth_fail(HEARTH_INVALID, "hearth_output: struct_size is %u", output_size);
    }
    uint32_t idle = 0;
    if (!atomic_compare_exchange_strong(&session->busy, &idle, 1)) {
        return hth_fail(HEARTH_INVALID, "another thread runs a forward in this session");
    }
    status = run(session, &known_batch, &known_output);
    atomic_store(&session->busy, 0);
    if (status == HEARTH_OK) {
        known_output.struct_size = output_size;
        memcpy(output, &known_output, output_size);
    }
    return status;
}

void hearth_profile(hearth_session *session, int32_t enable) {
    if (session == NULL) return;
    session->profile = enable != 0;
    for (uint32_t i = 0; enable != 0 && i < session->model->plan.header->num_steps; ++i) {
        session->steps[i].calls = 0;
        session->steps[i].time_ns = 0;
    }
}

hearth_status hearth_profile_read(const hearth_session *session, uint32_t index, hearth_step_profile *profile) {
    if (session == NULL || profile == NULL) return hth_fail(HEARTH_INVALID, "hearth_profile_read: an argument is NULL");
    const hth_plan *plan = &session->model->plan;
    if (index >= plan->header->num_steps) return hth_fail(HEARTH_INVALID, "there is no step %u", index);
    const hth_step *step = &plan->steps[index];
    profile->label = plan->strings + step->label;
    profile->kernel = plan->strings + plan->kernels[step->kernel].name;
    profile->calls = session->steps[index].calls;
    profile->time_ns = session->steps[index].time_ns;
    return HEARTH_OK;
}
