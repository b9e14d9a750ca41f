/* canonical_sample.h - files of canonical rows for tests, and a reader that checks all of one. */
#ifndef TARN_TESTS_CANONICAL_SAMPLE_H
#define TARN_TESTS_CANONICAL_SAMPLE_H

#include "tarn/bytes.h"
#include "tarn/status.h"

typedef struct canonical_sample_count {
    uint64_t rows;
    uint64_t frames;
    uint64_t bytes; /* Of keys and values. */
} canonical_sample_count;

/* Appends a file of count rows in 128 key groups, each value of value_size bytes. */
void canonical_sample_write(tarn_buffer *out, uint32_t count, size_t value_size);

/* Reads a whole file. Any bytes: answers TARN_OK or why they are none. */
tarn_status canonical_sample_read(tarn_bytes file, canonical_sample_count *out, tarn_error *error);

#endif
