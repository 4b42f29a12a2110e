/* A kernel of two units for two threads: who runs the first waits for the other, who breaks. */
#include <stdatomic.h>
#include <stdint.h>

static _Atomic int32_t other;

int32_t t_break(int64_t begin, int64_t end, void *scratch) {
    (void)end, (void)scratch;
    if (begin > 0) {
        atomic_store(&other, 1);
        __builtin_trap();
    }
    while (atomic_load(&other) == 0) {
    }
    return 0;
}
