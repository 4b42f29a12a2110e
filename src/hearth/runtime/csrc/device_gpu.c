/* A GPU as a device. */
#include <stdlib.h>

#include "error.h"
#include "gpu_session.h"

/* A GPU has thousands of lanes, and attention over a long context should keep them busy; how a batch is cut changes no bit. */
enum { WORKERS = 64 };

static hearth_status gpu_open(hearth_model *model, const char *dir, const hearth_open_options *options) {
    if (dir == NULL) return hth_fail(HEARTH_INVALID, "on a GPU a bundle is opened from its folder");
    hth_gpu_model *on_gpu = calloc(1, sizeof *on_gpu);
    model->on_device = on_gpu;
    if (on_gpu == NULL) return hth_fail(HEARTH_MEMORY, "no memory for a model");
    hearth_status status = hth_gpu_open(&on_gpu->gpu, options->gpu_library, options->device);
    if (status == HEARTH_OK) status = hth_gpu_plan_check(&model->plan, &on_gpu->gpu);
    if (status == HEARTH_OK) status = hth_gpu_kernels_open(model, on_gpu, dir, options);
    if (status == HEARTH_OK) status = hth_gpu_weights_open(model, on_gpu, dir, options);
    return status;
}

static void gpu_close(hearth_model *model) {
    hth_gpu_model *on_gpu = model->on_device;
    if (on_gpu == NULL || (on_gpu->gpu.process != 0 && !hth_gpu_is_ours(&on_gpu->gpu))) return;
    hth_gpu_weights_close(on_gpu);
    hth_gpu_kernels_close(model, on_gpu);
    hth_gpu_close(&on_gpu->gpu);
    free(on_gpu);
}

static void gpu_describe(const hearth_model *model, hth_json *json) {
    const hth_gpu_model *on_gpu = model->on_device;
    hth_json_append(json, "\"isa\": \"wgsl\", \"isas\": [\"wgsl\"], \"device\": {\"kind\": \"gpu\", \"adapter\": ");
    hth_gpu_adapter_describe(&on_gpu->gpu.adapter, on_gpu->gpu.index, json);
    hth_json_append(json, ", \"variants\": {");
    bool first = true;
    for (uint32_t i = 0; i < model->plan.header->num_kernels; ++i) {
        if (on_gpu->kernels[i].features == 0) continue;
        if (!first) hth_json_append(json, ", ");
        hth_json_append_string(json, model->plan.strings + model->plan.kernels[i].name);
        hth_json_append(json, ": ");
        hth_gpu_features_describe(on_gpu->kernels[i].features, json);
        first = false;
    }
    hth_json_append(json, "}}");
}

static uint32_t gpu_workers(const hearth_session *session) {
    (void)session;
    return WORKERS;
}

static void *gpu_output(const hearth_session *session, uint32_t output) {
    const hth_gpu_session *on_gpu = session->on_device;
    return on_gpu->outputs.data + on_gpu->output_offsets[output];
}

static void *gpu_layer_output(const hearth_session *session) {
    const hth_gpu_session *on_gpu = session->on_device;
    return on_gpu->outputs.data; /* there are no others */
}

static hearth_status gpu_clear_states(hearth_session *session) {
    hth_gpu_model *model = session->model->on_device;
    const hth_gpu_session *on_gpu = session->on_device;
    const hearth_status status = hth_gpu_state(&model->gpu);
    if (status != HEARTH_OK) return status;
    hth_gpu_begin(&model->gpu);
    wgpu_command_encoder encoder = model->gpu.api.DeviceCreateCommandEncoder(model->gpu.device, NULL);
    for (uint32_t i = 0; i < session->model->plan.header->num_states; ++i) {
        if (on_gpu->states[i] == NULL) continue;
        model->gpu.api.CommandEncoderClearBuffer(encoder, on_gpu->states[i], 0, hth_gpu_state_bytes(session, i));
    }
    return hth_gpu_submit(&model->gpu, encoder, "clearing the states");
}

/* Bytes of one write, as blocks of weights have. */
enum { MOST_WRITTEN = 4 << 20 };

static hearth_status gpu_write_state(hearth_session *session, uint32_t state, uint64_t offset, uint64_t bytes,
                                     const void *data) {
    hth_gpu_model *model = session->model->on_device;
    const hth_gpu_session *on_gpu = session->on_device;
    const hearth_status status = hth_gpu_state(&model->gpu);
    if (status != HEARTH_OK) return status;
    for (uint64_t done = 0; done < bytes;) {
        const uint64_t some = bytes - done < MOST_WRITTEN ? bytes - done : MOST_WRITTEN;
        model->gpu.api.QueueWriteBuffer(model->gpu.queue, on_gpu->states[state], offset + done,
                                        (const char *)data + done, (size_t)some);
        done += some;
    }
    return hth_gpu_state(&model->gpu);
}

static void gpu_reset_profile(hearth_session *session) {
    const hth_gpu_session *on_gpu = session->on_device;
    for (uint32_t i = 0; i < session->model->plan.header->num_steps; ++i) {
        on_gpu->profile.steps[i] = (hth_gpu_step_time){.calls = 0};
    }
}

static void gpu_read_profile(const hearth_session *session, uint32_t step, uint64_t *calls, uint64_t *time_ns) {
    const hth_gpu_session *on_gpu = session->on_device;
    *calls = on_gpu->profile.steps[step].calls;
    *time_ns = on_gpu->profile.steps[step].time_ns;
}

static void gpu_read_counters(const hearth_session *session, hearth_counters *counters) {
    const hth_gpu_model *model = session->model->on_device;
    const hth_gpu_session *on_gpu = session->on_device;
    *counters = on_gpu->counters;
    counters->planned_bytes = model->weights.bytes + on_gpu->planned_bytes;
    counters->allocated_bytes = model->allocated_bytes + on_gpu->allocated_bytes;
}

const hth_device hth_gpu_device = {
    .plan_path = "gpu_plan.bin",
    .input_align = HTH_GPU_OFFSET,
    .open = gpu_open,
    .close = gpu_close,
    .describe = gpu_describe,
    .measure = hth_gpu_session_measure,
    .begin = hth_gpu_session_begin,
    .end = hth_gpu_session_end,
    .workers = gpu_workers,
    .run = hth_gpu_run,
    .output = gpu_output,
    .layer_output = gpu_layer_output,
    .lend = NULL, /* plans for GPUs have no input that is lent (gpu_call.c) */
    .clear_states = gpu_clear_states,
    .write_state = gpu_write_state,
    .reset_profile = gpu_reset_profile,
    .read_profile = gpu_read_profile,
    .list = hth_gpu_adapters_list,
    .read_counters = gpu_read_counters,
};
