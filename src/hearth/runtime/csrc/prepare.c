/* What a session prepares of its functions, and the one way they run: every pointer of every step is made once, so a call
 * only evaluates scalars and sets the pointers of inputs that are lent. */
#include <stdlib.h>

#include "error.h"
#include "session.h"

/* Smaller weights (norms, biases) stay in the caches anyway. */
enum { WORTH_FETCHING = 64 * 1024 };

void *hth_session_buffer(const hearth_session *session, const hth_buffer *buffer) {
    const hearth_model *model = session->model;
    switch (buffer->kind) {
    case HTH_ARENA:
        return session->arena.data + buffer->offset;
    case HTH_WEIGHT:
        /* Kernels read weights through the pointer type that all buffers share; they never write to them. */
        return (void *)((uintptr_t)model->weights.data + model->plan.weights[buffer->index].offset + buffer->offset);
    case HTH_STATE:
        return session->state_regions[buffer->index];
    default:
        return session->inputs[buffer->index];
    }
}

static void prepare_step(hearth_session *session, uint32_t i, void **pointers, int64_t *arguments) {
    const hearth_model *model = session->model;
    const hth_plan *plan = &model->plan;
    const hth_step *step = &plan->steps[i];
    const hth_plan_kernel *kernel = &plan->kernels[step->kernel];
    session->steps[i] = (hth_team_step){
        .run = model->kernels[step->kernel]->fn, .buffers = pointers, .scalars = arguments, .grain = step->grain};
    /* Units that are rows of the weight, not tokens: an embedding's table is read here and there. */
    const bool spread = plan->symbol_sets[step->units] == 0;
    for (uint32_t a = 0; a < kernel->num_buffers; ++a) {
        const hth_buffer *buffer = &plan->buffers[plan->args[step->first_arg + a]];
        pointers[a] = hth_session_buffer(session, buffer);
        if (buffer->kind == HTH_WEIGHT && buffer->size >= WORTH_FETCHING && spread) {
            session->steps[i].weights = pointers[a];
            session->steps[i].weights_bytes = buffer->size;
        }
    }
}

static hearth_status prepare_steps(hearth_session *session) {
    const hth_plan *plan = &session->model->plan;
    const hth_plan_header *h = plan->header;
    uint64_t num_pointers = 0, num_arguments = 0;
    for (uint32_t i = 0; i < h->num_steps; ++i) {
        num_pointers += plan->kernels[plan->steps[i].kernel].num_buffers;
        num_arguments += plan->kernels[plan->steps[i].kernel].num_scalars;
    }
    session->steps = calloc((size_t)h->num_steps + 1, sizeof *session->steps);
    session->pointers = num_pointers < SIZE_MAX / 8 ? calloc((size_t)num_pointers + 1, sizeof(void *)) : NULL;
    session->arguments = num_arguments < SIZE_MAX / 8 ? calloc((size_t)num_arguments + 1, sizeof(int64_t)) : NULL;
    if (session->steps == NULL || session->pointers == NULL || session->arguments == NULL) {
        return hth_fail(HEARTH_MEMORY, "no memory for the steps");
    }
    void **pointers = session->pointers;
    int64_t *arguments = session->arguments;
    for (uint32_t i = 0; i < h->num_steps; ++i) {
        prepare_step(session, i, pointers, arguments);
        pointers += plan->kernels[plan->steps[i].kernel].num_buffers;
        arguments += plan->kernels[plan->steps[i].kernel].num_scalars;
    }
    return HEARTH_OK;
}

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

static hearth_status prepare_functions(hearth_session *session) {
    const hth_plan *plan = &session->model->plan;
    const hth_plan_header *h = plan->header;
    /* At most 256 functions times 2^32 ids of 4 bytes. */
    const uint64_t most = (uint64_t)h->num_functions * h->num_scalars;
    uint8_t *needed = calloc((size_t)h->num_scalars + 1, 1);
    session->scalars = calloc((size_t)h->num_scalars + 1, sizeof *session->scalars);
    session->functions = calloc(h->num_functions, sizeof *session->functions);
    session->function_scalars = most < SIZE_MAX / 8 ? calloc((size_t)most + 1, sizeof(uint32_t)) : NULL;
    if (needed == NULL || session->scalars == NULL || session->functions == NULL || session->function_scalars == NULL) {
        free(needed);
        return hth_fail(HEARTH_MEMORY, "no memory for the functions");
    }
    uint32_t *ids = session->function_scalars;
    int64_t *arguments = session->arguments;
    void **pointers = session->pointers;
    for (uint32_t f = 0; f < h->num_functions; ++f) {
        const hth_function *function = &plan->functions[f];
        const uint32_t count = needed_scalars(plan, function, needed, ids);
        session->functions[f] = (hth_session_function){
            .work = {.steps = session->steps + function->first_step, .count = function->num_steps},
            .arguments = arguments,
            .pointers = pointers,
            .scalars = ids,
            .num_scalars = count,
        };
        for (uint32_t i = 0; i < function->num_steps; ++i) {
            const hth_plan_kernel *kernel = &plan->kernels[plan->steps[function->first_step + i].kernel];
            arguments += kernel->num_scalars;
            pointers += kernel->num_buffers;
        }
        ids += count;
    }
    free(needed);
    return HEARTH_OK;
}

hearth_status hth_session_prepare(hearth_session *session) {
    const hearth_status status = prepare_steps(session);
    return status == HEARTH_OK ? prepare_functions(session) : status;
}

void hth_session_lend(hearth_session *session, const hth_session_function *function, uint32_t input, void *data) {
    const hth_plan *plan = &session->model->plan;
    const hth_step *steps = plan->steps + (function->work.steps - session->steps);
    session->inputs[input] = data;
    void **pointer = function->pointers;
    for (size_t i = 0; i < function->work.count; ++i) {
        const uint32_t count = plan->kernels[steps[i].kernel].num_buffers;
        for (uint32_t a = 0; a < count; ++a, ++pointer) {
            const hth_buffer *buffer = &plan->buffers[plan->args[steps[i].first_arg + a]];
            if (buffer->kind == HTH_INPUT && buffer->index == input) *pointer = data;
        }
    }
}

hearth_status hth_session_evaluate(hearth_session *session, const hth_session_function *function) {
    const hth_plan *plan = &session->model->plan;
    const hth_step *steps = plan->steps + (function->work.steps - session->steps);
    for (uint32_t i = 0; i < function->num_scalars; ++i) {
        const uint32_t id = function->scalars[i];
        session->scalars[id] = hth_scalar_value(&plan->scalars[id], session->symbols, session->scalars);
    }
    int64_t *argument = function->arguments;
    for (size_t i = 0; i < function->work.count; ++i) {
        const hth_plan_kernel *kernel = &plan->kernels[steps[i].kernel];
        const uint32_t *args = plan->args + steps[i].first_arg + kernel->num_buffers;
        for (uint32_t a = 0; a < kernel->num_scalars; ++a) *argument++ = session->scalars[args[a]];
        const int64_t units = session->scalars[steps[i].units];
        if (units < 0 || units > INT32_MAX) {
            return hth_fail(HEARTH_CORRUPT, "plan.bin: step %zu would have %lld units",
                            (size_t)(&steps[i] - plan->steps), (long long)units);
        }
        function->work.steps[i].units = units;
    }
    return HEARTH_OK;
}

hearth_status hth_session_run(hearth_session *session, const hth_session_function *function) {
    /* The function that ran last is the likeliest to run next. */
    if (session->expected != function) {
        hth_team_expect(session->team, &function->work);
        session->expected = function;
    }
    const int32_t answer = hth_team_run(session->team, &function->work, session->profile);
    return answer == 0 ? HEARTH_OK : hth_fail(HEARTH_INTERNAL, "a kernel answered %d", answer);
}
