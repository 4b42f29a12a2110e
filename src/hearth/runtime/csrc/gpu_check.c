/* What plans for GPUs are, beyond what every plan is: checked here, for wgpu-native is not forgiving and a browser even less. */
#include "error.h"
#include "gpu_model.h"

/* A step has a uniform slot: its scalars, then its units, 4 bytes each. */
enum { MOST_SCALARS = 60 };

#define CORRUPT(...) hth_fail(HEARTH_CORRUPT, "gpu_plan.bin: " __VA_ARGS__)

hearth_status hth_gpu_plan_check(const hth_plan *plan, const hth_gpu *gpu) {
    const hth_plan_header *h = plan->header;
    const uint32_t storage_buffers = gpu->adapter.limits.maxStorageBuffersPerShaderStage;
    if (h->scratch_bytes != 0) return CORRUPT("kernels of GPUs have no scratch");
    for (uint32_t i = 0; i < h->num_buffers; ++i) {
        const hth_buffer *b = &plan->buffers[i];
        if (b->offset % HTH_GPU_ALIGN != 0) return CORRUPT("buffer %u: offset is no multiple of %d", i, HTH_GPU_ALIGN);
        if (b->kind == HTH_WEIGHT && b->size == 0) return CORRUPT("buffer %u: a part of a weight without bytes", i);
        if (b->kind <= HTH_WEIGHT && b->size > gpu->adapter.limits.maxStorageBufferBindingSize) {
            return hth_fail(HEARTH_DEVICE, "gpu_plan.bin: buffer %u has %llu bytes, the GPU %s binds at most %llu", i,
                            (unsigned long long)b->size, gpu->adapter.name,
                            (unsigned long long)gpu->adapter.limits.maxStorageBufferBindingSize);
        }
    }
    for (uint32_t i = 0; i < h->num_kernels; ++i) {
        const hth_plan_kernel *kernel = &plan->kernels[i];
        const char *name = plan->strings + kernel->name;
        if (kernel->num_scalars > MOST_SCALARS) {
            return CORRUPT("kernel %.200s: %u scalars, must be at most %d", name, kernel->num_scalars, MOST_SCALARS);
        }
        if (kernel->num_buffers > storage_buffers) {
            return hth_fail(HEARTH_DEVICE, "kernel %.200s has %u buffers, the GPU %s takes at most %u", name,
                            kernel->num_buffers, gpu->adapter.name, storage_buffers);
        }
    }
    for (uint32_t i = 0; i < h->num_inputs; ++i) {
        if (plan->inputs[i].checks == HTH_LENT) return CORRUPT("input %u: a GPU reads nothing where the caller has it", i);
    }
    return HEARTH_OK;
}
