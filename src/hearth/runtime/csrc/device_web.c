/* A GPU as a device where JavaScript owns it: the runtime is a WebAssembly module, and whoever loaded it has WebGPU.
 *
 * The runtime reads and checks the plan, cuts batches, evaluates what steps take, knows what changed. JavaScript makes
 * buffers, pipelines and bind groups, once, of what hth_web_plan and hth_web_session say; in a call it writes what it is
 * told to and records the steps. All of that is done when the call returns; the numbers of the outputs come later, when
 * JavaScript has them: it copies them to where the call said that they lie, and only then tells its own caller. */
#include "platform.h"

#if defined(__wasm__)

#include <stdlib.h>

#include "error.h"
#include "gpu_call.h"

/* A GPU has thousands of lanes, and attention over a long context should keep them busy; how a batch is cut changes no bit. */
enum { WORKERS = 64 };

/* ---- what JavaScript is told ---- */

/* The tables of a plan (docs/architecture.md) of which buffers, pipelines and bind groups are made. */
typedef struct {
    const char *strings;
    const uint32_t *args;
    const uint64_t *arena_bytes; /* [HTH_MAX_ARENAS] */
    const hth_buffer *buffers;
    const hth_weight *weights;
    const hth_state *states;
    const hth_plan_kernel *kernels;
    const hth_step *steps;
    uint32_t num_buffers, num_weights, num_states, num_kernels, num_steps, num_inputs;
} plan_tables;

/* The memory of a session beside arenas, whose sizes the plan has. */
typedef struct {
    uint64_t changing_bytes;
    const uint64_t *input_bytes; /* [num_inputs], each at its largest */
    uint64_t *input_offsets;     /* [num_inputs], in `changing` */
    uint64_t *state_bytes;       /* [num_states] */
} session_memory;

/* An output that is to be copied to the module's memory. */
typedef struct {
    uint64_t offset; /* in its arena */
    uint32_t arena, size;
    void *to;
} copy;

_Static_assert(sizeof(plan_tables) == 56 && sizeof(session_memory) == 24 && sizeof(copy) == 24,
               "web/runtime/src/gpu/tables.ts reads them");

#define HOST(name) __attribute__((import_module("hearth"), import_name(name)))

/* Has `size` bytes written to `offset` of a session's buffer `changing`. */
HOST("gpu_write") void hth_host_gpu_write(hearth_session *session, double offset, const char *bytes, uint32_t size);

/* Has steps run, those that have units (of which there are 0 to INT32_MAX), and outputs copied. 0: it is submitted. */
HOST("gpu_run")
int32_t hth_host_gpu_run(hearth_session *session, uint32_t first_step, uint32_t num_steps, const int64_t *units,
                         const copy *copies, uint32_t num_copies);

/* Has zeroes written to all states. */
HOST("gpu_clear_states") int32_t hth_host_gpu_clear_states(hearth_session *session);

/* ---- models ---- */

typedef struct {
    session_memory memory;
    hth_gpu_changing changing;
    hth_memory outputs;
    uint64_t *output_offsets;
    copy copies[HTH_MAX_TABLE];
} web_session;

static hearth_status web_open(hearth_model *model, const char *dir, const hearth_open_options *options) {
    (void)dir, (void)options;
    if (!hth_layers_are_all(&model->layers)) {
        return hth_fail(HEARTH_INVALID, "the GPU of a page runs models whole: first_layer and end_layer must be 0");
    }
    const hth_plan *plan = &model->plan;
    plan_tables *tables = malloc(sizeof *tables);
    model->on_device = tables;
    if (tables == NULL) return hth_fail(HEARTH_MEMORY, "no memory for a model");
    *tables = (plan_tables){
        .strings = plan->strings,
        .args = plan->args,
        .arena_bytes = plan->arena_bytes,
        .buffers = plan->buffers,
        .weights = plan->weights,
        .states = plan->states,
        .kernels = plan->kernels,
        .steps = plan->steps,
        .num_buffers = plan->header->num_buffers,
        .num_weights = plan->header->num_weights,
        .num_states = plan->header->num_states,
        .num_kernels = plan->header->num_kernels,
        .num_steps = plan->header->num_steps,
        .num_inputs = plan->header->num_inputs,
    };
    return hth_gpu_plan_keeps_rules(plan);
}

static void web_close(hearth_model *model) { free(model->on_device); }

static void web_describe(const hearth_model *model, hth_json *json) {
    (void)model;
    hth_json_append(json, "\"isa\": \"wgsl\", \"isas\": [\"wgsl\"], \"device\": {\"kind\": \"gpu\"}");
}

/* Of a model that was opened for the GPU. */
__attribute__((export_name("hth_web_plan"))) const plan_tables *hth_web_plan(const hearth_model *model) {
    return model->on_device;
}

/* ---- sessions ---- */

/* Of a model that was opened for the GPU. */
__attribute__((export_name("hth_web_session"))) const session_memory *hth_web_session(const hearth_session *session) {
    return &((const web_session *)session->on_device)->memory;
}

static hearth_status web_begin(hearth_session *session) {
    const hth_plan_header *h = session->model->plan.header;
    web_session *web = calloc(1, sizeof *web);
    session->on_device = web;
    if (web == NULL) return hth_fail(HEARTH_MEMORY, "no memory for a session");
    web->memory = (session_memory){
        .changing_bytes = hth_gpu_changing_bytes(session),
        .input_bytes = session->input_bytes,
        .input_offsets = calloc((size_t)h->num_inputs + 1, sizeof(uint64_t)),
        .state_bytes = calloc((size_t)h->num_states + 1, sizeof(uint64_t)),
    };
    web->output_offsets = calloc((size_t)h->num_outputs + 1, sizeof(uint64_t));
    if (web->memory.input_offsets == NULL || web->memory.state_bytes == NULL || web->output_offsets == NULL) {
        return hth_fail(HEARTH_MEMORY, "no memory for the tables of a session");
    }
    for (uint32_t i = 0; i < h->num_inputs; ++i) web->memory.input_offsets[i] = hth_gpu_input_offset(session, i);
    for (uint32_t i = 0; i < h->num_states; ++i) web->memory.state_bytes[i] = hth_gpu_state_bytes(session, i);
    const uint64_t outputs = hth_gpu_place_outputs(&session->model->plan, web->output_offsets);
    if (!hth_memory_allocate(&web->outputs, outputs)) {
        return hth_fail(HEARTH_MEMORY, "%llu bytes for outputs cannot be had", (unsigned long long)outputs);
    }
    return hth_gpu_changing_begin(session, &web->changing);
}

static void web_end(hearth_session *session) {
    web_session *web = session->on_device;
    if (web == NULL) return;
    hth_gpu_changing_end(&web->changing);
    hth_memory_free(&web->outputs);
    free(web->memory.input_offsets);
    free(web->memory.state_bytes);
    free(web->output_offsets);
    free(web);
}

static uint32_t web_workers(const hearth_session *session) {
    (void)session;
    return WORKERS;
}

static void *web_output(const hearth_session *session, uint32_t output) {
    const web_session *web = session->on_device;
    return web->outputs.data + web->output_offsets[output];
}

/* ---- calls ---- */

static void write_changing(void *user, uint64_t offset, const char *bytes, uint64_t size) {
    hth_host_gpu_write(user, (double)offset, bytes, (uint32_t)size);
}

static uint32_t list_copies(const hearth_session *session, const uint32_t *outputs, uint32_t num_outputs, copy *copies) {
    const hth_plan *plan = &session->model->plan;
    uint32_t count = 0;
    for (uint32_t i = 0; i < num_outputs; ++i) {
        const hth_plan_output *output = &plan->outputs[outputs[i]];
        const hth_buffer *buffer = &plan->buffers[output->buffer];
        const uint64_t size = hth_gpu_output_bytes(session, output);
        if (size == 0) continue;
        copies[count++] = (copy){.offset = buffer->offset,
                                 .arena = buffer->index,
                                 .size = (uint32_t)size,
                                 .to = web_output(session, outputs[i])};
    }
    return count;
}

static hearth_status web_run(hearth_session *session, const hth_call *call) {
    web_session *web = session->on_device;
    const hth_function *function = call->function;
    const hearth_status status = hth_gpu_changing_take(session, function, &web->changing, write_changing, session);
    if (status != HEARTH_OK) return status;
    const uint32_t num_copies = list_copies(session, call->outputs, call->num_outputs, web->copies);
    const int32_t refused = hth_host_gpu_run(session, function->first_step, function->num_steps,
                                             session->units + function->first_step, web->copies, num_copies);
    return refused == 0 ? HEARTH_OK : hth_fail(HEARTH_DEVICE, "the GPU did not take the steps");
}

static hearth_status web_clear_states(hearth_session *session) {
    return hth_host_gpu_clear_states(session) == 0 ? HEARTH_OK : hth_fail(HEARTH_DEVICE, "the states cannot be cleared");
}

static void web_reset_profile(hearth_session *session) { (void)session; }

static void web_read_profile(const hearth_session *session, uint32_t step, uint64_t *calls, uint64_t *time_ns) {
    (void)session, (void)step;
    *calls = *time_ns = 0;
}

const hth_device hth_web_device = {
    .plan_path = "gpu_plan.bin",
    .input_align = HTH_GPU_OFFSET,
    .open = web_open,
    .close = web_close,
    .describe = web_describe,
    .measure = hth_gpu_measure,
    .begin = web_begin,
    .end = web_end,
    .workers = web_workers,
    .run = web_run,
    .output = web_output,
    .layer_output = NULL, /* it has all layers */
    .lend = NULL, /* plans for GPUs have no input that is lent (gpu_call.c) */
    .clear_states = web_clear_states,
    .write_state = NULL,
    .reset_profile = web_reset_profile,
    .read_profile = web_read_profile,
};

#endif
