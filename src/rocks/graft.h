/*
 * graft.h - the table files of one database made those of another, without reading a row.
 *
 *     from   000010.sst  level 6   groups 64..70        into   000017.sst  level 6   groups 0..63
 *            000012.sst  level 0   groups 64..85
 *                  │  hard links, under numbers that into has not used
 *                  ▼
 *     into   000017.sst  level 6   000031.sst  level 6   000032.sst  level 5
 *            and an edit that adds them, behind its MANIFEST
 *
 * Rows of both must not meet: of each family, the files of one lie wholly below or above those of
 * the other. Then neither the order of their sequence numbers matters, nor do range deletes of one
 * reach rows of the other. Only in level 0 a file is before or behind others that it shares no row
 * with, by sequence numbers that here mean nothing, and RocksDB takes it for damage when those of
 * two files go into each other; so the files of level 0 go to levels of their own above those that
 * their database used, newer ones higher. Where there are too few levels for that, those below make
 * room, and the database has more levels than usual (tarn__rocks_count_levels()).
 *
 * Both databases are closed, and of one process alone. Own family ("default"): nothing of it.
 *
 * Thread: confined.
 */
#ifndef TARN_ROCKS_GRAFT_H
#define TARN_ROCKS_GRAFT_H

#include "tarn/status.h"

#include "base/account.h"

enum { TARN__ROCKS_FILE_NAME_BYTES = 32 };

/* A file of from has become one of into. */
typedef tarn_status tarn__rocks_grafted(
    const char *from_name, const char *into_name, void *context, tarn_error *error);

/*
 * Whether it could be done. Unlike the other one, for databases that are open, if nobody writes.
 *
 * Errors: TARN_NOT_SUPPORTED (with the reason), TARN_CORRUPTION (a list of files cannot be read),
 * TARN_NO_MEMORY.
 */
TARN_NODISCARD tarn_status tarn__rocks_check_graft(
    const char *into, const char *from, tarn__account *account, tarn_error *error);

/*
 * Does it. Every family of from that has files is one of into already.
 *
 * from, into  Directories of one file system.
 * visit       Called for each file, before into has them.
 * Errors: as above, TARN_IO_ERROR, TARN_NO_SPACE, and those of visit; into is then as it was.
 */
TARN_NODISCARD tarn_status tarn__rocks_graft(
    const char *into,
    const char *from,
    tarn__account *account,
    tarn__rocks_grafted *visit,
    void *context,
    tarn_error *error);

#endif
