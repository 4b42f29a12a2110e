/* Which instructions this processor has. */
#ifndef HEARTH_CPU_H
#define HEARTH_CPU_H

#include <stdbool.h>
#include <stddef.h>

/* Whether this processor has all `features`: names as Linux spells them in /proc/cpuinfo, separated by single spaces.
 * Those it lacks, or the operating system keeps no registers for, or that are not known here, are written to `missing`
 * in the same form, cut at `size` bytes. */
bool hth_cpu_has(const char *features, char *missing, size_t size);

#endif
