/* Pipelines: of each kernel of the plan the variant that is to be used, compiled by the GPU's driver in several threads. */
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "gpu_model.h"
#include "path.h"

enum { MOST_THREADS = 16 };

typedef struct {
    const hth_plan *plan;
    hth_gpu_model *on_gpu;
    const hth_gpu_shader **shaders; /* [num_kernels] */
    uint64_t checks;                /* that are compiled into them */
    _Atomic uint32_t next;          /* the first kernel that nobody has taken */
} compiling;

/* What is invalid makes objects that are invalid, too, and an error that names the kernel by its label. */
static void make_pipeline(const compiling *c, uint32_t kernel) {
    const hth_gpu *gpu = &c->on_gpu->gpu;
    const hth_gpu_shader *shader = c->shaders[kernel];
    hth_gpu_kernel *made = &c->on_gpu->kernels[kernel];
    const wgpu_string_view label = hth_gpu_text(c->plan->strings + c->plan->kernels[kernel].name);
    const wgpu_shader_source_wgsl source = {
        .chain = {.sType = WGPU_SHADER_SOURCE_WGSL}, .code = {shader->text, shader->text_size}};
    /* The chain is only read; the interface knows no const for it. */
    const wgpu_shader_module_descriptor module_descriptor = {
        .nextInChain = (wgpu_chained_struct *)(uintptr_t)&source.chain, .label = label};
    wgpu_shader_module module = gpu->api.DeviceCreateShaderModuleTrusted(gpu->device, &module_descriptor, c->checks);
    if (module == NULL) return;
    const wgpu_compute_pipeline_descriptor descriptor = {
        .label = label, .compute = {.module = module, .entryPoint = {shader->name, shader->name_size}}};
    made->pipeline = gpu->api.DeviceCreateComputePipeline(gpu->device, &descriptor);
    gpu->api.ShaderModuleRelease(module);
    if (made->pipeline != NULL) made->layout = gpu->api.ComputePipelineGetBindGroupLayout(made->pipeline, 0);
    made->features = shader->features;
}

static void compile_some(void *pointer) {
    compiling *c = pointer;
    uint32_t kernel;
    while ((kernel = atomic_fetch_add(&c->next, 1)) < c->plan->header->num_kernels) make_pipeline(c, kernel);
}

static hearth_status compile_all(compiling *c, uint32_t wanted) {
    hth_thread *threads[MOST_THREADS] = {NULL};
    const uint32_t kernels = c->plan->header->num_kernels;
    uint32_t count = wanted > 0 ? wanted : hth_processor_count();
    if (count > MOST_THREADS) count = MOST_THREADS;
    if (count > kernels) count = kernels;
    hth_gpu_begin(&c->on_gpu->gpu);
    /* A thread that cannot be started only makes it slower: this one compiles too. */
    for (uint32_t i = 1; i < count; ++i) threads[i] = hth_thread_start(compile_some, c);
    compile_some(c);
    for (uint32_t i = 1; i < count; ++i) {
        if (threads[i] != NULL) hth_thread_join(threads[i]);
    }
    const hearth_status status = hth_gpu_check(&c->on_gpu->gpu, "the kernels cannot be compiled");
    if (status != HEARTH_OK) return status;
    for (uint32_t i = 0; i < kernels; ++i) {
        if (c->on_gpu->kernels[i].layout == NULL) {
            return hth_fail(HEARTH_DEVICE, "kernel %.200s cannot be compiled", c->plan->strings + c->plan->kernels[i].name);
        }
    }
    return HEARTH_OK;
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

static hearth_status choose_shaders(const compiling *c, const hth_gpu_shaders *shaders, const char *allowed) {
    const hth_gpu_adapter *adapter = &c->on_gpu->gpu.adapter;
    for (uint32_t i = 0; i < c->plan->header->num_kernels; ++i) {
        const char *name = c->plan->strings + c->plan->kernels[i].name;
        uint32_t features = 0;
        if (!allowed_features(allowed, name, &features)) {
            return hth_fail(HEARTH_INVALID, "gpu_features is %.100s: words must be core, or f16, subgroups and dot4 joined by"
                            " +, each alone or behind KERNEL=", allowed);
        }
        const hth_gpu_shader *shader = hth_gpu_shader_choose(shaders, name, features & adapter->features);
        if (shader == NULL) {
            return hth_fail(HEARTH_MISMATCH, "gpu_plan.bin asks for kernel %.200s, which gpu_kernels.wgsl does not have", name);
        }
        if (shader->threads > adapter->limits.maxComputeInvocationsPerWorkgroup) {
            return hth_fail(HEARTH_DEVICE, "kernel %.200s has groups of %u threads, the GPU %s has at most %u", name,
                            shader->threads, adapter->name, adapter->limits.maxComputeInvocationsPerWorkgroup);
        }
        c->shaders[i] = shader;
    }
    return HEARTH_OK;
}

hearth_status hth_gpu_kernels_open(hearth_model *model, hth_gpu_model *on_gpu, const char *dir,
                                   const hearth_open_options *options) {
    const size_t count = (size_t)model->plan.header->num_kernels + 1;
    hth_gpu_shaders shaders = {.bytes = NULL};
    char *path = hth_path_join(dir, "gpu_kernels.wgsl");
    on_gpu->kernels = calloc(count, sizeof *on_gpu->kernels);
    compiling c = {
        .plan = &model->plan,
        .on_gpu = on_gpu,
        .shaders = calloc(count, sizeof *c.shaders),
        .checks = options->gpu_unchecked != 0 ? 0 : WGPU_CHECK_BOUNDS | WGPU_BOUND_LOOPS,
    };
    hearth_status status = HEARTH_OK;
    if (path == NULL || on_gpu->kernels == NULL || c.shaders == NULL) {
        status = hth_fail(HEARTH_MEMORY, "no memory for the kernels");
    }
    if (status == HEARTH_OK) status = hth_gpu_shaders_read(&shaders, path);
    if (status == HEARTH_OK) status = choose_shaders(&c, &shaders, options->gpu_features);
    if (status == HEARTH_OK) status = compile_all(&c, options->load_threads);
    hth_gpu_shaders_free(&shaders);
    free(c.shaders);
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
