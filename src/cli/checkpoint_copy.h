/* checkpoint_copy.h - a checkpoint read by backends and written again as a savepoint. */
#ifndef TARN_CLI_CHECKPOINT_COPY_H
#define TARN_CLI_CHECKPOINT_COPY_H

#include "tarn/savepoint.h"

enum { CLI_PATH_BYTES = 4096 };

/* What help says of it. */
#define CLI_MEMORY_HELP "  --memory SIZE  of the process, 64m at least. Default: 1g\n"

/* Of the process, unless --memory says something else. */
#define CLI_COPY_MEMORY "1g"

/* What to write, and where to work. */
typedef struct cli_copy {
    tarn_env *env;                   /* Of both. Borrowed. */
    const char *to;                  /* The savepoint becomes a directory below this one. */
    tarn_checkpoint_form form;       /* Of a savepoint. */
    uint32_t max_parallelism;        /* 0: as it is. Else the source is canonical. */
    const char *scratch;             /* An existing directory for the backends. */
    char path[CLI_PATH_BYTES];       /* Set: the savepoint that was written. */
    tarn_checkpoint_summary summary; /* Set: of it. */
} cli_copy;

/* Copies a checkpoint; shows progress on a terminal. */
TARN_NODISCARD tarn_status
cli_checkpoint_copy(tarn_checkpoint *source, cli_copy *copy, tarn_error *error);

/* Makes a directory for backends below a parent (NULL: TMPDIR, else /tmp); false: error is set. */
bool cli_scratch_make(const char *parent, char path[CLI_PATH_BYTES], tarn_error *error);

/* Removes it with all that it holds. */
void cli_scratch_remove(const char *path);

#endif
