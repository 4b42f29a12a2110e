#include "gpu_library.h"

#include <string.h>

#include "error.h"
#include "platform.h"

/* Functions and data have pointers of one size wherever a library can be loaded, but C knows no conversion. */
_Static_assert(sizeof(void *) == sizeof(void (*)(void)), "pointers to functions");

hearth_status hth_gpu_library_load(const char *path, hth_webgpu *webgpu) {
    const char *reason = NULL;
    const char *const name = path != NULL ? path : HTH_LIBRARY_FILE("wgpu_native");
    void *library = hth_library_open(name, &reason);
    if (library == NULL) {
        return hth_fail(HEARTH_DEVICE, "GPUs are driven by libwgpu_native, which cannot be loaded: %.300s", reason);
    }
#define LOAD(result, function, parameters)                                                                          \
    {                                                                                                               \
        void *symbol = hth_library_symbol(library, "wgpu" #function);                                               \
        if (symbol == NULL) return hth_fail(HEARTH_DEVICE, "%.200s has no function wgpu" #function, name);          \
        memcpy(&webgpu->function, &symbol, sizeof symbol);                                                          \
    }
    HTH_WEBGPU_FUNCTIONS(LOAD)
#undef LOAD
    /* Structures change from one to the next. */
    const uint32_t version = webgpu->GetVersion();
    if (version >> 24 != HTH_WEBGPU_VERSION) {
        return hth_fail(HEARTH_DEVICE, "%.200s is version %u of wgpu-native, must be %d", name, version >> 24,
                        HTH_WEBGPU_VERSION);
    }
    return HEARTH_OK;
}
