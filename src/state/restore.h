/*
 * restore.h - a backend's database, out of a checkpoint of any parallelism.
 *
 *     old subtasks   |   0: groups 0..63    |   1: groups 64..127   |
 *     this one             | 43 ......... 85 |
 *                            base: its files    rows of 64..85: table files written in order and
 *                            become the         taken in at once (merge.c)
 *                            database
 *
 *     fetch     of each old part first what is no table file; MANIFEST says which key groups each
 *               table file has (trim.c), and only those that hold some of this backend's are
 *               fetched; of one that has others too only its blocks are read
 *     complete  once the database is open: rows of other groups at the borders are covered by a
 *               range delete, and the rows of the other parts are taken over
 *
 * The base is the part from which most bytes come. Its files are those of the checkpoint, so that
 * the first snapshot sends only what is new. An old subtask's rows beyond its own groups are never
 * looked at: they may be leftovers of an earlier restore.
 *
 * Thread: confined.
 */
#ifndef TARN_STATE_RESTORE_H
#define TARN_STATE_RESTORE_H

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
 * may_have_holes  Of files that are copied the rows of other groups need not be there.
 * base_out        May be NULL; not with holes, as such a file is not what its digest says.
 */
TARN_NODISCARD tarn_status tarn__restore_fetch_part(
    const tarn__restore *restore,
    const tarn__restore_part *part,
    const char *directory,
    bool may_have_holes,
    tarn__base **base_out,
    tarn_error *error);

/* trim.c: covers the rows of the database that are not of the kept groups. */
TARN_NODISCARD tarn_status
tarn__restore_clip(tarn__rocks *rocks, const tarn_key_group_range *kept, tarn_error *error);

/* merge.c: takes over the rows of a part's kept groups. */
TARN_NODISCARD tarn_status tarn__restore_merge(
    const tarn__restore *restore, const tarn__restore_part *part, tarn_error *error);

#endif
