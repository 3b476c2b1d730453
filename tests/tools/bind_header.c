/* bind_header - rewrites the generated headers of the project in the current directory. */
#include "bind_header.h"
#include "base/file.h"

#include <stdio.h>

int main(void) {
    bind_header files[BIND_HEADER_FILES];
    fnd_error err = { 0 };
    fnd_status status = bind_headers(files, &err);
    for (int i = 0; status == FND_OK && i < BIND_HEADER_FILES; i++) status = fnd_file_write(files[i].path, files[i].text.data, files[i].text.bytes, &err);
    if (status != FND_OK) fprintf(stderr, "bind_header: %s\n", err.text);
    bind_headers_free(files);
    return status != FND_OK;
}
