/*
 * links.h - the directory of a snapshot's links, which goes when nobody waits for it any more.
 *
 *     await ──► make links, upload ──► retire ──► the snapshot has ended ──► removed
 *       ▲                                                                       │
 *       └──────────── the next snapshot, or who closes the backend ◄────────────┘
 *
 * Removing names, and the files that have no other, takes as long as the file system likes: none of
 * it counts as a part of the checkpoint.
 *
 * Invariant: from retire() to note_removed() await() waits.
 * Thread: shared; one snapshot at a time.
 */
#ifndef TARN_STATE_LINKS_H
#define TARN_STATE_LINKS_H

#include <pthread.h>
#include <stdbool.h>

typedef struct tarn__links {
    pthread_mutex_t mutex; /* A leaf. */
    pthread_cond_t removed;
    bool is_retired; /* Somebody removes the directory, or is about to. */
} tarn__links;

void tarn__links_init(tarn__links *links);
void tarn__links_clear(tarn__links *links); /* After await(). */

/* Says that the directory goes; the same thread removes it soon, and then says that it has. */
void tarn__links_retire(tarn__links *links);
void tarn__links_note_removed(tarn__links *links);

/* Waits until a directory that was retired has been removed. */
void tarn__links_await(tarn__links *links);

#endif
