/* A team of threads that runs a list of steps. The thread that calls is its first member.
 *
 * A step is finished when its work is finished, not when every thread has come by: a thread that the system has put
 * aside holds nobody up unless it has a chunk in hand, and the caller alone could run everything. Whoever finishes the
 * last chunk of a step starts the next one. Steps of a single chunk are run by that thread on the spot, without a word to
 * the others. */
#ifndef HEARTH_TEAM_H
#define HEARTH_TEAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels.h"

typedef struct hth_team hth_team;

typedef struct {
    hearth_kernel_fn run;
    void *const *buffers;
    const int64_t *scalars;
    int64_t units;    /* 0 .. INT32_MAX; a step without units is skipped */
    int64_t grain;    /* smallest chunk, in units; 1 .. INT32_MAX */
    const char *weights; /* what it reads, spread evenly over the units, or NULL: threads that wait for it look ahead */
    uint64_t weights_bytes;
    uint64_t calls;   /* added to while profiling */
    uint64_t time_ns; /* likewise */
} hth_team_step;

/* Steps that run one after the other. */
typedef struct {
    hth_team_step *steps;
    size_t count;
} hth_team_work;

/* NULL if the threads or their memory cannot be had. Each thread has `scratch_bytes` of its own. */
hth_team *hth_team_create(uint32_t threads, uint64_t scratch_bytes);
void hth_team_free(hth_team *team);

/* Says what the next run is likely to be: of its weights, which must not change any more, threads fetch the first while
 * they wait for a run. It and its steps must stay until the team is freed. */
void hth_team_expect(hth_team *team, const hth_team_work *work);

/* Runs the steps one after the other. Answers 0, or the first answer of a kernel that was not 0 (all steps still run).
 * Only one thread may call it at a time. */
int32_t hth_team_run(hth_team *team, const hth_team_work *work, bool profile);

#endif
