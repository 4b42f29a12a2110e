/* A Vulkan library in front of the system's, whose devices are lost once the file LOSE is there, or hang after LOSE_AFTER
 * submits and are lost when they are asked for the third time: what a driver answers when a GPU was reset or taken out.
 * SYSTEM_VULKAN is the system's library. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DEVICE_LOST = -4 };

typedef void (*function)(void);
typedef function (*finder)(void *object, const char *name);

static finder instance_finder, device_finder;
static int (*queue_submit)(void *queue, uint32_t count, const void *submits, uint64_t fence);
static int (*wait_semaphores)(void *device, const void *info, uint64_t timeout);
static int (*semaphore_value)(void *device, uint64_t semaphore, uint64_t *value);
static int (*wait_fences)(void *device, uint32_t count, const uint64_t *fences, uint32_t all, uint64_t timeout);
static int (*fence_status)(void *device, uint64_t fence);
static long submits;
static int gone;

static int lost(void) {
    const char *file = getenv("LOSE");
    return gone || (file != NULL && access(file, F_OK) == 0);
}

static int submit(void *queue, uint32_t count, const void *what, uint64_t fence) {
    const int answer = lost() ? DEVICE_LOST : queue_submit(queue, count, what, fence);
    ++submits;
    return answer;
}

static int wait_s(void *device, const void *info, uint64_t timeout) {
    return lost() ? DEVICE_LOST : wait_semaphores(device, info, timeout);
}

static int value_of(void *device, uint64_t semaphore, uint64_t *value) {
    static uint64_t before; /* what was done when the GPU hung */
    static int asked;
    const char *after = getenv("LOSE_AFTER");
    const int hangs = after != NULL && submits >= strtol(after, NULL, 10);
    if (hangs && ++asked > 2) gone = 1;
    if (lost()) return DEVICE_LOST;
    const int answer = semaphore_value(device, semaphore, value);
    if (hangs) {
        *value = before;
    } else {
        before = *value;
    }
    return answer;
}

static int wait_f(void *device, uint32_t count, const uint64_t *fences, uint32_t all, uint64_t timeout) {
    return lost() ? DEVICE_LOST : wait_fences(device, count, fences, all, timeout);
}

static int status_of(void *device, uint64_t fence) { return lost() ? DEVICE_LOST : fence_status(device, fence); }

static function find_in_device(void *device, const char *name);

static function in_front(function system, const char *name) {
    static const struct {
        const char *name;
        function ours;
        void *system;
    } all[] = {
        {"vkQueueSubmit", (function)submit, &queue_submit},
        {"vkWaitSemaphores", (function)wait_s, &wait_semaphores},
        {"vkWaitSemaphoresKHR", (function)wait_s, &wait_semaphores},
        {"vkGetSemaphoreCounterValue", (function)value_of, &semaphore_value},
        {"vkGetSemaphoreCounterValueKHR", (function)value_of, &semaphore_value},
        {"vkWaitForFences", (function)wait_f, &wait_fences},
        {"vkGetFenceStatus", (function)status_of, &fence_status},
        {"vkGetDeviceProcAddr", (function)find_in_device, &device_finder},
    };
    for (size_t i = 0; system != NULL && i < sizeof all / sizeof all[0]; ++i) {
        if (strcmp(all[i].name, name) != 0) continue;
        memcpy(all[i].system, &system, sizeof system);
        return all[i].ours;
    }
    return system;
}

static function find_in_device(void *device, const char *name) { return in_front(device_finder(device, name), name); }

__attribute__((visibility("default"))) function vkGetInstanceProcAddr(void *instance, const char *name) {
    if (instance_finder == NULL) {
        void *system = dlopen(getenv("SYSTEM_VULKAN"), RTLD_NOW | RTLD_LOCAL);
        void *symbol = system != NULL ? dlsym(system, "vkGetInstanceProcAddr") : NULL;
        if (symbol == NULL) return NULL;
        memcpy(&instance_finder, &symbol, sizeof symbol);
    }
    return in_front(instance_finder(instance, name), name);
}
