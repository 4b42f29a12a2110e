/* What an adapter has to have for a plan: checked here, for wgpu-native is not forgiving. */
#include "error.h"
#include "gpu_call.h"
#include "gpu_model.h"

hearth_status hth_gpu_plan_check(const hth_plan *plan, const hth_gpu *gpu) {
    const hth_plan_header *h = plan->header;
    const wgpu_limits *limits = &gpu->adapter.limits;
    const hearth_status status = hth_gpu_plan_keeps_rules(plan);
    if (status != HEARTH_OK) return status;
    for (uint32_t i = 0; i < h->num_buffers; ++i) {
        const hth_buffer *b = &plan->buffers[i];
        if (b->kind <= HTH_WEIGHT && b->size > limits->maxStorageBufferBindingSize) {
            return hth_fail(HEARTH_DEVICE, "gpu_plan.bin: buffer %u has %llu bytes, the GPU %s binds at most %llu", i,
                            (unsigned long long)b->size, gpu->adapter.name,
                            (unsigned long long)limits->maxStorageBufferBindingSize);
        }
    }
    for (uint32_t i = 0; i < h->num_kernels; ++i) {
        const hth_plan_kernel *kernel = &plan->kernels[i];
        if (kernel->num_buffers > limits->maxStorageBuffersPerShaderStage) {
            return hth_fail(HEARTH_DEVICE, "kernel %.200s has %u buffers, the GPU %s takes at most %u",
                            plan->strings + kernel->name, kernel->num_buffers, gpu->adapter.name,
                            limits->maxStorageBuffersPerShaderStage);
        }
    }
    return HEARTH_OK;
}
