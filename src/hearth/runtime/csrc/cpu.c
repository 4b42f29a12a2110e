/* cpuid on x86; on Arm the operating system must be asked, in its own way each. */
#if defined(__linux__)
#define _GNU_SOURCE /* syscall */
#endif
#include "cpu.h"

#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif
#if defined(__APPLE__)
#include <sys/sysctl.h>
#include <sys/types.h>
#endif

#if defined(__APPLE__)
static bool system_says(const char *name) {
    int value = 0;
    size_t size = sizeof value;
    return sysctlbyname(name, &value, &size, NULL, 0) == 0 && value != 0;
}
#endif

#if defined(__x86_64__)

enum { EAX, EBX, ECX, EDX };

/* Registers that the operating system must save, as bits of XCR0: none beyond the ordinary, ymm, zmm, tiles. */
enum { PLAIN = 0, YMM = 0x6, ZMM = 0xe6, TILES = 0x60000 };

typedef struct {
    const char *name;
    uint32_t leaf, subleaf, word, bit;
    uint32_t state;
} feature;

static const feature known[] = {
    {"f16c", 1, 0, ECX, 29, YMM},        {"fma", 1, 0, ECX, 12, YMM},       {"avx2", 7, 0, EBX, 5, YMM},
    {"bmi2", 7, 0, EBX, 8, PLAIN},       {"avx_vnni", 7, 1, EAX, 4, YMM},   {"avx512f", 7, 0, EBX, 16, ZMM},
    {"avx512dq", 7, 0, EBX, 17, ZMM},    {"avx512bw", 7, 0, EBX, 30, ZMM},  {"avx512vl", 7, 0, EBX, 31, ZMM},
    {"avx512_vnni", 7, 0, ECX, 11, ZMM}, {"avx512_bf16", 7, 1, EAX, 5, ZMM}, {"amx_tile", 7, 0, EDX, 24, TILES},
    {"amx_int8", 7, 0, EDX, 25, TILES},
};

/* Linux makes room for the 8 KiB of tiles only in processes that have asked for it (ARCH_REQ_XCOMP_PERM); the first tile
 * instruction of another ends it. It says no where a thread's signal stack is too small for them, or a sandbox forbids the
 * question: the processor's own word is not enough. All threads of the process have the permission then. */
static bool may_use_tiles(void) {
#if defined(__linux__)
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
    return syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
#else
    return false;
#endif
}

static bool cpuid_bit(uint32_t leaf, uint32_t subleaf, uint32_t word, uint32_t bit) {
    uint32_t r[4] = {0, 0, 0, 0};
    if (!__get_cpuid_count(leaf, 0, &r[EAX], &r[EBX], &r[ECX], &r[EDX])) return false;
    if (subleaf > 0) { /* for these leaves the first one says how many there are */
        if (r[EAX] < subleaf) return false;
        __cpuid_count(leaf, subleaf, r[EAX], r[EBX], r[ECX], r[EDX]);
    }
    return (r[word] >> bit & 1) != 0;
}

static bool is_saved(uint32_t state) {
    uint32_t low, high;
    if (state == PLAIN) return true;
    if (!cpuid_bit(1, 0, ECX, 27)) return false; /* OSXSAVE: without it xgetbv is no instruction */
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    (void)high;
#if defined(__APPLE__)
    /* macOS makes room for zmm registers when a thread first uses one. */
    if (state == ZMM && system_says("hw.optional.avx512f")) state = YMM;
#endif
    return (low & state) == state && (state != TILES || may_use_tiles());
}

static bool has(const char *name, size_t length) {
    for (size_t i = 0; i < sizeof known / sizeof known[0]; ++i) {
        const feature *f = &known[i];
        if (strlen(f->name) != length || memcmp(f->name, name, length) != 0) continue;
        return cpuid_bit(f->leaf, f->subleaf, f->word, f->bit) && is_saved(f->state);
    }
    return false;
}

#elif defined(__aarch64__)

typedef struct {
    const char *name;
    uint32_t word, bit;    /* on Linux: of AT_HWCAP or AT_HWCAP2 */
    const char *on_macos;  /* its name for sysctl; NULL: every Apple processor for Macs has it */
} feature;

static const feature known[] = {
    {"asimd", 0, 1, NULL},
    {"asimddp", 0, 20, NULL},
    {"i8mm", 1, 13, "hw.optional.arm.FEAT_I8MM"},
};

static bool has_feature(const feature *f) {
#if defined(__linux__)
    return (getauxval(f->word == 0 ? AT_HWCAP : AT_HWCAP2) >> f->bit & 1) != 0;
#elif defined(__APPLE__)
    return f->on_macos == NULL || system_says(f->on_macos);
#else
    return f->bit == 1; /* asimd belongs to the architecture */
#endif
}

static bool has(const char *name, size_t length) {
    for (size_t i = 0; i < sizeof known / sizeof known[0]; ++i) {
        const feature *f = &known[i];
        if (strlen(f->name) == length && memcmp(f->name, name, length) == 0) return has_feature(f);
    }
    return false;
}

#elif defined(__wasm__)

/* A module with an instruction that its engine does not know is not loaded at all. */
static bool has(const char *name, size_t length) {
    (void)name, (void)length;
    return true;
}

#else

static bool has(const char *name, size_t length) {
    (void)name, (void)length;
    return false;
}

#endif

bool hth_cpu_has(const char *features, char *missing, size_t size) {
    size_t used = 0;
    bool all = true;
    if (size > 0) missing[0] = '\0';
    while (*features != '\0') {
        const size_t length = strcspn(features, " ");
        if (!has(features, length)) {
            const size_t gap = all ? 0 : 1;
            if (used + gap + length < size) {
                if (gap > 0) missing[used++] = ' ';
                memcpy(missing + used, features, length);
                used += length;
                missing[used] = '\0';
            }
            all = false;
        }
        features += length + (features[length] == ' ' ? 1 : 0);
    }
    return all;
}
