/* An open bundle: its checked plan, its kernels, its weights in memory. */
#ifndef HEARTH_MODEL_H
#define HEARTH_MODEL_H

#include <stdatomic.h>
#include <stdbool.h>

#include "kernels.h"
#include "memory.h"
#include "plan.h"

struct hearth_model {
    hth_plan plan;
    void *plan_bytes;              /* what the plan's tables point into */
    const hearth_kernel_set *set;  /* the instruction set in use */
    const hearth_kernel **kernels; /* [num_kernels], of that set */
    hth_memory weights;            /* empty when the weights are mapped */
    const char *weights_data;
    bool weights_mapped;
    uint64_t memory_limit_bytes;   /* 0: none */
    _Atomic uint64_t used_bytes;   /* weights and sessions, what memory_limit_bytes is compared to */
    _Atomic uint32_t references;   /* the opener and each session */
    char *description;
};

void hth_model_retain(hearth_model *model);

/* Adds to used_bytes if the limit allows it; HEARTH_MEMORY otherwise. `what` names it in the error. */
hearth_status hth_model_reserve(hearth_model *model, uint64_t bytes, const char *what);

/* Copies the caller's options over `known`, which holds the defaults. Fails if they come from a newer header. */
hearth_status hth_read_options(void *known, size_t known_size, const void *given, const char *what);

/* Reads weights.bin of the bundle in several threads, or maps it (weights.c). */
hearth_status hth_weights_open(hearth_model *model, const char *path, const hearth_open_options *options);
void hth_weights_close(hearth_model *model);

#endif
