/* checkpoint_json.c - `tarn checkpoint show --json`. */
#include "checkpoint_facts.h"
#include "json.h"

static json_t *state_as_json(const tarn_checkpoint_state *state)
{
    json_t *made = cli_json_object();
    cli_json_set(made, "name", cli_json_text(state->name));
    cli_json_set(made, "kind", cli_json_text(state->kind));
    cli_json_set(made, "codec", cli_json_text(state->codec_name));
    cli_json_set(made, "codec_version", cli_json_count(state->codec_version));
    return made;
}

static json_t *file_as_json(const tarn_checkpoint_file *file)
{
    json_t *made = cli_json_object();
    cli_json_set(made, "local_name", cli_json_text(file->local_name));
    cli_json_set(made, "path", cli_json_text(file->path));
    cli_json_set(made, "shared", json_boolean(file->is_shared));
    cli_json_set(made, "packed", json_boolean(file->is_packed));
    cli_json_set(made, "offset", cli_json_count(file->offset));
    cli_json_set(made, "inline", json_boolean(file->is_inline));
    cli_json_set(made, "codec", cli_json_text(file->codec));
    cli_json_set(made, "stored_size", cli_json_count(file->stored_size));
    cli_json_set(made, "size", cli_json_count(file->size));
    cli_json_set(made, "digest", cli_json_text(file->digest));
    return made;
}

static json_t *states_as_json(const tarn_checkpoint *checkpoint, uint32_t index, uint32_t count)
{
    json_t *made = cli_json_array();
    for (uint32_t i = 0; i < count; i++) {
        const tarn_checkpoint_state state = tarn_checkpoint_state_at(checkpoint, index, i);
        cli_json_append(made, state_as_json(&state));
    }
    return made;
}

static json_t *files_as_json(const tarn_checkpoint *checkpoint, uint32_t index, uint32_t count)
{
    json_t *made = cli_json_array();
    for (uint32_t i = 0; i < count; i++) {
        const tarn_checkpoint_file file = tarn_checkpoint_file_at(checkpoint, index, i);
        cli_json_append(made, file_as_json(&file));
    }
    return made;
}

static json_t *operator_state_as_json(const cli_operator_state *state)
{
    json_t *made = cli_json_object();
    cli_json_set(made, "name", cli_json_text(state->name));
    cli_json_set(made, "kind", cli_json_text(state->kind));
    cli_json_set(made, "bytes", cli_json_count(state->size));
    if (state->is_described) {
        cli_json_set(made, "redistribution", cli_json_text(state->redistribution));
        cli_json_set(made, "codec", cli_json_text(state->codec_name));
        cli_json_set(made, "codec_version", cli_json_count(state->codec_version));
        cli_json_set(made, "part_index", cli_json_count(state->part_index));
        cli_json_set(made, "part_count", cli_json_count(state->part_count));
        cli_json_set(made, "element_count", cli_json_count(state->element_count));
        cli_json_set(made, "element_bytes", cli_json_count(state->element_bytes));
    } else if (state->error.message[0] != '\0') {
        cli_json_set(made, "problem", cli_json_text(state->error.message));
    }
    return made;
}

static json_t *operator_states_as_json(
    const tarn_checkpoint *checkpoint, uint32_t index, uint32_t count)
{
    json_t *made = cli_json_array();
    for (uint32_t i = 0; i < count; i++) {
        cli_operator_state state;
        cli_checkpoint_operator_state(checkpoint, index, i, &state);
        cli_json_append(made, operator_state_as_json(&state));
    }
    return made;
}

static json_t *keyed_as_json(const tarn_checkpoint_subtask *subtask)
{
    if (!subtask->has_keyed_state) {
        return json_null();
    }
    json_t *range = cli_json_object();
    cli_json_set(range, "first", cli_json_integer(subtask->key_groups.first));
    cli_json_set(range, "last", cli_json_integer(subtask->key_groups.last));
    return range;
}

static json_t *subtask_as_json(const tarn_checkpoint *checkpoint, uint32_t index, bool with_files)
{
    const tarn_checkpoint_subtask at = tarn_checkpoint_subtask_at(checkpoint, index);
    const cli_sizes size = cli_checkpoint_measure(checkpoint, index);
    const char *hash = at.has_keyed_state ? cli_checkpoint_hash(at.key_hash) : NULL;
    json_t *made = cli_json_object();
    cli_json_set(made, "operator", cli_json_text(at.operator_name));
    cli_json_set(made, "subtask", cli_json_count(at.subtask_index));
    cli_json_set(made, "parallelism", cli_json_count(at.parallelism));
    cli_json_set(made, "max_parallelism", cli_json_count(at.max_parallelism));
    cli_json_set(made, "key_groups", keyed_as_json(&at));
    cli_json_set(made, "hash", cli_json_text(hash));
    cli_json_set(made, "file_count", cli_json_count(at.file_count));
    cli_json_set(made, "total_bytes", cli_json_count(at.total_bytes));
    cli_json_set(made, "shared_bytes", cli_json_count(size.shared_bytes));
    cli_json_set(made, "private_bytes", cli_json_count(size.private_bytes));
    cli_json_set(made, "states", states_as_json(checkpoint, index, at.state_count));
    cli_json_set(
        made,
        "operator_states",
        operator_states_as_json(checkpoint, index, at.operator_state_count));
    if (with_files) {
        cli_json_set(made, "files", files_as_json(checkpoint, index, at.file_count));
    }
    return made;
}

void cli_checkpoint_show_json(const tarn_checkpoint *checkpoint, bool with_files)
{
    const tarn_checkpoint_summary summary = tarn_checkpoint_summarize(checkpoint);
    char job[CLI_NAME_BYTES];
    cli_checkpoint_job(checkpoint, job);
    json_t *subtasks = cli_json_array();
    for (uint32_t i = 0; i < summary.subtask_count; i++) {
        cli_json_append(subtasks, subtask_as_json(checkpoint, i, with_files));
    }
    json_t *answer = cli_json_object();
    cli_json_set(answer, "ok", json_true());
    cli_json_set(answer, "job", cli_json_text(job));
    cli_json_set(answer, "id", cli_json_count(summary.id));
    cli_json_set(answer, "path", cli_json_text(tarn_checkpoint_path(checkpoint)));
    cli_json_set(answer, "timestamp_ms", cli_json_integer(summary.timestamp_ms));
    cli_json_set(answer, "duration_ms", cli_json_count(summary.duration_ms));
    cli_json_set(answer, "max_parallelism", cli_json_count(summary.max_parallelism));
    cli_json_set(answer, "operator_count", cli_json_count(summary.operator_count));
    cli_json_set(answer, "subtask_count", cli_json_count(summary.subtask_count));
    cli_json_set(answer, "file_count", cli_json_count(summary.file_count));
    cli_json_set(answer, "total_bytes", cli_json_count(summary.total_bytes));
    cli_json_set(answer, "new_bytes", cli_json_count(summary.new_bytes));
    cli_json_set(answer, "subtasks", subtasks);
    cli_json_print(answer);
}
