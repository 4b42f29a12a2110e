/* What a GPU keeps of a session: buffers, bind groups of all steps, and what the last call did. */
#ifndef HEARTH_GPU_SESSION_H
#define HEARTH_GPU_SESSION_H

#include "gpu_call.h"
#include "gpu_model.h"

typedef struct {
    uint64_t calls, time_ns;
} hth_gpu_step_time;

/* Times of steps by queries of the GPU's clock, made when a profile is asked for (gpu_profile.c). */
typedef struct {
    hth_gpu_step_time *steps; /* [num_steps] */
    wgpu_query_set *sets;     /* of MOST_QUERIES each */
    uint32_t num_sets;
    wgpu_buffer resolved;
} hth_gpu_profile;

typedef struct {
    wgpu_buffer arenas[HTH_MAX_ARENAS];
    wgpu_buffer *states; /* [num_states] */

    wgpu_buffer changing; /* what a call may change (gpu_call.h) */
    hth_gpu_changing changes;

    wgpu_buffer layer_input; /* what a part of a model begins with, on its way to its arena; NULL: it begins with tokens */

    wgpu_bind_group *groups; /* [num_steps] */

    /* Outputs are copied from arenas to `staging`, which grows as they do, and from there to `outputs`, where views of them
     * stay valid whatever happens to the GPU. */
    wgpu_buffer staging;
    uint64_t staging_bytes;
    hth_memory outputs;
    uint64_t *output_offsets; /* [num_outputs] */

    hth_gpu_profile profile;
    hearth_counters counters; /* of the last call */
    uint64_t planned_bytes, allocated_bytes;
} hth_gpu_session;

/* Bytes of a session on the GPU (gpu_session.c). */
hearth_status hth_gpu_session_measure(const hearth_session *session, uint64_t *bytes);
hearth_status hth_gpu_session_begin(hearth_session *session);
void hth_gpu_session_end(hearth_session *session);

/* Makes staging for `bytes` at least. */
hearth_status hth_gpu_staging_reserve(hth_gpu *gpu, hth_gpu_session *on_gpu, uint64_t bytes);
void hth_gpu_staging_drop(hth_gpu *gpu, hth_gpu_session *on_gpu);

/* Runs the steps of a function, and brings outputs back (gpu_run.c). */
hearth_status hth_gpu_run(hearth_session *session, const hth_call *call);

/* Bytes that the times of `steps` steps take when they are read back. */
static inline uint64_t hth_gpu_profile_bytes(uint32_t steps) { return (uint64_t)steps * 16; }

/* Makes the queries, once. Nothing where the adapter has no timestamps: then `sets` stays NULL. */
hearth_status hth_gpu_profile_prepare(hearth_session *session);

/* Begins the pass of the step that runs as number `turn` of a call. */
wgpu_compute_pass hth_gpu_profile_pass(const hth_gpu *gpu, const hth_gpu_profile *profile, wgpu_command_encoder encoder,
                                       uint32_t turn);

/* Copies the times of `turns` steps to `to` at `offset`. */
void hth_gpu_profile_resolve(const hth_gpu *gpu, const hth_gpu_profile *profile, wgpu_command_encoder encoder, uint32_t turns,
                             wgpu_buffer to, uint64_t offset);

/* Adds times that were read back to the steps with units. */
void hth_gpu_profile_add(const hearth_session *session, const hth_function *function, const uint64_t *ticks);

void hth_gpu_profile_end(const hth_gpu *gpu, hth_gpu_profile *profile);

#endif
