/* How fast this machine multiplies with the instruction set that the model's kernels use: a team runs the peak kernels,
 * which the compiler puts into every library (compiler/cpu/kernels/peak.py). */
#include <string.h>

#include "device_cpu.h"
#include "error.h"
#include "platform.h"
#include "team.h"

enum {
    UNIT_OPERATIONS = 3 << 23, /* some 100 us of one thread: a claim costs nothing beside it */
    UNITS_PER_THREAD = 128
};

static const hearth_kernel *find_peak(const hearth_model *model, const char *name) {
    const hth_cpu_model *cpu = hth_cpu_model_of(model);
    for (uint32_t i = 0; cpu != NULL && i < model->plan.header->num_kernels; ++i) {
        const hearth_kernel *kernel = cpu->kernels[i];
        if (strcmp(kernel->name, name) == 0 && kernel->num_buffers == 0 && kernel->num_scalars == 1) {
            return kernel;
        }
    }
    return NULL;
}

hearth_status hearth_compute_peak(const hearth_model *model, hearth_arithmetic arithmetic, uint32_t threads,
                                  uint32_t rounds, double *operations_per_second) {
    static const char *const names[] = {[HEARTH_INT8] = "peak_int8", [HEARTH_FLOAT32] = "peak_float32"};
    if (model == NULL || operations_per_second == NULL || threads < 1 || threads > 1024 ||
        (arithmetic != HEARTH_INT8 && arithmetic != HEARTH_FLOAT32)) {
        return hth_fail(HEARTH_INVALID, "hearth_compute_peak: an argument is out of range");
    }
    const hearth_kernel *kernel = find_peak(model, names[arithmetic]);
    if (kernel == NULL) return hth_fail(HEARTH_MISMATCH, "the library has no kernel %s", names[arithmetic]);
    hth_team *team = hth_team_create(threads, model->plan.header->scratch_bytes);
    if (team == NULL) return hth_fail(HEARTH_MEMORY, "%u threads to measure with cannot be had", threads);
    const int64_t units = (int64_t)threads * UNITS_PER_THREAD, operations = UNIT_OPERATIONS;
    hth_team_step step = {.run = kernel->fn, .scalars = &operations, .units = units, .grain = 1};
    for (uint32_t i = 0; i < rounds; ++i) {
        const uint64_t started = hth_now_ns();
        (void)hth_team_run(team, &(hth_team_work){&step, 1}, false);
        const uint64_t spent = hth_now_ns() - started;
        operations_per_second[i] = (double)units * UNIT_OPERATIONS * 1e9 / (double)(spent > 0 ? spent : 1);
    }
    hth_team_free(team);
    return HEARTH_OK;
}
