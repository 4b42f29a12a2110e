/* Times of steps on a GPU. Timestamps stand at both ends of a pass, so each step gets a pass of its own. */
#include <stdlib.h>

#include "error.h"
#include "gpu_session.h"

enum { MOST_QUERIES = 4096, TURNS_A_SET = MOST_QUERIES / 2 }; /* of a set, as WebGPU has it */

hearth_status hth_gpu_profile_prepare(hearth_session *session) {
    hth_gpu_model *model = session->model->on_device;
    hth_gpu_session *on_gpu = session->on_device;
    hth_gpu_profile *profile = &on_gpu->profile;
    const uint32_t steps = session->model->plan.header->num_steps;
    if (!model->gpu.adapter.timestamps || profile->sets != NULL || steps == 0) return HEARTH_OK;
    hearth_status status = hth_gpu_buffer_create(&model->gpu, "times of steps", hth_gpu_profile_bytes(steps),
                                                 WGPU_QUERY_RESOLVE | WGPU_COPY_SRC, &profile->resolved,
                                                 &on_gpu->allocated_bytes);
    if (status != HEARTH_OK) return status;
    const uint32_t count = (steps + TURNS_A_SET - 1) / TURNS_A_SET;
    wgpu_query_set *sets = calloc(count, sizeof *sets);
    if (sets == NULL) return hth_fail(HEARTH_MEMORY, "no memory for the times of steps");
    profile->sets = sets;
    on_gpu->counters.objects += 1 + count;
    for (; status == HEARTH_OK && profile->num_sets < count; ++profile->num_sets) {
        const wgpu_query_set_descriptor descriptor = {.type = WGPU_QUERY_TIMESTAMP, .count = MOST_QUERIES};
        hth_gpu_begin(&model->gpu);
        sets[profile->num_sets] = model->gpu.api.DeviceCreateQuerySet(model->gpu.device, &descriptor);
        status = hth_gpu_check(&model->gpu, "times of steps");
    }
    return status;
}

wgpu_compute_pass hth_gpu_profile_pass(const hth_gpu *gpu, const hth_gpu_profile *profile, wgpu_command_encoder encoder,
                                       uint32_t turn) {
    const wgpu_pass_timestamp_writes writes = {
        .querySet = profile->sets[turn / TURNS_A_SET],
        .beginningOfPassWriteIndex = turn % TURNS_A_SET * 2,
        .endOfPassWriteIndex = turn % TURNS_A_SET * 2 + 1,
    };
    const wgpu_compute_pass_descriptor descriptor = {.timestampWrites = &writes};
    return gpu->api.CommandEncoderBeginComputePass(encoder, &descriptor);
}

void hth_gpu_profile_resolve(const hth_gpu *gpu, const hth_gpu_profile *profile, wgpu_command_encoder encoder, uint32_t turns,
                             wgpu_buffer to, uint64_t offset) {
    if (turns == 0) return;
    for (uint32_t first = 0; first < turns; first += TURNS_A_SET) {
        const uint32_t count = turns - first < TURNS_A_SET ? turns - first : TURNS_A_SET;
        gpu->api.CommandEncoderResolveQuerySet(encoder, profile->sets[first / TURNS_A_SET], 0, 2 * count, profile->resolved,
                                               hth_gpu_profile_bytes(first));
    }
    gpu->api.CommandEncoderCopyBufferToBuffer(encoder, profile->resolved, 0, to, offset, hth_gpu_profile_bytes(turns));
}

void hth_gpu_profile_add(const hearth_session *session, const hth_function *function, const uint64_t *ticks) {
    hth_gpu_model *model = session->model->on_device;
    hth_gpu_session *on_gpu = session->on_device;
    const double period_ns = (double)model->gpu.api.QueueGetTimestampPeriod(model->gpu.queue);
    for (uint32_t i = function->first_step; i < function->first_step + function->num_steps; ++i) {
        if (session->units[i] == 0) continue;
        ++on_gpu->profile.steps[i].calls;
        if (ticks == NULL) continue;
        const uint64_t begin = ticks[0], end = ticks[1];
        if (end > begin) on_gpu->profile.steps[i].time_ns += (uint64_t)((double)(end - begin) * period_ns);
        ticks += 2;
    }
}

void hth_gpu_profile_end(const hth_gpu *gpu, hth_gpu_profile *profile) {
    for (uint32_t i = 0; i < profile->num_sets; ++i) {
        if (profile->sets[i] != NULL) gpu->api.QuerySetRelease(profile->sets[i]);
    }
    if (profile->resolved != NULL) gpu->api.BufferRelease(profile->resolved);
    free(profile->sets);
    free(profile->steps);
}
