/* Paths of a bundle's files. */
#ifndef HEARTH_PATH_H
#define HEARTH_PATH_H

/* "DIR/name" in fresh memory; NULL where there is none. */
char *hth_path_join(const char *dir, const char *name);

#endif
