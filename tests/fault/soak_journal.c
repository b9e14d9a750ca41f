/*
 * soak_journal.c - a file that the soak's processes append to, and that outlives them.
 *
 * An entry is one write of a few bytes, which a kill does not tear. A process notes a commit after
 * it: one that was killed in between has a newer checkpoint than the journal knows, never an older.
 */
#include "fault/soak.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void name_journal(const soak_plan *p, char path[FIXTURE_PATH_BYTES])
{
    if (snprintf(path, FIXTURE_PATH_BYTES, "%.480s/journal", p->directory) <= 0) {
        exit(1);
    }
}

void journal_add(const soak_plan *p, const soak_entry *entry)
{
    char path[FIXTURE_PATH_BYTES];
    name_journal(p, path);
    const int file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0 || write(file, entry, sizeof *entry) != (ssize_t)sizeof *entry) {
        perror(path);
        exit(1);
    }
    (void)close(file);
}

static void add_to_tally(soak_tally *t, const soak_entry *entry)
{
    if (entry->kind == SOAK_COMMITTED) {
        t->committed_count++;
        t->committed_position = entry->position;
        return;
    }
    if (entry->position < t->committed_position) {
        fail_msg(
            "a process began at record %" PRIu64 ", and %" PRIu64 " was committed before",
            entry->position,
            t->committed_position);
    }
    assert_true(entry->is_restored != 0 || t->committed_count == 0);
    if (entry->kind == SOAK_BEGAN) {
        t->began_count++;
        t->restored_count += entry->is_restored;
        return;
    }
    assert_int_equal(entry->kind, SOAK_VERIFIED);
    t->verified_count++;
    t->state_bytes = entry->state_bytes;
    t->file_bytes = entry->file_bytes;
}

soak_tally journal_read(const soak_plan *p)
{
    char path[FIXTURE_PATH_BYTES];
    soak_tally tally = {0};
    soak_entry entry;
    name_journal(p, path);
    FILE *file = fopen(path, "r");
    while (file != NULL && fread(&entry, sizeof entry, 1, file) == 1) {
        add_to_tally(&tally, &entry);
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return tally;
}
