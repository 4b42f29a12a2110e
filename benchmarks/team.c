/* What the thread team costs; built and read by team.py. Prints a line of JSON for each thing measured:
 *
 *   empty   us a step of 2 grains (of `threads`, if more) that do nothing: whoever publishes it may take all of it
 *   meeting us a step of `threads` grains that wait for each other: every step wakes, gathers and releases all threads
 *   wake    us that a run of 20 shared steps takes longer than its work, when the run before ended `gap_us` ago
 */
#include <stdio.h>
#include <stdlib.h>

#include "platform.h"
#include "team.h"

enum { STEPS = 500, WORK_STEPS = 20, WORK_UNITS = 8, WORK_NS = 10 * 1000, RUNS = 40 };

static uint32_t num_threads;
static _Alignas(128) _Atomic uint64_t arrived;

static int32_t nothing(int64_t begin, int64_t end, void *const *buffers, const int64_t *scalars, void *scratch) {
    (void)begin, (void)end, (void)buffers, (void)scalars, (void)scratch;
    return 0;
}

/* Each unit waits until as many have begun as there are threads. */
static int32_t meet(int64_t begin, int64_t end, void *const *buffers, const int64_t *scalars, void *scratch) {
    (void)buffers, (void)scalars, (void)scratch;
    for (int64_t i = begin; i < end; ++i) {
        const uint64_t all = (atomic_fetch_add(&arrived, 1) / num_threads + 1) * num_threads;
        while (atomic_load_explicit(&arrived, memory_order_acquire) < all) hth_relax();
    }
    return 0;
}

static int32_t work(int64_t begin, int64_t end, void *const *buffers, const int64_t *scalars, void *scratch) {
    (void)buffers, (void)scalars, (void)scratch;
    for (int64_t i = begin; i < end; ++i) {
        const uint64_t start = hth_now_ns();
        while (hth_now_ns() - start < WORK_NS) hth_relax();
    }
    return 0;
}

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Runs `count` such steps RUNS times, each `gap_us` after the one before, and prints the microseconds of a run beyond
 * `ideal_us`, divided by `parts`. */
static void measure(hth_team *team, const char *what, hearth_kernel_fn run, int64_t units, size_t count, uint64_t gap_us,
                    double ideal_us, double parts) {
    static hth_team_step steps[STEPS];
    double times[RUNS];
    for (int i = -1; i < RUNS; ++i) { /* the first still has another pause behind it */
        for (size_t s = 0; s < count; ++s) steps[s] = (hth_team_step){.run = run, .units = units, .grain = 1};
        const uint64_t waiting = hth_now_ns();
        while (hth_now_ns() - waiting < gap_us * 1000) hth_relax();
        const uint64_t start = hth_now_ns();
        (void)hth_team_run(team, steps, count, false);
        if (i >= 0) times[i] = ((double)(hth_now_ns() - start) / 1000 - ideal_us) / parts;
    }
    qsort(times, RUNS, sizeof *times, ascending);
    printf("{\"what\": \"%s\", \"threads\": %u, \"gap_us\": %llu, \"best_us\": %.3f, \"median_us\": %.3f}\n", what,
           num_threads, (unsigned long long)gap_us, times[0], times[RUNS / 2]);
}

int main(int count, char **arguments) {
    num_threads = count == 2 ? (uint32_t)strtoul(arguments[1], NULL, 10) : 0;
    hth_team *team = num_threads > 0 ? hth_team_create(num_threads, 64) : NULL;
    if (team == NULL) {
        fprintf(stderr, "usage: team THREADS\n");
        return 2;
    }
    measure(team, "empty", nothing, num_threads > 2 ? num_threads : 2, STEPS, 0, 0, STEPS);
    /* With more threads than processors a meeting measures the system's scheduler, not us. */
    if (num_threads <= hth_processor_count()) {
        measure(team, "meeting", meet, num_threads, STEPS, 0, 0, STEPS);
        const double ideal_us = (double)WORK_STEPS * WORK_UNITS * WORK_NS / 1000 / num_threads;
        const uint64_t gaps_us[] = {0, 50, 200, 400, 1000, 3000};
        for (size_t i = 0; i < sizeof gaps_us / sizeof *gaps_us; ++i) {
            measure(team, "wake", work, WORK_UNITS, WORK_STEPS, gaps_us[i], ideal_us, 1);
        }
    }
    hth_team_free(team);
    return 0;
}
