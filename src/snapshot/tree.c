/* tree.c - see tree.h. */
#include "snapshot/tree.h"

#include <fcntl.h>
#include <stdio.h>

#include "base/try.h"

enum { BATCH = 64 };

typedef struct directory {
    struct directory *next;
    const char *name;
} directory;

typedef struct lister {
    tarn__tree tree;
    directory *waiting;
    const char *current; /* That is being listed. */
    bool is_out_of_memory;
} lister;

static bool add(lister *l, const char *name, const tarn_storage_entry *entry)
{
    tarn__arena *arena = &l->tree.arena;
    const char *copy = tarn__arena_copy(arena, tarn_bytes_of(name));
    if (copy != NULL && entry->is_directory) {
        directory *item = tarn__arena_allocate(arena, 1, sizeof *item);
        if (item != NULL) {
            *item = (directory){.next = l->waiting, .name = copy};
            l->waiting = item;
            return true;
        }
    } else if (copy != NULL) {
        tarn__tree_file *item = tarn__arena_allocate(arena, 1, sizeof *item);
        if (item != NULL) {
            *item = (tarn__tree_file){
                .next = l->tree.files,
                .name = copy,
                .size = entry->size,
                .written_ms = entry->written_ms,
            };
            l->tree.files = item;
            l->tree.count++;
            return true;
        }
    }
    l->is_out_of_memory = true;
    return false;
}

static bool note(const tarn_storage_entry *entry, void *context)
{
    lister *l = context;
    char name[TARN__STORAGE_NAME_BYTES_MAX + 1];
    const char *slash = l->current[0] != '\0' ? "/" : "";
    const int size = snprintf(name, sizeof name, "%s%s%s", l->current, slash, entry->name);
    if (size < 0 || (size_t)size >= sizeof name) {
        return true; /* No name of an object: not ours. */
    }
    return add(l, name, entry);
}

tarn_status tarn__tree_list(
    tarn_storage *storage,
    tarn__account *account,
    const char *name,
    tarn__tree *out,
    tarn_error *error)
{
    directory root = {.name = name};
    lister l = {.waiting = &root};
    tarn__arena_init(&l.tree.arena, account);
    tarn_status status = TARN_OK;
    while (status == TARN_OK && l.waiting != NULL) {
        l.current = l.waiting->name;
        l.waiting = l.waiting->next;
        status = tarn__storage_list(storage, l.current, note, &l, error);
        if (status == TARN_OK && l.is_out_of_memory) {
            status = tarn__fail_no_memory(error, "the names of files", sizeof *l.tree.files);
        }
    }
    if (status != TARN_OK) {
        tarn__arena_clear(&l.tree.arena);
        return status;
    }
    *out = l.tree;
    return TARN_OK;
}

void tarn__tree_clear(tarn__tree *tree)
{
    tarn__arena_clear(&tree->arena);
    tree->files = NULL;
    tree->count = 0;
}

tarn_status tarn__tree_remove(
    tarn_storage *storage, const tarn__tree_file *first, tarn_error *error)
{
    const char *names[BATCH];
    uint32_t count = 0;
    for (const tarn__tree_file *file = first; file != NULL; file = file->next) {
        names[count++] = file->name;
        if (count == BATCH || file->next == NULL) {
            TARN_TRY(tarn__storage_remove(storage, names, count, error));
            count = 0;
        }
    }
    return TARN_OK;
}

void tarn__tree_remove_root(const tarn_storage *storage, const tarn__file_calls *calls)
{
    const char *path = NULL;
    if (tarn__storage_is_local(storage->address) &&
        tarn__storage_path_of(storage->address, &path, NULL) == TARN_OK) {
        const tarn__file_calls *used = calls != NULL ? calls : tarn__file_calls_system();
        (void)used->unlink_at(AT_FDCWD, path, AT_REMOVEDIR, used->context);
    }
}
