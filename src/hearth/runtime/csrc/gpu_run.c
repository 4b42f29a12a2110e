/* A call on a GPU: what changed is written, a pass runs the steps, what was asked for is copied back. Nothing is made but a
 * command encoder, its pass and its command buffer. */
#include <string.h>

#include "error.h"
#include "gpu_session.h"

enum {
    MOST_GROUPS = 32768, /* of one axis: kernels count on along another */
    GAP_BYTES = 16 << 10, /* writing so much for nothing costs less than another write */
    BLOCK_BYTES = 1 << 10 /* inputs are compared by blocks */
};

/* ---- what changed ---- */

/* A stretch of `changing` that is to be written; it grows while what follows is near. */
typedef struct {
    hth_gpu *gpu;
    hth_gpu_session *on_gpu;
    uint64_t begin, end;
} stretch;

static void write_stretch(stretch *s) {
    if (s->end == s->begin) return;
    s->gpu->api.QueueWriteBuffer(s->gpu->queue, s->on_gpu->changing, s->begin, s->on_gpu->sent.data + s->begin,
                                 (size_t)(s->end - s->begin));
    ++s->on_gpu->counters.writes;
    s->on_gpu->counters.written_bytes += s->end - s->begin;
    s->begin = s->end;
}

/* Takes `size` bytes, which come in ascending order, to be written at `offset` where they are not there already. The end is
 * rounded up to 4 bytes: there is room behind every input. */
static void take(stretch *s, uint64_t offset, const void *bytes, uint64_t size) {
    char *sent = s->on_gpu->sent.data + offset;
    if (!s->on_gpu->stale && memcmp(sent, bytes, (size_t)size) == 0) return;
    memcpy(sent, bytes, (size_t)size);
    if (s->end == s->begin || offset > s->end + GAP_BYTES) {
        write_stretch(s);
        s->begin = offset;
    }
    s->end = hth_gpu_round(offset + size, 4);
}

static hearth_status take_uniforms(const hearth_session *session, const hth_function *function, stretch *s) {
    const hth_plan *plan = &session->model->plan;
    const int64_t *argument = session->functions[function - plan->functions].arguments;
    for (uint32_t i = function->first_step; i < function->first_step + function->num_steps; ++i) {
        const uint32_t count = plan->kernels[plan->steps[i].kernel].num_scalars;
        int32_t slot[HTH_GPU_SLOT / 4];
        for (uint32_t a = 0; a < count; ++a) {
            if (argument[a] < INT32_MIN || argument[a] > INT32_MAX) {
                return hth_fail(HEARTH_CORRUPT, "gpu_plan.bin: step %u: scalar %u is %lld, more than 32 bits", i, a,
                                (long long)argument[a]);
            }
            slot[a] = (int32_t)argument[a];
        }
        slot[count] = (int32_t)session->units[i];
        argument += count;
        if (session->units[i] > 0) take(s, (uint64_t)i * HTH_GPU_SLOT, slot, (uint64_t)(count + 1) * 4);
    }
    return HEARTH_OK;
}

/* Bytes that an input has in this call. */
static uint64_t used_bytes(const hearth_session *session, const hth_plan_input *input) {
    const hth_plan *plan = &session->model->plan;
    uint64_t size = hth_dtype_bytes(input->dtype);
    for (uint32_t d = 0; d < input->num_dims; ++d) size *= (uint64_t)session->scalars[plan->dims[input->first_dim + d]];
    return size;
}

static void take_inputs(const hearth_session *session, const hth_function *function, stretch *s) {
    const hth_plan *plan = &session->model->plan;
    for (uint32_t i = function->first_input; i < function->first_input + function->num_inputs; ++i) {
        const char *data = session->inputs[i];
        const uint64_t size = used_bytes(session, &plan->inputs[i]);
        const uint64_t offset = s->on_gpu->uniform_bytes + (uint64_t)(data - session->input_memory.data);
        for (uint64_t at = 0; at < size; at += BLOCK_BYTES) {
            take(s, offset + at, data + at, size - at < BLOCK_BYTES ? size - at : BLOCK_BYTES);
        }
    }
}

/* What the layers before have computed, which differs in every call. */
static void write_layer_input(const hearth_session *session, const hth_call *call) {
    hth_gpu_model *model = session->model->on_device;
    hth_gpu_session *on_gpu = session->on_device;
    const uint64_t size = hth_cut_bytes(call->from, session->scalars);
    model->gpu.api.QueueWriteBuffer(model->gpu.queue, on_gpu->layer_input, 0, call->input, (size_t)size);
    ++on_gpu->counters.writes;
    on_gpu->counters.written_bytes += size;
}

static hearth_status write_changes(const hearth_session *session, const hth_call *call) {
    hth_gpu_model *model = session->model->on_device;
    stretch s = {.gpu = &model->gpu, .on_gpu = session->on_device};
    const hearth_status status = take_uniforms(session, call->function, &s);
    if (status != HEARTH_OK) return status;
    take_inputs(session, call->function, &s);
    write_stretch(&s);
    if (call->from != NULL) write_layer_input(session, call);
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

/* Bytes that an output has in this call, whole rows with their padding, rounded up to what can be copied. */
static uint64_t output_bytes(const hearth_session *session, const hth_plan_output *output) {
    const hth_plan *plan = &session->model->plan;
    const uint32_t *dims = plan->dims + output->first_dim;
    uint64_t size = hth_dtype_bytes(output->dtype);
    for (uint32_t d = 0; d < output->num_dims; ++d) {
        const bool row = d + 1 == output->num_dims && output->num_dims > 1;
        size *= (uint64_t)session->scalars[row ? output->row_stride : dims[d]];
    }
    return hth_gpu_round(size, 4);
}

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
        const uint64_t size = output_bytes(session, output);
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
    const uint64_t times_at = hth_gpu_round(result_bytes, 8);
    const uint64_t bytes = times_at + hth_gpu_profile_bytes(turns);
    status = hth_gpu_staging_reserve(gpu, on_gpu, bytes);
    if (status != HEARTH_OK) return status;

    const uint64_t started = hth_now_ns();
    gpu->api.InstanceProcessEvents(gpu->instance); /* or a device that was lost meanwhile is only seen by the submit */
    hth_gpu_begin(gpu);
    status = write_changes(session, call);
    if (status != HEARTH_OK) {
        on_gpu->stale = true;
        (void)hth_gpu_check(gpu, "a call");
        return status;
    }
    wgpu_command_encoder encoder = gpu->api.DeviceCreateCommandEncoder(gpu->device, NULL);
    record_steps(session, call, encoder, timed);
    record_copies(session, encoder, results, num_results);
    if (timed) hth_gpu_profile_resolve(gpu, &on_gpu->profile, encoder, turns, on_gpu->staging, times_at);
    status = hth_gpu_submit(gpu, encoder, "a call");
    on_gpu->counters.encode_ns = hth_now_ns() - started;
    on_gpu->stale = status != HEARTH_OK;
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
