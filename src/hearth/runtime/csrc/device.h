/* The boundary between what all devices share and what computes.
 *
 * Shared: the plan and its checks, sizes and symbols, inputs with their checks, batches, scalars, the memory limit. A device
 * has the kernels, the weights, the memory of arenas and states, and runs steps. It is a table of functions; what it keeps of
 * a model and of a session hangs at their `on_device`. */
#ifndef HEARTH_DEVICE_H
#define HEARTH_DEVICE_H

#include "json.h"
#include "plan.h"

/* What a call runs: the steps of a function that have units; its scalars are evaluated. */
typedef struct hth_call {
    const hth_function *function;
    const uint32_t *outputs; /* [num_outputs], ids of the plan: what is to be brought to where `output` says */
    uint32_t num_outputs;
    const hth_cut *from;     /* before its step, `input` is put into its buffer; NULL: nothing is */
    const float *input;      /* dense rows */
    const hth_cut *to;       /* what its buffer has in the end is to be brought to where `layer_output` says, and there are no
                                outputs; NULL: nothing is */
} hth_call;

typedef struct hth_device {
    const char *plan_path;  /* in the bundle's folder */
    uint32_t input_align;   /* where inputs begin: a power of two, 64 at least */

    /* Finds the plan's kernels and places the weights of the bundle in `dir`; NULL: model->lent_weights, for the processor
     * alone. The plan is checked, model->on_device NULL. After a failure, too, the model is closed. */
    hearth_status (*open)(hearth_model *model, const char *dir, const hearth_open_options *options);
    void (*close)(hearth_model *model);

    /* Adds to the object that hearth_describe answers: `"key": value` pairs, separated by commas. */
    void (*describe)(const hearth_model *model, hth_json *json);

    /* Bytes that a session takes on the device, once its sizes are known. */
    hearth_status (*measure)(const hearth_session *session, uint64_t *bytes);

    /* Takes that memory, with states of zeroes, and prepares the steps. Inputs have their place, functions are prepared.
     * After a failure, too, the session is ended. */
    hearth_status (*begin)(hearth_session *session);
    void (*end)(hearth_session *session);

    /* How many parts of attention should be worked on side by side, so that none of the device is idle. */
    uint32_t (*workers)(const hearth_session *session);

    hearth_status (*run)(hearth_session *session, const hth_call *call);

    /* Where the numbers of an output lie for the caller, the same for the whole life of a session. */
    void *(*output)(const hearth_session *session, uint32_t output);

    /* The same of what goes on behind the last of a model's layers, where they are not all; NULL: it has all of them. */
    void *(*layer_output)(const hearth_session *session);

    /* Lets the steps of a function read an input that is lent to it where it lies. */
    void (*lend)(hearth_session *session, const hth_function *function, uint32_t input, void *data);

    hearth_status (*clear_states)(hearth_session *session);

    /* Writes `bytes` bytes of a state that this part of the model has, from `offset` on; both lie in it, multiples of 4.
     * NULL: it cannot. */
    hearth_status (*write_state)(hearth_session *session, uint32_t state, uint64_t offset, uint64_t bytes, const void *data);

    /* Times of steps: all set to zero, one read. */
    void (*reset_profile)(hearth_session *session);
    void (*read_profile)(const hearth_session *session, uint32_t step, uint64_t *calls, uint64_t *time_ns);

    /* Appends a list of all there are; NULL: there is one. */
    hearth_status (*list)(const char *gpu_library, hth_json *json);

    /* Fills what is not zero; NULL: all is. */
    void (*read_counters)(const hearth_session *session, hearth_counters *counters);
} hth_device;

/* The processor: steps are shared by a team of threads (device_cpu.c). A GPU, through WebGPU: where the system can load what
 * drives it (device_gpu.c), or that of the page around a WebAssembly module (device_web.c). */
extern const hth_device hth_cpu_device, hth_gpu_device, hth_web_device;

/* The device that hearth_open_options.device names; NULL: the processor. */
hearth_status hth_device_find(const char *name, const hth_device **device);

#endif
