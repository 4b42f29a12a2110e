/* Which of the library's kernels a model runs: a set that suits the processor, and in it each kernel of the plan. */
#ifndef HEARTH_KERNEL_SET_H
#define HEARTH_KERNEL_SET_H

#include "kernels.h"
#include "plan.h"

/* The set named `isa`, or for NULL the first that this processor runs. */
hearth_status hth_kernel_set_choose(const hearth_kernel_set **set, const char *isa);

/* Finds the plan's kernels in the set: [num_kernels] in fresh memory, to be freed. */
hearth_status hth_kernel_set_resolve(const hearth_kernel_set *set, const hth_plan *plan,
                                     const hearth_kernel ***kernels);

#endif
