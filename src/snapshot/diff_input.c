/* diff_input.c - see diff_input.h. */
#include "snapshot/diff_input.h"

#include <string.h>

#include "base/try.h"

int tarn__diff_compare(tarn_bytes a, tarn_bytes b)
{
    const size_t size = a.size < b.size ? a.size : b.size;
    const int order = size > 0 ? memcmp(a.data, b.data, size) : 0;
    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

static tarn_status open_table(tarn__diff_input *in, tarn__account *account, tarn_error *error)
{
    const tarn__table_options options = {
        .size = in->file->content.size,
        .read = tarn__stored_read,
        .context = &in->stored,
        .account = account,
    };
    return tarn__table_open(&in->reader.table, &options, error);
}

static tarn_status open_rows(tarn__diff_input *in, tarn__account *account, tarn_error *error)
{
    const tarn__rows_options options = {
        .subtask = in->subtask,
        .file = in->file,
        .place = in->checkpoint->path,
        .read = tarn__stored_read,
        .context = &in->stored,
        .wanted = in->subtask->key_groups,
        .account = account,
    };
    return tarn__rows_open(&in->reader.rows, &options, error);
}

static tarn_status open_input(tarn__diff_input *in, tarn__account *account, tarn_error *error)
{
    tarn__stored_init(
        &in->stored, in->checkpoint->storage, in->file, account, TARN__STORED_AHEAD_BYTES_MANY);
    in->is_open = true;
    return in->is_canonical ? open_rows(in, account, error) : open_table(in, account, error);
}

void tarn__diff_close(tarn__diff_input *in)
{
    if (in->is_open && in->is_canonical) {
        tarn__rows_close(&in->reader.rows);
    } else if (in->is_open) {
        tarn__table_close(&in->reader.table);
    }
    if (in->is_open) {
        tarn__stored_clear(&in->stored);
    }
    in->is_open = false;
}

static tarn_status step(tarn__diff_input *in, tarn_error *error)
{
    if (!in->is_canonical) {
        return tarn__table_read(&in->reader.table, &in->entry, error);
    }
    in->entry.type = TARN__TABLE_VALUE;
    in->entry.sequence = 0;
    return tarn__rows_next(&in->reader.rows, &in->entry.key, &in->entry.value, error);
}

/* Messages of tables do not name the file. */
static tarn_status place(const tarn__diff_input *in, tarn_status status, tarn_error *error)
{
    if (!in->is_canonical && (status == TARN_CORRUPTION || status == TARN_NOT_SUPPORTED)) {
        tarn__error_prefix(
            error, "%.200s/%.200s", in->checkpoint->storage->address, in->file->path);
    }
    return status;
}

static tarn_status look(
    tarn__diff_input *in,
    tarn__arena *arena,
    tarn__table_visit_range *visit,
    void *context,
    tarn_error *error)
{
    TARN_TRY(open_input(in, arena->account, error));
    const char *name = in->is_canonical ? in->reader.rows.state.name : in->reader.table.family;
    if (name[0] == '\0') {
        return tarn__fail(
            error, TARN_NOT_SUPPORTED, "the table does not say which state its rows are of");
    }
    in->family = tarn__arena_copy(arena, tarn_bytes_of(name));
    if (in->family == NULL) {
        return tarn__fail_no_memory(error, "the name of a state", strlen(name));
    }
    if (in->is_canonical) {
        tarn__rows_state *layout = tarn__arena_copy(
            arena, tarn_bytes_at(&in->reader.rows.state, sizeof in->reader.rows.state));
        if (layout == NULL) {
            return tarn__fail_no_memory(error, "a state", sizeof *layout);
        }
        layout->descriptor.schema_count = 0; /* They lie in the reader. */
        in->layout = layout;
    } else {
        TARN_TRY(tarn__table_visit_ranges(&in->reader.table, visit, context, error));
    }
    const tarn_status status = step(in, error);
    if (status == TARN_OK) {
        const void *first = tarn__arena_copy(arena, in->entry.key);
        if (first == NULL) {
            return tarn__fail_no_memory(error, "a row", in->entry.key.size);
        }
        in->first = tarn_bytes_at(first, in->entry.key.size);
        in->entry = (tarn__table_entry){.key = in->first};
    }
    return status == TARN_DONE ? TARN_OK : status;
}

tarn_status tarn__diff_look(
    tarn__diff_input *input,
    tarn__arena *arena,
    tarn__table_visit_range *visit,
    void *context,
    tarn_error *error)
{
    const tarn_status status = look(input, arena, visit, context, error);
    tarn__diff_close(input);
    return place(input, status, error);
}

tarn_status tarn__diff_next(tarn__diff_input *input, tarn__account *account, tarn_error *error)
{
    tarn_status status = TARN_OK;
    if (!input->is_open) {
        status = open_input(input, account, error);
    }
    if (status == TARN_OK) {
        status = step(input, error);
    }
    if (status != TARN_OK) {
        tarn__diff_close(input);
    }
    return place(input, status, error);
}
