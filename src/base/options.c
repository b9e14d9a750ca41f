/* options.c - structs that grow at their end. */
#include "base/options.h"

#include <string.h>

tarn_status tarn__options_copy(
    const char *name, const void *given, void *known, size_t known_size, tarn_error *error)
{
    if (given == NULL) {
        return tarn__fail(error, TARN_INVALID_ARGUMENT, "%s is missing", name);
    }
    size_t given_size;
    memcpy(&given_size, given, sizeof given_size);
    if (given_size < sizeof given_size) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "%s.struct_size is %zu; start from the INIT macro",
            name,
            given_size);
    }
    const uint8_t *bytes = given;
    for (size_t i = known_size; i < given_size; i++) {
        if (bytes[i] != 0) {
            return tarn__fail(
                error,
                TARN_INVALID_ARGUMENT,
                "%s sets a member at byte %zu that this version (%zu bytes) does not know",
                name,
                i,
                known_size);
        }
    }
    memset(known, 0, known_size);
    memcpy(known, given, given_size < known_size ? given_size : known_size);
    memcpy(known, &known_size, sizeof known_size);
    return TARN_OK;
}
