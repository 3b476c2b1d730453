/* offline.c - a library that Apple's command line tools make: metal and metallib, which xcrun finds where
 * Xcode is installed. Such a library loads faster than a text, and is kept in the cache like other code. */
#include "backend/metal/metal.h"
#include "base/base.h"
#include "base/file.h"

#include <stdio.h>

enum { ANSWER_SECONDS = 20,
       MAX_LIBRARY_BYTES = 64 << 20,
       SHOWN_BYTES = 800 };

/* Where no developer tools are chosen, xcrun opens a dialog that offers to install them; this question does not. */
static bool tools_are_chosen(void) {
    char path[FND_PROCESS_PATH_BYTES];
    fnd_error ignored = { 0 };
    int exit_code = 0;
    if (!fnd_process_find("xcode-select", path)) return false;
    const char *const argv[] = { path, "-p", NULL };
    return fnd_process_run(argv, NULL, ANSWER_SECONDS, NULL, &exit_code, &ignored) == FND_OK && exit_code == 0;
}

void fnd_metal_find_tools(fnd_metal *c, char *version, size_t bytes) {
    static const char *const tools[] = { "metal", "metallib" };
    fnd_text said = { 0 };
    fnd_error ignored = { 0 };
    int exit_code = 0;
    snprintf(version, bytes, "source");
    if (!tools_are_chosen() || !fnd_process_find("xcrun", c->xcrun)) return;
    for (size_t i = 0; i < FND_COUNT(tools) && c->xcrun[0]; i++) {
        const char *const argv[] = { c->xcrun, "-sdk", "macosx", tools[i], "--version", NULL };
        fnd_text_clear(&said);
        if (fnd_process_run(argv, NULL, ANSWER_SECONDS, &said, &exit_code, &ignored) != FND_OK || exit_code != 0) c->xcrun[0] = '\0';
        if (i == 0 && c->xcrun[0]) snprintf(version, bytes, "%.*s", (int)fnd_min_size(strcspn(fnd_text_get(&said), "\n"), bytes - 1), fnd_text_get(&said));
    }
    if (!c->xcrun[0]) snprintf(version, bytes, "source");
    fnd_text_free(&said);
}

static fnd_status run(const fnd_metal *c, const fnd_build_desc *desc, const char *const *argv, const char *text, fnd_error *err) {
    fnd_text said = { 0 };
    fnd_error why = { 0 };
    int exit_code = 0;
    char shown[SHOWN_BYTES];
    fnd_status status = fnd_process_run_until(argv, text, &(fnd_process_until){ c->compiler_seconds, desc->stop }, &said, &exit_code, &why);
    if (status != FND_OK) {
        fnd_fail(err, status, "%s did not compile: %s", desc->entry, why.text);
    } else if (exit_code != 0) {
        fnd_metal_explain(text ? text : "", fnd_text_get(&said), shown, sizeof shown);
        status = fnd_fail(err, FND_ERR_COMPILE, "%s did not compile: %s", desc->entry, shown[0] ? shown : "the compiler failed and said nothing");
    }
    fnd_text_free(&said);
    return status;
}

fnd_status fnd_metal_compile_offline(const fnd_metal *c, const fnd_build_desc *desc, const char *text, fnd_blob *out, fnd_error *err) {
    char dir[FND_PROCESS_PATH_BYTES], air[FND_PROCESS_PATH_BYTES + 16], library[FND_PROCESS_PATH_BYTES + 16];
    FND_TRY(fnd_process_temp_dir(dir, err));
    snprintf(air, sizeof air, "%s/text.air", dir);
    snprintf(library, sizeof library, "%s/text.metallib", dir);
    const char *const compile[] = { c->xcrun, "-sdk", "macosx", "metal", "-x", "metal", "-std=metal3.0", "-mmacosx-version-min=13.0", "-fno-fast-math", "-c", "-", "-o", air, NULL };
    const char *const pack[] = { c->xcrun, "-sdk", "macosx", "metallib", air, "-o", library, NULL };
    char *data = NULL;
    fnd_status status = run(c, desc, compile, text, err);
    if (status == FND_OK) status = run(c, desc, pack, NULL, err);
    if (status == FND_OK) status = fnd_file_read(library, MAX_LIBRARY_BYTES, &data, &out->bytes, err);
    if (status == FND_OK) out->data = data;
    fnd_process_remove_dir(dir);
    return status;
}
