/* All that differs between operating systems: threads, parking, the clock, libraries, files, pages of memory.
 * Nothing else in the runtime but cpu.c includes an operating system's header. platform.c is POSIX, platform_wasm.c
 * and platform_wasm_threads.c are WebAssembly. */
#ifndef HEARTH_PLATFORM_H
#define HEARTH_PLATFORM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- threads ---- */

typedef struct hth_thread hth_thread;

/* NULL when the system gives no more threads. */
hth_thread *hth_thread_start(void (*run)(void *), void *argument);
void hth_thread_join(hth_thread *thread);

/* Forgets a thread without waiting for it: in a forked child, where the thread no longer exists. */
void hth_thread_forget(hth_thread *thread);

/* Processors in this thread's affinity mask, at least 1. */
uint32_t hth_processor_count(void);

/* A number that differs in a forked child. */
uint64_t hth_process_id(void);

/* Gives this core to others for a moment, where HTH_CAN_YIELD. */
void hth_yield(void);
#if defined(__wasm__)
#define HTH_CAN_YIELD false
#else
#define HTH_CAN_YIELD true
#endif

void hth_sleep(uint64_t ns);
uint64_t hth_now_ns(void);

/* Tells the processor that this thread spins. */
static inline void hth_relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
    __asm__ volatile("yield");
#endif
}

/* Asks for a cache line that will be read soon; any address will do. */
static inline void hth_prefetch(const char *line) { __builtin_prefetch(line, 0, 2); }

/* ---- parking: sleep until the high half of a word changes ---- */

typedef struct hth_parking hth_parking;

hth_parking *hth_parking_create(void);
void hth_parking_free(hth_parking *parking);

/* Sleeps while the high half of *word is `high`, until woken; may also wake for no reason. */
void hth_park(hth_parking *parking, _Atomic uint64_t *word, uint32_t high);

/* Wakes all who sleep on the word; call it after changing the word. */
void hth_unpark_all(hth_parking *parking, _Atomic uint64_t *word);

/* ---- mutual exclusion ---- */

typedef struct hth_mutex hth_mutex;

/* NULL when there is no memory. */
hth_mutex *hth_mutex_create(void);
void hth_mutex_free(hth_mutex *mutex);
void hth_mutex_lock(hth_mutex *mutex);
void hth_mutex_unlock(hth_mutex *mutex);

/* ---- shared libraries, which stay loaded ---- */

/* Whether the system has them at all. */
#if !defined(__wasm__)
#define HTH_HAS_LIBRARIES
#endif

#if defined(__APPLE__)
#define HTH_LIBRARY_FILE(name) "lib" name ".dylib"
#elif defined(_WIN32)
#define HTH_LIBRARY_FILE(name) name ".dll"
#else
#define HTH_LIBRARY_FILE(name) "lib" name ".so"
#endif

/* NULL when it cannot be loaded; *reason is then a text of the system, valid until this thread's next call. */
void *hth_library_open(const char *path, const char **reason);

/* NULL when the library has no such symbol. */
void *hth_library_symbol(void *library, const char *name);

/* ---- files ---- */

typedef struct hth_file hth_file;

/* NULL when it cannot be opened; *reason is then a text of the system. */
hth_file *hth_file_open(const char *path, uint64_t *size, const char **reason);

/* Reads exactly `size` bytes at `offset`; false with a *reason otherwise. Several threads may read at once. */
bool hth_file_read(hth_file *file, void *to, uint64_t size, uint64_t offset, const char **reason);

/* Maps the file read-only; NULL when the system refuses. Stays valid after the file is closed. */
void *hth_file_map(hth_file *file, uint64_t size);
void hth_file_close(hth_file *file);

/* ---- pages of memory ---- */

/* Zeroed pages, taken from the machine only when touched. `align` is a power of two. NULL when refused. */
void *hth_pages_allocate(size_t size, size_t align);
void hth_pages_free(void *pages, size_t size);

/* Asks for huge pages; without effect where the system has none. */
void hth_pages_want_huge(void *pages, size_t size);

/* Reads the pages of a mapped file into memory. False where the system cannot be asked to, or the file cannot be read:
 * touching the pages would then end the program. */
bool hth_pages_read_in(void *pages, size_t size);

/* Asks the system to read pages of a mapped file soon. */
void hth_pages_read_ahead(void *pages, size_t size);

/* Takes pages of a mapped file out of this process's memory; they stay in the system's cache. */
void hth_pages_release(void *pages, size_t size);

/* Bytes of [pages, pages + size) that lie in huge pages now; 0 where the system does not tell. */
uint64_t hth_pages_huge_bytes(const void *pages, size_t size);

#endif
