#include "gpu_call.h"

#include <string.h>

#include "error.h"

enum {
    MOST_SCALARS = 60,     /* of a slot, beside the units */
    GAP_BYTES = 16 << 10,  /* writing so much for nothing costs less than another write */
    BLOCK_BYTES = 1 << 10  /* inputs are compared by blocks */
};

#define CORRUPT(...) hth_fail(HEARTH_CORRUPT, "gpu_plan.bin: " __VA_ARGS__)

/* ---- plans ---- */

hearth_status hth_gpu_plan_keeps_rules(const hth_plan *plan) {
    const hth_plan_header *h = plan->header;
    if (h->scratch_bytes != 0) return CORRUPT("kernels of GPUs have no scratch");
    for (uint32_t i = 0; i < h->num_buffers; ++i) {
        const hth_buffer *b = &plan->buffers[i];
        if (b->offset % HTH_GPU_OFFSET != 0) return CORRUPT("buffer %u: offset is no multiple of %d", i, HTH_GPU_OFFSET);
        if (b->kind == HTH_ARENA && b->size == 0) return CORRUPT("buffer %u: a part of an arena of no bytes", i);
        if (b->kind == HTH_WEIGHT && b->size == 0) return CORRUPT("buffer %u: a part of a weight without bytes", i);
    }
    for (uint32_t i = 0; i < h->num_kernels; ++i) {
        const hth_plan_kernel *kernel = &plan->kernels[i];
        if (kernel->num_scalars > MOST_SCALARS) {
            return CORRUPT("kernel %.200s: %u scalars, must be at most %d", plan->strings + kernel->name,
                           kernel->num_scalars, MOST_SCALARS);
        }
    }
    for (uint32_t i = 0; i < h->num_inputs; ++i) {
        if (plan->inputs[i].checks == HTH_LENT) return CORRUPT("input %u: a GPU reads nothing where the caller has it", i);
    }
    return HEARTH_OK;
}

/* ---- sizes and places ---- */

uint64_t hth_gpu_state_bytes(const hearth_session *session, uint32_t state) {
    const hth_state *s = &session->model->plan.states[state];
    if (session->model->layers.states[state] == 0) return 0;
    /* Both factors are below 2^32, so the product is exact. */
    const uint64_t size = s->unit_bytes * (uint64_t)session->symbols[s->symbol];
    return size <= UINT64_MAX - HTH_GPU_RANGE ? hth_gpu_bound_bytes(size) : UINT64_MAX;
}

/* Before there is memory for the inputs, session->inputs has offsets. */
static uint64_t offset_among_inputs(const hearth_session *session, uint32_t input) {
    return (uint64_t)((uintptr_t)session->inputs[input] - (uintptr_t)session->input_memory.data);
}

static uint64_t uniform_bytes(const hearth_session *session) {
    return (uint64_t)session->model->plan.header->num_steps * HTH_GPU_SLOT_BYTES;
}

uint64_t hth_gpu_input_offset(const hearth_session *session, uint32_t input) {
    return uniform_bytes(session) + offset_among_inputs(session, input);
}

uint64_t hth_gpu_changing_bytes(const hearth_session *session) {
    uint64_t bytes = uniform_bytes(session);
    for (uint32_t i = 0; i < session->model->plan.header->num_inputs; ++i) {
        const uint64_t end = hth_gpu_input_offset(session, i) + hth_gpu_bound_bytes(session->input_bytes[i]);
        if (end > bytes) bytes = end;
    }
    return hth_gpu_multiple(bytes, HTH_GPU_OFFSET);
}

hearth_status hth_gpu_measure(const hearth_session *session, uint64_t *bytes) {
    const hth_plan *plan = &session->model->plan;
    *bytes = 2 * hth_gpu_changing_bytes(session);
    for (uint32_t i = 0; i < HTH_MAX_ARENAS; ++i) *bytes += hth_gpu_multiple(plan->arena_bytes[i], HTH_GPU_OFFSET);
    for (uint32_t i = 0; i < plan->header->num_states; ++i) {
        if (!hth_add_product(bytes, hth_gpu_state_bytes(session, i), 1)) {
            return hth_fail(HEARTH_MEMORY, "the states leave 64 bits");
        }
    }
    return HEARTH_OK;
}

uint64_t hth_gpu_output_bytes(const hearth_session *session, const hth_plan_output *output) {
    const uint32_t *dims = session->model->plan.dims + output->first_dim;
    uint64_t size = hth_dtype_bytes(output->dtype);
    for (uint32_t d = 0; d < output->num_dims; ++d) {
        const bool row = d + 1 == output->num_dims && output->num_dims > 1;
        size *= (uint64_t)session->scalars[row ? output->row_stride : dims[d]];
    }
    return hth_gpu_multiple(size, 4);
}

uint64_t hth_gpu_place_outputs(const hth_plan *plan, uint64_t *offsets) {
    uint64_t most = 0;
    for (uint32_t f = 0; f < plan->header->num_functions; ++f) {
        const hth_function *function = &plan->functions[f];
        uint64_t offset = 0;
        for (uint32_t i = function->first_output; i < function->first_output + function->num_outputs; ++i) {
            offsets[i] = offset;
            /* At most 256 outputs, each within an arena. */
            offset += hth_align64(plan->buffers[plan->outputs[i].buffer].size + 4);
        }
        if (offset > most) most = offset;
    }
    return most;
}

/* ---- what changes ---- */

hearth_status hth_gpu_changing_begin(const hearth_session *session, hth_gpu_changing *changing) {
    const uint64_t bytes = hth_gpu_changing_bytes(session);
    if (hth_memory_allocate(&changing->sent, bytes)) return HEARTH_OK;
    return hth_fail(HEARTH_MEMORY, "%llu bytes for a session cannot be had", (unsigned long long)bytes);
}

void hth_gpu_changing_end(hth_gpu_changing *changing) { hth_memory_free(&changing->sent); }

/* A stretch of `changing` that is to be written; it grows while what follows is near. */
typedef struct {
    hth_gpu_changing *changing;
    hth_gpu_write write;
    void *user;
    uint64_t begin, end;
} stretch;

static void write_stretch(stretch *s) {
    if (s->end > s->begin) s->write(s->user, s->begin, s->changing->sent.data + s->begin, s->end - s->begin);
    s->begin = s->end;
}

/* Takes `size` bytes, which come in ascending order, to be written at `offset` where they are not there already. The end is
 * rounded up to 4 bytes: there is room behind every input. */
static void take(stretch *s, uint64_t offset, const void *bytes, uint64_t size) {
    char *sent = s->changing->sent.data + offset;
    if (!s->changing->stale && memcmp(sent, bytes, (size_t)size) == 0) return;
    memcpy(sent, bytes, (size_t)size);
    if (s->end == s->begin || offset > s->end + GAP_BYTES) {
        write_stretch(s);
        s->begin = offset;
    }
    s->end = hth_gpu_multiple(offset + size, 4);
}

static hearth_status take_uniforms(const hearth_session *session, const hth_function *function, stretch *s) {
    const hth_plan *plan = &session->model->plan;
    const int64_t *argument = session->functions[function - plan->functions].arguments;
    for (uint32_t i = function->first_step; i < function->first_step + function->num_steps; ++i) {
        const uint32_t count = plan->kernels[plan->steps[i].kernel].num_scalars;
        int32_t slot[HTH_GPU_SLOT_BYTES / 4];
        for (uint32_t a = 0; a < count; ++a) {
            if (argument[a] < INT32_MIN || argument[a] > INT32_MAX) {
                return CORRUPT("step %u: scalar %u is %lld, more than 32 bits", i, a, (long long)argument[a]);
            }
            slot[a] = (int32_t)argument[a];
        }
        slot[count] = (int32_t)session->units[i];
        argument += count;
        if (session->units[i] > 0) take(s, (uint64_t)i * HTH_GPU_SLOT_BYTES, slot, (uint64_t)(count + 1) * 4);
    }
    return HEARTH_OK;
}

/* Bytes that an input has in the call. */
static uint64_t used_bytes(const hearth_session *session, const hth_plan_input *input) {
    const hth_plan *plan = &session->model->plan;
    uint64_t size = hth_dtype_bytes(input->dtype);
    for (uint32_t d = 0; d < input->num_dims; ++d) size *= (uint64_t)session->scalars[plan->dims[input->first_dim + d]];
    return size;
}

static void take_inputs(const hearth_session *session, const hth_function *function, stretch *s) {
    for (uint32_t i = function->first_input; i < function->first_input + function->num_inputs; ++i) {
        const char *data = session->inputs[i];
        const uint64_t size = used_bytes(session, &session->model->plan.inputs[i]);
        const uint64_t offset = hth_gpu_input_offset(session, i);
        for (uint64_t at = 0; at < size; at += BLOCK_BYTES) {
            take(s, offset + at, data + at, size - at < BLOCK_BYTES ? size - at : BLOCK_BYTES);
        }
    }
}

hearth_status hth_gpu_changing_take(const hearth_session *session, const hth_function *function, hth_gpu_changing *changing,
                                    hth_gpu_write write, void *user) {
    stretch s = {.changing = changing, .write = write, .user = user};
    const hearth_status status = take_uniforms(session, function, &s);
    if (status == HEARTH_OK) take_inputs(session, function, &s);
    write_stretch(&s); /* also after a failure: `sent` has it */
    return status;
}
