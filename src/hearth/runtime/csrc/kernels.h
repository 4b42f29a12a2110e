/* The kernel tables of a bundle's library: hearth.compiler.link writes their definition for each model. */
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

/* The same kernels for one instruction set. */
typedef struct {
    const char *isa;
    const char *features; /* what the processor must have, as hth_cpu_has takes it */
    uint32_t num_kernels;
    const hearth_kernel *kernels;
} hearth_kernel_set;

/* Best first. */
extern const hearth_kernel_set hearth_kernel_sets[];
extern const uint32_t hearth_num_kernel_sets;

/* SHA-256 of the one plan that the kernels were compiled for; NULL for any, where plans are made by the library's maker
 * while it runs, as when kernels are measured. */
extern const uint8_t *const hearth_plan_sha256;

#endif
