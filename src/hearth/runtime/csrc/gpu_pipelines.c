/* Pipelines: of each kernel of the plan the variant that is to be used, compiled by the GPU's driver. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "gpu_model.h"
#include "path.h"

static hearth_status make_pipeline(hth_gpu *gpu, const hth_gpu_shader *shader, const char *name, uint64_t checks,
                                   hth_gpu_kernel *made) {
    char what[300];
    (void)snprintf(what, sizeof what, "kernel %.200s", name);
    const wgpu_shader_source_wgsl source = {
        .chain = {.sType = WGPU_SHADER_SOURCE_WGSL}, .code = {shader->text, shader->text_size}};
    /* The chain is only read; the interface knows no const for it. */
    const wgpu_shader_module_descriptor module_descriptor = {
        .nextInChain = (wgpu_chained_struct *)(uintptr_t)&source.chain, .label = hth_gpu_text(name)};
    hth_gpu_begin(gpu);
    wgpu_shader_module module = gpu->api.DeviceCreateShaderModuleTrusted(gpu->device, &module_descriptor, checks);
    hearth_status status = hth_gpu_check(gpu, what);
    if (status == HEARTH_OK) {
        const wgpu_compute_pipeline_descriptor descriptor = {
            .label = hth_gpu_text(name),
            .compute = {.module = module, .entryPoint = {shader->name, shader->name_size}},
        };
        hth_gpu_begin(gpu);
        made->pipeline = gpu->api.DeviceCreateComputePipeline(gpu->device, &descriptor);
        status = hth_gpu_check(gpu, what);
    }
    if (module != NULL) gpu->api.ShaderModuleRelease(module);
    if (status != HEARTH_OK) return status;
    hth_gpu_begin(gpu);
    made->layout = gpu->api.ComputePipelineGetBindGroupLayout(made->pipeline, 0);
    made->features = shader->features;
    return hth_gpu_check(gpu, what);
}

/* What variants of a kernel may use: words of `text` separated by spaces, each either features, for all kernels, or
 * KERNEL=FEATURES. False where a word is neither. */
static bool allowed_features(const char *text, const char *kernel, uint32_t *features) {
    bool named = false;
    *features = 0;
    for (const char *word = text; word != NULL && *word != 0;) {
        const size_t size = strcspn(word, " ");
        const char *equals = memchr(word, '=', size);
        const char *list = equals != NULL ? equals + 1 : word;
        uint32_t bits = 0;
        if (!hth_gpu_features_read(list, (size_t)(word + size - list), &bits)) return false;
        const bool own = equals != NULL && (size_t)(equals - word) == strlen(kernel) &&
                         memcmp(word, kernel, strlen(kernel)) == 0;
        if (own || (equals == NULL && !named)) *features = bits;
        named = named || own;
        word += size + (word[size] != 0);
    }
    return true;
}

static hearth_status make_pipelines(const hth_plan *plan, hth_gpu_model *on_gpu, const hth_gpu_shaders *shaders,
                                    uint64_t checks, const char *allowed) {
    for (uint32_t i = 0; i < plan->header->num_kernels; ++i) {
        const char *name = plan->strings + plan->kernels[i].name;
        uint32_t features = 0;
        if (!allowed_features(allowed, name, &features)) {
            return hth_fail(HEARTH_INVALID, "gpu_features is %.100s: words must be core, or f16, subgroups and dot4 joined by"
                            " +, each alone or behind KERNEL=", allowed);
        }
        const hth_gpu_shader *shader = hth_gpu_shader_choose(shaders, name, features & on_gpu->gpu.adapter.features);
        if (shader == NULL) {
            return hth_fail(HEARTH_MISMATCH, "gpu_plan.bin asks for kernel %.200s, which gpu_kernels.wgsl does not have", name);
        }
        if (shader->threads > on_gpu->gpu.adapter.limits.maxComputeInvocationsPerWorkgroup) {
            return hth_fail(HEARTH_DEVICE, "kernel %.200s has groups of %u threads, the GPU %s has at most %u", name,
                            shader->threads, on_gpu->gpu.adapter.name,
                            on_gpu->gpu.adapter.limits.maxComputeInvocationsPerWorkgroup);
        }
        const hearth_status status = make_pipeline(&on_gpu->gpu, shader, name, checks, &on_gpu->kernels[i]);
        if (status != HEARTH_OK) return status;
    }
    return HEARTH_OK;
}

hearth_status hth_gpu_kernels_open(hearth_model *model, hth_gpu_model *on_gpu, const char *dir,
                                   const hearth_open_options *options) {
    const uint64_t checks = options->gpu_unchecked != 0 ? 0 : WGPU_CHECK_BOUNDS | WGPU_BOUND_LOOPS;
    hth_gpu_shaders shaders = {.bytes = NULL};
    char *path = hth_path_join(dir, "gpu_kernels.wgsl");
    on_gpu->kernels = calloc((size_t)model->plan.header->num_kernels + 1, sizeof *on_gpu->kernels);
    hearth_status status = path != NULL && on_gpu->kernels != NULL ? hth_gpu_shaders_read(&shaders, path)
                                                                   : hth_fail(HEARTH_MEMORY, "no memory for the kernels");
    if (status == HEARTH_OK) status = make_pipelines(&model->plan, on_gpu, &shaders, checks, options->gpu_features);
    hth_gpu_shaders_free(&shaders);
    free(path);
    return status;
}

void hth_gpu_kernels_close(const hearth_model *model, hth_gpu_model *on_gpu) {
    const hth_webgpu *api = &on_gpu->gpu.api;
    for (uint32_t i = 0; on_gpu->kernels != NULL && i < model->plan.header->num_kernels; ++i) {
        if (on_gpu->kernels[i].layout != NULL) api->BindGroupLayoutRelease(on_gpu->kernels[i].layout);
        if (on_gpu->kernels[i].pipeline != NULL) api->ComputePipelineRelease(on_gpu->kernels[i].pipeline);
    }
    free(on_gpu->kernels);
}
