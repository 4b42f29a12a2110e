/* What a model and its sessions may take in memory together: memory_limit_bytes of hearth.h. */
#ifndef HEARTH_BUDGET_H
#define HEARTH_BUDGET_H

#include <stdatomic.h>

#include "hearth.h"

typedef struct {
    uint64_t limit_bytes; /* 0: none */
    _Atomic uint64_t used_bytes;
} hth_budget;

/* Takes `bytes` if the limit allows it; HEARTH_MEMORY otherwise. `what` names their use in the error. */
hearth_status hth_budget_take(hth_budget *budget, uint64_t bytes, const char *what);
void hth_budget_give_back(hth_budget *budget, uint64_t bytes);

#endif
