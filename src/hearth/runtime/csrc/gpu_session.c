/* The memory of a session on a GPU, and the bind groups of its steps: all made once. */
#include "gpu_session.h"

#include <stdio.h>
#include <stdlib.h>

#include "error.h"

enum { LEAST_STAGING = 64 << 10 };

/* Of what a part of a model begins with, at its largest. */
static uint64_t layer_input_bytes(const hearth_model *model) {
    const hth_cut *cut = model->layers.from;
    return cut != NULL ? hth_gpu_multiple(model->plan.buffers[cut->buffer].size, HTH_GPU_OFFSET) : 0;
}

hearth_status hth_gpu_session_measure(const hearth_session *session, uint64_t *bytes) {
    const hth_plan *plan = &session->model->plan;
    const hth_gpu_model *model = session->model->on_device;
    const hth_gpu_adapter *adapter = &model->gpu.adapter;
    for (uint32_t i = 0; i < plan->header->num_states; ++i) {
        const uint64_t size = hth_gpu_state_bytes(session, i);
        if (size > adapter->limits.maxStorageBufferBindingSize || size > adapter->limits.maxBufferSize) {
            return hth_fail(HEARTH_DEVICE, "state %.100s would take %llu bytes, the GPU %s binds at most %llu: take fewer %s",
                            plan->strings + plan->states[i].name, (unsigned long long)size, adapter->name,
                            (unsigned long long)adapter->limits.maxStorageBufferBindingSize,
                            plan->strings + plan->symbols[plan->states[i].symbol].name);
        }
    }
    const hearth_status status = hth_gpu_measure(session, bytes);
    *bytes += layer_input_bytes(session->model);
    return status;
}

/* ---- memory ---- */

static hearth_status take_arenas(const hth_plan *plan, hth_gpu *gpu, hth_gpu_session *on_gpu) {
    const uint64_t usage = WGPU_STORAGE | WGPU_COPY_SRC | WGPU_COPY_DST;
    hearth_status status = HEARTH_OK;
    for (uint32_t i = 0; status == HEARTH_OK && i < HTH_MAX_ARENAS; ++i) {
        const uint64_t size = hth_gpu_multiple(plan->arena_bytes[i], HTH_GPU_OFFSET);
        if (size == 0) continue;
        on_gpu->planned_bytes += plan->arena_bytes[i];
        status = hth_gpu_buffer_create(gpu, "intermediate results", size, usage, &on_gpu->arenas[i],
                                       &on_gpu->allocated_bytes);
    }
    return status;
}

static hearth_status take_layer_input(const hearth_model *model, hth_gpu *gpu, hth_gpu_session *on_gpu) {
    const uint64_t size = layer_input_bytes(model);
    if (size == 0) return HEARTH_OK;
    on_gpu->planned_bytes += size;
    return hth_gpu_buffer_create(gpu, "what the layers before have computed", size, WGPU_COPY_SRC | WGPU_COPY_DST,
                                 &on_gpu->layer_input, &on_gpu->allocated_bytes);
}

static hearth_status take_states(const hearth_session *session, hth_gpu *gpu, hth_gpu_session *on_gpu) {
    const hth_plan *plan = &session->model->plan;
    hearth_status status = HEARTH_OK;
    on_gpu->states = calloc((size_t)plan->header->num_states + 1, sizeof *on_gpu->states);
    if (on_gpu->states == NULL) return hth_fail(HEARTH_MEMORY, "no memory for the states");
    for (uint32_t i = 0; status == HEARTH_OK && i < plan->header->num_states; ++i) {
        char what[160];
        const uint64_t size = hth_gpu_state_bytes(session, i);
        if (size == 0) continue; /* other layers have it */
        (void)snprintf(what, sizeof what, "state %.100s", plan->strings + plan->states[i].name);
        on_gpu->planned_bytes += size;
        status = hth_gpu_buffer_create(gpu, what, size, WGPU_STORAGE | WGPU_COPY_DST, &on_gpu->states[i],
                                       &on_gpu->allocated_bytes);
    }
    return status;
}

static hearth_status take_changing(const hearth_session *session, hth_gpu *gpu, hth_gpu_session *on_gpu) {
    const uint64_t size = hth_gpu_changing_bytes(session);
    if (size == 0) return HEARTH_OK;
    on_gpu->planned_bytes += size;
    const hearth_status status = hth_gpu_changing_begin(session, &on_gpu->changes);
    if (status != HEARTH_OK) return status;
    return hth_gpu_buffer_create(gpu, "the inputs", size, WGPU_STORAGE | WGPU_UNIFORM | WGPU_COPY_DST, &on_gpu->changing,
                                 &on_gpu->allocated_bytes);
}

/* Room for all outputs of a function at their largest, or for what goes on behind a model's last layer. It is only touched as
 * they are read. */
static hearth_status take_outputs(const hearth_model *model, hth_gpu_session *on_gpu) {
    const hth_plan *plan = &model->plan;
    const uint64_t crossing = model->layers.to != NULL ? plan->buffers[model->layers.to->buffer].size : 0;
    on_gpu->output_offsets = calloc((size_t)plan->header->num_outputs + 1, sizeof *on_gpu->output_offsets);
    if (on_gpu->output_offsets == NULL) return hth_fail(HEARTH_MEMORY, "no memory for the outputs");
    const uint64_t outputs = hth_gpu_place_outputs(plan, on_gpu->output_offsets);
    const uint64_t most = crossing > outputs ? crossing : outputs;
    return hth_memory_allocate(&on_gpu->outputs, most)
               ? HEARTH_OK
               : hth_fail(HEARTH_MEMORY, "%llu bytes for outputs cannot be had", (unsigned long long)most);
}

hearth_status hth_gpu_staging_reserve(hth_gpu *gpu, hth_gpu_session *on_gpu, uint64_t bytes) {
    if (bytes <= on_gpu->staging_bytes) return HEARTH_OK;
    uint64_t size = on_gpu->staging_bytes > 0 ? on_gpu->staging_bytes : LEAST_STAGING;
    while (size < bytes) size *= 2;
    hth_gpu_staging_drop(gpu, on_gpu);
    const hearth_status status = hth_gpu_buffer_create(gpu, "outputs on their way back", size,
                                                       WGPU_MAP_READ | WGPU_COPY_DST, &on_gpu->staging,
                                                       &on_gpu->allocated_bytes);
    if (status != HEARTH_OK) return status;
    on_gpu->staging_bytes = size;
    ++on_gpu->counters.objects;
    return HEARTH_OK;
}

void hth_gpu_staging_drop(hth_gpu *gpu, hth_gpu_session *on_gpu) {
    if (on_gpu->staging != NULL) gpu->api.BufferRelease(on_gpu->staging);
    on_gpu->staging = NULL;
    on_gpu->allocated_bytes -= on_gpu->staging_bytes;
    on_gpu->staging_bytes = 0;
}

/* ---- bind groups ---- */

static wgpu_bind_group_entry bind(const hearth_session *session, uint32_t id) {
    const hth_gpu_model *model = session->model->on_device;
    const hth_gpu_session *on_gpu = session->on_device;
    const hth_buffer *buffer = &session->model->plan.buffers[id];
    wgpu_bind_group_entry entry = {.offset = buffer->offset, .size = hth_gpu_bound_bytes(buffer->size)};
    switch (buffer->kind) {
    case HTH_ARENA:
        entry.buffer = on_gpu->arenas[buffer->index];
        break;
    case HTH_WEIGHT:
        entry.buffer = model->weights.places[id].buffer;
        entry.offset = model->weights.places[id].offset;
        break;
    case HTH_STATE:
        entry.buffer = on_gpu->states[buffer->index];
        entry.size = hth_gpu_state_bytes(session, buffer->index);
        break;
    default:
        entry.buffer = on_gpu->changing;
        entry.offset = hth_gpu_input_offset(session, buffer->index);
        entry.size = hth_gpu_bound_bytes(session->input_bytes[buffer->index]);
    }
    return entry;
}

static hearth_status make_group(const hearth_session *session, uint32_t i) {
    hth_gpu_model *model = session->model->on_device;
    hth_gpu_session *on_gpu = session->on_device;
    const hth_plan *plan = &session->model->plan;
    const hth_step *step = &plan->steps[i];
    const hth_plan_kernel *kernel = &plan->kernels[step->kernel];
    wgpu_bind_group_entry entries[HTH_MAX_ARGS + 1];
    for (uint32_t a = 0; a < kernel->num_buffers; ++a) {
        entries[a] = bind(session, plan->args[step->first_arg + a]);
        entries[a].binding = a;
    }
    entries[kernel->num_buffers] = (wgpu_bind_group_entry){.binding = kernel->num_buffers,
                                                           .buffer = on_gpu->changing,
                                                           .offset = (uint64_t)i * HTH_GPU_SLOT_BYTES,
                                                           .size = HTH_GPU_SLOT_BYTES};
    const wgpu_bind_group_descriptor descriptor = {.label = hth_gpu_text(plan->strings + step->label),
                                                   .layout = model->kernels[step->kernel].layout,
                                                   .entryCount = kernel->num_buffers + 1,
                                                   .entries = entries};
    char what[400];
    (void)snprintf(what, sizeof what, "step %u, %.100s: kernel %.200s", i, plan->strings + step->label,
                   plan->strings + kernel->name);
    hth_gpu_begin(&model->gpu);
    on_gpu->groups[i] = model->gpu.api.DeviceCreateBindGroup(model->gpu.device, &descriptor);
    return hth_gpu_check(&model->gpu, what);
}

hearth_status hth_gpu_session_begin(hearth_session *session) {
    const hth_plan *plan = &session->model->plan;
    hth_gpu_model *model = session->model->on_device;
    hth_gpu_session *on_gpu = calloc(1, sizeof *on_gpu);
    session->on_device = on_gpu;
    if (on_gpu == NULL) return hth_fail(HEARTH_MEMORY, "no memory for a session");
    on_gpu->groups = calloc((size_t)plan->header->num_steps + 1, sizeof *on_gpu->groups);
    on_gpu->profile.steps = calloc((size_t)plan->header->num_steps + 1, sizeof *on_gpu->profile.steps);
    if (on_gpu->groups == NULL || on_gpu->profile.steps == NULL) return hth_fail(HEARTH_MEMORY, "no memory for the steps");
    hearth_status status = hth_gpu_state(&model->gpu);
    if (status == HEARTH_OK) status = take_arenas(plan, &model->gpu, on_gpu);
    if (status == HEARTH_OK) status = take_states(session, &model->gpu, on_gpu);
    if (status == HEARTH_OK) status = take_changing(session, &model->gpu, on_gpu);
    if (status == HEARTH_OK) status = take_layer_input(session->model, &model->gpu, on_gpu);
    if (status == HEARTH_OK) status = take_outputs(session->model, on_gpu);
    for (uint32_t i = 0; status == HEARTH_OK && i < plan->header->num_steps; ++i) {
        if (session->model->layers.steps[i] != 0) status = make_group(session, i);
    }
    return status;
}

void hth_gpu_session_end(hearth_session *session) {
    hth_gpu_model *model = session->model->on_device;
    hth_gpu_session *on_gpu = session->on_device;
    if (on_gpu == NULL || !hth_gpu_is_ours(&model->gpu)) return;
    const hth_plan_header *h = session->model->plan.header;
    const hth_webgpu *api = &model->gpu.api;
    for (uint32_t i = 0; on_gpu->groups != NULL && i < h->num_steps; ++i) {
        if (on_gpu->groups[i] != NULL) api->BindGroupRelease(on_gpu->groups[i]);
    }
    for (uint32_t i = 0; i < HTH_MAX_ARENAS; ++i) {
        if (on_gpu->arenas[i] != NULL) api->BufferRelease(on_gpu->arenas[i]);
    }
    for (uint32_t i = 0; on_gpu->states != NULL && i < h->num_states; ++i) {
        if (on_gpu->states[i] != NULL) api->BufferRelease(on_gpu->states[i]);
    }
    if (on_gpu->changing != NULL) api->BufferRelease(on_gpu->changing);
    if (on_gpu->layer_input != NULL) api->BufferRelease(on_gpu->layer_input);
    hth_gpu_staging_drop(&model->gpu, on_gpu);
    hth_gpu_profile_end(&model->gpu, &on_gpu->profile);
    hth_gpu_changing_end(&on_gpu->changes);
    hth_memory_free(&on_gpu->outputs);
    free(on_gpu->groups);
    free(on_gpu->states);
    free(on_gpu->output_offsets);
    free(on_gpu);
}
