/* checkpoint_facts.c - see checkpoint_facts.h. */
#include "checkpoint_facts.h"

#include <stdio.h>
#include <string.h>

#include "tarn/backend.h"
#include "tarn/operator_state.h"
#include "tarn/savepoint.h"

cli_sizes cli_checkpoint_measure(const tarn_checkpoint *checkpoint, uint32_t index)
{
    cli_sizes made = {0};
    const tarn_checkpoint_subtask subtask = tarn_checkpoint_subtask_at(checkpoint, index);
    for (uint32_t i = 0; i < subtask.file_count; i++) {
        const tarn_checkpoint_file file = tarn_checkpoint_file_at(checkpoint, index, i);
        *(file.is_shared ? &made.shared_bytes : &made.private_bytes) += file.size;
    }
    return made;
}

const char *cli_checkpoint_hash(uint32_t key_hash)
{
    static const char *const names[] = {
        [TARN_KEY_HASH_BYTES] = "bytes",
        [TARN_KEY_HASH_JAVA_STRING] = "java-string",
        [TARN_KEY_HASH_JAVA_INT] = "java-int",
        [TARN_KEY_HASH_JAVA_LONG] = "java-long",
        [TARN_KEY_HASH_JAVA_BYTES] = "java-bytes",
        [TARN_KEY_HASH_CALLER] = "caller",
    };
    return key_hash < sizeof names / sizeof names[0] ? names[key_hash] : "?";
}

tarn_status cli_no_checkpoint(const char *address, tarn_error *error)
{
    error->status = TARN_MISSING;
    snprintf(
        error->message,
        sizeof error->message,
        "%.300s holds no checkpoint; a job's directory has folders such as chk-1",
        address);
    return TARN_MISSING;
}

void cli_checkpoint_job(const tarn_checkpoint *checkpoint, char job[CLI_NAME_BYTES])
{
    snprintf(job, CLI_NAME_BYTES, "%s", tarn_checkpoint_job(checkpoint));
}

static void copy_name(tarn_bytes name, char out[CLI_NAME_BYTES])
{
    snprintf(out, CLI_NAME_BYTES, "%.*s", (int)name.size, (const char *)name.data);
}

static const char *redistribution_name(tarn_redistribution redistribution)
{
    switch (redistribution) {
    case TARN_REDISTRIBUTE_DEFAULT:
        return "default";
    case TARN_REDISTRIBUTE_SPLIT:
        return "split";
    case TARN_REDISTRIBUTE_UNION:
        return "union";
    case TARN_REDISTRIBUTE_BROADCAST:
        return "broadcast";
    }
    return "?";
}

static void take_description(const tarn_operator_state_info *info, cli_operator_state *out)
{
    out->is_described = true;
    out->kind = info->kind;
    out->redistribution = redistribution_name(info->redistribution);
    out->codec_version = info->codec_version;
    out->part_index = info->part_index;
    out->part_count = info->part_count;
    out->element_count = info->element_count;
    out->element_bytes = info->element_bytes;
    copy_name(info->name, out->name);
    copy_name(info->codec_name, out->codec_name);
}

void cli_checkpoint_operator_state(
    const tarn_checkpoint *checkpoint, uint32_t index, uint32_t state, cli_operator_state *out)
{
    const tarn_checkpoint_operator_state piece =
        tarn_checkpoint_operator_state_at(checkpoint, index, state);
    *out = (cli_operator_state){.kind = "bytes", .size = piece.bytes.size};
    copy_name(tarn_bytes_of(piece.name), out->name);

    tarn_operator_state_info info;
    const tarn_status status = tarn_operator_state_describe(piece.bytes, &info, &out->error);
    if (status == TARN_OK) {
        take_description(&info, out);
    } else if (status != TARN_NOT_FOUND) {
        out->kind = status == TARN_NOT_SUPPORTED ? "newer" : "damaged";
    }
}
