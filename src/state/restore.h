/*
 * restore.h - a backend's database, out of a checkpoint of any parallelism.
 *
 *     old subtasks   |      0: groups 0..63      |     1: groups 64..127      |
 *     this one                          | 43 ........... 85 |
 *
 *     0 is the base, whose files become the database. Of 1 the files are added to it (join.c), or,
 *     where that cannot be, its rows of 64..85 are written as table files in order and taken in at
 *     once (merge.c).
 *
 *     fetch     of each old part first what is no table file; MANIFEST says which key groups each
 *               table file has (trim.c), and only those that hold some of this backend's are
 *               fetched; of one that has others too only its blocks are read
 *     complete  once the database is open: the files of the other parts are added to it; rows of
 *               other groups at the borders are covered by a range delete; and the rows of parts
 *               whose files were not added are taken over
 *
 * The base is the part from which most bytes come. Its files, and those that were added, are the
 * checkpoint's, so that the first snapshot sends only what is new. An old subtask's rows beyond its
 * own groups are never looked at: they may be leftovers of an earlier restore.
 *
 * Thread: confined.
 */
#ifndef TARN_STATE_RESTORE_H
#define TARN_STATE_RESTORE_H

#include <limits.h>

#include "state/backend.h"

/* A restore between its two steps. */
typedef struct tarn__restore {
    tarn_backend *backend;
    const tarn_checkpoint *checkpoint;
    uint32_t first; /* Old subtasks that have some of the backend's key groups: from this one */
    uint32_t last;  /* to this one. */
    uint32_t base;  /* The one whose files become the database. */
} tarn__restore;

/* What an old subtask has for the backend. */
typedef struct tarn__restore_part {
    uint32_t position; /* Among the subtasks of the checkpoint. */
    uint32_t old_index;
    tarn_key_group_range stored; /* Its key groups. */
    tarn_key_group_range kept;   /* Those that are the backend's too. */
} tarn__restore_part;

/*
 * Opens the database of a backend: an empty one, or one with the rows of options->restore, which is
 * what the first upload builds on.
 *
 * Errors: TARN_INCOMPATIBLE (another maximum parallelism or key hash, no such operator or no keyed
 * state), and those of the download; the directory is wiped when the backend is closed.
 */
TARN_NODISCARD tarn_status
tarn__restore_open(tarn_backend *backend, const tarn_backend_options *options, tarn_error *error);

/*
 * trim.c: fetches a part's files into a new directory, but for table files without kept groups.
 *
 * has_holes  False. Of files that are copied the rows of other groups need not be there; set when
 *            in one they are not. NULL: all of them are needed.
 * base_out   May be NULL.
 */
TARN_NODISCARD tarn_status tarn__restore_fetch_part(
    const tarn__restore *restore,
    const tarn__restore_part *part,
    const char *directory,
    atomic_bool *has_holes,
    tarn__base **base_out,
    tarn_error *error);

/* trim.c: covers the rows of the database that are not of the kept groups. */
TARN_NODISCARD tarn_status
tarn__restore_clip(tarn__rocks *rocks, const tarn_key_group_range *kept, tarn_error *error);

/* restore.c: finds an old subtask's part, and checks that it is what the backend can take. */
TARN_NODISCARD tarn_status tarn__restore_find_part(
    const tarn__restore *restore, uint32_t old_index, tarn__restore_part *out, tarn_error *error);

/* restore.c: opens the backend's database, whatever its files are. */
TARN_NODISCARD tarn_status
tarn__restore_open_database(tarn_backend *backend, bool holds_compactions, tarn_error *error);

/*
 * join.c: adds the files of other parts to the open database, which is closed and opened for that.
 *
 * covered  The groups that it has rows of: the base's; then those of the joined parts too.
 */
TARN_NODISCARD tarn_status
tarn__restore_join(const tarn__restore *restore, tarn_key_group_range *covered, tarn_error *error);

/* merge.c: takes over the rows of a part's kept groups. Its files may have been fetched before. */
TARN_NODISCARD tarn_status tarn__restore_merge(
    const tarn__restore *restore, const tarn__restore_part *part, tarn_error *error);

/* ---- a part as a database of its own (source.c) ----------------------------------------- */

/* Names its directory. TARN_INVALID_ARGUMENT: the path is too long. */
TARN_NODISCARD tarn_status tarn__restore_name_source(
    const tarn_backend *backend, uint32_t old_index, char path[PATH_MAX], tarn_error *error);

/* Fetches its files there, unless they are there. base_out may be NULL. */
TARN_NODISCARD tarn_status tarn__restore_fetch_source(
    const tarn__restore *restore,
    const tarn__restore_part *part,
    atomic_bool *has_holes,
    tarn__base **base_out,
    tarn_error *error);

TARN_NODISCARD tarn_status tarn__restore_open_source(
    tarn_backend *backend, uint32_t old_index, tarn__rocks **out, tarn_error *error);

/* Takes over what it says of its states. */
TARN_NODISCARD tarn_status
tarn__restore_take_descriptors(tarn_backend *backend, tarn__rocks *source, tarn_error *error);

/* The backend's family for one of it; made if there is none. */
TARN_NODISCARD tarn_status tarn__restore_find_into(
    tarn_backend *backend,
    const tarn__rocks_family *from,
    tarn__rocks_family **out,
    tarn_error *error);

#endif
