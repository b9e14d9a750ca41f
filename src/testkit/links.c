/* links.c - second names on the local file system, of objects and as objects. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kit.h"

static bool make_folder(char *folder, size_t size)
{
    const char *temporary = getenv("TMPDIR");
    snprintf(folder, size, "%.900s/tarn-kit-XXXXXX", temporary != NULL ? temporary : "/tmp");
    return mkdtemp(folder) != NULL;
}

/* --- An object that gets a second name --- */

static void try_link(tarn__kit *k, const char *path)
{
    const tarn_storage_ops *ops = k->storage->ops;
    const tarn_status status = ops->link(k->storage, "linked/object", path, &k->error);
    if (status == TARN_NOT_SUPPORTED) {
        (void)tarn__kit_skip(k, "the storage cannot link to the directory of temporary files");
        return;
    }
    char content[16] = "";
    TARN__KIT_MUST(tarn__kit_ok(k, status, "link", "linked/object"));
    TARN__KIT_MUST(tarn__kit_remove(k, "linked/object"));
    FILE *file = fopen(path, "rb");
    const size_t got = file != NULL ? fread(content, 1, sizeof content - 1, file) : 0;
    if (file != NULL) {
        fclose(file);
    }
    if (got != strlen("content") || strcmp(content, "content") != 0) {
        (void)tarn__kit_fail(k, "what was linked went with the object, or is another");
        return;
    }
    TARN__KIT_MUST(tarn__kit_is(
        k,
        ops->link(k->storage, "not/there", path, &k->error),
        TARN_NOT_SUPPORTED,
        "link",
        "not/there"));
}

void tarn__kit_case_link(tarn__kit *k)
{
    const tarn_storage_ops *ops = k->storage->ops;
    if (ops->struct_size <= offsetof(tarn_storage_ops, link) || ops->link == NULL) {
        (void)tarn__kit_skip(k, "the storage's objects are no local files");
        return;
    }
    char folder[1024];
    char path[1100];
    if (!make_folder(folder, sizeof folder)) {
        (void)tarn__kit_skip(k, "a directory cannot be made for the link");
        return;
    }
    snprintf(path, sizeof path, "%s/linked", folder);
    if (tarn__kit_put(k, "linked/object", "content")) {
        try_link(k, path);
    }
    (void)unlink(path);
    (void)rmdir(folder);
}

/* --- A local file that becomes an object --- */

static bool write_local(const char *path, const char *content)
{
    FILE *file = fopen(path, "wb");
    const bool is_written = file != NULL && fputs(content, file) >= 0;
    return file != NULL && fclose(file) == 0 && is_written;
}

static void try_adopt(tarn__kit *k, const char *path)
{
    const tarn_storage_ops *ops = k->storage->ops;
    const tarn_status status = ops->adopt(k->storage, path, "adopted/object", &k->error);
    if (status == TARN_NOT_SUPPORTED) {
        (void)tarn__kit_skip(k, "the storage cannot link from the directory of temporary files");
        return;
    }
    TARN__KIT_MUST(tarn__kit_ok(k, status, "adopt", "adopted/object"));
    (void)unlink(path); /* The object stays. */
    TARN__KIT_MUST(tarn__kit_has(k, k->storage, "adopted/object", "first"));
    if (!write_local(path, "second")) {
        (void)tarn__kit_skip(k, "a file cannot be written");
        return;
    }
    for (int i = 0; i < 2; i++) { /* Once over the first, once over itself. */
        TARN__KIT_MUST(tarn__kit_ok(
            k,
            ops->adopt(k->storage, path, "adopted/object", &k->error),
            "adopt",
            "adopted/object"));
        TARN__KIT_MUST(tarn__kit_has(k, k->storage, "adopted/object", "second"));
    }
    TARN__KIT_MUST(tarn__kit_remove(k, "adopted/object"));
}

void tarn__kit_case_adopt(tarn__kit *k)
{
    const tarn_storage_ops *ops = k->storage->ops;
    if (ops->struct_size <= offsetof(tarn_storage_ops, adopt) || ops->adopt == NULL) {
        (void)tarn__kit_skip(k, "the storage's objects are no local files");
        return;
    }
    char folder[1024];
    char path[1100];
    if (!make_folder(folder, sizeof folder)) {
        (void)tarn__kit_skip(k, "a directory cannot be made for the file");
        return;
    }
    snprintf(path, sizeof path, "%s/local", folder);
    if (write_local(path, "first")) {
        try_adopt(k, path);
    }
    (void)unlink(path);
    (void)rmdir(folder);
}
