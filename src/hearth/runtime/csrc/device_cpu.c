/* The processor as a device: every pointer of every step is made once, so that a call only sets units and the pointers of
 * inputs that are lent, and a team of threads runs the steps. */
#include "device_cpu.h"

#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "kernel_set.h"
#include "path.h"
#include "session.h"
#include "sha256.h"
#include "team.h"

/* Smaller weights (norms, biases) stay in the caches anyway. */
enum { WORTH_FETCHING = 64 * 1024 };

typedef struct {
    hth_team *team;
    hth_memory arena, states;
    char **state_regions;  /* [num_states] */
    hth_team_step *steps;  /* [num_steps] */
    hth_team_work *works;  /* [num_functions]: their steps */
    void **pointers;       /* buffers of all steps, one after the other */
    const hth_team_work *expected; /* whose weights threads fetch while they wait for a call */
} cpu_session;

/* ---- models ---- */

/* A plan is a part of the program: kernels believe its sizes and its choice of buffers, which no check can see through. */
static hearth_status check_origin(const void *plan, uint64_t size) {
    uint8_t digest[HTH_SHA256_BYTES];
    if (hearth_plan_sha256 == NULL) return HEARTH_OK;
    hth_sha256(plan, size, digest);
    if (memcmp(digest, hearth_plan_sha256, sizeof digest) == 0) return HEARTH_OK;
    return hth_fail(HEARTH_MISMATCH, "plan.bin is not the plan that this library was compiled with");
}

static hearth_status check_arenas(const hth_plan *plan) {
    for (uint32_t i = 0; i < plan->header->num_buffers; ++i) {
        const hth_buffer *buffer = &plan->buffers[i];
        if (buffer->kind == HTH_ARENA && buffer->index != 0) {
            return hth_fail(HEARTH_CORRUPT, "plan.bin: buffer %u: plans for processors have no arena %u", i,
                            buffer->index);
        }
    }
    return HEARTH_OK;
}

static hearth_status open_weights(hearth_model *model, const char *dir, const hearth_open_options *options) {
    hth_weights *weights = &((hth_cpu_model *)model->on_device)->weights;
    const uint64_t size = model->plan.header->weights_bytes;
    if (dir == NULL) return hth_weights_lend(weights, model->lent_weights, model->lent_bytes, size);
    char *path = hth_path_join(dir, "weights.bin");
    if (path == NULL) return hth_fail(HEARTH_MEMORY, "no memory for a path");
    const hearth_status status =
        hth_weights_open(weights, path, &model->plan, model->layers.weights, &model->budget, options);
    free(path);
    return status;
}

static hearth_status cpu_open(hearth_model *model, const char *dir, const hearth_open_options *options) {
    hth_cpu_model *cpu = calloc(1, sizeof *cpu);
    model->on_device = cpu;
    if (cpu == NULL) return hth_fail(HEARTH_MEMORY, "no memory for a model");
    hearth_status status = check_origin(model->plan_bytes, model->plan.header->file_size);
    if (status == HEARTH_OK) status = check_arenas(&model->plan);
    if (status == HEARTH_OK) status = hth_kernel_set_choose(&cpu->set, options->isa);
    if (status == HEARTH_OK) status = hth_kernel_set_resolve(cpu->set, &model->plan, &cpu->kernels);
    return status == HEARTH_OK ? open_weights(model, dir, options) : status;
}

static void cpu_close(hearth_model *model) {
    hth_cpu_model *cpu = model->on_device;
    if (cpu == NULL) return;
    hth_weights_close(&cpu->weights);
    free((void *)cpu->kernels);
    free(cpu);
}

static void cpu_describe(const hearth_model *model, hth_json *json) {
    const hth_cpu_model *cpu = model->on_device;
    hth_json_append(json, "\"isa\": ");
    hth_json_append_string(json, cpu->set->isa);
    hth_json_append(json, ", \"isas\": [");
    for (uint32_t i = 0; i < hearth_num_kernel_sets; ++i) {
        if (i > 0) hth_json_append(json, ", ");
        hth_json_append_string(json, hearth_kernel_sets[i].isa);
    }
    hth_json_append(json, "], \"device\": {\"kind\": \"cpu\"}");
}

uint64_t hearth_weights_huge_bytes(const hearth_model *model) {
    const hth_cpu_model *cpu = model != NULL ? hth_cpu_model_of(model) : NULL;
    return cpu != NULL ? hth_weights_huge_bytes(&cpu->weights) : 0;
}

/* ---- the memory of sessions ---- */

/* A region that is large enough for huge pages begins on one. */
static uint64_t region_start(uint64_t offset, uint64_t size) {
    const uint64_t huge = 2u << 20;
    return size >= huge ? (offset + huge - 1) & ~(huge - 1) : offset;
}

/* Where states begin, and what they take together. `regions` may be NULL. */
static hearth_status place_states(const hearth_session *session, char *base, char **regions, uint64_t *total) {
    const hth_plan *plan = &session->model->plan;
    uint64_t offset = 0;
    for (uint32_t i = 0; i < plan->header->num_states; ++i) {
        const hth_state *state = &plan->states[i];
        if (session->model->layers.states[i] == 0) continue;
        /* Both factors are below 2^32, so the product is exact. */
        const uint64_t size = state->unit_bytes * (uint64_t)session->symbols[state->symbol];
        offset = region_start(offset, size);
        if (regions != NULL) regions[i] = base + offset;
        if (size > INT64_MAX / 2 - offset) return hth_fail(HEARTH_MEMORY, "the states leave 64 bits");
        offset = hth_align64(offset + size);
    }
    *total = offset;
    return HEARTH_OK;
}

static hearth_status cpu_measure(const hearth_session *session, uint64_t *bytes) {
    const hth_plan_header *h = session->model->plan.header;
    const hearth_status status = place_states(session, NULL, NULL, bytes);
    if (status != HEARTH_OK) return status;
    if (!hth_add_product(bytes, h->arena_bytes, 1) || !hth_add_product(bytes, h->scratch_bytes, session->threads)) {
        return hth_fail(HEARTH_MEMORY, "the session's memory leaves 64 bits");
    }
    return HEARTH_OK;
}

static hearth_status take_memory(const hearth_session *session, cpu_session *cpu) {
    const hth_plan_header *h = session->model->plan.header;
    uint64_t states = 0;
    hearth_status status = place_states(session, NULL, NULL, &states);
    if (status != HEARTH_OK) return status;
    cpu->state_regions = calloc((size_t)h->num_states + 1, sizeof *cpu->state_regions);
    if (cpu->state_regions == NULL || !hth_memory_allocate(&cpu->arena, h->arena_bytes) ||
        !hth_memory_allocate(&cpu->states, states)) {
        return hth_fail(HEARTH_MEMORY, "%llu bytes for a session cannot be had",
                        (unsigned long long)session->reserved_bytes);
    }
    return place_states(session, cpu->states.data, cpu->state_regions, &states);
}

/* Where a buffer of the plan lies in this session. */
static void *locate(const hearth_session *session, const hth_buffer *buffer) {
    const hth_cpu_model *model = session->model->on_device;
    const cpu_session *cpu = session->on_device;
    switch (buffer->kind) {
    case HTH_ARENA:
        return cpu->arena.data + buffer->offset;
    case HTH_WEIGHT:
        /* Kernels read weights through the pointer type that all buffers share; they never write to them. */
        return (void *)((uintptr_t)model->weights.data + session->model->plan.weights[buffer->index].offset +
                        buffer->offset);
    case HTH_STATE:
        return cpu->state_regions[buffer->index];
    default:
        return session->inputs[buffer->index];
    }
}

static void *cpu_output(const hearth_session *session, uint32_t output) {
    const hth_plan *plan = &session->model->plan;
    return locate(session, &plan->buffers[plan->outputs[output].buffer]);
}

/* ---- steps ---- */

static void prepare_step(const hearth_session *session, uint32_t i, void **pointers, const int64_t *arguments) {
    const hth_cpu_model *model = session->model->on_device;
    const cpu_session *cpu = session->on_device;
    const hth_plan *plan = &session->model->plan;
    const hth_step *step = &plan->steps[i];
    const hth_plan_kernel *kernel = &plan->kernels[step->kernel];
    cpu->steps[i] = (hth_team_step){
        .run = model->kernels[step->kernel]->fn, .buffers = pointers, .scalars = arguments, .grain = step->grain};
    /* Units that are rows of the weight, not tokens: an embedding's table is read here and there. */
    const bool spread = plan->symbol_sets[step->units] == 0 && session->model->layers.steps[i] != 0;
    for (uint32_t a = 0; a < kernel->num_buffers; ++a) {
        const hth_buffer *buffer = &plan->buffers[plan->args[step->first_arg + a]];
        pointers[a] = locate(session, buffer);
        if (buffer->kind == HTH_WEIGHT && buffer->size >= WORTH_FETCHING && spread) {
            cpu->steps[i].weights = pointers[a];
            cpu->steps[i].weights_bytes = buffer->size;
        }
    }
}

static hearth_status prepare_steps(const hearth_session *session, cpu_session *cpu) {
    const hth_plan *plan = &session->model->plan;
    const hth_plan_header *h = plan->header;
    uint64_t num_pointers = 0;
    for (uint32_t i = 0; i < h->num_steps; ++i) num_pointers += plan->kernels[plan->steps[i].kernel].num_buffers;
    cpu->steps = calloc((size_t)h->num_steps + 1, sizeof *cpu->steps);
    cpu->works = calloc(h->num_functions, sizeof *cpu->works);
    cpu->pointers = num_pointers < SIZE_MAX / 8 ? calloc((size_t)num_pointers + 1, sizeof(void *)) : NULL;
    if (cpu->steps == NULL || cpu->works == NULL || cpu->pointers == NULL) {
        return hth_fail(HEARTH_MEMORY, "no memory for the steps");
    }
    void **pointers = cpu->pointers;
    const int64_t *arguments = session->arguments;
    for (uint32_t i = 0; i < h->num_steps; ++i) {
        prepare_step(session, i, pointers, arguments);
        pointers += plan->kernels[plan->steps[i].kernel].num_buffers;
        arguments += plan->kernels[plan->steps[i].kernel].num_scalars;
    }
    for (uint32_t f = 0; f < h->num_functions; ++f) {
        const hth_function *function = &plan->functions[f];
        cpu->works[f] = (hth_team_work){.steps = cpu->steps + function->first_step, .count = function->num_steps};
    }
    return HEARTH_OK;
}

static hearth_status cpu_begin(hearth_session *session) {
    cpu_session *cpu = calloc(1, sizeof *cpu);
    session->on_device = cpu;
    if (cpu == NULL) return hth_fail(HEARTH_MEMORY, "no memory for a session");
    hearth_status status = take_memory(session, cpu);
    if (status == HEARTH_OK) status = prepare_steps(session, cpu);
    if (status != HEARTH_OK) return status;
    cpu->team = hth_team_create(session->threads, session->model->plan.header->scratch_bytes);
    if (cpu->team == NULL) {
        return hth_fail(HEARTH_MEMORY, "a team of %u threads cannot be had", session->threads);
    }
    return HEARTH_OK;
}

static void cpu_end(hearth_session *session) {
    cpu_session *cpu = session->on_device;
    if (cpu == NULL) return;
    hth_team_free(cpu->team);
    hth_memory_free(&cpu->arena);
    hth_memory_free(&cpu->states);
    free(cpu->state_regions);
    free(cpu->steps);
    free(cpu->works);
    free(cpu->pointers);
    free(cpu);
}

static uint32_t cpu_workers(const hearth_session *session) { return session->threads; }

static void cpu_lend(hearth_session *session, const hth_function *function, uint32_t input, void *data) {
    const hth_plan *plan = &session->model->plan;
    const cpu_session *cpu = session->on_device;
    session->inputs[input] = data;
    if (function->num_steps == 0) return;
    void **pointer = cpu->pointers + (cpu->steps[function->first_step].buffers - cpu->pointers);
    for (uint32_t i = function->first_step; i < function->first_step + function->num_steps; ++i) {
        const hth_step *step = &plan->steps[i];
        for (uint32_t a = 0; a < plan->kernels[step->kernel].num_buffers; ++a, ++pointer) {
            const hth_buffer *buffer = &plan->buffers[plan->args[step->first_arg + a]];
            if (buffer->kind == HTH_INPUT && buffer->index == input) *pointer = data;
        }
    }
}

static void *cpu_layer_output(const hearth_session *session) {
    return locate(session, &session->model->plan.buffers[session->model->layers.to->buffer]);
}

/* The steps before a cut, then what another part of the model has computed into its buffer, then those behind it. */
static int32_t run_across(const hearth_session *session, const hth_call *call, const hth_team_work *work) {
    const cpu_session *cpu = session->on_device;
    const size_t before = call->from->step - call->function->first_step;
    const hth_team_work parts[] = {{.steps = work->steps, .count = before},
                                   {.steps = work->steps + before, .count = work->count - before}};
    const int32_t answer = hth_team_run(cpu->team, &parts[0], session->profile);
    if (answer != 0) return answer;
    memcpy(locate(session, &session->model->plan.buffers[call->from->buffer]), call->input,
           (size_t)hth_cut_bytes(call->from, session->scalars));
    return hth_team_run(cpu->team, &parts[1], session->profile);
}

/* Outputs lie where they were computed. */
static hearth_status cpu_run(hearth_session *session, const hth_call *call) {
    cpu_session *cpu = session->on_device;
    const hth_team_work *work = &cpu->works[call->function - session->model->plan.functions];
    const int64_t *units = session->units + call->function->first_step;
    for (size_t i = 0; i < work->count; ++i) work->steps[i].units = units[i];
    /* The function that ran last is the likeliest to run next. */
    if (cpu->expected != work) {
        hth_team_expect(cpu->team, work);
        cpu->expected = work;
    }
    const int32_t answer = call->from != NULL ? run_across(session, call, work)
                                              : hth_team_run(cpu->team, work, session->profile);
    return answer == 0 ? HEARTH_OK : hth_fail(HEARTH_INTERNAL, "a kernel answered %d", answer);
}

static hearth_status cpu_clear_states(hearth_session *session) {
    cpu_session *cpu = session->on_device;
    memset(cpu->states.data, 0, (size_t)cpu->states.size);
    return HEARTH_OK;
}

static hearth_status cpu_write_state(hearth_session *session, uint32_t state, uint64_t offset, uint64_t bytes,
                                     const void *data) {
    const cpu_session *cpu = session->on_device;
    memcpy(cpu->state_regions[state] + offset, data, (size_t)bytes);
    return HEARTH_OK;
}

static void cpu_reset_profile(hearth_session *session) {
    cpu_session *cpu = session->on_device;
    for (uint32_t i = 0; i < session->model->plan.header->num_steps; ++i) {
        cpu->steps[i].calls = 0;
        cpu->steps[i].time_ns = 0;
    }
}

static void cpu_read_profile(const hearth_session *session, uint32_t step, uint64_t *calls, uint64_t *time_ns) {
    const cpu_session *cpu = session->on_device;
    *calls = cpu->steps[step].calls;
    *time_ns = cpu->steps[step].time_ns;
}

const hth_device hth_cpu_device = {
    .plan_path = "plan.bin",
    .input_align = 64,
    .open = cpu_open,
    .close = cpu_close,
    .describe = cpu_describe,
    .measure = cpu_measure,
    .begin = cpu_begin,
    .end = cpu_end,
    .workers = cpu_workers,
    .run = cpu_run,
    .output = cpu_output,
    .layer_output = cpu_layer_output,
    .lend = cpu_lend,
    .clear_states = cpu_clear_states,
    .write_state = cpu_write_state,
    .reset_profile = cpu_reset_profile,
    .read_profile = cpu_read_profile,
};
