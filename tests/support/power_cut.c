/* power_cut.c - see power_cut.h. */
#include "support/power_cut.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/random.h"
#include "support/support.h"

static const tarn__file_calls *below(void)
{
    return tarn__file_calls_system();
}

/* ---- nodes ------------------------------------------------------------------------------ */

/* The node of a file or directory that is there; made where there is none yet. */
static uint32_t node_of(power_cut *cut, const struct stat *status)
{
    for (uint32_t i = 0; i < cut->node_count; i++) {
        const power_cut_node *node = &cut->nodes[i];
        if (!node->is_gone && node->device == status->st_dev && node->inode == status->st_ino) {
            return i;
        }
    }
    assert_true(cut->node_count < POWER_CUT_NODES_MAX);
    cut->nodes[cut->node_count] = (power_cut_node){
        .device = status->st_dev,
        .inode = status->st_ino,
        .is_directory = S_ISDIR(status->st_mode),
    };
    return cut->node_count++;
}

static uint32_t node_of_file(power_cut *cut, int file)
{
    struct stat status;
    assert_int_equal(fstat(file, &status), 0);
    return node_of(cut, &status);
}

/* Splits a name below a descriptor; false: that is not in the root. */
static bool find_place(
    power_cut *cut, int directory, const char *path, uint32_t *parent, const char **name)
{
    char above[PATH_MAX];
    struct stat status;
    const char *slash = strrchr(path, '/');
    snprintf(
        above,
        sizeof above,
        "%.*s",
        slash != NULL ? (int)(slash - path) : 1,
        slash != NULL ? path : ".");
    if (directory == AT_FDCWD && strncmp(path, cut->root, strlen(cut->root)) != 0) {
        return false;
    }
    assert_int_equal(fstatat(directory, above, &status, 0), 0);
    *parent = node_of(cut, &status);
    *name = slash != NULL ? slash + 1 : path;
    return true;
}

/* ---- notes ------------------------------------------------------------------------------ */

static power_cut_note *add_note(power_cut *cut, power_cut_kind kind, uint32_t node)
{
    assert_true(cut->note_count < POWER_CUT_NOTES_MAX);
    power_cut_note *note = &cut->notes[cut->note_count++];
    *note = (power_cut_note){.kind = kind, .node = node};
    return note;
}

static void note_name(
    power_cut *cut, power_cut_kind kind, uint32_t parent, const char *name, uint32_t named)
{
    power_cut_note *note = add_note(cut, kind, parent);
    note->named = named;
    snprintf(note->name, sizeof note->name, "%s", name);
}

/* Notes that what is at a place now has that name. */
static void note_named(power_cut *cut, int directory, const char *path)
{
    uint32_t parent = 0;
    const char *name = NULL;
    struct stat status;
    if (find_place(cut, directory, path, &parent, &name)) {
        assert_int_equal(fstatat(directory, path, &status, 0), 0);
        note_name(cut, POWER_CUT_NAME, parent, name, node_of(cut, &status));
    }
}

static void take_bytes(power_cut_node *node, const void *bytes, size_t size)
{
    uint8_t *grown = realloc(node->bytes, node->size + size + 1);
    assert_non_null(grown);
    if (size > 0) {
        memcpy(grown + node->size, bytes, size);
    }
    node->bytes = grown;
    node->size += size;
}

/* ---- calls ------------------------------------------------------------------------------ */

static int cut_open_at(int directory, const char *name, int flags, mode_t mode, void *context)
{
    power_cut *cut = context;
    const bool is_new =
        (flags & O_CREAT) != 0 && faccessat(directory, name, F_OK, 0) != 0 && errno == ENOENT;
    const int file = below()->open_at(directory, name, flags, mode, NULL);
    if (file >= 0 && is_new) {
        note_named(cut, directory, name);
    }
    return file;
}

static ssize_t cut_write(int file, const void *bytes, size_t size, void *context)
{
    power_cut *cut = context;
    const ssize_t written = below()->write(file, bytes, size, NULL);
    if (written > 0) {
        const uint32_t node = node_of_file(cut, file);
        take_bytes(&cut->nodes[node], bytes, (size_t)written);
        add_note(cut, POWER_CUT_WRITE, node)->size = cut->nodes[node].size;
    }
    return written;
}

static int cut_sync(int file, void *context)
{
    power_cut *cut = context;
    const uint32_t node = node_of_file(cut, file);
    const bool is_forgotten =
        cut->nodes[node].is_directory ? cut->forgets_directories : cut->forgets_files;
    if (!is_forgotten) {
        (void)add_note(cut, POWER_CUT_SYNC, node);
    }
    return 0; /* The real call is left out: it costs milliseconds. */
}

static int cut_rename_at(
    int directory, const char *from, const char *to, unsigned flags, void *context)
{
    power_cut *cut = context;
    struct stat before;
    const bool replaces = fstatat(directory, to, &before, AT_SYMLINK_NOFOLLOW) == 0;
    const int answer = below()->rename_at(directory, from, to, flags, NULL);
    uint32_t parent = 0;
    const char *name = NULL;
    /* Two names of one file are both left. */
    if (answer == 0 && faccessat(directory, from, F_OK, 0) != 0) {
        if (replaces && before.st_nlink == 1) {
            cut->nodes[node_of(cut, &before)].is_gone = true;
        }
        note_named(cut, directory, to);
        if (find_place(cut, directory, from, &parent, &name)) {
            note_name(cut, POWER_CUT_UNNAME, parent, name, 0);
        }
    }
    return answer;
}

/* Reads a file from outside, so that its bytes are known when it is gone. */
static void take_outside(power_cut *cut, const char *path)
{
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    power_cut_node *node = &cut->nodes[node_of(cut, &status)];
    if (node->bytes != NULL) {
        return;
    }
    uint8_t *bytes = malloc((size_t)status.st_size + 1);
    const int file = open(path, O_RDONLY);
    assert_non_null(bytes);
    assert_int_equal(read(file, bytes, (size_t)status.st_size), status.st_size);
    (void)close(file);
    take_bytes(node, bytes, (size_t)status.st_size);
    free(bytes);
    node->durable_size = cut->trusts_makers ? node->size : 0;
}

static int cut_link_at(const char *from, int directory, const char *to, void *context)
{
    power_cut *cut = context;
    const int answer = below()->link_at(from, directory, to, NULL);
    if (answer == 0) {
        take_outside(cut, from);
        note_named(cut, directory, to);
    }
    return answer;
}

static int cut_unlink_at(int directory, const char *name, int flags, void *context)
{
    power_cut *cut = context;
    uint32_t parent = 0;
    const char *last = NULL;
    struct stat status;
    const bool was_there = fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) == 0;
    const int answer = below()->unlink_at(directory, name, flags, NULL);
    if (answer == 0 && was_there && find_place(cut, directory, name, &parent, &last)) {
        note_name(cut, POWER_CUT_UNNAME, parent, last, 0);
        cut->nodes[node_of(cut, &status)].is_gone = S_ISDIR(status.st_mode) || status.st_nlink == 1;
    }
    return answer;
}

static int cut_make_directory_at(int directory, const char *name, mode_t mode, void *context)
{
    const int answer = below()->make_directory_at(directory, name, mode, NULL);
    if (answer == 0) {
        note_named(context, directory, name);
    }
    return answer;
}

void power_cut_init(power_cut *cut, const char *root)
{
    struct stat status;
    memset(cut, 0, sizeof *cut);
    cut->base = *below();
    cut->base.context = cut;
    cut->base.open_at = cut_open_at;
    cut->base.write = cut_write;
    cut->base.sync = cut_sync;
    cut->base.rename_at = cut_rename_at;
    cut->base.link_at = cut_link_at;
    cut->base.unlink_at = cut_unlink_at;
    cut->base.make_directory_at = cut_make_directory_at;
    cut->root = root;
    cut->trusts_makers = true;
    assert_int_equal(stat(root, &status), 0);
    assert_int_equal(node_of(cut, &status), 0);
}

void power_cut_clear(power_cut *cut)
{
    for (uint32_t i = 0; i < cut->node_count; i++) {
        free(cut->nodes[i].bytes);
    }
}

/* ---- the replay ------------------------------------------------------------------------- */

/* A name that a directory has, or that a change took away from it. */
typedef struct entry {
    uint32_t directory;
    uint32_t node;
    bool is_there;
    char name[POWER_CUT_NAME_BYTES];
} entry;

typedef struct replay {
    const power_cut *cut;
    power_cut_luck luck;
    tarn__random random;
    uint64_t durable_size[POWER_CUT_NODES_MAX];
    uint64_t size[POWER_CUT_NODES_MAX];
    entry *durable; /* [durable_count]: of all directories. */
    uint32_t durable_count;
    entry *changes; /* [change_count]: since their directories were synchronised, in order. */
    uint32_t change_count;
} replay;

static bool is_lucky(replay *r)
{
    return r->luck == POWER_CUT_ALL ||
           (r->luck == POWER_CUT_SOME && (tarn__random_next(&r->random) & 1) != 0);
}

static void apply(replay *r, const entry *change)
{
    for (uint32_t i = 0; i < r->durable_count; i++) {
        entry *have = &r->durable[i];
        if (have->directory == change->directory && strcmp(have->name, change->name) == 0) {
            *have = *change;
            return;
        }
    }
    r->durable[r->durable_count++] = *change;
}

/* All changes of a directory become durable; with luck, those that it has not promised. */
static void settle(replay *r, uint32_t directory, bool is_promised)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < r->change_count; i++) {
        const entry change = r->changes[i];
        if (change.directory != directory) {
            r->changes[kept++] = change;
        } else if (is_promised || is_lucky(r)) {
            apply(r, &change);
        }
    }
    r->change_count = kept;
}

static void take_note(replay *r, const power_cut_note *note)
{
    if (note->kind == POWER_CUT_WRITE) {
        r->size[note->node] = note->size;
    } else if (note->kind == POWER_CUT_SYNC && r->cut->nodes[note->node].is_directory) {
        settle(r, note->node, true);
    } else if (note->kind == POWER_CUT_SYNC) {
        const power_cut_node *node = &r->cut->nodes[note->node];
        r->durable_size[note->node] = r->size[note->node] > 0 ? r->size[note->node] : node->size;
    } else {
        entry *change = &r->changes[r->change_count++];
        *change = (entry){
            .directory = note->node,
            .node = note->named,
            .is_there = note->kind == POWER_CUT_NAME,
        };
        snprintf(change->name, sizeof change->name, "%s", note->name);
    }
}

static void write_file(replay *r, uint32_t number, const char *path)
{
    const power_cut_node *node = &r->cut->nodes[number];
    const uint64_t most = r->size[number] > 0 ? r->size[number] : node->size;
    uint64_t size = r->durable_size[number];
    if (size < node->durable_size) {
        size = node->durable_size;
    }
    if (r->luck == POWER_CUT_ALL) {
        size = most;
    } else if (r->luck == POWER_CUT_SOME && most > size) {
        size += tarn__random_next(&r->random) % (most - size + 1);
    }
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    if (size > 0) {
        assert_int_equal(fwrite(node->bytes, 1, size, file), size);
    }
    assert_int_equal(fclose(file), 0);
}

/* Directories before what is in them, as they were noted first. */
static void write_tree(replay *r, uint32_t directory, const char *path)
{
    assert_int_equal(mkdir(path, 0755), 0);
    for (uint32_t i = 0; i < r->durable_count; i++) {
        const entry *have = &r->durable[i];
        char below_path[PATH_MAX];
        if (have->directory != directory || !have->is_there) {
            continue;
        }
        snprintf(below_path, sizeof below_path, "%s/%s", path, have->name);
        if (r->cut->nodes[have->node].is_directory) {
            write_tree(r, have->node, below_path);
        } else {
            write_file(r, have->node, below_path);
        }
    }
}

void power_cut_replay(
    const power_cut *cut,
    uint32_t note_count,
    power_cut_luck luck,
    uint64_t seed,
    const char *directory)
{
    replay *r = test_calloc(1, sizeof *r);
    *r = (replay){.cut = cut, .luck = luck, .random = {.state = seed}};
    r->durable = test_calloc(note_count + 1, sizeof *r->durable);
    r->changes = test_calloc(note_count + 1, sizeof *r->changes);
    for (uint32_t i = 0; i < note_count; i++) {
        take_note(r, &cut->notes[i]);
    }
    for (uint32_t i = 0; i < cut->node_count; i++) {
        settle(r, i, false);
    }
    write_tree(r, 0, directory);
    test_free(r->durable);
    test_free(r->changes);
    test_free(r);
}
