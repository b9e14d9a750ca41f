/* db.c - opening, families and closing. See db.h. */
#include "rocks/db.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/try.h"
#include "rocks/listing.h"
#include "rocks/outcome.h"
#include "rocks/rocks_private.h"
#include "rocks/threads.h"

enum {
    /* Tarn's own family holds one small row per state. */
    OWN_WRITE_BUFFER_BYTES = 64 << 10,
    OWN_ARENA_BLOCK_BYTES = 4 << 10,
    /* So many operands of a row wait in a memtable; the next one is folded with them at once. A
     * read of the row folds at most these and one per file. */
    SUCCESSIVE_MERGES_MAX = 32,
};

/*
 * What is opened when the database is, and would fail without table files: a few of them, their
 * sizes, and statistics from 20 of them. Without paranoid checks what is missing is passed over; it
 * is looked for again when the database is opened for use.
 */
#define SURVEY_OPTIONS                                                           \
    "paranoid_checks=false;max_open_files=20;skip_stats_update_on_db_open=true;" \
    "skip_checking_sst_file_sizes_on_db_open=true;"

/* ---- options ---------------------------------------------------------------------------- */

static void destroy_options(rocksdb_options_t **options)
{
    if (*options != NULL) {
        rocksdb_options_destroy(*options);
    }
}

/* RocksDB's options from a text on top of the shared base. */
static tarn_status make_options(
    const tarn__rocks *rocks, const tarn_buffer *text, rocksdb_options_t **out, tarn_error *error)
{
    char *message = NULL;
    rocksdb_options_t *made = rocksdb_options_create();
    rocksdb_get_options_from_string(
        tarn__rocks_memory_base(rocks->memory), (const char *)text->data, made, &message);
    const tarn_status status =
        tarn__rocks_outcome("use the options", (const char *)text->data, &message, error);
    if (status != TARN_OK) {
        rocksdb_options_destroy(made);
        return status;
    }
    rocksdb_options_set_merge_operator(made, tarn__rocks_new_merge());
    rocksdb_options_set_max_successive_merges(made, SUCCESSIVE_MERGES_MAX);
    *out = made;
    return TARN_OK;
}

tarn_status tarn__rocks_family_options(
    const tarn__rocks_family *family, rocksdb_options_t **out, tarn_error *error)
{
    return make_options(family->rocks, &family->text, out, error);
}

/* The same with its filter. RocksDB would compact the files of a family that has one every 30 days;
 * how often is said here. */
static tarn_status make_filtered_options(
    tarn__rocks_family *family, rocksdb_options_t **out, tarn_error *error)
{
    char text[128];
    char *message = NULL;
    rocksdb_options_t *plain = NULL;
    TARN_TRY(make_options(family->rocks, &family->text, &plain, error));
    rocksdb_options_t *made = rocksdb_options_create();
    (void)snprintf(
        text,
        sizeof text,
        "periodic_compaction_seconds=%" PRIu64 "%s",
        family->periodic_s,
        family->rocks->holds_compactions ? ";disable_auto_compactions=true" : "");
    rocksdb_get_options_from_string(plain, text, made, &message);
    rocksdb_options_destroy(plain);
    const tarn_status status = tarn__rocks_outcome("use the options", text, &message, error);
    if (status != TARN_OK) {
        rocksdb_options_destroy(made);
        return status;
    }
    rocksdb_options_set_compaction_filter_factory(made, tarn__expiry_new_factory(family->expiry));
    *out = made;
    return TARN_OK;
}

/* Appends to a text that ends with a NUL. RocksDB takes the last of several settings. */
static tarn_status append_text(tarn_buffer *text, const char *options)
{
    const size_t size = text->size;
    text->size = size - 1;
    const tarn_status status =
        tarn_buffer_append(text, tarn_bytes_at(options, strlen(options) + 1));
    text->size = status == TARN_OK ? text->size : size;
    return status;
}

static tarn_status write_family_text(
    const tarn__rocks *rocks,
    const char *name,
    const tarn__rocks_settings *settings,
    tarn_buffer *out,
    tarn_error *error)
{
    tarn__rocks_settings fitted = *settings;
    if (fitted.arena_block_bytes == 0) {
        fitted.arena_block_bytes =
            tarn__rocks_memory_fit_arena(rocks->memory, tarn__rocks_arena_block_bytes(settings));
    }
    TARN_TRY(tarn__rocks_memory_check_arena(rocks->memory, name, fitted.arena_block_bytes, error));
    fitted.memtable_filter_share = tarn__rocks_fit_memtable_filter(&fitted);
    tarn_status status =
        tarn__rocks_family_text(&fitted, tarn__rocks_memory_is_managed(rocks->memory), out);
    if (status == TARN_OK && rocks->use != TARN__ROCKS_USE_ALL) {
        status = append_text(out, "disable_auto_compactions=true;");
    }
    if (status == TARN_OK && rocks->level_count > TARN__MANIFEST_LEVELS) {
        char levels[32];
        (void)snprintf(levels, sizeof levels, "num_levels=%" PRIu32 ";", rocks->level_count);
        status = append_text(out, levels);
    }
    return status == TARN_NO_MEMORY ? tarn__fail_no_memory(error, "the options of a state", 1024)
                                    : status;
}

/* ---- families --------------------------------------------------------------------------- */

static void free_family(tarn__rocks_family *family)
{
    tarn__expiry_close(family->expiry);
    tarn_buffer_clear(&family->text);
    tarn__release(family);
}

static tarn_status new_family(
    tarn__rocks *rocks,
    const char *name,
    const tarn__rocks_settings *settings,
    tarn__rocks_family **out,
    tarn_error *error)
{
    const size_t size = strlen(name);
    if (size == 0 || size > TARN__ROCKS_NAME_BYTES_MAX) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "a state's name has %zu bytes; allowed are 1 to %d",
            size,
            TARN__ROCKS_NAME_BYTES_MAX);
    }
    tarn__rocks_family *family = tarn__allocate_zeroed(rocks->account, 1, sizeof *family);
    if (family == NULL) {
        return tarn__fail_no_memory(error, name, sizeof *family);
    }
    family->rocks = rocks;
    family->text.allocator = &rocks->account->face;
    memcpy(family->name, name, size + 1);
    tarn_status status =
        tarn__expiry_open(rocks->account, rocks->gives_way, &family->expiry, error);
    if (status == TARN_OK) {
        status = write_family_text(rocks, name, settings, &family->text, error);
    }
    if (status != TARN_OK) {
        free_family(family);
        return status;
    }
    *out = family;
    return TARN_OK;
}

static void attach_handle(tarn__rocks_family *family, rocksdb_column_family_handle_t *handle)
{
    family->handle = handle;
    tarn__rocks_meter_open(&family->meter, family->rocks->memory, family->rocks->db, handle);
}

static void detach_handle(tarn__rocks_family *family)
{
    if (family->handle != NULL) {
        tarn__rocks_meter_close(&family->meter);
        rocksdb_column_family_handle_destroy(family->handle);
        family->handle = NULL;
    }
}

tarn__rocks_family *tarn__rocks_default_family(tarn__rocks *rocks)
{
    return &rocks->own;
}

tarn__rocks_family *tarn__rocks_first_family(tarn__rocks *rocks)
{
    return rocks->first;
}

tarn__rocks_family *tarn__rocks_find_family(tarn__rocks *rocks, const char *name)
{
    tarn__rocks_family *family = rocks->first;
    while (family != NULL && strcmp(family->name, name) != 0) {
        family = family->next;
    }
    return family;
}

tarn_status tarn__rocks_create_family(
    tarn__rocks *rocks,
    const char *name,
    const tarn__rocks_settings *settings,
    tarn__rocks_family **out,
    tarn_error *error)
{
    tarn__rocks_family *family = NULL;
    TARN_TRY(new_family(rocks, name, settings, &family, error));
    TARN_AUTO(destroy_options) rocksdb_options_t *options = NULL;
    tarn_status status = make_filtered_options(family, &options, error);
    rocksdb_column_family_handle_t *handle = NULL;
    if (status == TARN_OK) {
        char *message = NULL;
        handle = rocksdb_create_column_family(rocks->db, options, name, &message);
        status = tarn__rocks_outcome("create the column family", name, &message, error);
    }
    if (status != TARN_OK) {
        free_family(family);
        return status;
    }
    attach_handle(family, handle);
    family->next = rocks->first;
    rocks->first = family;
    *out = family;
    return TARN_OK;
}

tarn_status tarn__rocks_set_expiry(
    tarn__rocks_family *family,
    const tarn__expiry_rules *rules,
    int64_t now_ms,
    uint64_t periodic_s,
    tarn_error *error)
{
    if (family->periodic_s != periodic_s) {
        static const char *const KEYS[] = {"periodic_compaction_seconds"};
        char text[32];
        const char *const values[] = {text};
        char *message = NULL;
        (void)snprintf(text, sizeof text, "%" PRIu64, periodic_s);
        rocksdb_set_options_cf(family->rocks->db, family->handle, 1, KEYS, values, &message);
        TARN_TRY(tarn__rocks_outcome("set periodic compactions of", family->name, &message, error));
        family->periodic_s = periodic_s;
    }
    tarn__expiry_set(family->expiry, rules, now_ms);
    return TARN_OK;
}

static void forget_family(tarn__rocks_family *family)
{
    tarn__rocks_family **link = &family->rocks->first;
    while (*link != family) {
        link = &(*link)->next;
    }
    *link = family->next;
    detach_handle(family);
    free_family(family);
}

void tarn__rocks_drop_family(tarn__rocks_family *family)
{
    char *message = NULL;
    rocksdb_drop_column_family(family->rocks->db, family->handle, &message);
    rocksdb_free(message); /* An empty family that stays is harmless: it has no descriptor. */
    forget_family(family);
}

tarn_status tarn__rocks_remove_family(tarn__rocks_family *family, tarn_error *error)
{
    char *message = NULL;
    rocksdb_drop_column_family(family->rocks->db, family->handle, &message);
    TARN_TRY(tarn__rocks_outcome("drop the column family", family->name, &message, error));
    forget_family(family);
    return TARN_OK;
}

/* ---- opening and closing ---------------------------------------------------------------- */

/* Arrays for rocksdb_open_column_families(), in one block. */
typedef struct family_arrays {
    uint32_t count;
    const char **names;
    rocksdb_options_t **options;
    const rocksdb_options_t **const_options;
    rocksdb_column_family_handle_t **handles;
} family_arrays;

static void clear_opening(family_arrays *opening)
{
    for (uint32_t i = 0; opening->options != NULL && i < opening->count; i++) {
        destroy_options(&opening->options[i]);
    }
    tarn__release(opening->names);
    tarn__release(opening->options);
    tarn__release(opening->const_options);
    tarn__release(opening->handles);
}

static tarn_status fill_opening(
    family_arrays *opening, tarn__rocks *rocks, tarn__rocks_family *family, tarn_error *error)
{
    const uint32_t i = opening->count;
    opening->names[i] = family->name;
    opening->options[i] = NULL;
    TARN_TRY(
        family == &rocks->own ? make_options(rocks, &family->text, &opening->options[i], error)
                              : make_filtered_options(family, &opening->options[i], error));
    opening->const_options[i] = opening->options[i];
    opening->count++;
    return TARN_OK;
}

static tarn_status init_opening(family_arrays *opening, tarn__rocks *rocks, tarn_error *error)
{
    uint32_t count = 1;
    for (const tarn__rocks_family *family = rocks->first; family != NULL; family = family->next) {
        count++;
    }
    tarn__account *account = rocks->account;
    opening->names = tarn__allocate_zeroed(account, count, sizeof *opening->names);
    opening->options = tarn__allocate_zeroed(account, count, sizeof *opening->options);
    opening->const_options = tarn__allocate_zeroed(account, count, sizeof *opening->const_options);
    opening->handles = tarn__allocate_zeroed(account, count, sizeof *opening->handles);
    if (opening->names == NULL || opening->options == NULL || opening->const_options == NULL ||
        opening->handles == NULL) {
        return tarn__fail_no_memory(error, "the states of a backend", count * sizeof(void *) * 4);
    }
    TARN_TRY(fill_opening(opening, rocks, &rocks->own, error));
    for (tarn__rocks_family *family = rocks->first; family != NULL; family = family->next) {
        TARN_TRY(fill_opening(opening, rocks, family, error));
    }
    return TARN_OK;
}

/* Opens the database with the families that the object knows. */
static tarn_status open_database(tarn__rocks *rocks, tarn_error *error)
{
    TARN_AUTO(clear_opening) family_arrays opening = {0};
    TARN_TRY(init_opening(&opening, rocks, error));
    TARN_AUTO(destroy_options) rocksdb_options_t *options = NULL;
    TARN_TRY(make_options(rocks, &rocks->text, &options, error));
    char *message = NULL;
    rocksdb_t *db = rocksdb_open_column_families(
        options,
        rocks->directory,
        (int)opening.count,
        opening.names,
        opening.const_options,
        opening.handles,
        &message);
    TARN_TRY(tarn__rocks_outcome("open the database in", rocks->directory, &message, error));
    rocks->db = db;
    attach_handle(&rocks->own, opening.handles[0]);
    uint32_t i = 1;
    for (tarn__rocks_family *family = rocks->first; family != NULL; family = family->next) {
        attach_handle(family, opening.handles[i++]);
    }
    return TARN_OK;
}

static void close_database(tarn__rocks *rocks)
{
    detach_handle(&rocks->own);
    for (tarn__rocks_family *family = rocks->first; family != NULL; family = family->next) {
        detach_handle(family);
    }
    if (rocks->db != NULL) {
        rocksdb_close(rocks->db);
        rocks->db = NULL;
    }
}

static tarn_status add_existing(
    tarn__rocks *rocks, const char *name, const tarn__rocks_settings *settings, tarn_error *error)
{
    if (strcmp(name, TARN__ROCKS_DEFAULT_FAMILY) == 0) {
        return TARN_OK;
    }
    tarn__rocks_family *family = NULL;
    TARN_TRY(new_family(rocks, name, settings, &family, error));
    family->next = rocks->first;
    rocks->first = family;
    return TARN_OK;
}

/* Learns the families of the files in the directory; none when there is no database yet. */
static tarn_status list_existing(
    tarn__rocks *rocks, const tarn__rocks_settings *settings, tarn_error *error)
{
    char current[TARN__ROCKS_PATH_BYTES];
    const int size = snprintf(current, sizeof current, "%s/CURRENT", rocks->directory);
    if (size < 0 || (size_t)size >= sizeof current) {
        return tarn__fail(
            error, TARN_INVALID_ARGUMENT, "the path %s is too long", rocks->directory);
    }
    if (access(current, F_OK) != 0) {
        return TARN_OK;
    }
    TARN_AUTO(destroy_options) rocksdb_options_t *options = NULL;
    TARN_TRY(make_options(rocks, &rocks->text, &options, error));
    char *message = NULL;
    size_t count = 0;
    char **names = rocksdb_list_column_families(options, rocks->directory, &count, &message);
    tarn_status status =
        tarn__rocks_outcome("read the states of", rocks->directory, &message, error);
    for (size_t i = 0; i < count && status == TARN_OK; i++) {
        status = add_existing(rocks, names[i], settings, error);
    }
    /* It answers an empty list to be freed even when it fails. */
    rocksdb_list_column_families_destroy(names, count);
    return status;
}

static tarn_status set_up(
    tarn__rocks *rocks, const tarn__rocks_open_options *options, tarn_error *error)
{
    rocks->directory = tarn__allocate_string(rocks->account, options->directory);
    if (rocks->directory == NULL) {
        return tarn__fail_no_memory(error, "a path", strlen(options->directory) + 1);
    }
    rocks->text.allocator = &rocks->account->face;
    rocks->own.text.allocator = &rocks->account->face;
    rocks->own.rocks = rocks;
    memcpy(rocks->own.name, TARN__ROCKS_DEFAULT_FAMILY, sizeof TARN__ROCKS_DEFAULT_FAMILY);

    rocks->single = rocksdb_writebatch_create();
    rocks->write_options = rocksdb_writeoptions_create();
    rocksdb_writeoptions_disable_WAL(rocks->write_options, 1);
    rocks->read_options = rocksdb_readoptions_create();

    if (tarn__rocks_database_text(options->settings, &rocks->text) != TARN_OK ||
        (rocks->use == TARN__ROCKS_USE_SURVEY &&
         append_text(&rocks->text, SURVEY_OPTIONS) != TARN_OK)) {
        return tarn__fail_no_memory(error, "the options of a database", 1024);
    }
    rocks->level_count = tarn__rocks_count_levels(rocks->directory, rocks->account);
    tarn__rocks_settings own = *options->settings;
    own.write_buffer_bytes = OWN_WRITE_BUFFER_BYTES;
    own.arena_block_bytes = OWN_ARENA_BLOCK_BYTES;
    own.is_cut_at_key_groups = false;
    TARN_TRY(write_family_text(rocks, rocks->own.name, &own, &rocks->own.text, error));
    TARN_TRY(list_existing(rocks, options->settings, error));
    TARN_TRY(tarn__rocks_start_threads(options->settings, error));
    return open_database(rocks, error);
}

tarn_status tarn__rocks_open(
    const tarn__rocks_open_options *options, tarn__rocks **out, tarn_error *error)
{
    tarn__rocks *rocks = tarn__allocate_zeroed(options->account, 1, sizeof *rocks);
    if (rocks == NULL) {
        return tarn__fail_no_memory(error, "a database", sizeof *rocks);
    }
    rocks->account = options->account;
    rocks->row_account = options->row_account != NULL ? options->row_account : options->account;
    rocks->memory = options->memory;
    rocks->use = options->use;
    rocks->holds_compactions = options->holds_compactions;
    rocks->gives_way = options->settings->thread_nice > 0;
    const tarn_status status = set_up(rocks, options, error);
    if (status != TARN_OK) {
        tarn__rocks_close(rocks);
        return status;
    }
    *out = rocks;
    return TARN_OK;
}

tarn_status tarn__rocks_release_compactions(tarn__rocks *rocks, tarn_error *error)
{
    static const char *const KEYS[] = {"disable_auto_compactions"};
    static const char *const VALUES[] = {"false"};
    const bool holds = rocks->holds_compactions;
    rocks->holds_compactions = false;
    for (tarn__rocks_family *family = rocks->first; holds && family != NULL;
         family = family->next) {
        char *message = NULL;
        rocksdb_set_options_cf(rocks->db, family->handle, 1, KEYS, VALUES, &message);
        TARN_TRY(tarn__rocks_outcome("let compactions run of", family->name, &message, error));
    }
    return TARN_OK;
}

void tarn__rocks_close(tarn__rocks *rocks)
{
    if (rocks == NULL) {
        return;
    }
    close_database(rocks);
    while (rocks->first != NULL) {
        tarn__rocks_family *family = rocks->first;
        rocks->first = family->next;
        free_family(family);
    }
    tarn_buffer_clear(&rocks->own.text);
    tarn_buffer_clear(&rocks->text);
    if (rocks->single != NULL) {
        rocksdb_writebatch_destroy(rocks->single);
    }
    if (rocks->write_options != NULL) {
        rocksdb_writeoptions_destroy(rocks->write_options);
        rocksdb_readoptions_destroy(rocks->read_options);
    }
    tarn__release(rocks->directory);
    tarn__release(rocks);
}

const char *tarn__rocks_directory(const tarn__rocks *rocks)
{
    return rocks->directory;
}

static void swap_texts(tarn_buffer *a, tarn_buffer *b)
{
    const tarn_buffer kept = *a;
    *a = *b;
    *b = kept;
}

tarn_status tarn__rocks_retune_family(
    tarn__rocks_family *family,
    const tarn__rocks_settings *settings,
    uint32_t iterator_count,
    bool *is_lost_out,
    tarn_error *error)
{
    tarn__rocks *rocks = family->rocks;
    TARN_AUTO(tarn_buffer_clear) tarn_buffer text = {.allocator = &rocks->account->face};
    *is_lost_out = false;
    TARN_TRY(write_family_text(rocks, family->name, settings, &text, error));
    if (tarn_bytes_is_equal(tarn_buffer_bytes(&text), tarn_buffer_bytes(&family->text))) {
        return TARN_OK;
    }
    if (iterator_count > 0) {
        return tarn__fail(
            error,
            TARN_BUSY,
            "state \"%s\" cannot be tuned while iterators are open (%u)",
            family->name,
            iterator_count);
    }
    TARN_TRY(tarn__rocks_flush(rocks, error));
    close_database(rocks);
    swap_texts(&text, &family->text);
    const tarn_status status = open_database(rocks, error);
    if (status != TARN_OK) {
        swap_texts(&text, &family->text);
        *is_lost_out = open_database(rocks, NULL) != TARN_OK;
    }
    return status;
}
