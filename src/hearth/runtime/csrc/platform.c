/* POSIX: Linux and macOS. Another system has a file of its own beside this one with the same functions. */
#if !defined(__wasm__)
#if defined(__linux__)
#define _GNU_SOURCE /* sched_getaffinity, madvise */
#endif
#include "platform.h"

#if defined(_WIN32)
#error "Hearth's C runtime does not run on Windows yet: platform.h needs a second implementation."
#endif

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#if defined(__linux__)
#include <linux/futex.h>
#include <sys/syscall.h>
#endif

/* ---- threads ---- */

struct hth_thread {
    pthread_t handle;
    void (*run)(void *);
    void *argument;
};

static void *thread_main(void *pointer) {
    hth_thread *thread = pointer;
    thread->run(thread->argument);
    return NULL;
}

hth_thread *hth_thread_start(void (*run)(void *), void *argument) {
    hth_thread *thread = malloc(sizeof *thread);
    if (thread == NULL) return NULL;
    thread->run = run;
    thread->argument = argument;
    /* The program's signals are for its own threads: ours are born with all blocked but those that tell of a fault. */
    sigset_t blocked, before;
    sigfillset(&blocked);
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP};
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; ++i) sigdelset(&blocked, faults[i]);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    const int failed = pthread_create(&thread->handle, NULL, thread_main, thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed != 0) {
        free(thread);
        return NULL;
    }
    return thread;
}

void hth_thread_join(hth_thread *thread) {
    pthread_join(thread->handle, NULL);
    free(thread);
}

void hth_thread_forget(hth_thread *thread) { free(thread); }

uint32_t hth_processor_count(void) {
#if defined(__linux__)
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) return (uint32_t)CPU_COUNT(&set);
#endif
    const long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count > 0 ? (uint32_t)count : 1;
}

uint64_t hth_process_id(void) { return (uint64_t)getpid(); }

void hth_yield(void) { sched_yield(); }

void hth_sleep(uint64_t ns) {
    const struct timespec time = {.tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u)};
    (void)nanosleep(&time, NULL); /* a signal may end it early */
}

uint64_t hth_now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- parking ---- */

#if defined(__linux__)

struct hth_parking {
    int unused;
};

hth_parking *hth_parking_create(void) { return calloc(1, sizeof(hth_parking)); }

void hth_parking_free(hth_parking *parking) { free(parking); }

/* The system watches 32 bits: the high half, which lies behind the low one (plan.c refuses big-endian machines). */
static uint32_t *high_half(_Atomic uint64_t *word) { return (uint32_t *)(void *)word + 1; }

void hth_park(hth_parking *parking, _Atomic uint64_t *word, uint32_t high) {
    (void)parking;
    syscall(SYS_futex, high_half(word), FUTEX_WAIT_PRIVATE, high, NULL, NULL, 0);
}

void hth_unpark_all(hth_parking *parking, _Atomic uint64_t *word) {
    (void)parking;
    syscall(SYS_futex, high_half(word), FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
}

#else

struct hth_parking {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
};

hth_parking *hth_parking_create(void) {
    hth_parking *parking = malloc(sizeof *parking);
    if (parking == NULL) return NULL;
    pthread_mutex_init(&parking->mutex, NULL);
    pthread_cond_init(&parking->changed, NULL);
    return parking;
}

void hth_parking_free(hth_parking *parking) {
    pthread_cond_destroy(&parking->changed);
    pthread_mutex_destroy(&parking->mutex);
    free(parking);
}

void hth_park(hth_parking *parking, _Atomic uint64_t *word, uint32_t high) {
    pthread_mutex_lock(&parking->mutex);
    if ((uint32_t)(atomic_load(word) >> 32) == high) pthread_cond_wait(&parking->changed, &parking->mutex);
    pthread_mutex_unlock(&parking->mutex);
}

void hth_unpark_all(hth_parking *parking, _Atomic uint64_t *word) {
    (void)word;
    /* Under the mutex, so that the wake-up cannot fall between a sleeper's look at the word and its wait. */
    pthread_mutex_lock(&parking->mutex);
    pthread_cond_broadcast(&parking->changed);
    pthread_mutex_unlock(&parking->mutex);
}

#endif

/* ---- mutual exclusion ---- */

struct hth_mutex {
    pthread_mutex_t handle;
};

hth_mutex *hth_mutex_create(void) {
    hth_mutex *mutex = malloc(sizeof *mutex);
    if (mutex != NULL) pthread_mutex_init(&mutex->handle, NULL);
    return mutex;
}

void hth_mutex_free(hth_mutex *mutex) {
    if (mutex == NULL) return;
    pthread_mutex_destroy(&mutex->handle);
    free(mutex);
}

void hth_mutex_lock(hth_mutex *mutex) { pthread_mutex_lock(&mutex->handle); }

void hth_mutex_unlock(hth_mutex *mutex) { pthread_mutex_unlock(&mutex->handle); }

/* ---- shared libraries ---- */

void *hth_library_open(const char *path, const char **reason) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) *reason = dlerror();
    return library;
}

void *hth_library_symbol(void *library, const char *name) { return dlsym(library, name); }

/* ---- files ---- */

struct hth_file {
    int descriptor;
};

hth_file *hth_file_open(const char *path, uint64_t *size, const char **reason) {
    struct stat info;
    const int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        *reason = strerror(errno);
        return NULL;
    }
    hth_file *file = NULL;
    if (fstat(descriptor, &info) != 0) {
        *reason = strerror(errno);
    } else if (!S_ISREG(info.st_mode)) {
        *reason = "not a regular file";
    } else if ((file = malloc(sizeof *file)) == NULL) {
        *reason = "out of memory";
    }
    if (file == NULL) {
        close(descriptor);
        return NULL;
    }
    file->descriptor = descriptor;
    *size = (uint64_t)info.st_size;
    return file;
}

bool hth_file_read(hth_file *file, void *to, uint64_t size, uint64_t offset, const char **reason) {
    const uint64_t most = 1u << 30; /* some systems refuse to read 2 GiB at once */
    char *next = to;
    while (size > 0) {
        const ssize_t got = pread(file->descriptor, next, (size_t)(size < most ? size : most), (off_t)offset);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) {
            *reason = got < 0 ? strerror(errno) : "the file ends too soon";
            return false;
        }
        next += got;
        offset += (uint64_t)got;
        size -= (uint64_t)got;
    }
    return true;
}

void *hth_file_map(hth_file *file, uint64_t size) {
    void *pages = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, file->descriptor, 0);
    return pages == MAP_FAILED ? NULL : pages;
}

void hth_file_close(hth_file *file) {
    close(file->descriptor);
    free(file);
}

/* ---- pages of memory ---- */

/* What mmap gives, with slack to align in, minus the slack on both sides. Private and anonymous: on Linux neither shared
 * nor file-backed memory gets transparent huge pages. */
void *hth_pages_allocate(size_t size, size_t align) {
    if (size == 0 || size > SIZE_MAX - align) return NULL;
    const size_t total = size + align;
    char *base = mmap(NULL, total, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) return NULL;
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t before = (align - (uintptr_t)base % align) % align;
    const size_t used = (size + page - 1) / page * page;
    if (before > 0) munmap(base, before);
    if (before + used < total) munmap(base + before + used, total - before - used);
    return base + before;
}

void hth_pages_free(void *pages, size_t size) { munmap(pages, size); }

void hth_pages_want_huge(void *pages, size_t size) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    (void)madvise(pages, size, MADV_HUGEPAGE); /* a kernel without them answers EINVAL: then there are none */
#else
    (void)pages;
    (void)size;
#endif
}

bool hth_pages_read_in(void *pages, size_t size) {
#if defined(__linux__)
    const int populate_read = 22; /* MADV_POPULATE_READ, since Linux 5.14; headers may be older */
    int failed;
    do {
        failed = madvise(pages, size, populate_read);
    } while (failed != 0 && errno == EINTR);
    return failed == 0;
#else
    (void)pages;
    (void)size;
    return false;
#endif
}

void hth_pages_read_ahead(void *pages, size_t size) { (void)madvise(pages, size, MADV_WILLNEED); }

void hth_pages_release(void *pages, size_t size) { (void)madvise(pages, size, MADV_DONTNEED); }

uint64_t hth_pages_huge_bytes(const void *pages, size_t size) {
    uint64_t huge = 0;
#if defined(__linux__)
    FILE *maps = fopen("/proc/self/smaps", "re");
    if (maps == NULL) return 0;
    const unsigned long long begin = (uintptr_t)pages, end = begin + size;
    unsigned long long overlap = 0;
    char line[512];
    while (fgets(line, sizeof line, maps) != NULL) {
        unsigned long long low, high, kilobytes;
        if (sscanf(line, "%llx-%llx ", &low, &high) == 2) {
            const unsigned long long from = low > begin ? low : begin, to = high < end ? high : end;
            overlap = from < to ? to - from : 0;
        } else if (overlap > 0 && (sscanf(line, "AnonHugePages: %llu kB", &kilobytes) == 1 ||
                                   sscanf(line, "FilePmdMapped: %llu kB", &kilobytes) == 1)) {
            /* The system may have merged our pages with a neighbour's: never report more than is ours. */
            huge += kilobytes * 1024 < overlap ? kilobytes * 1024 : overlap;
        }
    }
    fclose(maps);
#else
    (void)pages;
    (void)size;
#endif
    return huge;
}

#endif
