/*
 * power_cut.h - file calls that remember what a loss of power would leave at each moment.
 *
 *     call ──► the system's ──► noted: made, written, synchronised, renamed, linked, removed
 *                                  │
 *                                  └── power_cut_replay(.., n, ..): the tree after the first n
 * notes, as a disk may have it that keeps no more than it promised
 *
 * What it promises: the bytes of a file up to where they were synchronised, and of a directory the
 * names that it had as it was synchronised. Of what came later each change is there or not,
 * whatever the others are. Files outside of the root, which can be linked into it, are durable when
 * their makers have synchronised them: as RocksDB does; or when they are synchronised by these
 * calls.
 *
 * Thread: confined.
 */
#ifndef TARN_TESTS_POWER_CUT_H
#define TARN_TESTS_POWER_CUT_H

#include "storage/file_calls.h"

enum {
    POWER_CUT_NODES_MAX = 512,
    POWER_CUT_NOTES_MAX = 4096,
    POWER_CUT_FILES_MAX = 1024, /* Descriptors. */
    POWER_CUT_NAME_BYTES = 128,
};

typedef enum power_cut_kind {
    POWER_CUT_NAME, /* A directory gets a name, of a node. */
    POWER_CUT_UNNAME,
    POWER_CUT_WRITE,
    POWER_CUT_SYNC,
} power_cut_kind;

typedef struct power_cut_note {
    power_cut_kind kind;
    uint32_t node; /* The directory of a name. */
    uint32_t named;
    uint64_t size; /* Of the file after a write. */
    char name[POWER_CUT_NAME_BYTES];
} power_cut_note;

/* A file or directory. */
typedef struct power_cut_node {
    dev_t device;
    ino_t inode;
    bool is_directory;
    bool is_gone;   /* Its inode may be another's. */
    uint8_t *bytes; /* Of a file: all that was ever written. */
    uint64_t size;
    uint64_t durable_size; /* Of one from outside: when it was linked. */
} power_cut_node;

typedef struct power_cut {
    tarn__file_calls base; /* base.context is the power_cut. */
    const char *root;      /* Borrowed; it exists. Node 0. */
    bool trusts_makers;    /* Files from outside are durable. */
    bool forgets_files;    /* As if those were never synchronised. */
    bool forgets_directories;
    power_cut_node nodes[POWER_CUT_NODES_MAX];
    uint32_t node_count;
    power_cut_note notes[POWER_CUT_NOTES_MAX];
    uint32_t note_count;
} power_cut;

/* It must not move afterwards. */
void power_cut_init(power_cut *cut, const char *root);
void power_cut_clear(power_cut *cut);

/* How a replay decides about each change that was not synchronised. */
typedef enum power_cut_luck { POWER_CUT_NONE, POWER_CUT_ALL, POWER_CUT_SOME } power_cut_luck;

/* Makes directory, with what is left after note_count notes. */
void power_cut_replay(
    const power_cut *cut,
    uint32_t note_count,
    power_cut_luck luck,
    uint64_t seed,
    const char *directory);

#endif
