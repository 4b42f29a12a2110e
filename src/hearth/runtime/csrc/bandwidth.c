/* How fast this machine reads memory: a team sums a buffer in huge pages. */
#include <string.h>

#include "error.h"
#include "memory.h"
#include "platform.h"
#include "team.h"

enum { UNIT_BYTES = 256 << 10 };

typedef uint64_t vector __attribute__((vector_size(64), aligned(64)));

/* Writes one byte a page, so that each page exists and none is the shared page of zeroes. */
static int32_t touch_units(int64_t begin, int64_t end, void *const *buffers, const int64_t *scalars, void *scratch) {
    char *data = buffers[0];
    (void)scalars;
    (void)scratch;
    for (int64_t i = begin * UNIT_BYTES; i < end * UNIT_BYTES; i += 4096) data[i] = 1;
    return 0;
}

/* Four sums that do not wait for each other: the loads come as fast as memory gives them. */
static int32_t sum_units(int64_t begin, int64_t end, void *const *buffers, const int64_t *scalars, void *scratch) {
    const vector *data = buffers[0];
    vector a = {0}, b = {0}, c = {0}, d = {0};
    (void)scalars;
    const int64_t per_unit = UNIT_BYTES / (int64_t)sizeof(vector);
    for (int64_t i = begin * per_unit; i < end * per_unit; i += 4) {
        a += data[i];
        b += data[i + 1];
        c += data[i + 2];
        d += data[i + 3];
    }
    a = (a + b) + (c + d);
    memcpy(scratch, &a, sizeof a); /* the sum must go somewhere, or the compiler leaves the loop out */
    return 0;
}

hearth_status hearth_read_bandwidth(uint32_t threads, uint64_t bytes, uint32_t rounds, double *bytes_per_second) {
    hth_memory memory;
    if (threads < 1 || threads > 1024 || bytes < UNIT_BYTES || bytes_per_second == NULL) {
        return hth_fail(HEARTH_INVALID, "hearth_read_bandwidth: an argument is out of range");
    }
    const uint64_t units = bytes / UNIT_BYTES;
    hth_team *team = hth_team_create(threads, sizeof(vector));
    if (team == NULL || !hth_memory_allocate(&memory, units * UNIT_BYTES)) {
        hth_team_free(team);
        return hth_fail(HEARTH_MEMORY, "%llu bytes to measure with cannot be had", (unsigned long long)bytes);
    }
    void *buffers[] = {memory.data};
    hth_team_step touch = {.run = touch_units, .buffers = buffers, .units = (int64_t)units, .grain = 8};
    hth_team_step sum = {.run = sum_units, .buffers = buffers, .units = (int64_t)units, .grain = 1};
    (void)hth_team_run(team, &(hth_team_work){&touch, 1}, false);
    for (uint32_t i = 0; i < rounds; ++i) {
        const uint64_t started = hth_now_ns();
        (void)hth_team_run(team, &(hth_team_work){&sum, 1}, false);
        const uint64_t spent = hth_now_ns() - started;
        bytes_per_second[i] = (double)(units * UNIT_BYTES) * 1e9 / (double)(spent > 0 ? spent : 1);
    }
    hth_memory_free(&memory);
    hth_team_free(team);
    return HEARTH_OK;
}
