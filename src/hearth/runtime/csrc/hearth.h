/* hearth.h: run a Hearth bundle from C, or from anything that can call C: on the processor or a GPU.
 *
 * A bundle is a folder that `hearth compile` made: a launch plan (plan.bin), packed weights (weights.bin) and the shared
 * library that holds this API together with the kernels compiled for that model. Load the library of the bundle, then:
 *
 *     hearth_open            reads and checks the plan, places the weights in memory      -> hearth_model
 *     hearth_open_memory     the same where the caller has the files in memory
 *     hearth_session_create  makes a thread team, a workspace and the model's states      -> hearth_session
 *     hearth_run             runs one of the model's functions over arrays with names; answers arrays
 *     hearth_forward         runs a language model over a batch of tokens; answers logits, ...
 *     hearth_session_free, hearth_close
 *
 * A model has one or more functions over named inputs and outputs, whose sizes may differ from call to call within bounds;
 * they share their weights. hearth_describe lists them. A function has either no door, and anybody runs it by hearth_run,
 * or the door "text": then its inputs are made of a batch of tokens, by hearth_forward alone. States are what outlives a
 * call, such as the pages of a KV cache; how many units a session has of them is said when it is made.
 *
 * The runtime knows arrays, tokens, positions and pages. It knows no text, no pictures, no sampling and no scheduling: that
 * is its caller's.
 *
 * Threads. A model may be used by several sessions at once. A session serves one call at a time; a second call that
 * comes in meanwhile is refused. Functions that answer a status leave a text for hearth_error() in the calling thread.
 *
 * Structures that may grow begin with `struct_size`: set it to sizeof the structure, and the rest to zero if unused.
 */
#ifndef HEARTH_H
#define HEARTH_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define HEARTH_API __declspec(dllexport)
#elif defined(__GNUC__)
#define HEARTH_API __attribute__((visibility("default")))
#else
#define HEARTH_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Changes whenever a caller compiled against the old header could not use the new library. */
#define HEARTH_ABI_VERSION 5u

typedef enum hearth_status {
    HEARTH_OK = 0,
    HEARTH_INVALID = 1,   /* an argument is wrong; nothing was done */
    HEARTH_CORRUPT = 2,   /* a file of the bundle is damaged */
    HEARTH_MEMORY = 3,    /* not enough memory, or more than memory_limit_bytes */
    HEARTH_IO = 4,        /* a file is missing or cannot be read */
    HEARTH_MISMATCH = 5,  /* the files of the bundle do not belong together, or to this version */
    HEARTH_CANCELLED = 6, /* the progress callback asked to stop */
    HEARTH_INTERNAL = 7,  /* a kernel or the operating system failed in a way that should not happen */
    HEARTH_DEVICE = 8     /* a GPU cannot be had, was lost, has no memory for it, or refused what the bundle asks of it */
} hearth_status;

typedef struct hearth_model hearth_model;
typedef struct hearth_session hearth_session;

HEARTH_API uint32_t hearth_abi_version(void);

/* What went wrong in the last call of this thread that did not answer HEARTH_OK. Never NULL; valid until the next one. */
HEARTH_API const char *hearth_error(void);

/* ---- devices ---- */

/* Writes a JSON list of the GPUs that the library at `gpu_library` (NULL: as the system finds it) shows:
 * [{"index", "name", "type": "discrete", "integrated", "cpu" (a program that plays one) or "other",
 *   "backend": "vulkan", "metal", "d3d12" or "opengl" (only where there is nothing else), "driver", "vendor_id", "device_id",
 *   "features": [of "f16", "subgroups", "dot4"], "timestamps": whether steps can be timed,
 *   "limits": {"buffer_bytes", "binding_bytes", "storage_buffers", "workgroup_bytes", "invocations", "workgroups"}}]
 * to `json`, which has room for *size bytes, and their number with the ending zero to *size. HEARTH_INVALID where the room is
 * too small, which 64 KiB never are. */
HEARTH_API hearth_status hearth_devices(const char *gpu_library, char *json, size_t *size);

/* ---- models ---- */

/* Told while weights are read, always in the thread that called hearth_open. Any value but 0 stops the loading. */
typedef int32_t (*hearth_progress_fn)(void *user, uint64_t done_bytes, uint64_t total_bytes);

typedef struct hearth_open_options {
    uint32_t struct_size;
    uint32_t use_mmap;           /* 1: map weights.bin instead of copying it. Shares memory between processes, and the
                                    system may drop what it can read again; but few systems put files in huge pages,
                                    and the file must not change while it is in use. */
    uint32_t load_threads;       /* threads that read weights.bin, on a GPU compile its kernels; 0: as many as is sensible */
    uint32_t reserved;           /* 0 */
    uint64_t memory_limit_bytes; /* refuse to hold more than this, weights and sessions together; 0: no limit */
    hearth_progress_fn progress; /* may be NULL */
    void *progress_user;
    const char *isa;             /* which instruction set's kernels to use, of those that the library has; NULL: the
                                    best that this processor runs */
    const char *device;          /* what computes: NULL or "cpu"; "gpu": the first discrete GPU, else the first that is a
                                    part of the processor, else the first of any kind; "gpu:N": that of hearth_devices
                                    with the index N */
    const char *gpu_library;     /* path of libwgpu_native, version 29, which drives GPUs; NULL: as the system finds it */
    const char *gpu_features;    /* which of "f16", "subgroups" and "dot4", joined by '+', variants of a GPU's kernels may
                                    use where the adapter has them; "core": none. Words separated by spaces: such a list
                                    alone is for all kernels, KERNEL=LIST for one. NULL: none */
    uint32_t gpu_unchecked;      /* 1: a GPU's kernels run without the checks by which WebGPU keeps every access within its
                                    buffer, which cost up to a quarter of the time. Only for files that are trusted as the
                                    library is: what they get wrong then is memory of this program */
    uint32_t reserved2;          /* 0 */
    uint32_t first_layer;        /* open a part of a language model: its layers from first_layer on, those before */
    uint32_t end_layer;          /* end_layer; 0 and 0: all. Only the weights, keys and values of these are held. A forward of
                                    one part takes layer_input where it does not begin with the first layer, and gives
                                    layer_output where it does not end with the last: so parts on several devices make one
                                    forward, one after the other */
} hearth_open_options;

/* Opens `bundle_dir`/plan.bin and weights.bin. `options` may be NULL. The plan has to be the one that the library was
 * compiled with, and the weights of the size that it says: a damaged file, or one of another bundle, is refused with
 * HEARTH_CORRUPT or HEARTH_MISMATCH. A library may hold kernels for several instruction sets; one that has none for this
 * processor is refused with HEARTH_MISMATCH. On a GPU the plan is `bundle_dir`/gpu_plan.bin and the kernels are compiled by
 * its driver from gpu_kernels.wgsl; use_mmap and isa then say nothing. On failure *model is NULL. */
HEARTH_API hearth_status hearth_open(const char *bundle_dir, const hearth_open_options *options, hearth_model **model);

/* The same for a bundle whose files the caller has in memory: out of an archive, a download, or where there are no files.
 * `plan` has the bytes of plan.bin and may be given back after the call. `weights`, those of weights.bin, are neither copied
 * nor counted by memory_limit_bytes: they begin at a multiple of 64 and stay as they are until the model and all its
 * sessions are given back. use_mmap, load_threads and progress say nothing here. */
HEARTH_API hearth_status hearth_open_memory(const void *plan, uint64_t plan_bytes, const void *weights,
                                            uint64_t weights_bytes, const hearth_open_options *options,
                                            hearth_model **model);

/* One JSON object, valid as long as the model:
 * {"abi_version",
 *  "functions": [{"name", "door", "inputs": [TENSOR], "outputs": [TENSOR]}],
 *  "symbols": {name: [lowest, highest value]},
 *  "states": [{"name", "unit": the symbol that counts its units, "unit_bytes"}],
 *  "layers": {"count": of the language model (0 where it says of none), "first", "end": those that it was opened for,
 *             "columns": of layer_input and layer_output; 0 where it was opened for all},
 *  "weights_bytes", "arena_bytes", "scratch_bytes_per_thread", "num_steps", "num_kernels", "num_weights",
 *  "isa": the instruction set in use, "isas": [those that the library has, best first]: on a GPU "wgsl",
 *  "device": {"kind": "cpu"}, or of a GPU {"kind": "gpu", "adapter": as in hearth_devices, "variants": {kernel: [features of
 *            the variant in use]} of those that are not core}}
 * Of a model that was opened for some of its layers, states and weights_bytes are those of these.
 * TENSOR: {"name", "dtype": "f32", "i32", "u8", "i8" or "f16", "shape": [a number, or an expression over symbols as text],
 * "most": [the largest number of each axis]}, of an input whose values are checked also "low" and "high" (number or
 * expression, both included) and, if values may never fall and run from low to high, "ascending": true; of one that is not
 * copied, "lent": true. */
HEARTH_API const char *hearth_describe(const hearth_model *model);

/* How many bytes of the weights lie in huge pages now (0 where the system does not tell). */
HEARTH_API uint64_t hearth_weights_huge_bytes(const hearth_model *model);

/* Gives the model back. Sessions that are still open keep it alive until they are freed. NULL is fine. */
HEARTH_API void hearth_close(hearth_model *model);

/* ---- sessions ---- */

/* How many units the states have whose "unit" is `name`: for a language model {"pages", n}; a page holds the keys and
 * values of page_tokens positions of one sequence, in all layers. */
typedef struct hearth_size {
    const char *name;
    int64_t value;
} hearth_size;

typedef struct hearth_session_options {
    uint32_t struct_size;
    uint32_t threads;         /* threads that compute, the caller's included; 0: one for each processor in the affinity mask.
                                 On a GPU it says nothing */
    const hearth_size *sizes; /* [num_sizes]: one for each unit that the model's states have; NULL when there are none */
    uint32_t num_sizes;
    uint32_t reserved; /* 0 */
} hearth_session_options;

/* `options` may be NULL. A size that is missing, or that the model does not know, is named (HEARTH_INVALID). */
HEARTH_API hearth_status hearth_session_create(hearth_model *model, const hearth_session_options *options,
                                               hearth_session **session);

/* Must not be called while a function runs in this session. NULL is fine. */
HEARTH_API void hearth_session_free(hearth_session *session);

/* Bytes the session asked of the system; states take real memory only once they are written. */
HEARTH_API uint64_t hearth_session_bytes(const hearth_session *session);

/* Writes units [first, first + count) of the state `name`, each of unit_bytes as hearth_describe tells them: what the caller
 * knows before anything was computed, such as adapters, of which a session has as many units ("adapters") as was said when it
 * was made. A part of a model has no states of other layers: there nothing is written. Not while a function runs in this
 * session. A state of a GPU in a page cannot be written. */
HEARTH_API hearth_status hearth_session_write(hearth_session *session, const char *name, int64_t first, int64_t count,
                                              const void *data);

/* ---- running any function ---- */

typedef enum hearth_dtype {
    HEARTH_F32 = 0,
    HEARTH_I32 = 1,
    HEARTH_U8 = 2,
    HEARTH_I8 = 3,
    HEARTH_F16 = 4
} hearth_dtype;

/* An array in row-major order: the last axis is dense, and each row begins row_stride elements after the one before. */
typedef struct hearth_tensor {
    const char *name;
    void *data;         /* of an input only read; NULL is fine where an axis is 0 */
    uint32_t dtype;     /* hearth_dtype */
    uint32_t rank;      /* 0 .. 8; 0: a single number */
    int64_t shape[8];   /* [rank] */
    int64_t row_stride; /* at least the last axis; of an input 0 or the last axis, for inputs are dense */
} hearth_tensor;

/* Checks the inputs against what the function declares (every name, type, size and, where it says so, value), copies them
 * (but for those that are lent: they are read where they lie, until the call returns), runs it. Inputs come by name in any
 * order, all of them; symbols get their values from the inputs' shapes. `outputs` has room for exactly the function's outputs
 * and is filled in their order on HEARTH_OK; names are valid as long as the model, data lies in the session's memory and holds
 * until its next run of any function. An output may be an input of that. */
HEARTH_API hearth_status hearth_run(hearth_session *session, const char *function, const hearth_tensor *inputs,
                                    uint32_t num_inputs, hearth_tensor *outputs, uint32_t num_outputs);

/* ---- running a language model ---- */

/* What a forward is to answer. HEARTH_NOTHING alone: it only leaves keys and values behind. */
typedef enum hearth_outputs {
    HEARTH_LOGITS = 1,
    HEARTH_ARGMAX = 2,
    HEARTH_HIDDEN = 4,
    HEARTH_NOTHING = 8,
    HEARTH_LIKELIEST = 16
} hearth_outputs;

/* A batch of tokens of any mixture of sequences: chunks of prompts, single decode tokens, tokens to verify.
 *
 * max_tokens is the highest value of the symbol tokens of hearth_describe, max_seqs that of sequences, max_logit_rows that of
 * logit_rows; vocab_size and max_position are one more than the highest value of token_ids and positions.
 *
 * The KV cache has no notion of a sequence's identity: row s of block_table says in which pages positions
 * [0, page_tokens), [page_tokens, 2 * page_tokens), ... of sequence s lie. A forward writes keys and values of its tokens
 * there, and attends to all positions before them, which earlier forwards must have written. */
typedef struct hearth_batch {
    uint32_t struct_size;
    uint32_t num_tokens;           /* 1 .. max_tokens */
    uint32_t num_seqs;             /* 1 .. max_seqs */
    uint32_t num_logit_rows;       /* 0 .. max_logit_rows */
    uint32_t block_table_stride;   /* columns of block_table */
    uint32_t num_prompt_tokens;    /* 0 .. num_tokens: so many of the first tokens are of prompts. A model compiled to read
                                      prompts fast computes these more coarsely; for others the number says nothing */
    const int32_t *token_ids;      /* [num_tokens], each in [0, vocab_size) */
    const int32_t *positions;      /* [num_tokens], each in [0, max_position) */
    const int32_t *token_seq;      /* [num_tokens], each in [0, num_seqs); tokens of one sequence stand together and
                                      their positions ascend by 1 */
    const int32_t *block_table;    /* [num_seqs][block_table_stride], page or -1; every page up to the last position of
                                      a sequence that has tokens in the batch must be given */
    const int32_t *logit_rows;     /* [num_logit_rows], indices of tokens; may be NULL when there are none */
    uint32_t num_embeddings;       /* 0 .. the highest value of the symbol embeddings; 0 where there is none */
    uint32_t outputs;              /* bits of hearth_outputs: those that are wanted; 0: logits, argmax and hidden, as far
                                      as the model has them. On a GPU nothing else is brought back */
    const float *embeddings;       /* [num_embeddings][hidden_size]: what the model is to take in place of what its table
                                      has for a token, such as what another function of the model makes of a picture */
    const int32_t *embedded_tokens; /* [num_embeddings], indices of the tokens that these stand for, ascending */
    const int32_t *last_seen;      /* [num_tokens], the last position that each token sees, where tokens may see later
                                      ones of the batch (those of a picture): never less than the one before in its
                                      sequence. NULL: each sees itself and what was before. Only for a model that has
                                      such an input */
    const int32_t *rope_positions; /* [num_tokens][columns of that input], what each token turns by, where that is not its
                                      position in the sequence (a picture's: in time, its row, its column). NULL: it is.
                                      Only for a model that has such an input */
    const float *layer_input;      /* [num_tokens][columns of layer_output]: the layer_output of the part of the model
                                      before. For a model that was opened without its first layer, and only for that */
    const int32_t *state_from;     /* [num_seqs], for a model whose states have "slots", and only for that: the slot with
                                      the state of each sequence before its first token of the batch; -1: it begins here,
                                      with zeros */
    const int32_t *state_to;       /* [num_tokens], likewise: the slot that the state after each token is written to, or
                                      -1. A sequence reads before it writes, so it may go on in the slot that it came
                                      from; but it may write none that another sequence of the batch reads or writes */
    const float *hidden;           /* [num_tokens][columns of hidden_states], for a model with a block that predicts further
                                      tokens, which is what runs where this is given, over the same pages and without
                                      slots: the hidden state of the token before each, at whose position it stands */
    const int32_t *adapters;       /* [num_seqs][2]: first unit and number of units of the adapter that the tokens of each
                                      sequence have, from 0 units (none) to the value of the symbol adapter_units. NULL:
                                      none has one. Only for a model whose states have "adapters" */
} hearth_batch;

/* A matrix in the session's memory: row r begins at element r * row_stride. It is overwritten by the next run of any
 * function of the session. data is NULL when the plan has no such output, or it was not wanted. */
typedef struct hearth_view {
    const void *data;
    uint32_t dtype; /* hearth_dtype */
    uint32_t rows;
    uint32_t cols;
    uint32_t row_stride;
} hearth_view;

typedef struct hearth_output {
    uint32_t struct_size;
    uint32_t reserved;
    hearth_view logits; /* f32 [num_logit_rows][vocab_size] */
    hearth_view argmax; /* i32 [num_logit_rows][1]: the token of the largest logit, the lowest such token */
    hearth_view hidden; /* f32 [num_tokens][hidden_size], after the final norm */
    hearth_view layer_output; /* f32 [num_tokens][columns], dense: of a model that was opened without its last layer, which
                                 has no other outputs */
    hearth_view likeliest; /* i32 [num_logit_rows][2 n]: the bits of the n largest logits (f32), largest first, and then the
                              tokens that they are of, of equals the lowest first; -1 where there is none. Where all n are
                              -1 more logits are nearly as large than were looked at. Only on GPUs */
} hearth_output;

/* Checks the batch, copies its arrays, runs the function with the door "text": of two the one that takes hidden_states where
 * `hidden` is given. `output` is filled on HEARTH_OK. */
HEARTH_API hearth_status hearth_forward(hearth_session *session, const hearth_batch *batch, hearth_output *output);

/* ---- drawing ---- */

/* Writes a row of logits to `out` with minus infinity in the place of every token that may not come: bit t % 32 of
 * mask[t / 32], counted from the lowest, says whether token t may. `count` is the number of logits, (count + 31) / 32 that
 * of the mask's words; bits beyond `count` do not matter. `out` may be `logits`, and must not overlap it otherwise. Needs
 * neither a model nor a session; any number of threads may call it. */
HEARTH_API hearth_status hearth_apply_mask(const float *logits, const int32_t *mask, int64_t count, float *out);

/* ---- measuring ---- */

typedef struct hearth_step_profile {
    const char *function; /* that the step belongs to, valid as long as the model */
    const char *label;    /* the compiler's name for the step, likewise */
    const char *kernel;   /* the kernel's name, likewise */
    uint64_t calls;       /* runs in which the step had something to do, while the profile was on */
    uint64_t time_ns;     /* in total */
} hearth_step_profile;

/* Switches the timing of steps on (which sets all times to zero) or off. Costs two clock readings a step; on a GPU each step
 * is then a pass of its own, and where the adapter has no timestamps all times stay zero. */
HEARTH_API void hearth_profile(hearth_session *session, int32_t enable);

/* The profile of step `index`, from 0 and through all functions; HEARTH_INVALID past the last. */
HEARTH_API hearth_status hearth_profile_read(const hearth_session *session, uint32_t index, hearth_step_profile *profile);

/* What the last call of a session had a GPU do, and what memory of the GPU is in use. All zero on the processor. */
typedef struct hearth_counters {
    uint32_t struct_size;
    uint32_t dispatches;   /* steps that ran */
    uint32_t passes;       /* compute passes */
    uint32_t submits;
    uint32_t writes;       /* from this program's memory to the GPU's */
    uint32_t objects;      /* made on the GPU beside a command encoder, passes and a command buffer */
    uint64_t written_bytes, read_bytes;
    uint64_t planned_bytes;   /* of the model and this session, as the plan has it */
    uint64_t allocated_bytes; /* of all buffers that were made for them */
    uint64_t encode_ns;       /* from the first write to the submit */
} hearth_counters;

/* Not while a function runs in this session. */
HEARTH_API hearth_status hearth_read_counters(const hearth_session *session, hearth_counters *counters);

/* Reads a buffer of `bytes` in huge pages `rounds` times with a thread team of its own and writes the bandwidth of each
 * round, in bytes a second, to `bytes_per_second`. What a decode step can at best reach on this machine. */
HEARTH_API hearth_status hearth_read_bandwidth(uint32_t threads, uint64_t bytes, uint32_t rounds, double *bytes_per_second);

typedef enum hearth_arithmetic { HEARTH_INT8 = 0, HEARTH_FLOAT32 = 1 } hearth_arithmetic;

/* Multiplies and adds in registers, `rounds` times, with a thread team of its own and the instruction set of the model's
 * kernels, and writes the operations a second of each round (a multiply and an add are two) to `operations_per_second`.
 * HEARTH_INT8: products of bytes. What a large product can at best reach on this machine. */
HEARTH_API hearth_status hearth_compute_peak(const hearth_model *model, hearth_arithmetic arithmetic, uint32_t threads,
                                             uint32_t rounds, double *operations_per_second);

/* Writes zeros to all states, so that all of them are in memory: to measure how fast tokens follow a long context without
 * computing the context. Not while a function runs in this session. A GPU that fails here fails in the next call, too. */
HEARTH_API void hearth_session_clear_states(hearth_session *session);

#ifdef __cplusplus
}
#endif
#endif
