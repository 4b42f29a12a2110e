/* The kernel table of a bundle's library: hearth.compiler.link writes its definition for each model. */
#ifndef HEARTH_KERNELS_H
#define HEARTH_KERNELS_H

#include <stdint.h>

/* Computes units [begin, end) of a step. Never allocates, locks or fails; answers 0. */
typedef int32_t (*hearth_kernel_fn)(int64_t begin, int64_t end, void *const *buffers, const int64_t *scalars,
                                    void *scratch);

typedef struct {
    const char *name;
    uint32_t num_buffers, num_scalars;
    hearth_kernel_fn fn;
} hearth_kernel;

extern const hearth_kernel hearth_kernels[];
extern const uint32_t hearth_num_kernels;

#endif
