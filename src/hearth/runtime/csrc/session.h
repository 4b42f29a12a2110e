/* A session: the thread team, the workspace and the states that calls of a model run in. */
#ifndef HEARTH_SESSION_H
#define HEARTH_SESSION_H

#include "memory.h"
#include "model.h"
#include "team.h"
#include "text.h"

/* A function of the plan, prepared: what a call has to evaluate and to run. */
typedef struct hth_session_function {
    hth_team_work work;
    int64_t *arguments;      /* values of the scalar arguments of its steps, one after the other */
    void **pointers;         /* buffers of its steps, likewise */
    const uint32_t *scalars; /* ids of the scalars that it needs, those that others are made of first */
    uint32_t num_scalars;
} hth_session_function;

struct hearth_session {
    hearth_model *model;
    hth_team *team;
    uint32_t threads;
    uint64_t reserved_bytes;

    hth_memory arena;
    hth_memory states;
    char **state_regions; /* [num_states] */

    /* Inputs are copied here, but for those that are lent, so that no other pointer of a step ever changes. Functions share
     * the memory: one runs at a time. */
    hth_memory input_memory;
    void **inputs; /* [num_inputs] */

    hth_interval bounds[HTH_MAX_SYMBOLS]; /* of the symbols in this session */
    int64_t symbols[HTH_MAX_SYMBOLS];     /* their values in the call that runs */
    int64_t *scalars;                     /* [num_scalars]: values of those that the call needs */

    hth_session_function *functions; /* [num_functions] */
    hth_team_step *steps;            /* [num_steps] */
    void **pointers;                 /* buffers of all steps, one after the other */
    int64_t *arguments;              /* scalar arguments of all steps, likewise */
    uint32_t *function_scalars;      /* what functions[].scalars point into */
    const hth_session_function *expected; /* whose weights threads fetch while they wait for a call */

    hth_text text;

    _Atomic uint32_t busy; /* 1 while a call runs */
    bool profile;
};

/* Where a buffer of the plan lies in this session. */
void *hth_session_buffer(const hearth_session *session, const hth_buffer *buffer);

/* Lets the steps of a function read an input that is lent to it where it lies. */
void hth_session_lend(hearth_session *session, const hth_session_function *function, uint32_t input, void *data);

/* Evaluates what the function needs of session->symbols and runs its steps. */
hearth_status hth_session_evaluate(hearth_session *session, const hth_session_function *function);
hearth_status hth_session_run(hearth_session *session, const hth_session_function *function);

/* One call at a time: HEARTH_INVALID while another runs. */
hearth_status hth_session_enter(hearth_session *session);
void hth_session_leave(hearth_session *session);

/* Prepares functions, steps and all their pointers, once the memory is there (prepare.c). */
hearth_status hth_session_prepare(hearth_session *session);

#endif
