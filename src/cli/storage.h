/* storage.h - what the parts of `tarn storage` share. */
#ifndef TARN_CLI_STORAGE_H
#define TARN_CLI_STORAGE_H

#include "tarn/storage.h"

#include "cli.h"

enum { CLI_STORAGE_PIECE_BYTES = 8 << 20 };

/* Tries what a storage promises, and answers what works. with_writes: objects are made and removed
 * below "tarn-check-...", else it is only listed. */
int cli_storage_check(tarn_storage *storage, bool with_writes, bool as_json);

#endif
