/* What the processor keeps of a model, for what measures the processor itself. */
#ifndef HEARTH_DEVICE_CPU_H
#define HEARTH_DEVICE_CPU_H

#include "kernels.h"
#include "model.h"
#include "weights.h"

typedef struct {
    const hearth_kernel_set *set;  /* the instruction set in use */
    const hearth_kernel **kernels; /* [num_kernels], of that set */
    hth_weights weights;
} hth_cpu_model;

/* NULL: the model is on another device. */
static inline const hth_cpu_model *hth_cpu_model_of(const hearth_model *model) {
    return model->device == &hth_cpu_device ? model->on_device : NULL;
}

#endif
