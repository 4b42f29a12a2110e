/* What a GPU keeps of a model: the GPU itself, pipelines of its kernels, its weights. */
#ifndef HEARTH_GPU_MODEL_H
#define HEARTH_GPU_MODEL_H

#include "gpu.h"
#include "gpu_shaders.h"
#include "model.h"

/* Where a range of the weights lies on the GPU. */
typedef struct {
    wgpu_buffer buffer;
    uint64_t offset;
} hth_gpu_place;

typedef struct {
    hth_gpu_place *places; /* [num_buffers of the plan], of those that are weights */
    wgpu_buffer *buffers;
    uint32_t num_buffers;
    uint64_t bytes; /* that the plan asks for, each range once */
} hth_gpu_weights;

typedef struct {
    wgpu_compute_pipeline pipeline;
    wgpu_bind_group_layout layout;
    uint32_t features; /* of the variant in use */
} hth_gpu_kernel;

typedef struct {
    hth_gpu gpu;
    hth_gpu_kernel *kernels; /* [num_kernels] */
    hth_gpu_weights weights;
    uint64_t allocated_bytes;
} hth_gpu_model;

/* That the plan keeps to what plans for GPUs are (docs/architecture.md). */
hearth_status hth_gpu_plan_check(const hth_plan *plan, const hth_gpu *gpu);

/* Makes the pipelines of the plan's kernels (gpu_pipelines.c). */
hearth_status hth_gpu_kernels_open(hearth_model *model, hth_gpu_model *on_gpu, const char *dir,
                                   const hearth_open_options *options);
void hth_gpu_kernels_close(const hearth_model *model, hth_gpu_model *on_gpu);

/* Streams weights.bin into buffers of the GPU, never holding more than a few MiB of it (gpu_weights.c). */
hearth_status hth_gpu_weights_open(hearth_model *model, hth_gpu_model *on_gpu, const char *dir,
                                   const hearth_open_options *options);
void hth_gpu_weights_close(hth_gpu_model *on_gpu);

#endif
