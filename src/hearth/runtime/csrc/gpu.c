#include "gpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "gpu_library.h"

/* WebGPU's texts are trees over many lines: one line of them, cut. */
static void flatten(char *to, size_t room, wgpu_string_view text) {
    size_t size = 0;
    bool space = false;
    for (size_t i = 0; text.data != NULL && i < text.length && size + 2 < room; ++i) {
        const char c = text.data[i];
        if (c == ' ' || c == '\n' || c == '\t' || c == '\r') {
            space = size > 0;
            continue;
        }
        if (space) to[size++] = ' ';
        space = false;
        to[size++] = c;
    }
    to[size] = 0;
}

static void note_trouble(hth_gpu *gpu, const char *what, wgpu_string_view message) {
    uint32_t none = 0;
    if (!atomic_compare_exchange_strong(&gpu->troubled, &none, 1)) return;
    const int used = snprintf(gpu->trouble, sizeof gpu->trouble, "%s", what);
    flatten(gpu->trouble + used, sizeof gpu->trouble - (size_t)used, message);
    atomic_store(&gpu->told, 1);
}

static void on_lost(const wgpu_device *device, uint32_t reason, wgpu_string_view message, void *user1, void *user2) {
    (void)device, (void)reason, (void)user2;
    note_trouble(user1, "the GPU was lost: ", message);
}

static void on_error(const wgpu_device *device, uint32_t type, wgpu_string_view message, void *user1, void *user2) {
    (void)device, (void)type, (void)user2;
    note_trouble(user1, "the GPU failed: ", message);
}

typedef struct {
    wgpu_device device;
    bool answered;
    char text[HTH_GPU_TROUBLE];
} device_request;

static void on_device(uint32_t status, wgpu_device device, wgpu_string_view message, void *user1, void *user2) {
    (void)user2;
    device_request *request = user1;
    if (status == WGPU_SUCCESS) request->device = device;
    flatten(request->text, sizeof request->text, message);
    request->answered = true;
}

/* All that the adapter has: kernels ask for no more than what every GPU has, states may be as large as this one allows. */
static hearth_status request_device(hth_gpu *gpu) {
    uint32_t features[4];
    size_t count = 0;
    static const uint32_t wanted[] = {WGPU_TIMESTAMP_QUERY, WGPU_SHADER_F16, WGPU_SUBGROUPS, WGPU_NATIVE_SUBGROUP};
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; ++i) {
        if (gpu->api.AdapterHasFeature(gpu->adapter.handle, wanted[i])) features[count++] = wanted[i];
    }
    const wgpu_device_descriptor descriptor = {
        .label = hth_gpu_text("hearth"),
        .requiredFeatureCount = count,
        .requiredFeatures = features,
        .requiredLimits = &gpu->adapter.limits,
        .deviceLostCallbackInfo = {.mode = WGPU_ALLOW_SPONTANEOUS, .callback = on_lost, .userdata1 = gpu},
        .uncapturedErrorCallbackInfo = {.callback = on_error, .userdata1 = gpu},
    };
    device_request request = {.device = NULL};
    (void)gpu->api.AdapterRequestDevice(
        gpu->adapter.handle, &descriptor,
        (wgpu_request_device_callback_info){
            .mode = WGPU_ALLOW_PROCESS_EVENTS, .callback = on_device, .userdata1 = &request});
    while (!request.answered) gpu->api.InstanceProcessEvents(gpu->instance);
    gpu->device = request.device;
    if (gpu->device == NULL) {
        return hth_fail(HEARTH_DEVICE, "%s cannot be opened: %s", gpu->adapter.name, request.text);
    }
    gpu->queue = gpu->api.DeviceGetQueue(gpu->device);
    return HEARTH_OK;
}

static hearth_status open_adapter(hth_gpu *gpu, const char *device) {
    hth_gpu_adapters *list = malloc(sizeof *list);
    if (list == NULL) return hth_fail(HEARTH_MEMORY, "no memory for the list of adapters");
    hearth_status status = hth_gpu_adapters_find(list, &gpu->api);
    if (status == HEARTH_OK) status = hth_gpu_adapter_choose(list, device, &gpu->index);
    if (status == HEARTH_OK) {
        gpu->adapter = list->adapters[gpu->index];
        gpu->instance = list->instance;
        status = request_device(gpu);
        gpu->adapter.handle = NULL;
        list->instance = NULL; /* ours now */
    }
    hth_gpu_adapters_free(list);
    free(list);
    return status;
}

hearth_status hth_gpu_open(hth_gpu *gpu, const char *library, const char *device) {
    const hearth_status status = hth_gpu_library_load(library, &gpu->api);
    if (status != HEARTH_OK) return status;
    gpu->process = hth_process_id();
    gpu->mutex = hth_mutex_create();
    if (gpu->mutex == NULL) return hth_fail(HEARTH_MEMORY, "no memory for a GPU");
    return open_adapter(gpu, device);
}

hearth_status hth_gpu_state(hth_gpu *gpu) {
    if (!hth_gpu_is_ours(gpu)) return hth_fail(HEARTH_INVALID, "a forked process cannot use the GPU that its parent opened");
    if (atomic_load(&gpu->troubled) == 0) return HEARTH_OK;
    while (atomic_load(&gpu->told) == 0) hth_yield();
    return hth_fail(HEARTH_DEVICE, "%s; the model has to be opened again", gpu->trouble);
}

void hth_gpu_begin(hth_gpu *gpu) {
    hth_mutex_lock(gpu->mutex);
    gpu->api.DevicePushErrorScope(gpu->device, WGPU_FILTER_OUT_OF_MEMORY);
    gpu->api.DevicePushErrorScope(gpu->device, WGPU_FILTER_VALIDATION);
}

typedef struct {
    uint32_t type;
    bool answered;
    char text[HTH_GPU_TROUBLE];
} scope;

static void on_scope(uint32_t status, uint32_t type, wgpu_string_view message, void *user1, void *user2) {
    (void)user2;
    scope *popped = user1;
    popped->type = status == WGPU_SUCCESS ? type : WGPU_NO_ERROR;
    flatten(popped->text, sizeof popped->text, message);
    popped->answered = true;
}

/* Pops the scopes, the mutex still held. */
static hearth_status check(hth_gpu *gpu, const char *what) {
    scope scopes[2] = {{.type = WGPU_NO_ERROR}, {.type = WGPU_NO_ERROR}};
    for (int i = 0; i < 2; ++i) {
        (void)gpu->api.DevicePopErrorScope(
            gpu->device, (wgpu_pop_error_scope_callback_info){
                             .mode = WGPU_ALLOW_SPONTANEOUS, .callback = on_scope, .userdata1 = &scopes[i]});
        while (!scopes[i].answered) gpu->api.InstanceProcessEvents(gpu->instance);
    }
    const hearth_status status = hth_gpu_state(gpu); /* what comes of a lost device is not the cause */
    if (status != HEARTH_OK) return status;
    if (scopes[1].type != WGPU_NO_ERROR) {
        return hth_fail(HEARTH_DEVICE, "%s: the GPU %s has no memory left for it", what, gpu->adapter.name);
    }
    return scopes[0].type == WGPU_NO_ERROR ? HEARTH_OK : hth_fail(HEARTH_DEVICE, "%s: %s", what, scopes[0].text);
}

hearth_status hth_gpu_check(hth_gpu *gpu, const char *what) {
    const hearth_status status = check(gpu, what);
    hth_mutex_unlock(gpu->mutex);
    return status;
}

hearth_status hth_gpu_submit(hth_gpu *gpu, wgpu_command_encoder encoder, const char *what) {
    wgpu_command_buffer commands = gpu->api.CommandEncoderFinish(encoder, NULL);
    const hearth_status status = check(gpu, what);
    /* Under the same lock, so that what was written to buffers meanwhile is seen by these commands. */
    if (status == HEARTH_OK) gpu->api.QueueSubmit(gpu->queue, 1, &commands);
    hth_mutex_unlock(gpu->mutex);
    if (commands != NULL) gpu->api.CommandBufferRelease(commands);
    gpu->api.CommandEncoderRelease(encoder);
    return status;
}


hearth_status hth_gpu_buffer_create(hth_gpu *gpu, const char *what, uint64_t size, uint64_t usage, wgpu_buffer *buffer,
                                    uint64_t *allocated) {
    if (size > gpu->adapter.limits.maxBufferSize) {
        return hth_fail(HEARTH_DEVICE, "%s would take %llu bytes, the GPU %s has buffers of at most %llu", what,
                        (unsigned long long)size, gpu->adapter.name,
                        (unsigned long long)gpu->adapter.limits.maxBufferSize);
    }
    const wgpu_buffer_descriptor descriptor = {.label = hth_gpu_text(what), .usage = usage, .size = size};
    hth_gpu_begin(gpu);
    *buffer = gpu->api.DeviceCreateBuffer(gpu->device, &descriptor);
    hearth_status status = hth_gpu_check(gpu, what);
    if (status == HEARTH_OK && *buffer == NULL) {
        status = hth_fail(HEARTH_DEVICE, "%s: the GPU %s has no memory left for it", what, gpu->adapter.name);
    }
    if (status == HEARTH_OK) {
        *allocated += size;
    } else if (*buffer != NULL) {
        gpu->api.BufferRelease(*buffer);
        *buffer = NULL;
    }
    return status;
}

/* ---- waiting ---- */

/* How long between two questions: a share of what has been waited, so that an answer is seen at most so much too late. */
enum { SPIN_NS = 30 * 1000, SHARE = 64, SHORTEST_SLEEP_NS = 20 * 1000, LONGEST_SLEEP_NS = 1000 * 1000, LOOK_NS = 20 * 1000 * 1000 };

/* Belongs to who waits and to the callback, which may come when nobody waits any more; the last of them frees it. */
typedef struct {
    _Atomic uint32_t status; /* 0: not yet */
    _Atomic uint32_t owners;
} event;

static event *new_event(hearth_status *status) {
    event *e = malloc(sizeof *e);
    *status = e != NULL ? HEARTH_OK : hth_fail(HEARTH_MEMORY, "no memory to wait for the GPU");
    if (e == NULL) return NULL;
    atomic_init(&e->status, 0);
    atomic_init(&e->owners, 2);
    return e;
}

static void let_go(event *e) {
    if (atomic_fetch_sub(&e->owners, 1) == 1) free(e);
}

static void on_event(uint32_t status, wgpu_string_view message, void *user1, void *user2) {
    (void)message, (void)user2;
    event *e = user1;
    atomic_store(&e->status, status);
    let_go(e);
}

/* A lost device answers no questions: that it is lost only shows when something is made. */
static hearth_status look(hth_gpu *gpu) {
    hth_gpu_begin(gpu);
    wgpu_command_encoder encoder = gpu->api.DeviceCreateCommandEncoder(gpu->device, NULL);
    if (encoder != NULL) gpu->api.CommandEncoderRelease(encoder);
    return hth_gpu_check(gpu, "the GPU");
}

/* Asks until the event has come; it may be another session's thread that hears of it. */
static hearth_status await(hth_gpu *gpu, const event *e) {
    const uint64_t started = hth_now_ns();
    uint64_t looked = started;
    for (;;) {
        gpu->api.InstanceProcessEvents(gpu->instance);
        if (atomic_load(&e->status) != 0) break;
        const uint64_t now = hth_now_ns(), waited = now - started;
        if (now - looked > LOOK_NS) {
            const hearth_status status = look(gpu);
            if (status != HEARTH_OK) return status;
            looked = now;
        }
        if (waited < SPIN_NS) {
            hth_yield();
            continue;
        }
        const uint64_t share = waited / SHARE;
        hth_sleep(share < SHORTEST_SLEEP_NS ? SHORTEST_SLEEP_NS : share < LONGEST_SLEEP_NS ? share : LONGEST_SLEEP_NS);
    }
    const hearth_status status = hth_gpu_state(gpu);
    if (status != HEARTH_OK || atomic_load(&e->status) == WGPU_SUCCESS) return status;
    return hth_fail(HEARTH_DEVICE, "the GPU %s gave up what it was doing", gpu->adapter.name);
}

hearth_status hth_gpu_wait(hth_gpu *gpu) {
    hearth_status status;
    event *e = new_event(&status);
    if (e == NULL) return status;
    hth_gpu_begin(gpu);
    (void)gpu->api.QueueOnSubmittedWorkDone(
        gpu->queue,
        (wgpu_work_done_callback_info){.mode = WGPU_ALLOW_SPONTANEOUS, .callback = on_event, .userdata1 = e});
    status = hth_gpu_check(gpu, "waiting");
    if (status == HEARTH_OK) status = await(gpu, e);
    let_go(e);
    return status;
}

void *hth_gpu_map(hth_gpu *gpu, wgpu_buffer buffer, uint64_t mode, size_t size, hearth_status *status) {
    event *e = new_event(status);
    if (e == NULL) return NULL;
    hth_gpu_begin(gpu);
    (void)gpu->api.BufferMapAsync(
        buffer, mode, 0, size,
        (wgpu_buffer_map_callback_info){.mode = WGPU_ALLOW_SPONTANEOUS, .callback = on_event, .userdata1 = e});
    *status = hth_gpu_check(gpu, "mapping a buffer");
    if (*status == HEARTH_OK) *status = await(gpu, e);
    let_go(e);
    if (*status != HEARTH_OK) return NULL;
    return mode == WGPU_FOR_READING ? (void *)(uintptr_t)gpu->api.BufferGetConstMappedRange(buffer, 0, size)
                                    : gpu->api.BufferGetMappedRange(buffer, 0, size);
}

void hth_gpu_close(hth_gpu *gpu) {
    if (gpu->device != NULL) {
        /* Waits for a device before it releases it, which a lost one does not survive: that one is left as it is. */
        gpu->api.InstanceProcessEvents(gpu->instance);
        const bool lost = look(gpu) != HEARTH_OK;
        if (gpu->queue != NULL && !lost) gpu->api.QueueRelease(gpu->queue);
        if (!lost) gpu->api.DeviceRelease(gpu->device);
    }
    if (gpu->instance != NULL) gpu->api.InstanceRelease(gpu->instance);
    hth_mutex_free(gpu->mutex);
}
