/* A GPU that is open: its device and queue, the errors that it tells of, and buffers on it.
 *
 * wgpu-native ends the program where it is told to submit an invalid command buffer, to wait for a GPU that is lost or to
 * release one: so whatever is made is made between hth_gpu_begin and hth_gpu_check, nothing is submitted that was not checked,
 * and waiting is asking now and then. */
#ifndef HEARTH_GPU_H
#define HEARTH_GPU_H

#include <stdatomic.h>

#include "gpu_adapter.h"
#include "gpu_webgpu.h"
#include "hearth.h"
#include "platform.h"

enum { HTH_GPU_TROUBLE = 320 };

typedef struct {
    hth_webgpu api;
    wgpu_instance instance;
    hth_gpu_adapter adapter; /* its handle is released */
    uint32_t index;          /* of the adapter */
    wgpu_device device;
    wgpu_queue queue;
    uint64_t process;              /* that opened it: a forked child has no part in it */
    hth_mutex *mutex;              /* held while objects are made and commands recorded */
    _Atomic uint32_t troubled;     /* 1: `trouble` is written, by whoever came first */
    _Atomic uint32_t told;         /* 1: it may be read */
    char trouble[HTH_GPU_TROUBLE]; /* of an error that no scope caught, or why the device was lost */
} hth_gpu;

/* Opens the GPU that `device` means ("gpu", "gpu:N"). To be closed in any case; `gpu` is zero before. */
hearth_status hth_gpu_open(hth_gpu *gpu, const char *library, const char *device);
void hth_gpu_close(hth_gpu *gpu);

/* What is made between them is checked, and no other thread comes in between. `what` names it in the error's text. */
void hth_gpu_begin(hth_gpu *gpu);
hearth_status hth_gpu_check(hth_gpu *gpu, const char *what);

/* The error of a GPU that was lost, or had one that no scope caught; HEARTH_INVALID in a forked process; HEARTH_OK while all
 * is well. */
hearth_status hth_gpu_state(hth_gpu *gpu);

/* Makes a buffer of zeroes and adds its size to *allocated; NULL after an error. */
hearth_status hth_gpu_buffer_create(hth_gpu *gpu, const char *what, uint64_t size, uint64_t usage, wgpu_buffer *buffer,
                                    uint64_t *allocated);


/* Ends the recording of commands that was begun after hth_gpu_begin, checks it, and only then submits it. Gives the encoder
 * back in any case. */
hearth_status hth_gpu_submit(hth_gpu *gpu, wgpu_command_encoder encoder, const char *what);

/* Waits until the GPU has done all that was submitted. */
hearth_status hth_gpu_wait(hth_gpu *gpu);

/* Maps [0, size) of a buffer (WGPU_FOR_READING, _WRITING), and waits for it and for what was submitted that uses it. NULL after
 * an error: the buffer is then not to be used any more. */
void *hth_gpu_map(hth_gpu *gpu, wgpu_buffer buffer, uint64_t mode, size_t size, hearth_status *status);

/* Whether this process opened it. What a forked child inherits it must leave as it is, without a word to the library. */
static inline bool hth_gpu_is_ours(const hth_gpu *gpu) { return gpu->process == hth_process_id(); }

static inline wgpu_string_view hth_gpu_text(const char *text) { return (wgpu_string_view){text, SIZE_MAX}; }

#endif
