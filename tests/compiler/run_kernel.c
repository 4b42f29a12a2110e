/* Runs one kernel of a program's kernel table on buffers from standard input: for kernels of 64-bit Arm under emulation.
 * All numbers are 64-bit little-endian:
 *   in: kernel index, units, chunk, number of buffers, number of scalars, the scalars, then each buffer as its size and
 *       its bytes; the scratch memory is the last buffer.
 *   out: the bytes of all buffers.
 * Linux system calls and no C library, which would take longer to compile than the kernels. */
#include <stddef.h>
#include <stdint.h>

#include "kernels.h"

/* What a compiler may call without being asked. */
void *memset(void *to, int value, size_t size) {
    for (size_t i = 0; i < size; i++) ((volatile char *)to)[i] = (char)value;
    return to;
}

void *memcpy(void *to, const void *from, size_t size) {
    for (size_t i = 0; i < size; i++) ((volatile char *)to)[i] = ((const char *)from)[i];
    return to;
}

enum { READ = 63, WRITE = 64, EXIT = 93, MOST = 64 };

static int64_t call(int64_t number, int64_t a, int64_t b, int64_t c) {
    register int64_t x8 __asm__("x8") = number, x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
    return x0;
}

static void transfer(int64_t number, void *data, int64_t size) {
    char *at = data;
    while (size > 0) {
        const int64_t done = call(number, number == READ ? 0 : 1, (int64_t)at, size);
        if (done <= 0) call(EXIT, 2, 0, 0);
        at += done;
        size -= done;
    }
}

static int64_t number(void) {
    int64_t value;
    transfer(READ, &value, sizeof value);
    return value;
}

static _Alignas(64) char memory[64 << 20];

void _start(void) {
    int64_t index = number(), units = number(), chunk = number(), count = number(), num_scalars = number(), used = 0;
    int64_t scalars[MOST], sizes[MOST];
    void *buffers[MOST];
    if (count > MOST || num_scalars > MOST) call(EXIT, 2, 0, 0);
    for (int64_t i = 0; i < num_scalars; i++) scalars[i] = number();
    for (int64_t i = 0; i < count; i++) {
        sizes[i] = number();
        buffers[i] = memory + used;
        used += (sizes[i] + 63) / 64 * 64;
        if (used > (int64_t)sizeof memory) call(EXIT, 2, 0, 0);
        transfer(READ, buffers[i], sizes[i]);
    }
    for (int64_t begin = 0; begin < units; begin += chunk) {
        const int64_t end = begin + chunk < units ? begin + chunk : units;
        if (hearth_kernel_sets[0].kernels[index].fn(begin, end, buffers, scalars, buffers[count - 1]) != 0)
            call(EXIT, 1, 0, 0);
    }
    for (int64_t i = 0; i < count; i++) transfer(WRITE, buffers[i], sizes[i]);
    call(EXIT, 0, 0, 0);
}
