/* checkpoint_facts.h - what `tarn checkpoint show` finds out about a checkpoint, for both forms. */
#ifndef TARN_CLI_CHECKPOINT_FACTS_H
#define TARN_CLI_CHECKPOINT_FACTS_H

#include "tarn/checkpoint.h"

enum { CLI_NAME_BYTES = 256 }; /* Room for any name in a checkpoint, and its NUL. */

/* The bytes of a subtask's files, by where they are. */
typedef struct cli_sizes {
    uint64_t shared_bytes;
    uint64_t private_bytes;
} cli_sizes;

/* One piece of an operator's own state. */
typedef struct cli_operator_state {
    char name[CLI_NAME_BYTES];
    const char *kind;           /* "list", "broadcast", "bytes", "damaged" or "newer". */
    bool is_described;          /* It is of an operator store: the fields below are set. */
    const char *redistribution; /* "split", "union" or "broadcast". */
    char codec_name[CLI_NAME_BYTES];
    uint32_t codec_version;
    uint32_t part_index;
    uint32_t part_count;
    uint64_t element_count;
    uint64_t element_bytes;
    uint64_t size;    /* Of the piece. Units: bytes. */
    tarn_error error; /* When it is damaged or newer. */
} cli_operator_state;

cli_sizes cli_checkpoint_measure(const tarn_checkpoint *checkpoint, uint32_t index);

/* The name of a tarn_key_hash, as `tarn key-group` takes it. */
const char *cli_checkpoint_hash(uint32_t key_hash);

/* Says that a directory holds no checkpoint, and what one looks like. Returns TARN_MISSING. */
tarn_status cli_no_checkpoint(const char *address, tarn_error *error);

/* The job, as the metadata has it. */
void cli_checkpoint_job(const tarn_checkpoint *checkpoint, char job[CLI_NAME_BYTES]);

/* Looks at a piece of operator state of the subtask at index. */
void cli_checkpoint_operator_state(
    const tarn_checkpoint *checkpoint, uint32_t index, uint32_t state, cli_operator_state *out);

/* Answers as one line of JSON. */
void cli_checkpoint_show_json(const tarn_checkpoint *checkpoint, bool with_files);

#endif
