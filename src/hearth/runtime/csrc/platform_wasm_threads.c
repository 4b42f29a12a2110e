/* Threads of a WebAssembly module whose memory is shared.
 *
 * A thread is a worker of the host's, with an instance of its own over this memory. No call can start one, since workers
 * come up only while the host's event loop has its turn. So the host starts them beforehand (web/runtime/src/threads.ts):
 * hth_thread_create makes a thread of memory that is its stack, hth_thread_serve is what its worker runs from then on, and
 * hth_thread_add says that it is up. hth_thread_start then only wakes one that is idle.
 *
 * Where the memory is not shared there are no threads, and nothing here ever waits: it would be refused. */
#include "platform.h"

#if defined(__wasm__)

#include <stdlib.h>

#define EXPORT(name) __attribute__((export_name(name)))

enum { IDLE, BUSY };

struct hth_thread {
    hth_thread *next; /* of those that are up */
    void (*run)(void *);
    void *argument;
    _Atomic uint32_t state;
};

static hth_thread *threads; /* of these only the thread that calls knows */
static _Atomic uint32_t broken;

/* A worker sleeps until it is woken. Who calls sleeps for a second, then looks whether a worker broke, which nothing would
 * wake it for; or not at all, where the host has it never wait, as the own thread of a page must not: it spins. */
static _Thread_local int64_t longest_sleep_ns = 1000 * 1000 * 1000;

/* Sleeps while *word is `value`; may also wake for no reason. */
static void sleep_while(_Atomic uint32_t *word, uint32_t value) {
    if (longest_sleep_ns != 0) (void)__builtin_wasm_memory_atomic_wait32((int *)(void *)word, (int)value, longest_sleep_ns);
    /* The work of a thread that broke will never be done. */
    if (atomic_load(&broken) != 0) __builtin_trap();
}

static void wake_all(_Atomic uint32_t *word) {
    (void)__builtin_wasm_memory_atomic_notify((int *)(void *)word, UINT32_MAX);
}

/* ---- for the host ---- */

/* Makes a thread of zeroed memory, whose end is where its stack begins. Answers where its thread-locals are to be. */
EXPORT("hth_thread_create") void *hth_thread_create(hth_thread *memory) {
    const uintptr_t align = __builtin_wasm_tls_align(), end = (uintptr_t)memory + sizeof *memory;
    return align > 1 ? (void *)((end + align - 1) & ~(align - 1)) : (void *)end;
}

/* In its worker: runs what hth_thread_start gives it, and never returns. */
EXPORT("hth_thread_serve") void hth_thread_serve(hth_thread *self) {
    longest_sleep_ns = -1;
    for (;;) {
        while (atomic_load(&self->state) == IDLE) sleep_while(&self->state, IDLE);
        self->run(self->argument);
        atomic_store(&self->state, IDLE);
        wake_all(&self->state);
    }
}

/* In its worker: that hth_thread_serve came to an end all the same. */
EXPORT("hth_thread_broke") void hth_thread_broke(void) { atomic_store(&broken, 1); }

/* Its worker is up: from now on hth_thread_start may wake it. */
EXPORT("hth_thread_add") void hth_thread_add(hth_thread *thread) {
    thread->next = threads;
    threads = thread;
}

/* The thread that calls must not sleep. */
EXPORT("hth_never_sleep") void hth_never_sleep(void) { longest_sleep_ns = 0; }

/* ---- for the runtime ---- */

hth_thread *hth_thread_start(void (*run)(void *), void *argument) {
    hth_thread *thread = threads;
    while (thread != NULL && atomic_load(&thread->state) != IDLE) thread = thread->next;
    if (thread == NULL) return NULL;
    thread->run = run;
    thread->argument = argument;
    atomic_store(&thread->state, BUSY);
    wake_all(&thread->state);
    return thread;
}

void hth_thread_join(hth_thread *thread) {
    while (atomic_load(&thread->state) == BUSY) sleep_while(&thread->state, BUSY);
}

void hth_thread_forget(hth_thread *thread) { (void)thread; }

/* Those that a new team may have. */
EXPORT("hth_processor_count") uint32_t hth_processor_count(void) {
    uint32_t count = 1;
    for (hth_thread *thread = threads; thread != NULL; thread = thread->next) {
        if (atomic_load(&thread->state) == IDLE) ++count;
    }
    return count;
}

struct hth_parking {
    int unused;
};

hth_parking *hth_parking_create(void) { return calloc(1, sizeof(hth_parking)); }

void hth_parking_free(hth_parking *parking) { free(parking); }

static _Atomic uint32_t *high_half(_Atomic uint64_t *word) { return (_Atomic uint32_t *)(void *)word + 1; }

void hth_park(hth_parking *parking, _Atomic uint64_t *word, uint32_t high) {
    (void)parking;
    sleep_while(high_half(word), high);
}

void hth_unpark_all(hth_parking *parking, _Atomic uint64_t *word) {
    (void)parking;
    wake_all(high_half(word));
}

#endif
