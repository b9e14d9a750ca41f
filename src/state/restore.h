/*
 * restore.h - a backend's database, out of a checkpoint.
 */
#ifndef TARN_STATE_RESTORE_H
#define TARN_STATE_RESTORE_H

#include "state/backend.h"

/*
 * Finds the backend's own subtask in a checkpoint and downloads its files into the directory of
 * the database, which is then opened over them. The files become the base of the first upload.
 *
 * Errors: TARN_INCOMPATIBLE (another maximum parallelism, key hash or parallelism, no such operator
 * or no keyed state), and those of the download; nothing is left in the directory.
 */
TARN_NODISCARD tarn_status
tarn__restore_run(tarn_backend *backend, const tarn_checkpoint *checkpoint, tarn_error *error);

#endif
