#include "gpu_adapter.h"

#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "gpu_library.h"
#include "utf8.h"

static const struct {
    const char *name;
    uint32_t bit;
} features[] = {{"f16", HTH_GPU_F16}, {"subgroups", HTH_GPU_SUBGROUPS}, {"dot4", HTH_GPU_DOT4}};

enum { NUM_FEATURES = sizeof features / sizeof features[0] };

static const char *type_name(uint32_t type) {
    switch (type) {
    case WGPU_DISCRETE:
        return "discrete";
    case WGPU_INTEGRATED:
        return "integrated";
    case WGPU_CPU:
        return "cpu";
    default:
        return "other";
    }
}

static const char *backend_name(uint32_t backend) {
    switch (backend) {
    case WGPU_D3D12:
        return "d3d12";
    case WGPU_METAL:
        return "metal";
    case WGPU_VULKAN:
        return "vulkan";
    case WGPU_OPENGL:
    case WGPU_OPENGL_ES:
        return "opengl";
    default:
        return "other";
    }
}

bool hth_gpu_features_read(const char *text, size_t size, uint32_t *read) {
    static const char core[] = "core";
    *read = 0;
    if (size == sizeof core - 1 && memcmp(text, core, size) == 0) return true;
    for (size_t begin = 0; begin <= size;) {
        size_t length = 0;
        while (begin + length < size && text[begin + length] != '+') ++length;
        uint32_t bit = 0;
        for (int i = 0; i < NUM_FEATURES; ++i) {
            if (strlen(features[i].name) == length && memcmp(features[i].name, text + begin, length) == 0) {
                bit = features[i].bit;
            }
        }
        if (bit == 0) return false;
        *read |= bit;
        begin += length + 1;
    }
    return true;
}

/* Drivers are strangers: what is no UTF-8, or too long, is left out. */
static void copy_text(char to[HTH_GPU_NAME], wgpu_string_view text) {
    size_t size = strlen(to);
    for (size_t i = 0; text.data != NULL && i < text.length;) {
        const uint32_t length = hth_utf8_length((const uint8_t *)text.data + i, text.length - i);
        if (length > 0 && size + length < HTH_GPU_NAME && text.data[i] != 0) {
            memcpy(to + size, text.data + i, length);
            size += length;
        }
        i += length > 0 ? length : 1;
    }
    to[size] = 0;
}

static bool read_adapter(const hth_webgpu *api, hth_gpu_adapter *adapter) {
    wgpu_adapter_info info = {.nextInChain = NULL};
    if (api->AdapterGetInfo(adapter->handle, &info) != WGPU_SUCCESS) return false;
    copy_text(adapter->name, info.device);
    copy_text(adapter->driver, info.vendor);
    if (adapter->driver[0] != 0) copy_text(adapter->driver, (wgpu_string_view){" ", 1});
    copy_text(adapter->driver, info.description);
    adapter->type = info.adapterType;
    adapter->backend = info.backendType;
    adapter->vendor_id = info.vendorID;
    adapter->device_id = info.deviceID;
    api->AdapterInfoFreeMembers(info);
    adapter->features = HTH_GPU_DOT4;
    if (api->AdapterHasFeature(adapter->handle, WGPU_SHADER_F16)) adapter->features |= HTH_GPU_F16;
    if (api->AdapterHasFeature(adapter->handle, WGPU_SUBGROUPS) ||
        api->AdapterHasFeature(adapter->handle, WGPU_NATIVE_SUBGROUP)) {
        adapter->features |= HTH_GPU_SUBGROUPS;
    }
    adapter->timestamps = api->AdapterHasFeature(adapter->handle, WGPU_TIMESTAMP_QUERY) != 0;
    return api->AdapterGetLimits(adapter->handle, &adapter->limits) == WGPU_SUCCESS;
}

static hearth_status find(hth_gpu_adapters *list, uint64_t backends) {
    const hth_webgpu *api = list->api;
    wgpu_instance_extras extras = {.chain = {.sType = WGPU_INSTANCE_EXTRAS}, .backends = backends};
    list->instance = api->CreateInstance(&(wgpu_instance_descriptor){.nextInChain = &extras.chain});
    if (list->instance == NULL) return hth_fail(HEARTH_DEVICE, "WebGPU cannot be started");
    const size_t count = api->InstanceEnumerateAdapters(list->instance, NULL, NULL);
    wgpu_adapter *handles = calloc(count + 1, sizeof *handles);
    if (handles == NULL) return hth_fail(HEARTH_MEMORY, "no memory for the list of adapters");
    /* How many there are may have changed: what is not written stays NULL. */
    if (count > 0) (void)api->InstanceEnumerateAdapters(list->instance, NULL, handles);
    for (size_t i = 0; i < count; ++i) {
        if (handles[i] == NULL) continue;
        hth_gpu_adapter *adapter = &list->adapters[list->count];
        *adapter = (hth_gpu_adapter){.handle = handles[i]};
        if (list->count < HTH_GPU_MOST_ADAPTERS - 1 && read_adapter(api, adapter)) {
            ++list->count;
        } else {
            api->AdapterRelease(handles[i]);
        }
    }
    free(handles);
    return HEARTH_OK;
}

hearth_status hth_gpu_adapters_find(hth_gpu_adapters *list, const hth_webgpu *api) {
    memset(list, 0, sizeof *list);
    list->api = api;
    hearth_status status = find(list, WGPU_BACKENDS_PRIMARY);
    if (status == HEARTH_OK && list->count == 0) {
        hth_gpu_adapters_free(list);
        status = find(list, WGPU_BACKENDS_GL);
    }
    return status;
}

void hth_gpu_adapters_free(hth_gpu_adapters *list) {
    for (uint32_t i = 0; i < list->count; ++i) list->api->AdapterRelease(list->adapters[i].handle);
    if (list->instance != NULL) list->api->InstanceRelease(list->instance);
    list->instance = NULL;
    list->count = 0;
}

hearth_status hth_gpu_adapter_choose(const hth_gpu_adapters *list, const char *device, uint32_t *index) {
    static const uint32_t order[] = {WGPU_DISCRETE, WGPU_INTEGRATED};
    *index = 0;
    if (list->count == 0) {
        return hth_fail(HEARTH_DEVICE, "this machine shows no GPU: is its driver (Vulkan, Metal or Direct3D 12) installed?");
    }
    if (device[strlen("gpu")] == ':') {
        char *end = NULL;
        const char *number = device + strlen("gpu:");
        const unsigned long wanted = strtoul(number, &end, 10);
        if (*number < '0' || *number > '9' || *end != 0) {
            return hth_fail(HEARTH_INVALID, "device is %.100s, must be cpu, gpu or gpu:N", device);
        }
        if (wanted >= list->count) {
            return hth_fail(HEARTH_DEVICE, "there is no %.100s: the machine has %u, counted from 0", device, list->count);
        }
        *index = (uint32_t)wanted;
        return HEARTH_OK;
    }
    for (size_t o = 0; o < sizeof order / sizeof order[0]; ++o) {
        for (uint32_t i = 0; i < list->count; ++i) {
            if (list->adapters[i].type != order[o]) continue;
            *index = i;
            return HEARTH_OK;
        }
    }
    return HEARTH_OK;
}

void hth_gpu_features_describe(uint32_t bits, hth_json *json) {
    bool first = true;
    hth_json_append(json, "[");
    for (int i = 0; i < NUM_FEATURES; ++i) {
        if ((bits & features[i].bit) == 0) continue;
        if (!first) hth_json_append(json, ", ");
        hth_json_append_string(json, features[i].name);
        first = false;
    }
    hth_json_append(json, "]");
}

void hth_gpu_adapter_describe(const hth_gpu_adapter *adapter, uint32_t index, hth_json *json) {
    const struct {
        const char *key, *value;
    } words[] = {
        {"name", adapter->name},
        {"type", type_name(adapter->type)},
        {"backend", backend_name(adapter->backend)},
        {"driver", adapter->driver},
    };
    const struct {
        const char *key;
        uint64_t value;
    } limits[] = {
        {"buffer_bytes", adapter->limits.maxBufferSize},
        {"binding_bytes", adapter->limits.maxStorageBufferBindingSize},
        {"storage_buffers", adapter->limits.maxStorageBuffersPerShaderStage},
        {"workgroup_bytes", adapter->limits.maxComputeWorkgroupStorageSize},
        {"invocations", adapter->limits.maxComputeInvocationsPerWorkgroup},
        {"workgroups", adapter->limits.maxComputeWorkgroupsPerDimension},
    };
    hth_json_append(json, "{");
    hth_json_append_unsigned(json, "index", index);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; ++i) {
        hth_json_append(json, ", ");
        hth_json_append_string(json, words[i].key);
        hth_json_append(json, ": ");
        hth_json_append_string(json, words[i].value);
    }
    hth_json_append(json, ", ");
    hth_json_append_unsigned(json, "vendor_id", adapter->vendor_id);
    hth_json_append(json, ", ");
    hth_json_append_unsigned(json, "device_id", adapter->device_id);
    hth_json_append(json, ", \"features\": ");
    hth_gpu_features_describe(adapter->features, json);
    hth_json_append(json, adapter->timestamps ? ", \"timestamps\": true" : ", \"timestamps\": false");
    hth_json_append(json, ", \"limits\": {");
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; ++i) {
        if (i > 0) hth_json_append(json, ", ");
        hth_json_append_unsigned(json, limits[i].key, limits[i].value);
    }
    hth_json_append(json, "}}");
}

hearth_status hth_gpu_adapters_list(const char *gpu_library, hth_json *json) {
    hth_webgpu api;
    hth_gpu_adapters *list = malloc(sizeof *list);
    hearth_status status = list != NULL ? hth_gpu_library_load(gpu_library, &api)
                                        : hth_fail(HEARTH_MEMORY, "no memory for the list of adapters");
    if (status == HEARTH_OK) {
        status = hth_gpu_adapters_find(list, &api);
        for (uint32_t i = 0; i < list->count; ++i) {
            if (i > 0) hth_json_append(json, ", ");
            hth_gpu_adapter_describe(&list->adapters[i], i, json);
        }
        hth_gpu_adapters_free(list);
    }
    free(list);
    return status;
}
