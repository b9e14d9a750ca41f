/* kinds_fixture.c - see kinds_fixture.h. */
#include "support/kinds_fixture.h"

#include <stdio.h>
#include <string.h>

#include "tarn/checkpoint.h"
#include "tarn/snapshot.h"

static int64_t fixture_now(void *context)
{
    return ((const kinds_fixture *)context)->now_ms;
}

int kinds_setup(void **state)
{
    static kinds_fixture f;
    f.config = fixture_new_config(64);
    f.env = fixture_open_env(f.config, NULL);
    fixture_make_directory(f.directory);
    f.backend = fixture_open_backend(f.env, f.directory);
    f.now_ms = 0;
    *state = &f;
    return 0;
}

int kinds_teardown(void **state)
{
    kinds_fixture *f = *state;
    assert_ok(tarn_backend_close(f->backend, &f->error), &f->error);
    assert_ok(tarn_env_close(f->env, &f->error), &f->error);
    tarn_config_free(f->config);
    fixture_remove_directory(f->directory);
    return 0;
}

const tarn_state_options *kinds_options(kinds_fixture *f, const char *name)
{
    f->options = (tarn_state_options)TARN_STATE_OPTIONS_INIT;
    f->options.name = name;
    return &f->options;
}

const tarn_state_options *kinds_ttl_options(
    kinds_fixture *f,
    const char *name,
    int64_t ttl_ms,
    tarn_ttl_update update,
    tarn_ttl_visibility visibility)
{
    f->ttl = (tarn_ttl)TARN_TTL_INIT;
    f->ttl.ttl_ms = ttl_ms;
    f->ttl.update = update;
    f->ttl.visibility = visibility;
    f->ttl.now_ms = fixture_now;
    f->ttl.now_context = f;
    (void)kinds_options(f, name);
    f->options.ttl = &f->ttl;
    return &f->options;
}

void kinds_set_key(kinds_fixture *f, const char *key)
{
    assert_ok(tarn_backend_set_key(f->backend, tarn_bytes_of(key), &f->error), &f->error);
}

void kinds_set_namespace(kinds_fixture *f, tarn_keyed *keyed, const char *name_space)
{
    assert_ok(tarn_keyed_set_namespace(keyed, tarn_bytes_of(name_space), &f->error), &f->error);
}

uint32_t kinds_count_keys(kinds_fixture *f, tarn_keyed *keyed, const char *name_space)
{
    const tarn_bytes name = tarn_bytes_of(name_space);
    tarn_key_iterator *iterator = NULL;
    tarn_row row;
    uint32_t count = 0;
    assert_ok(
        tarn_keyed_iterate_keys(
            keyed, name_space != NULL ? &name : NULL, NULL, &iterator, &f->error),
        &f->error);
    tarn_status status = tarn_key_iterator_next(iterator, &row, &f->error);
    while (status == TARN_OK) {
        count++;
        status = tarn_key_iterator_next(iterator, &row, &f->error);
    }
    assert_int_equal(status, TARN_DONE);
    tarn_key_iterator_close(iterator);
    return count;
}

void kinds_expect_failure(
    const kinds_fixture *f, tarn_status got, tarn_status status, const char *part)
{
    assert_int_equal(got, status);
    if (strstr(f->error.message, part) == NULL) {
        fail_msg("\"%s\" is not in: %s", part, f->error.message);
    }
}

tarn_status kinds_append_text(tarn_bytes earlier, tarn_bytes later, tarn_buffer *out, void *context)
{
    (void)context;
    if (tarn_bytes_is_equal(later, tarn_bytes_of("!"))) {
        return TARN_DECLINED;
    }
    const tarn_status status = tarn_buffer_append(out, earlier);
    return status == TARN_OK ? tarn_buffer_append(out, later) : status;
}

tarn_status kinds_add_text(
    const tarn_bytes *accumulator, tarn_bytes value, tarn_buffer *out, void *context)
{
    return kinds_append_text(
        accumulator != NULL ? *accumulator : tarn_bytes_of(""), value, out, context);
}

tarn_status kinds_bracket(tarn_bytes accumulator, tarn_buffer *out, void *context)
{
    (void)context;
    tarn_status status = tarn_buffer_append(out, tarn_bytes_of("["));
    if (status == TARN_OK) {
        status = tarn_buffer_append(out, accumulator);
    }
    return status == TARN_OK ? tarn_buffer_append(out, tarn_bytes_of("]")) : status;
}

void kinds_take_checkpoint(kinds_fixture *f, const char *address)
{
    tarn_checkpoint_store_options options = TARN_CHECKPOINT_STORE_OPTIONS_INIT;
    tarn_checkpoint_store *store = NULL;
    tarn_pending_checkpoint *pending = NULL;
    tarn_snapshot *snapshot = NULL;
    tarn_buffer acknowledgement = TARN_BUFFER_INIT;
    options.env = f->env;
    options.address = address;
    options.job = "job";
    assert_ok(tarn_checkpoint_store_open(&options, &store, &f->error), &f->error);
    assert_ok(tarn_checkpoint_begin(store, 1, &pending, &f->error), &f->error);
    assert_ok(tarn_snapshot_begin(f->backend, pending, &snapshot, &f->error), &f->error);
    assert_ok(tarn_snapshot_finish(snapshot, &acknowledgement, &f->error), &f->error);
    assert_ok(
        tarn_checkpoint_acknowledge(pending, tarn_buffer_bytes(&acknowledgement), &f->error),
        &f->error);
    assert_ok(tarn_checkpoint_commit(pending, NULL, &f->error), &f->error);
    tarn_buffer_clear(&acknowledgement);
    assert_ok(tarn_checkpoint_store_close(store, &f->error), &f->error);
}

void kinds_restore(kinds_fixture *f, const char *address)
{
    char path[FIXTURE_PATH_BYTES + 32];
    char directory[FIXTURE_PATH_BYTES + 32];
    tarn_checkpoint *checkpoint = NULL;
    (void)snprintf(path, sizeof path, "%s/job", address);
    (void)snprintf(directory, sizeof directory, "%s/restored", f->directory);
    tarn_backend_options options = TARN_BACKEND_OPTIONS_INIT;
    options.env = f->env;
    options.operator_name = "test";
    options.directory = directory;
    assert_ok(tarn_checkpoint_open(path, NULL, &checkpoint, &f->error), &f->error);
    options.restore = checkpoint;
    assert_ok(tarn_backend_close(f->backend, &f->error), &f->error);
    assert_ok(tarn_backend_open(&options, &f->backend, &f->error), &f->error);
    tarn_checkpoint_free(checkpoint);
}
