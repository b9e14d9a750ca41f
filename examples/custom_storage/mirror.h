/*
 * mirror.h - a storage of the application's own: each object in two storages.
 *
 *     mirror://{/disk1/chk,s3://bucket}/flights      /disk1/chk/flights and s3://bucket/flights:
 *               └─ first ┘ └─ second ─┘              addresses that Tarn knows, without ',' and '}'
 *
 *     finish    first, then second; TARN_OK when both have it
 *     read      first; what it lacks or fails at, second
 *
 * So a checkpoint is complete when it lies in both, and one of them may be lost. What was lost is
 * not brought back: later checkpoints name files of earlier ones, which then lie in one only.
 *
 * What a storage promises is said in tarn/sys/storage.h. It is kept as far as both keep it, by
 * this: the first decides whether a name is taken, and what the second alone has counts as there.
 *
 * Thread: as the storages that it is made of, shared.
 */
#ifndef CUSTOM_STORAGE_MIRROR_H
#define CUSTOM_STORAGE_MIRROR_H

#include <tarn/sys/storage.h>

/* The scheme, for tarn_env_options.storage_schemes. Its storages are read with default options. */
extern const tarn_storage_scheme mirror_scheme;

#endif
