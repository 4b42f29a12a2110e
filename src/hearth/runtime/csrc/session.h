/* A session: the thread team, the workspace and the KV cache that forwards of a model run in. */
#ifndef HEARTH_SESSION_H
#define HEARTH_SESSION_H

#include "memory.h"
#include "model.h"
#include "team.h"

struct hearth_session {
    hearth_model *model;
    hth_team *team;
    uint32_t num_pages, threads;
    uint32_t table_stride; /* most pages of one sequence: of the longest context, and no more than there are */
    uint64_t reserved_bytes;

    hth_memory arena;
    hth_memory kv;
    char **kv_regions; /* [num_kv] */

    /* The batch, copied here so that no pointer of a step ever changes. */
    hth_memory input_memory;
    int32_t *inputs[HTH_NUM_INPUTS];
    uint8_t *seq_seen; /* [max_seqs], all zero between forwards */
    int64_t symbols[HTH_NUM_SYMBOLS];

    hth_team_step *steps; /* [num_steps] */
    void **pointers;      /* buffers of all steps, one after the other */
    int64_t *scalars;     /* values of all scalars of the plan, then the scalar arguments of all steps */
    int64_t *step_scalars;

    _Atomic uint32_t busy; /* 1 while a forward runs */
    bool profile;
};

/* Checks a batch, copies it into the session's inputs, cuts it into work items and sets the symbols (batch.c). */
hearth_status hth_batch_take(hearth_session *session, const hearth_batch *batch);

#endif
