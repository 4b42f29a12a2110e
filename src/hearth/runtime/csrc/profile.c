/* The times of steps. */
#include "error.h"
#include "session.h"

void hearth_profile(hearth_session *session, int32_t enable) {
    if (session == NULL) return;
    session->profile = enable != 0;
    if (enable != 0) session->model->device->reset_profile(session);
}

static const hth_function *function_of(const hth_plan *plan, uint32_t step) {
    const hth_function *function = plan->functions;
    while (step - function->first_step >= function->num_steps) ++function; /* they have all steps, in order */
    return function;
}

hearth_status hearth_profile_read(const hearth_session *session, uint32_t index, hearth_step_profile *profile) {
    if (session == NULL || profile == NULL) return hth_fail(HEARTH_INVALID, "hearth_profile_read: an argument is NULL");
    const hth_plan *plan = &session->model->plan;
    if (index >= plan->header->num_steps) return hth_fail(HEARTH_INVALID, "there is no step %u", index);
    const hth_step *step = &plan->steps[index];
    profile->function = plan->strings + function_of(plan, index)->name;
    profile->label = plan->strings + step->label;
    profile->kernel = plan->strings + plan->kernels[step->kernel].name;
    session->model->device->read_profile(session, index, &profile->calls, &profile->time_ns);
    return HEARTH_OK;
}
