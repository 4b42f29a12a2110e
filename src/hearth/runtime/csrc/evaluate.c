/* What a call of a function evaluates: prepared once for each session, then one way for all devices. */
#include <stdlib.h>

#include "error.h"
#include "session.h"

static void mark(void *needed, uint32_t scalar) { ((uint8_t *)needed)[scalar] = 1; }

/* Writes the ids of the scalars that a function needs, with all that these are made of, to `ids` and answers how many. */
static uint32_t needed_scalars(const hth_plan *plan, const hth_function *function, uint8_t *needed, uint32_t *ids) {
    uint32_t count = 0;
    hth_function_scalars(plan, function, mark, needed);
    for (uint32_t i = plan->header->num_scalars; i > 0; --i) { /* operands are earlier */
        const hth_scalar *scalar = &plan->scalars[i - 1];
        if (needed[i - 1] != 0 && scalar->op > HTH_SYMBOL) needed[scalar->a] = needed[scalar->b] = 1;
    }
    for (uint32_t i = 0; i < plan->header->num_scalars; ++i) {
        if (needed[i] != 0) ids[count++] = i;
        needed[i] = 0;
    }
    return count;
}

static void prepare_functions(hearth_session *session, uint8_t *needed) {
    const hth_plan *plan = &session->model->plan;
    uint32_t *ids = session->function_scalars;
    int64_t *arguments = session->arguments;
    for (uint32_t f = 0; f < plan->header->num_functions; ++f) {
        const hth_function *function = &plan->functions[f];
        const uint32_t count = needed_scalars(plan, function, needed, ids);
        session->functions[f] =
            (hth_session_function){.arguments = arguments, .scalars = ids, .num_scalars = count};
        for (uint32_t i = 0; i < function->num_steps; ++i) {
            arguments += plan->kernels[plan->steps[function->first_step + i].kernel].num_scalars;
        }
        ids += count;
    }
}

hearth_status hth_session_prepare(hearth_session *session) {
    const hth_plan *plan = &session->model->plan;
    const hth_plan_header *h = plan->header;
    /* At most 256 functions times 2^32 ids of 4 bytes. */
    const uint64_t most = (uint64_t)h->num_functions * h->num_scalars;
    uint64_t num_arguments = 0;
    for (uint32_t i = 0; i < h->num_steps; ++i) num_arguments += plan->kernels[plan->steps[i].kernel].num_scalars;
    uint8_t *needed = calloc((size_t)h->num_scalars + 1, 1);
    session->scalars = calloc((size_t)h->num_scalars + 1, sizeof *session->scalars);
    session->functions = calloc(h->num_functions, sizeof *session->functions);
    session->units = calloc((size_t)h->num_steps + 1, sizeof *session->units);
    session->arguments = num_arguments < SIZE_MAX / 8 ? calloc((size_t)num_arguments + 1, sizeof(int64_t)) : NULL;
    session->function_scalars = most < SIZE_MAX / 8 ? calloc((size_t)most + 1, sizeof(uint32_t)) : NULL;
    hearth_status status = HEARTH_OK;
    if (needed == NULL || session->scalars == NULL || session->functions == NULL || session->units == NULL ||
        session->arguments == NULL || session->function_scalars == NULL) {
        status = hth_fail(HEARTH_MEMORY, "no memory for the functions");
    } else {
        prepare_functions(session, needed);
    }
    free(needed);
    return status;
}

hearth_status hth_session_evaluate(hearth_session *session, const hth_function *function) {
    const hth_plan *plan = &session->model->plan;
    const hth_session_function *prepared = &session->functions[function - plan->functions];
    for (uint32_t i = 0; i < prepared->num_scalars; ++i) {
        const uint32_t id = prepared->scalars[i];
        session->scalars[id] = hth_scalar_value(&plan->scalars[id], session->symbols, session->scalars);
    }
    int64_t *argument = prepared->arguments;
    for (uint32_t i = function->first_step; i < function->first_step + function->num_steps; ++i) {
        const hth_step *step = &plan->steps[i];
        const hth_plan_kernel *kernel = &plan->kernels[step->kernel];
        const uint32_t *args = plan->args + step->first_arg + kernel->num_buffers;
        for (uint32_t a = 0; a < kernel->num_scalars; ++a) *argument++ = session->scalars[args[a]];
        const int64_t units = session->scalars[step->units];
        if (units < 0 || units > INT32_MAX) {
            return hth_fail(HEARTH_CORRUPT, "plan.bin: step %u would have %lld units", i, (long long)units);
        }
        session->units[i] = session->model->layers.steps[i] != 0 ? units : 0;
    }
    return HEARTH_OK;
}
