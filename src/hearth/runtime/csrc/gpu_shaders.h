/* gpu_kernels.wgsl: the shaders of a GPU plan, one or more variants of each kernel. */
#ifndef HEARTH_GPU_SHADERS_H
#define HEARTH_GPU_SHADERS_H

#include "hearth.h"

typedef struct {
    const char *name; /* the kernel's and the entry point's, not terminated */
    size_t name_size;
    const char *text;
    size_t text_size;
    uint32_t threads;  /* invocations a workgroup */
    uint32_t features; /* that the adapter must have, bits of hth_gpu_feature */
} hth_gpu_shader;

typedef struct {
    char *bytes; /* the file, which the shaders point into */
    hth_gpu_shader *shaders;
    uint32_t count;
} hth_gpu_shaders;

/* Reads and checks the file. HEARTH_CORRUPT names the line. To be freed in any case. */
hearth_status hth_gpu_shaders_read(hth_gpu_shaders *shaders, const char *path);
void hth_gpu_shaders_free(hth_gpu_shaders *shaders);

/* The first variant of a kernel that needs nothing but `features`; its core where there is none. NULL: the file has none. */
const hth_gpu_shader *hth_gpu_shader_choose(const hth_gpu_shaders *shaders, const char *name, uint32_t features);

#endif
