/* A call on a GPU: what changed is written, a pass runs the steps, what was asked for is copied back. Nothing is made but a
 * command encoder, its pass and its command buffer. */
#include <string.h>

#include "error.h"
#include "gpu_session.h"

enum { MOST_GROUPS = 32768 }; /* of one axis: kernels count on along another */

/* ---- what changed ---- */

static void write_to(hearth_session *session, wgpu_buffer buffer, uint64_t offset, const void *bytes, uint64_t size) {
    const hth_gpu_model *model = session->model->on_device;
    hth_gpu_session *on_gpu = session->on_device;
    model->gpu.api.QueueWriteBuffer(model->gpu.queue, buffer, offset, bytes, (size_t)size);
    ++on_gpu->counters.writes;
    on_gpu->counters.written_bytes += size;
}

static void write_changing(void *user, uint64_t offset, const char *bytes, uint64_t size) {
    hearth_session *session = user;
    write_to(session, ((const hth_gpu_session *)session->on_device)->changing, offset, bytes, size);
}

static hearth_status write_changes(hearth_session *session, const hth_call *call) {
    hth_gpu_session *on_gpu = session->on_device;
    const hearth_status status =
        hth_gpu_changing_take(session, call->function, &on_gpu->changes, write_changing, session);
    if (status != HEARTH_OK || call->from == NULL) return status;
    /* What the layers before have computed, which differs in every call. */
    write_to(session, on_gpu->layer_input, 0, call->input, hth_cut_bytes(call->from, session->scalars));
    return HEARTH_OK;
}

/* ---- steps ---- */

static void end_pass(const hth_webgpu *api, wgpu_compute_pass pass) {
    api->ComputePassEncoderEnd(pass);
    api->ComputePassEncoderRelease(pass);
}

/* Puts what the layers before have computed where this model's first layer reads it. Only now: what is computed before that
 * layer may have used the same memory. */
static void record_layer_input(const hearth_session *session, const hth_cut *cut, wgpu_command_encoder encoder) {
    const hth_gpu_model *model = session->model->on_device;
    const hth_gpu_session *on_gpu = session->on_device;
    const hth_buffer *buffer = &session->model->plan.buffers[cut->buffer];
    model->gpu.api.CommandEncoderCopyBufferToBuffer(encoder, on_gpu->layer_input, 0, on_gpu->arenas[buffer->index],
                                                    buffer->offset, hth_cut_bytes(cut, session->scalars));
}

/* Records the steps that have units: in one pass (in two around what is put between them), or each in its own where they are
 * timed. */
static void record_steps(const hearth_session *session, const hth_call *call, wgpu_command_encoder encoder, bool timed) {
    hth_gpu_model *model = session->model->on_device;
    hth_gpu_session *on_gpu = session->on_device;
    const hth_webgpu *api = &model->gpu.api;
    wgpu_compute_pass pass = NULL;
    wgpu_compute_pipeline current = NULL;
    const hth_function *function = call->function;
    for (uint32_t i = function->first_step; i < function->first_step + function->num_steps; ++i) {
        if (call->from != NULL && i == call->from->step) {
            if (pass != NULL) end_pass(api, pass);
            pass = NULL;
            record_layer_input(session, call->from, encoder);
        }
        const uint32_t units = (uint32_t)session->units[i];
        if (units == 0) continue;
        if (pass == NULL) {
            pass = timed ? hth_gpu_profile_pass(&model->gpu, &on_gpu->profile, encoder, on_gpu->counters.dispatches)
                         : api->CommandEncoderBeginComputePass(encoder, NULL);
            current = NULL;
            ++on_gpu->counters.passes;
        }
        const wgpu_compute_pipeline pipeline = model->kernels[session->model->plan.steps[i].kernel].pipeline;
        if (pipeline != current) api->ComputePassEncoderSetPipeline(pass, pipeline);
        current = pipeline;
        api->ComputePassEncoderSetBindGroup(pass, 0, on_gpu->groups[i], 0, NULL);
        const uint32_t x = units < MOST_GROUPS ? units : MOST_GROUPS;
        api->ComputePassEncoderDispatchWorkgroups(pass, x, 1, (units + x - 1) / x);
        ++on_gpu->counters.dispatches;
        if (timed) {
            end_pass(api, pass);
            pass = NULL;
        }
    }
    if (pass != NULL) end_pass(api, pass);
}

/* ---- outputs ---- */

/* A range of an arena that is brought back. */
typedef struct {
    const hth_buffer *buffer;
    uint64_t size;
    void *to;
} result;

enum { MOST_RESULTS = HTH_MAX_TABLE };

/* What the call brings back: outputs, or what goes on behind the model's last layer. Answers how many. */
static uint32_t list_results(const hearth_session *session, const hth_call *call, result *results, uint64_t *total) {
    const hth_plan *plan = &session->model->plan;
    const hth_gpu_session *on_gpu = session->on_device;
    uint32_t count = 0;
    *total = 0;
    if (call->to != NULL) {
        *total = hth_cut_bytes(call->to, session->scalars);
        results[count++] = (result){&plan->buffers[call->to->buffer], *total, on_gpu->outputs.data};
    }
    for (uint32_t i = 0; i < call->num_outputs; ++i) {
        const hth_plan_output *output = &plan->outputs[call->outputs[i]];
        const uint64_t size = hth_gpu_output_bytes(session, output);
        if (size == 0) continue;
        results[count++] =
            (result){&plan->buffers[output->buffer], size, on_gpu->outputs.data + on_gpu->output_offsets[call->outputs[i]]};
        *total += size;
    }
    return count;
}

static void record_copies(const hearth_session *session, wgpu_command_encoder encoder, const result *results,
                          uint32_t num_results) {
    const hth_gpu_model *model = session->model->on_device;
    hth_gpu_session *on_gpu = session->on_device;
    uint64_t at = 0;
    for (uint32_t i = 0; i < num_results; ++i) {
        const hth_buffer *buffer = results[i].buffer;
        model->gpu.api.CommandEncoderCopyBufferToBuffer(encoder, on_gpu->arenas[buffer->index], buffer->offset,
                                                        on_gpu->staging, at, results[i].size);
        at += results[i].size;
    }
    on_gpu->counters.read_bytes = at;
}

static void take_results(const char *mapped, const result *results, uint32_t num_results) {
    for (uint32_t i = 0; i < num_results; ++i) {
        memcpy(results[i].to, mapped, (size_t)results[i].size);
        mapped += results[i].size;
    }
}

/* ---- the call ---- */

static uint32_t count_turns(const hearth_session *session, const hth_function *function) {
    uint32_t turns = 0;
    for (uint32_t i = 0; i < function->num_steps; ++i) turns += session->units[function->first_step + i] > 0;
    return turns;
}

hearth_status hth_gpu_run(hearth_session *session, const hth_call *call) {
    const hth_function *function = call->function;
    hth_gpu_model *model = session->model->on_device;
    hth_gpu_session *on_gpu = session->on_device;
    hth_gpu *gpu = &model->gpu;
    on_gpu->counters = (hearth_counters){.struct_size = 0};
    hearth_status status = hth_gpu_state(gpu);
    if (status == HEARTH_OK && session->profile) status = hth_gpu_profile_prepare(session);
    if (status != HEARTH_OK) return status;
    const bool timed = session->profile && on_gpu->profile.sets != NULL;
    const uint32_t turns = timed ? count_turns(session, function) : 0;
    /* Times have 8 bytes each and stand behind the outputs, whose sizes are multiples of 4. */
    result results[MOST_RESULTS];
    uint64_t result_bytes = 0;
    const uint32_t num_results = list_results(session, call, results, &result_bytes);
    const uint64_t times_at = hth_gpu_multiple(result_bytes, 8);
    const uint64_t bytes = times_at + hth_gpu_profile_bytes(turns);
    status = hth_gpu_staging_reserve(gpu, on_gpu, bytes);
    if (status != HEARTH_OK) return status;

    const uint64_t started = hth_now_ns();
    gpu->api.InstanceProcessEvents(gpu->instance); /* or a device that was lost meanwhile is only seen by the submit */
    hth_gpu_begin(gpu);
    status = write_changes(session, call);
    if (status != HEARTH_OK) {
        on_gpu->changes.stale = true;
        (void)hth_gpu_check(gpu, "a call");
        return status;
    }
    wgpu_command_encoder encoder = gpu->api.DeviceCreateCommandEncoder(gpu->device, NULL);
    record_steps(session, call, encoder, timed);
    record_copies(session, encoder, results, num_results);
    if (timed) hth_gpu_profile_resolve(gpu, &on_gpu->profile, encoder, turns, on_gpu->staging, times_at);
    status = hth_gpu_submit(gpu, encoder, "a call");
    on_gpu->counters.encode_ns = hth_now_ns() - started;
    on_gpu->changes.stale = status != HEARTH_OK;
    if (status != HEARTH_OK) return status;
    ++on_gpu->counters.submits;
    if (bytes == 0) {
        status = hth_gpu_wait(gpu);
        if (status == HEARTH_OK && session->profile) hth_gpu_profile_add(session, function, NULL);
        return status;
    }
    const char *mapped = hth_gpu_map(gpu, on_gpu->staging, WGPU_FOR_READING, (size_t)bytes, &status);
    if (mapped == NULL) {
        hth_gpu_staging_drop(gpu, on_gpu);
        return status;
    }
    take_results(mapped, results, num_results);
    if (session->profile) hth_gpu_profile_add(session, function, timed ? (const void *)(mapped + times_at) : NULL);
    gpu->api.BufferUnmap(on_gpu->staging);
    return HEARTH_OK;
}
