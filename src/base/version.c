/* version.c - the version of this library. */
#include "foundry/version.h"

const char *fnd_version(void) { return FND_VERSION; }
