/* metadata_sample.h - a metadata file with some of everything. The golden file is made of it. */
#ifndef TARN_TESTS_METADATA_SAMPLE_H
#define TARN_TESTS_METADATA_SAMPLE_H

#include "snapshot/metadata.h"

enum { SAMPLE_SUBTASKS = 3 };

typedef struct metadata_sample {
    tarn__metadata_head head;
    tarn__subtask subtasks[SAMPLE_SUBTASKS];
    tarn__state_part states[2][2];
    tarn__file_part files[2][3];
    tarn__piece_part pieces[2];
    uint8_t compressed[64];
} metadata_sample;

/* Fills the sample in; it must not move afterwards. */
void metadata_sample_init(metadata_sample *sample);

/* Packs some of its files, as version 3 can; a golden file depends on this too. */
void metadata_sample_pack(metadata_sample *sample);

/*
 * Makes it, packed or with inline files or not, one of another kind; a golden file depends on this
 * too. What a savepoint names
 * lies beside its metadata, and is not shared; the files of a canonical one are rows.
 */
void metadata_sample_become(metadata_sample *sample, tarn__metadata_kind kind);

/* How many of the subtasks a file of its kind has. */
uint32_t metadata_sample_count(const metadata_sample *sample);

/* Keeps one in the metadata and compresses two, as version 4 can; likewise. */
void metadata_sample_inline(metadata_sample *sample);

#endif
