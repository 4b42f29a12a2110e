#include "kernel_set.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu.h"
#include "error.h"

enum { TEXT = 400 }; /* bytes of a list in an error's text */

/* Adds to the list in `text`, cut at TEXT bytes. */
static void append(char *text, const char *separator, const char *first, const char *second) {
    const size_t used = strlen(text);
    (void)snprintf(text + used, TEXT - used, "%s%s%s", used > 0 ? separator : "", first, second);
}

hearth_status hth_kernel_set_choose(const hearth_kernel_set **set, const char *isa) {
    char names[TEXT] = "", lacking[TEXT] = "", missing[TEXT];
    bool named = false;
    *set = NULL;
    for (uint32_t i = 0; i < hearth_num_kernel_sets && *set == NULL; ++i) {
        const hearth_kernel_set *each = &hearth_kernel_sets[i];
        append(names, ", ", each->isa, "");
        if (isa != NULL && strcmp(isa, each->isa) != 0) continue;
        named = true;
        if (hth_cpu_has(each->features, missing, sizeof missing)) {
            *set = each;
        } else {
            append(lacking, "; ", each->isa, " needs ");
            append(lacking, "", missing, "");
        }
    }
    if (*set != NULL) return HEARTH_OK;
    if (isa != NULL && !named) {
        return hth_fail(HEARTH_INVALID, "the library has no kernels for %.100s; it has: %s", isa, names);
    }
    return hth_fail(HEARTH_MISMATCH, "this processor cannot run the library's kernels: %s", lacking);
}

static const hearth_kernel *find_kernel(const hearth_kernel_set *set, const char *name) {
    for (uint32_t i = 0; i < set->num_kernels; ++i) {
        if (strcmp(set->kernels[i].name, name) == 0) return &set->kernels[i];
    }
    return NULL;
}

hearth_status hth_kernel_set_resolve(const hearth_kernel_set *set, const hth_plan *plan,
                                     const hearth_kernel ***kernels) {
    const uint32_t count = plan->header->num_kernels;
    const hearth_kernel **resolved = calloc((size_t)count + 1, sizeof *resolved);
    if (resolved == NULL) return hth_fail(HEARTH_MEMORY, "no memory for the kernel table");
    *kernels = resolved; /* the caller's to free, whatever is found */
    for (uint32_t i = 0; i < count; ++i) {
        const hth_plan_kernel *wanted = &plan->kernels[i];
        const char *name = plan->strings + wanted->name;
        const hearth_kernel *found = find_kernel(set, name);
        if (found == NULL) {
            return hth_fail(HEARTH_MISMATCH, "plan.bin asks for kernel %.200s, which the library does not have", name);
        }
        if (found->num_buffers != wanted->num_buffers || found->num_scalars != wanted->num_scalars) {
            return hth_fail(HEARTH_MISMATCH, "kernel %.200s takes %u buffers and %u scalars; plan.bin passes %u and %u",
                            name, found->num_buffers, found->num_scalars, wanted->num_buffers, wanted->num_scalars);
        }
        resolved[i] = found;
    }
    return HEARTH_OK;
}
