/* untaken.c - states that are stored and that nobody has opened: refused or dropped. */
#include "state/descriptors.h"
#include "state/hot.h"

#include <inttypes.h>

static bool is_taken(const tarn_backend *backend, const tarn__rocks_family *family)
{
    for (const tarn__child *child = backend->first_child; child != NULL; child = child->next) {
        if (strcmp(child->kind, "state") == 0 && strcmp(child->name, family->name) == 0) {
            return true;
        }
    }
    return false;
}

tarn_status tarn_backend_check_untaken(const tarn_backend *backend, tarn_error *error)
{
    TARN_TRY(tarn__backend_check_poison(backend, error));
    uint32_t count = 0;
    const tarn__rocks_family *found = NULL;
    for (const tarn__rocks_family *family = tarn__rocks_first_family(backend->rocks);
         family != NULL;
         family = family->next) {
        if (!is_taken(backend, family)) {
            count++;
            found = family;
        }
    }
    if (found == NULL) {
        return TARN_OK;
    }
    TARN_AUTO(tarn__rocks_unpin) tarn__rocks_pin pin = {.slice = NULL};
    tarn__descriptor stored;
    TARN_TRY(tarn__descriptor_read(backend, found->name, &pin, &stored, error));
    const tarn__schema *schema = &stored.schemas[0];
    return tarn__fail(
        error,
        TARN_INCOMPATIBLE,
        "backend %.60s/%" PRIu32 " has %" PRIu32 " state%s that nobody opened: \"%.100s\", %s of "
        "%.*s version %" PRIu32 "%s; open or drop what is stored",
        backend->operator_name,
        backend->subtask_index,
        count,
        count == 1 ? "" : "s",
        found->name,
        tarn__state_kind_name(stored.kind),
        (int)(schema->codec_name.size < 80 ? schema->codec_name.size : 80),
        (const char *)schema->codec_name.data,
        schema->codec_version,
        count == 1 ? "" : ", and others");
}

/* The family goes first: a descriptor alone is harmless, a family alone would be damage. */
static tarn_status drop(tarn_backend *backend, tarn__rocks_family *family, tarn_error *error)
{
    char name[TARN__ROCKS_NAME_BYTES_MAX + 1];
    memcpy(name, family->name, strlen(family->name) + 1);
    tarn__tidier_forget(backend, family);
    TARN_TRY(tarn__rocks_remove_family(family, error));
    return tarn__rocks_delete(
        tarn__rocks_default_family(backend->rocks), tarn_bytes_of(name), error);
}

tarn_status tarn_backend_drop_untaken(tarn_backend *backend, uint32_t *count_out, tarn_error *error)
{
    TARN_TRY(tarn__backend_enter_write(backend, error));
    tarn__rocks_unpin(&backend->pin);
    if (backend->snapshot != NULL) {
        return tarn__fail(
            error,
            TARN_BUSY,
            "backend %s/%" PRIu32 " cannot drop states while a snapshot is open",
            backend->operator_name,
            backend->subtask_index);
    }
    tarn__hot_quiet(backend);
    tarn__backend_await_workers(backend);
    uint32_t count = 0;
    tarn_status status = TARN_OK;
    tarn__rocks_family *next = NULL;
    for (tarn__rocks_family *family = tarn__rocks_first_family(backend->rocks);
         family != NULL && status == TARN_OK;
         family = next) {
        next = family->next;
        if (!is_taken(backend, family)) {
            status = tarn__backend_finish_write(backend, drop(backend, family, error), error);
            count++;
        }
    }
    tarn__tidier_resume(backend);
    TARN_TRY(status);
    if (count_out != NULL) {
        *count_out = count;
    }
    return TARN_OK;
}
