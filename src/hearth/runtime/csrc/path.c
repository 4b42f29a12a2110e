#include "path.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *hth_path_join(const char *dir, const char *name) {
    const size_t size = strlen(dir) + strlen(name) + 2;
    char *path = malloc(size);
    if (path != NULL) (void)snprintf(path, size, "%s/%s", dir, name);
    return path;
}
