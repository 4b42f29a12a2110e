/* An open bundle: its checked plan, and what its device keeps of it. */
#ifndef HEARTH_MODEL_H
#define HEARTH_MODEL_H

#include <stdatomic.h>

#include "budget.h"
#include "device.h"
#include "layers.h"
#include "plan.h"
#include "text.h"

struct hearth_model {
    const hth_device *device;
    void *on_device; /* kernels and weights */
    hth_plan plan;
    hth_text text;               /* the function that hearth_forward runs, if the plan has one */
    hth_text draft;              /* the one that it runs on hidden states, likewise */
    hth_layers layers;           /* of that function, which are all or those that it was opened for */
    void *plan_bytes;            /* what the plan's tables point into */
    const void *lent_weights;    /* of hearth_open_memory: weights.bin where the caller has it */
    uint64_t lent_bytes;
    hth_budget budget;           /* weights and sessions */
    _Atomic uint32_t references; /* the opener and each session */
    char *description;
};

void hth_model_retain(hearth_model *model);

#endif
