/* What is the same for every GPU, whoever drives it: the rules of its plans, and what a call changes and brings back.
 *
 * One buffer, `changing`, has all that a call may change: a slot of uniforms for each step, then the inputs as they lie in
 * the session. What it holds is remembered, so that only what differs is written. */
#ifndef HEARTH_GPU_CALL_H
#define HEARTH_GPU_CALL_H

#include "session.h"

enum {
    HTH_GPU_OFFSET = 256,      /* ranges that are bound begin at multiples of this, */
    HTH_GPU_RANGE = 16,        /* and have sizes that are multiples of this: shaders read vectors of four */
    HTH_GPU_SLOT_BYTES = 256   /* of a step's uniforms: its scalars, then its units, 4 bytes each */
};

typedef struct {
    hth_memory sent; /* what `changing` holds: both begin as zeroes */
    bool stale;      /* it may hold something else, after an error: all of a call is written */
} hth_gpu_changing;

/* Writes `size` bytes, a multiple of 4, to `offset` of `changing`. */
typedef void (*hth_gpu_write)(void *user, uint64_t offset, const char *bytes, uint64_t size);

/* That a plan keeps to what plans for GPUs are (docs/architecture.md), whatever the adapter. */
hearth_status hth_gpu_plan_keeps_rules(const hth_plan *plan);

/* Bytes of a state in this session, as it is bound; 0 where other layers have it, UINT64_MAX where they leave 64 bits. */
uint64_t hth_gpu_state_bytes(const hearth_session *session, uint32_t state);

/* Where an input lies in `changing`, also before the session has memory. */
uint64_t hth_gpu_input_offset(const hearth_session *session, uint32_t input);

uint64_t hth_gpu_changing_bytes(const hearth_session *session);

/* Bytes of a session: what a call may change, on the GPU and as it was sent there, arenas and states. */
hearth_status hth_gpu_measure(const hearth_session *session, uint64_t *bytes);

hearth_status hth_gpu_changing_begin(const hearth_session *session, hth_gpu_changing *changing);
void hth_gpu_changing_end(hth_gpu_changing *changing);

/* Has all written that the call of a function changes. */
hearth_status hth_gpu_changing_take(const hearth_session *session, const hth_function *function, hth_gpu_changing *changing,
                                    hth_gpu_write write, void *user);

/* Bytes that an output has in the call that runs: whole rows with their padding, a multiple of 4. */
uint64_t hth_gpu_output_bytes(const hearth_session *session, const hth_plan_output *output);

/* Places of all outputs at their largest, written to `offsets`, and what those of one function take at most. */
uint64_t hth_gpu_place_outputs(const hth_plan *plan, uint64_t *offsets);

static inline uint64_t hth_gpu_multiple(uint64_t size, uint64_t of) { return (size + of - 1) / of * of; }

/* Bytes of a range as it is bound: none is empty. */
static inline uint64_t hth_gpu_bound_bytes(uint64_t size) { return hth_gpu_multiple(size > 0 ? size : 1, HTH_GPU_RANGE); }

#endif
