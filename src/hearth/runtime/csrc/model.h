/* An open bundle: its checked plan, its kernels, its weights in memory. */
#ifndef HEARTH_MODEL_H
#define HEARTH_MODEL_H

#include <stdatomic.h>

#include "budget.h"
#include "kernels.h"
#include "plan.h"
#include "text.h"
#include "weights.h"

struct hearth_model {
    hth_plan plan;
    hth_text text;                 /* the function that hearth_forward runs, if the plan has one */
    void *plan_bytes;              /* what the plan's tables point into */
    const hearth_kernel_set *set;  /* the instruction set in use */
    const hearth_kernel **kernels; /* [num_kernels], of that set */
    hth_weights weights;
    hth_budget budget;           /* weights and sessions */
    _Atomic uint32_t references; /* the opener and each session */
    char *description;
};

void hth_model_retain(hearth_model *model);

#endif
