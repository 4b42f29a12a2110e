#include "device.h"

#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "platform.h"
#include "session.h"

static const struct {
    const char *name;
    const hth_device *device;
    bool several; /* may be followed by ":N" */
} devices[] = {
    {"cpu", &hth_cpu_device, false},
#if defined(HTH_HAS_LIBRARIES)
    {"gpu", &hth_gpu_device, true},
#elif defined(__wasm__)
    {"gpu", &hth_web_device, false},
#endif
};

enum { NUM_DEVICES = sizeof devices / sizeof devices[0] };

hearth_status hth_device_find(const char *name, const hth_device **device) {
    *device = &hth_cpu_device;
    if (name == NULL) return HEARTH_OK;
    for (size_t i = 0; i < NUM_DEVICES; ++i) {
        const size_t size = strlen(devices[i].name);
        if (strncmp(name, devices[i].name, size) != 0) continue;
        if (name[size] != 0 && !(devices[i].several && name[size] == ':')) continue;
        *device = devices[i].device;
        return HEARTH_OK;
    }
    return hth_fail(HEARTH_INVALID, "device is %.100s, must be cpu, gpu or gpu:N", name);
}

hearth_status hearth_read_counters(const hearth_session *session, hearth_counters *counters) {
    hearth_counters known = {.struct_size = sizeof known};
    if (session == NULL || counters == NULL) return hth_fail(HEARTH_INVALID, "hearth_read_counters: an argument is NULL");
    const uint32_t size = counters->struct_size;
    if (size < sizeof size || size > sizeof known) {
        return hth_fail(HEARTH_INVALID, "hearth_counters: struct_size is %u", size);
    }
    if (session->model->device->read_counters != NULL) session->model->device->read_counters(session, &known);
    known.struct_size = size;
    memcpy(counters, &known, size);
    return HEARTH_OK;
}

hearth_status hearth_devices(const char *gpu_library, char *json, size_t *size) {
    if (json == NULL || size == NULL) return hth_fail(HEARTH_INVALID, "hearth_devices: an argument is NULL");
    hth_json list = {.data = NULL};
    hearth_status status = HEARTH_OK;
    hth_json_append(&list, "[");
    for (size_t i = 0; status == HEARTH_OK && i < NUM_DEVICES; ++i) {
        if (devices[i].device->list != NULL) status = devices[i].device->list(gpu_library, &list);
    }
    hth_json_append(&list, "]");
    if (status == HEARTH_OK && list.failed) status = hth_fail(HEARTH_MEMORY, "no memory for the list of devices");
    if (status == HEARTH_OK && list.size >= *size) {
        status = hth_fail(HEARTH_INVALID, "the list of devices needs %zu bytes, there is room for %zu", list.size + 1, *size);
    }
    if (status == HEARTH_OK) {
        memcpy(json, list.data, list.size + 1);
        *size = list.size + 1;
    }
    free(list.data);
    return status;
}
