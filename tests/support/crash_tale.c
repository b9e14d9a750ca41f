/* crash_tale.c - see crash_tale.h. */
#include "support/crash_tale.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "support/support.h"

enum { LINE_BYTES = 4096 }; /* PIPE_BUF: no line is torn. */

void crash_tale_tell(
    int tale, crash_tale_kind kind, uint64_t id, uint64_t position, const char *path)
{
    char line[LINE_BYTES];
    const int size = snprintf(
        line, sizeof line, "%d %" PRIu64 " %" PRIu64 " %s\n", (int)kind, id, position, path);
    if (size < 0 || size >= LINE_BYTES || write(tale, line, (size_t)size) != size) {
        _exit(5);
    }
}

static void note_problem(crash_tale *tale, const char *what, uint64_t id, uint64_t position)
{
    if (tale->problem[0] == '\0') {
        snprintf(
            tale->problem,
            sizeof tale->problem,
            "checkpoint %" PRIu64 " at %" PRIu64 " %s (announced: %" PRIu64 ")",
            id,
            position,
            what,
            tale->announced_id);
    }
}

static void take_restored(crash_tale *tale, uint64_t id, uint64_t position)
{
    tale->restored_count++;
    tale->durable_position = position;
    if (id < tale->announced_id) {
        note_problem(tale, "is restored although a later one was announced", id, position);
    } else if (tale->positions[id] != position) {
        note_problem(tale, "was taken somewhere else", id, position);
    }
}

static void take_line(crash_tale *tale, const char *line)
{
    int kind = 0;
    uint64_t id = 0;
    uint64_t position = 0;
    char path[LINE_BYTES] = "";
    assert_true(
        sscanf(line, "%d %" SCNu64 " %" SCNu64 " %4095s", &kind, &id, &position, path) >= 3);
    assert_in_range(id, 1, CRASH_TALE_IDS_MAX - 1);
    switch ((crash_tale_kind)kind) {
    case CRASH_TALE_TAKEN:
        tale->positions[id] = position;
        break;
    case CRASH_TALE_ANNOUNCED:
        tale->announced_count++;
        if (id <= tale->announced_id) {
            note_problem(tale, "is announced after a later one", id, position);
        }
        tale->announced_id = id;
        tale->durable_position = tale->positions[id];
        break;
    case CRASH_TALE_RESTORED:
        take_restored(tale, id, position);
        break;
    case CRASH_TALE_SAVED:
        assert_in_range(tale->saved_count, 0, CRASH_TALE_SAVED_MAX - 1);
        snprintf(tale->saved[tale->saved_count].path, PATH_MAX, "%s", path);
        tale->saved[tale->saved_count++].position = position;
        break;
    }
}

void crash_tale_hear(crash_tale *tale, int from)
{
    FILE *file = fdopen(dup(from), "r");
    char line[LINE_BYTES];
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        take_line(tale, line);
    }
    fclose(file);
}
