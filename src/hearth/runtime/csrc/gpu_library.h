/* libwgpu_native, which brings WebGPU to Vulkan, Metal and Direct3D: loaded when a GPU is asked for, never unloaded. */
#ifndef HEARTH_GPU_LIBRARY_H
#define HEARTH_GPU_LIBRARY_H

#include "gpu_webgpu.h"
#include "hearth.h"

/* Loads the library at `path` (NULL: as the system's loader finds it) and its functions. HEARTH_DEVICE where it is not there
 * lacks one of them or is of another version. */
hearth_status hth_gpu_library_load(const char *path, hth_webgpu *webgpu);

#endif
