/* What a model says of itself. */
#ifndef HEARTH_DESCRIBE_H
#define HEARTH_DESCRIBE_H

#include "model.h"

/* The JSON of hearth_describe, in fresh memory. */
hearth_status hth_describe(const hearth_model *model, char **description);

#endif
