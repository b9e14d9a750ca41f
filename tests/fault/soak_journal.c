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
    const char *fault = claim_add(t, entry);
    if (fault != NULL) {
        fail_msg(
            "%s: record %" PRIu64 ", when %" PRIu64 " was committed",
            fault,
            entry->position,
            t->committed_position);
    }
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
