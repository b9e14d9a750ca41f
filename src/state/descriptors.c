/* descriptors.c - see descriptors.h. */
#include "state/descriptors.h"

tarn_status tarn__descriptor_read(
    const tarn_backend *backend, const char *name, tarn__descriptor *out, tarn_error *error)
{
    TARN_AUTO(tarn__rocks_unpin) tarn__rocks_pin pin = {NULL};
    tarn_bytes bytes;
    const tarn_status status = tarn__rocks_get(
        tarn__rocks_default_family(backend->rocks), tarn_bytes_of(name), &pin, &bytes, error);
    if (status == TARN_NOT_FOUND) {
        return tarn__fail(
            error, TARN_CORRUPTION, "the database has a state \"%s\" without a descriptor", name);
    }
    TARN_TRY(status);
    switch (tarn__descriptor_decode(bytes, out)) {
    case TARN__DESCRIPTOR_OK:
        return TARN_OK;
    case TARN__DESCRIPTOR_NEWER:
        return tarn__fail(
            error,
            TARN_NOT_SUPPORTED,
            "the descriptor of state \"%s\" was written by a newer version of Tarn",
            name);
    case TARN__DESCRIPTOR_DAMAGED:
        break;
    }
    return tarn__fail(error, TARN_CORRUPTION, "the descriptor of state \"%s\" is damaged", name);
}
