/* version.h - which Foundry this is: the one place that says so. */
#ifndef FOUNDRY_VERSION_H
#define FOUNDRY_VERSION_H

#ifdef __cplusplus
extern "C" {
#endif

#define FND_VERSION_MAJOR 0
#define FND_VERSION_MINOR 1
#define FND_VERSION_PATCH 0

/* The number behind the shared library's name (libfoundry.so.0): one more with every release that
 * programs linked with the one before cannot use as they are. */
#define FND_VERSION_ABI 0

/* "0.1.0": of the headers that a program is compiled with. */
#define FND_VERSION_TEXT_(a, b, c)   #a "." #b "." #c
#define FND_VERSION_OF_(a, b, c)     FND_VERSION_TEXT_(a, b, c)
#define FND_VERSION                  FND_VERSION_OF_(FND_VERSION_MAJOR, FND_VERSION_MINOR, FND_VERSION_PATCH)

/* The same of the library that it runs with. */
const char *fnd_version(void);

#ifdef __cplusplus
}
#endif
#endif
