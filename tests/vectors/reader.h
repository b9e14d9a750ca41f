/*
 * reader.h - lines of any length out of a text file, plain or compressed with zstd.
 *
 *     file ──► raw chunk ──► [zstd] ──► pending ──► lines
 *
 * Thread: confined.
 */
#ifndef TARN_TESTS_VECTORS_READER_H
#define TARN_TESTS_VECTORS_READER_H

#include <stdio.h>

#include <zstd.h>

#include "tarn/bytes.h"

enum { READER_CHUNK_BYTES = 128 * 1024 };

typedef struct reader {
    const char *path; /* Borrowed. */
    FILE *file;
    ZSTD_DStream *stream; /* NULL: the file is plain. */
    size_t frame_rest;    /* What zstd still expects of the frame; 0 at the end of one. */
    bool is_ended;        /* The file has no more bytes. */
    tarn_buffer pending;  /* What has been read, from the current line on. */
    size_t line_end;      /* Bytes of pending that the caller has seen. */
    char raw[READER_CHUNK_BYTES];
} reader;

/* Opens path, which is borrowed until close. One that ends in ".zst" is decompressed. */
TARN_NODISCARD tarn_status reader_open(reader *r, const char *path, tarn_error *error);

/* The next line without its end, valid until the next call; TARN_DONE after the last. */
TARN_NODISCARD tarn_status reader_next(reader *r, tarn_bytes *line, tarn_error *error);

/* Accepts a reader that could not be opened. */
void reader_close(reader *r);

#endif
