/* The GPUs that there are: which adapters WebGPU shows, what they are, and which one a name stands for. */
#ifndef HEARTH_GPU_ADAPTER_H
#define HEARTH_GPU_ADAPTER_H

#include <stdbool.h>

#include "gpu_webgpu.h"
#include "hearth.h"
#include "json.h"

/* What a variant of a kernel may need beyond the core. `dot4` is a feature of the language, which wgpu-native always has. */
typedef enum hth_gpu_feature {
    HTH_GPU_F16 = 1,
    HTH_GPU_SUBGROUPS = 2,
    HTH_GPU_DOT4 = 4
} hth_gpu_feature;

enum { HTH_GPU_MOST_ADAPTERS = 64, HTH_GPU_NAME = 128 };

typedef struct {
    wgpu_adapter handle;
    char name[HTH_GPU_NAME], driver[HTH_GPU_NAME]; /* UTF-8 */
    uint32_t type, backend;                        /* WGPUAdapterType, WGPUBackendType */
    uint32_t vendor_id, device_id;
    uint32_t features; /* bits of hth_gpu_feature */
    bool timestamps;
    wgpu_limits limits;
} hth_gpu_adapter;

typedef struct {
    const hth_webgpu *api;
    wgpu_instance instance;
    hth_gpu_adapter adapters[HTH_GPU_MOST_ADAPTERS];
    uint32_t count;
} hth_gpu_adapters;

/* Finds all adapters. OpenGL is only asked where nothing else answers: it would show the same devices again. The list is to
 * be freed in any case. */
hearth_status hth_gpu_adapters_find(hth_gpu_adapters *list, const hth_webgpu *api);
void hth_gpu_adapters_free(hth_gpu_adapters *list);

/* The adapter that `device` means: "gpu" is the first discrete one, else the first integrated, else the first; "gpu:N" the
 * one with index N. */
hearth_status hth_gpu_adapter_choose(const hth_gpu_adapters *list, const char *device, uint32_t *index);

/* Appends an object: {"index", "name", "type", "backend", "driver", "vendor_id", "device_id", "features", "limits"}. */
void hth_gpu_adapter_describe(const hth_gpu_adapter *adapter, uint32_t index, hth_json *json);

/* Appends those of all adapters, separated by commas. */
hearth_status hth_gpu_adapters_list(const char *gpu_library, hth_json *json);

/* Appends a list of names: ["f16", "dot4"]. */
void hth_gpu_features_describe(uint32_t features, hth_json *json);

/* Reads features joined by '+', "core" being none: false where a word is not known. `size` is that of the text. */
bool hth_gpu_features_read(const char *text, size_t size, uint32_t *features);

#endif
