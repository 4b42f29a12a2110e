#include "budget.h"

#include "error.h"

hearth_status hth_budget_take(hth_budget *budget, uint64_t bytes, const char *what) {
    const uint64_t limit = budget->limit_bytes;
    uint64_t used = atomic_load(&budget->used_bytes);
    do {
        if (limit != 0 && (used > limit || bytes > limit - used)) {
            return hth_fail(HEARTH_MEMORY, "%s would take %llu bytes beside %llu in use; memory_limit_bytes is %llu",
                            what, (unsigned long long)bytes, (unsigned long long)used, (unsigned long long)limit);
        }
    } while (!atomic_compare_exchange_weak(&budget->used_bytes, &used, used + bytes));
    return HEARTH_OK;
}

void hth_budget_give_back(hth_budget *budget, uint64_t bytes) { atomic_fetch_sub(&budget->used_bytes, bytes); }
