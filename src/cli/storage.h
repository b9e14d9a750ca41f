/* storage.h - what the parts of `tarn storage` share. */
#ifndef TARN_CLI_STORAGE_H
#define TARN_CLI_STORAGE_H

#include "tarn/storage.h"

#include "cli.h"

enum { CLI_STORAGE_PIECE_BYTES = 8 << 20 };

/* Tries what a storage promises, and says what works. place is that of address. with_writes:
 * objects are made and removed below "tarn-check-...", else what is there is only read. */
int cli_storage_check(
    const tarn_config *config,
    const char *address,
    tarn_storage *place,
    bool with_writes,
    bool as_json);

#endif
