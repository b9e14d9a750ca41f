/*
 * registry.h - who names which shared file. Pure: counts, never touches a storage.
 *
 *                    ref                confirm
 *     (absent) ───────────► UPLOADING ───────────► PRESENT ──┐ ref: count + 1
 *        ▲  ▲                  ▲  │                  │  ▲────┘
 *        │  │              ref │  │ last unref       │ last unref
 *        │  │                  │  ▼                  ▼
 *        │  └── forget ───── GARBAGE ◄───────────────┘
 *        │                   │    ▲
 *        │              doom │    │ spare (the deletion failed: tried again later)
 *        │                   ▼    │
 *        └───── forget ───── DOOMED          ref: refused; who wants the content waits
 *
 * doubt takes PRESENT back to UPLOADING: who refers to it next stores it once more.
 *
 * DOOMED closes the gap between "nobody names it" and "it is deleted": an upload of the same
 * content in that moment would be deleted under the hands of a checkpoint that names it.
 *
 * References are held by retained checkpoints, by subtasks of pending ones, and by uploads.
 *
 * Thread: confined (the store's mutex is around it).
 */
#ifndef TARN_SNAPSHOT_REGISTRY_H
#define TARN_SNAPSHOT_REGISTRY_H

#include "snapshot/metadata.h"

typedef enum tarn__content_state {
    TARN__CONTENT_ABSENT,    /* Not known; may lie in the storage as garbage of an earlier crash. */
    TARN__CONTENT_UPLOADING, /* Named, but not known to be stored yet. */
    TARN__CONTENT_PRESENT,   /* Named and stored. */
    TARN__CONTENT_GARBAGE,   /* Not named; to be deleted. */
    TARN__CONTENT_DOOMED,    /* Being deleted. */
} tarn__content_state;

typedef struct tarn__registry_entry {
    tarn__content content;
    uint32_t reference_count;
    tarn__content_state state; /* ABSENT: a free slot. */
    bool is_doubted;           /* What is stored may be damaged; until it is stored anew. */
} tarn__registry_entry;

typedef struct tarn__registry {
    tarn__account *account;
    tarn__registry_entry *entries; /* [capacity], open addressing; owned. */
    uint32_t capacity;             /* 0 or a power of two. */
    uint32_t count;
    uint32_t garbage_count;
} tarn__registry;

void tarn__registry_init(tarn__registry *registry, tarn__account *account);
void tarn__registry_clear(tarn__registry *registry);

tarn__content_state tarn__registry_state(
    const tarn__registry *registry, const tarn__content *content);

/* How many references there are. */
uint32_t tarn__registry_count(const tarn__registry *registry, const tarn__content *content);

/*
 * Takes a reference, unless the content is DOOMED. *before is the state it was in: when it was not
 * PRESENT, the caller stores the content and confirms it.
 *
 * Errors: TARN_NO_MEMORY; nothing has changed.
 */
TARN_NODISCARD tarn_status tarn__registry_ref(
    tarn__registry *registry,
    const tarn__content *content,
    tarn__content_state *before,
    tarn_error *error);

/* The content is stored. It is UPLOADING or PRESENT. */
void tarn__registry_confirm(tarn__registry *registry, const tarn__content *content);

/* Nobody knows whether it is stored as it was: whoever wants it next stores it. Named, or not. */
void tarn__registry_doubt(tarn__registry *registry, const tarn__content *content);
bool tarn__registry_is_doubted(const tarn__registry *registry, const tarn__content *content);

/* Gives a reference back; the last one makes it garbage. Cannot fail. */
void tarn__registry_unref(tarn__registry *registry, const tarn__content *content);

/* Dooms up to count pieces of garbage; answers how many, with their contents in out. */
uint32_t tarn__registry_doom(tarn__registry *registry, tarn__content *out, uint32_t count);

/* What was doomed is deleted. */
void tarn__registry_forget(tarn__registry *registry, const tarn__content *content);

/* What was doomed could not be deleted: it is garbage again. */
void tarn__registry_spare(tarn__registry *registry, const tarn__content *content);

#endif
