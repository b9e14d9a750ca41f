/*
 * import.c - a canonical savepoint made of rows: tarn/rows.h.
 *
 *     begin_subtask ──► an empty backend in the directory ──► rows, past its states, as they are
 *                                                                │
 *     the next one, or finish ──► snapshot in canonical form ──► acknowledged ──► backend removed
 *
 * Rows are looked at one by one: what a backend could not have written is refused.
 */
#include <string.h>

#include "tarn/rows.h"
#include "tarn/savepoint.h"
#include "tarn/snapshot.h"

#include "base/options.h"
#include "codec/reduction.h"
#include "snapshot/checkpoint.h"
#include "state/import_private.h"

enum { PIECES_MAX = 65536, DESCRIPTOR_FORMAT = 2 };

void tarn_import_options_init(tarn_import_options *options, size_t struct_size)
{
    memset(options, 0, struct_size);
    options->struct_size = struct_size;
}

/* ---- life ------------------------------------------------------------------------------- */

static void free_import(tarn_import *import)
{
    tarn__rocks_batch_clear(&import->batch);
    tarn__arena_clear(&import->arena);
    tarn_buffer_clear(&import->key);
    tarn_buffer_clear(&import->before);
    tarn_buffer_clear(&import->value);
    tarn__release(import->directory);
    tarn__release(import);
}

tarn_status tarn_import_open(
    const tarn_import_options *options, tarn_import **out, tarn_error *error)
{
    tarn_import_options known;
    TARN_TRY(tarn__options_copy("tarn_import_options", options, &known, sizeof known, error));
    if (known.env == NULL || known.directory == NULL || out == NULL) {
        return tarn__fail(error, TARN_INVALID_ARGUMENT, "env, directory and out are required");
    }
    tarn__account *account = tarn__env_account(known.env);
    tarn_import *import = tarn__allocate_zeroed(account, 1, sizeof *import);
    char *directory = tarn__allocate(account, strlen(known.directory) + 1);
    if (import == NULL || directory == NULL) {
        tarn__release(import);
        tarn__release(directory);
        return tarn__fail_no_memory(error, "an import", sizeof *import);
    }
    memcpy(directory, known.directory, strlen(known.directory) + 1);
    import->env = known.env;
    import->account = account;
    import->directory = directory;
    import->key.allocator = &account->face;
    import->before.allocator = &account->face;
    import->value.allocator = &account->face;
    tarn__arena_init(&import->arena, account);
    tarn__rocks_batch_init(&import->batch);
    const tarn_savepoint_options savepoint = {
        .struct_size = sizeof savepoint,
        .env = known.env,
        .address = known.address,
        .job = known.job,
        .id = known.id,
        .form = TARN_FORM_CANONICAL,
    };
    const tarn_status status = tarn_savepoint_begin(&savepoint, &import->pending, error);
    if (status != TARN_OK) {
        free_import(import);
        return status;
    }
    *out = import;
    return TARN_OK;
}

const char *tarn_import_path(const tarn_import *import)
{
    return tarn_savepoint_path(import->pending);
}

/* ---- subtasks --------------------------------------------------------------------------- */

static tarn_status close_backend(tarn_import *import, tarn_error *error)
{
    tarn_backend *backend = import->backend;
    import->backend = NULL;
    import->family = NULL;
    return backend != NULL ? tarn_backend_close(backend, error) : TARN_OK;
}

tarn_status tarn__import_flush(tarn_import *import, tarn_error *error)
{
    return import->batch.bytes > 0
               ? tarn__rocks_batch_write(import->backend->rocks, &import->batch, error)
               : TARN_OK;
}

static tarn_status snapshot_keyed(tarn_import *import, tarn_buffer *out, tarn_error *error)
{
    tarn_snapshot *snapshot = NULL;
    TARN_TRY(tarn__import_flush(import, error));
    if (import->sequence > 0) {
        TARN_TRY(tarn__backend_raise_sequence(import->backend, import->sequence, error));
    }
    TARN_TRY(tarn_snapshot_begin(import->backend, import->pending, &snapshot, error));
    tarn_status status = TARN_OK;
    for (const tarn__import_piece *p = import->pieces; status == TARN_OK && p != NULL;
         p = p->next) {
        status = tarn_snapshot_add_state(snapshot, p->name, p->bytes, error);
    }
    if (status != TARN_OK) {
        tarn_snapshot_abandon(snapshot);
        return status;
    }
    return tarn_snapshot_finish(snapshot, out, error);
}

static tarn_status encode_pieces(tarn_import *import, tarn_buffer *out, tarn_error *error)
{
    tarn_checkpoint_operator_state *states =
        tarn__arena_allocate(&import->arena, import->piece_count + 1, sizeof *states);
    if (states == NULL) {
        return tarn__fail_no_memory(error, "operator state", import->piece_count);
    }
    uint32_t count = 0;
    for (const tarn__import_piece *p = import->pieces; p != NULL; p = p->next) {
        states[count].name = p->name;
        states[count++].bytes = p->bytes;
    }
    const tarn_import_subtask *s = &import->subtask;
    return tarn_acknowledgement_encode(
        tarn_pending_checkpoint_id(import->pending),
        s->operator_name,
        s->subtask_index,
        s->parallelism,
        states,
        count,
        out,
        error);
}

static tarn_status end_subtask(tarn_import *import, tarn_error *error)
{
    if (!import->has_subtask) {
        return TARN_OK;
    }
    TARN_AUTO(tarn_buffer_clear) tarn_buffer bytes = {.allocator = &import->account->face};
    tarn_status status = import->backend != NULL ? snapshot_keyed(import, &bytes, error)
                                                 : encode_pieces(import, &bytes, error);
    if (status == TARN_OK) {
        status = tarn_checkpoint_acknowledge(import->pending, tarn_buffer_bytes(&bytes), error);
    }
    const tarn_status closed = close_backend(import, status == TARN_OK ? error : NULL);
    import->has_subtask = false;
    import->pieces = NULL;
    import->piece_count = 0;
    tarn__arena_clear(&import->arena);
    return status != TARN_OK ? status : closed;
}

static tarn_status open_backend(tarn_import *import, tarn_error *error)
{
    const tarn_import_subtask *s = &import->subtask;
    tarn_backend_options options = TARN_BACKEND_OPTIONS_INIT;
    options.env = import->env;
    options.operator_name = s->operator_name;
    options.directory = import->directory;
    options.subtask_index = s->subtask_index;
    options.parallelism = s->parallelism;
    options.max_parallelism = s->max_parallelism;
    options.key_hash = s->key_hash;
    return tarn_backend_open(&options, &import->backend, error);
}

tarn_status tarn_import_begin_subtask(
    tarn_import *import, const tarn_import_subtask *subtask, tarn_error *error)
{
    if (import == NULL || subtask == NULL || subtask->operator_name == NULL) {
        return tarn__fail(error, TARN_INVALID_ARGUMENT, "the subtask has no operator");
    }
    const uint32_t parallelism = subtask->parallelism != 0 ? subtask->parallelism : 1;
    if (subtask->subtask_index >= parallelism) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "operator \"%.100s\" has no subtask %u: its parallelism is %u",
            subtask->operator_name,
            subtask->subtask_index,
            parallelism);
    }
    TARN_TRY(end_subtask(import, error));
    import->subtask = *subtask;
    import->subtask.parallelism = parallelism;
    import->subtask.operator_name =
        tarn__arena_copy(&import->arena, tarn_bytes_of(subtask->operator_name));
    if (import->subtask.operator_name == NULL) {
        return tarn__fail_no_memory(error, "an operator", strlen(subtask->operator_name));
    }
    import->sequence = 0;
    if (subtask->max_parallelism > 0) {
        TARN_TRY(open_backend(import, error));
    }
    import->has_subtask = true;
    return TARN_OK;
}

tarn_status tarn_import_put_operator_state(
    tarn_import *import, const char *name, tarn_bytes bytes, tarn_error *error)
{
    if (!import->has_subtask || name == NULL || name[0] == '\0' ||
        strlen(name) > TARN__METADATA_NAME_BYTES_MAX || import->piece_count == PIECES_MAX ||
        bytes.size > TARN__METADATA_PIECE_BYTES_MAX) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "%s",
            import->has_subtask ? "a piece of operator state has a name of 1 to 255 bytes, and 16 "
                                  "MiB at most"
                                : "there is no subtask that it is of");
    }
    for (const tarn__import_piece *p = import->pieces; p != NULL; p = p->next) {
        if (strcmp(p->name, name) == 0) {
            return tarn__fail(
                error, TARN_INVALID_ARGUMENT, "operator state \"%s\" is there already", name);
        }
    }
    tarn__import_piece *made = tarn__arena_allocate(&import->arena, 1, sizeof *made);
    const char *copy = tarn__arena_copy(&import->arena, tarn_bytes_of(name));
    const void *content = tarn__arena_copy(&import->arena, bytes);
    if (made == NULL || copy == NULL || content == NULL) {
        return tarn__fail_no_memory(error, "operator state", bytes.size);
    }
    *made = (tarn__import_piece){
        .next = import->pieces, .name = copy, .bytes = tarn_bytes_at(content, bytes.size)};
    import->pieces = made;
    import->piece_count++;
    return TARN_OK;
}

/* ---- states ----------------------------------------------------------------------------- */

static bool find_kind(const char *name, tarn__state_kind *out)
{
    for (int kind = TARN__STATE_VALUE; name != NULL && kind <= TARN__STATE_TIMERS; kind++) {
        if (strcmp(tarn__state_kind_name((tarn__state_kind)kind), name) == 0) {
            *out = (tarn__state_kind)kind;
            return true;
        }
    }
    return false;
}

static tarn_status build_descriptor(
    const tarn_stored_state *state, tarn__descriptor *out, tarn_error *error)
{
    tarn__descriptor d = {.format = DESCRIPTOR_FORMAT, .schema_count = 1};
    const char *codec = state->codec_name != NULL ? state->codec_name : "";
    if (!find_kind(state->kind, &d.kind)) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "\"%.50s\" is no kind of state: value, map, list, reducing, aggregating or timers",
            state->kind != NULL ? state->kind : "");
    }
    if (codec[0] == '\0' || strlen(codec) > TARN__CODEC_NAME_BYTES_MAX) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "the name of a codec has 1 to 255 bytes, not %zu",
            strlen(codec));
    }
    d.schemas[0] =
        (tarn__schema){.codec_version = state->codec_version, .codec_name = tarn_bytes_of(codec)};
    d.flags |= state->is_stamped ? TARN__STATE_STAMPED : 0;
    d.flags |= state->is_untimed ? TARN__STATE_UNTIMED : 0;
    d.flags |= state->is_namespace_first ? TARN__STATE_NAMESPACE_FIRST : 0;
    if (d.kind == TARN__STATE_REDUCING && state->reducer != TARN_REDUCER_FUNCTION) {
        d.detail = tarn__reduction_tag(state->reducer, state->number);
        if (d.detail == 0) {
            return tarn__fail(error, TARN_INVALID_ARGUMENT, "there is no such built-in reducer");
        }
    }
    *out = d;
    return TARN_OK;
}

/* The bytes under which the state is described: those that were given, or made of the fields. */
static tarn_status describe(
    const tarn_stored_state *state,
    tarn__descriptor *out,
    tarn_buffer *built,
    tarn_bytes *bytes,
    tarn_error *error)
{
    if (state->descriptor.size > TARN__DESCRIPTOR_BYTES_MAX) {
        return tarn__fail(error, TARN_INVALID_ARGUMENT, "the descriptor is too large");
    }
    if (state->descriptor.size > 0) {
        *bytes = state->descriptor;
        return tarn__descriptor_decode(state->descriptor, out) == TARN__DESCRIPTOR_OK
                   ? TARN_OK
                   : tarn__fail(
                         error, TARN_INVALID_ARGUMENT, "the descriptor is damaged, or newer");
    }
    TARN_TRY(build_descriptor(state, out, error));
    if (tarn__descriptor_encode(out, built) != TARN_OK) {
        return tarn__fail_no_memory(error, "a descriptor", tarn__descriptor_size(out));
    }
    *bytes = tarn_buffer_bytes(built);
    return TARN_OK;
}

static tarn_status find_family(
    tarn_import *import, const char *name, tarn_bytes descriptor, tarn_error *error)
{
    tarn__rocks *rocks = import->backend->rocks;
    tarn__rocks_family *names = tarn__rocks_default_family(rocks);
    tarn__rocks_family *family = tarn__rocks_find_family(rocks, name);
    if (family == NULL) {
        TARN_TRY(tarn__rocks_create_family(rocks, name, import->backend->settings, &family, error));
        TARN_TRY(tarn__rocks_put(names, tarn_bytes_of(name), descriptor, error));
        import->family = family;
        return TARN_OK;
    }
    TARN_AUTO(tarn__rocks_unpin) tarn__rocks_pin pin = {.slice = NULL};
    tarn_bytes stored;
    TARN_TRY(tarn__rocks_get(names, tarn_bytes_of(name), &pin, &stored, error));
    if (!tarn_bytes_is_equal(stored, descriptor)) {
        return tarn__fail(
            error, TARN_INCOMPATIBLE, "state \"%.100s\" was begun as another one", name);
    }
    import->family = family;
    return TARN_OK;
}

tarn_status tarn_import_begin_state(
    tarn_import *import, const tarn_stored_state *state, tarn_error *error)
{
    if (import->backend == NULL) {
        return tarn__fail(
            error, TARN_INVALID_ARGUMENT, "there is no subtask with keyed state that it is of");
    }
    const size_t size = state->name != NULL ? strlen(state->name) : 0;
    if (size == 0 || size > TARN__METADATA_NAME_BYTES_MAX ||
        strcmp(state->name, TARN__ROCKS_DEFAULT_FAMILY) == 0) {
        return tarn__fail(
            error, TARN_INVALID_ARGUMENT, "a state has a name of 1 to 255 bytes, not \"default\"");
    }
    TARN_AUTO(tarn_buffer_clear) tarn_buffer built = {.allocator = &import->account->face};
    tarn_bytes descriptor;
    tarn__descriptor decoded;
    TARN_TRY(describe(state, &decoded, &built, &descriptor, error));
    TARN_TRY(tarn__import_flush(import, error));
    TARN_TRY(find_family(import, state->name, descriptor, error));
    import->descriptor = decoded;
    import->descriptor.schema_count = 0; /* They lie in what was given. */
    import->before.size = 0;
    return TARN_OK;
}

/* ---- the end ---------------------------------------------------------------------------- */

tarn_status tarn_import_finish(
    tarn_import *import, tarn_checkpoint_summary *summary, tarn_error *error)
{
    const tarn_status status = end_subtask(import, error);
    if (status != TARN_OK) {
        tarn_import_abandon(import);
        return status;
    }
    tarn_pending_checkpoint *pending = import->pending;
    import->pending = NULL;
    free_import(import);
    return tarn_checkpoint_commit(pending, summary, error);
}

void tarn_import_abandon(tarn_import *import)
{
    if (import == NULL) {
        return;
    }
    const tarn_status closed = close_backend(import, NULL);
    (void)closed; /* Nothing of it is wanted. */
    tarn_checkpoint_abandon(import->pending);
    free_import(import);
}
