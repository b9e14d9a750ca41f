/* hold.c - the rows of one moment, read later and by another thread. See db.h. */
#include "base/try.h"
#include "rocks/rocks_private.h"

tarn_status tarn__rocks_hold_open(tarn__rocks *rocks, tarn__rocks_hold **out, tarn_error *error)
{
    tarn__rocks_hold *hold = tarn__allocate_zeroed(rocks->account, 1, sizeof *hold);
    if (hold == NULL) {
        return tarn__fail_no_memory(error, "a held state of the database", sizeof *hold);
    }
    hold->rocks = rocks;
    hold->snapshot = rocksdb_create_snapshot(rocks->db);
    atomic_fetch_add(&rocks->hold_count, 1);
    *out = hold;
    return TARN_OK;
}

void tarn__rocks_hold_close(tarn__rocks_hold *hold)
{
    if (hold != NULL) {
        rocksdb_release_snapshot(hold->rocks->db, hold->snapshot);
        atomic_fetch_sub(&hold->rocks->hold_count, 1);
        tarn__release(hold);
    }
}
