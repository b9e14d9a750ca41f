/* run.c - sorted rows as a table file that the database takes in, once more where it asks for that.
 * See db.h. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/try.h"
#include "rocks/outcome.h"
#include "rocks/rocks_private.h"

/* In the database's directory, so that it can be renamed into place; RocksDB ignores the name. */
#define RUN_NAME "tarn-run-%u"
enum {
    RUN_NAME_BYTES = sizeof RUN_NAME + 10,
    TRIES_MAX = 12,              /* To take a file in: two seconds in all. */
    FIRST_WAIT_NS = 1000 * 1000, /* Between two of them; each wait is twice the one before. */
};

struct tarn__rocks_run {
    tarn__rocks_family *family;
    rocksdb_options_t *options;
    rocksdb_envoptions_t *env_options;
    rocksdb_sstfilewriter_t *writer;
    bool is_written;    /* There may be a file to remove. */
    tarn_buffer joined; /* A value with its mark. */
    char path[];
};

tarn_status tarn__rocks_run_open(
    tarn__rocks_family *family, tarn__rocks_run **out, tarn_error *error)
{
    const char *directory = family->rocks->directory;
    const size_t path_size = strlen(directory) + 1 + RUN_NAME_BYTES;
    TARN_AUTO(tarn__rocks_run_close)
    tarn__rocks_run *run =
        tarn__allocate_zeroed(family->rocks->account, 1, sizeof(tarn__rocks_run) + path_size);
    if (run == NULL) {
        return tarn__fail_no_memory(error, "a run of rows", sizeof *run + path_size);
    }
    const unsigned number = atomic_fetch_add(&family->rocks->run_count, 1);
    (void)snprintf(run->path, path_size, "%s/" RUN_NAME, directory, number);
    run->family = family;
    run->joined.allocator = &family->rocks->account->face;
    TARN_TRY(tarn__rocks_family_options(family, &run->options, error));
    rocksdb_mergeoperator_t *merge = tarn__rocks_new_merge_of(family->rocks->account, family->name);
    if (merge == NULL) {
        return tarn__fail_no_memory(error, "the name of a state", strlen(family->name));
    }
    rocksdb_options_set_merge_operator(run->options, merge);
    run->env_options = rocksdb_envoptions_create();
    run->writer = rocksdb_sstfilewriter_create(run->env_options, run->options);
    char *message = NULL;
    rocksdb_sstfilewriter_open(run->writer, run->path, &message);
    TARN_TRY(tarn__rocks_outcome("write", run->path, &message, error));
    run->is_written = true;
    *out = run;
    run = NULL;
    return TARN_OK;
}

tarn_status tarn__rocks_run_put(
    tarn__rocks_run *run, tarn_bytes key, tarn_bytes value, tarn_error *error)
{
    char *message = NULL;
    rocksdb_sstfilewriter_put(run->writer, key.data, key.size, value.data, value.size, &message);
    if (__builtin_expect(message != NULL, 0)) {
        return tarn__rocks_outcome("write", run->path, &message, error);
    }
    return TARN_OK;
}

tarn_status tarn__rocks_run_add(tarn__rocks_run *run, tarn_bytes key, tarn_error *error)
{
    return tarn__rocks_run_put(run, key, tarn_bytes_at("", 0), error);
}

tarn_status tarn__rocks_run_put_value(
    tarn__rocks_run *run, tarn_bytes key, tarn_bytes value, tarn_error *error)
{
    const tarn__rocks_marks *marks = &run->family->marks;
    if (!marks->is_on) {
        return tarn__rocks_run_put(run, key, value, error);
    }
    if (tarn_buffer_assign(&run->joined, value) != TARN_OK ||
        tarn_buffer_append(&run->joined, tarn_bytes_at(&marks->generation, 1)) != TARN_OK) {
        return tarn__fail_no_memory(error, "a value", value.size + TARN__ROCKS_MARK_BYTES);
    }
    return tarn__rocks_run_put(run, key, tarn_buffer_bytes(&run->joined), error);
}

tarn_status tarn__rocks_run_delete(tarn__rocks_run *run, tarn_bytes key, tarn_error *error)
{
    char *message = NULL;
    rocksdb_sstfilewriter_delete(run->writer, key.data, key.size, &message);
    if (__builtin_expect(message != NULL, 0)) {
        return tarn__rocks_outcome("write", run->path, &message, error);
    }
    return TARN_OK;
}

/*
 * Takes the file in. RocksDB flushes memtables that it overlaps with before, and wakes up when they
 * have left their list, which, where several threads write to the manifest at once, may be a moment
 * before the flushing thread has put its file in their place. RocksDB finds that, has done nothing,
 * and the file stays where it is: the next try finds the moment over. All others of its answers are
 * final.
 */
static void take_in(tarn__rocks_run *run, char **message)
{
    const tarn__rocks_family *family = run->family;
    const char *const paths[] = {run->path};
    rocksdb_ingestexternalfileoptions_t *options = rocksdb_ingestexternalfileoptions_create();
    rocksdb_ingestexternalfileoptions_set_move_files(options, 1);
    rocksdb_ingestexternalfileoptions_set_snapshot_consistency(options, 1);
    uint64_t wait_ns = FIRST_WAIT_NS;
    for (uint32_t tries = 1;; tries++, wait_ns *= 2) {
        rocksdb_ingest_external_file_cf(
            family->rocks->db, family->handle, paths, 1, options, message);
        if (!tarn__rocks_is_try_again(*message) || tries == TRIES_MAX) {
            break;
        }
        rocksdb_free(*message);
        *message = NULL;
        tarn__clock_sleep(wait_ns, NULL);
    }
    rocksdb_ingestexternalfileoptions_destroy(options);
}

tarn_status tarn__rocks_run_finish(tarn__rocks_run *run, tarn_error *error)
{
    char *message = NULL;
    rocksdb_sstfilewriter_finish(run->writer, &message);
    TARN_TRY(tarn__rocks_outcome("write", run->path, &message, error));
    take_in(run, &message);
    return tarn__rocks_outcome("take rows in to", run->family->name, &message, error);
}

void tarn__rocks_run_close(tarn__rocks_run **slot)
{
    tarn__rocks_run *run = *slot;
    if (run == NULL) {
        return;
    }
    if (run->writer != NULL) {
        rocksdb_sstfilewriter_destroy(run->writer);
        rocksdb_envoptions_destroy(run->env_options);
    }
    if (run->options != NULL) {
        rocksdb_options_destroy(run->options);
    }
    if (run->is_written) {
        (void)unlink(run->path); /* Gone already when it was taken in. */
    }
    tarn_buffer_clear(&run->joined);
    tarn__release(run);
    *slot = NULL;
}
