/*
 * input.h - the lines of a CSV file, plain or compressed with zstd.
 *
 *     input_unpack(path, ...)            once: a plain file that has no name, and its lines counted
 *     input_open(path, file, ...)        as often as it is read, by several at once
 *
 * Memory is bounded: a line longer than the buffer is an error. What zstd needs is measured and
 * reserved from the heap pool, beside the buffers, and only while the file is unpacked.
 *
 * Thread: an input is confined; any number may read one file.
 */
#ifndef FLIGHTS_INPUT_H
#define FLIGHTS_INPUT_H

#include <stddef.h>
#include <stdint.h>

#include <tarn/budget.h>

typedef struct input input;

/*
 * Opens a file, counts the lines after the header, and unpacks it if it is compressed.
 *
 * directory  Where the unpacked file is, without a name: it is gone with the process.
 * file_out   To be closed by the caller.
 * Errors: as input_open() and input_next(); TARN_MISSING; TARN_NO_SPACE.
 */
tarn_status input_unpack(
    const char *path,
    const char *directory,
    tarn_budget *budget,
    int *file_out,
    uint64_t *count_out,
    tarn_error *error);

/*
 * Begins to read a file with its header, which must be flight_header.
 *
 * path  Borrowed; for messages.
 * file  Borrowed; its own position is neither used nor changed.
 * Errors: TARN_IO_ERROR, TARN_INVALID_ARGUMENT (the header), TARN_OVER_BUDGET.
 */
tarn_status input_open(
    const char *path, int file, tarn_budget *budget, input **out, tarn_error *error);

void input_close(input *in);

/*
 * Reads the next line, borrowed until the next call, without its end.
 *
 * Errors: TARN_DONE after the last line (an outcome), TARN_CORRUPTION, TARN_IO_ERROR,
 * TARN_INVALID_ARGUMENT for a line that is too long or not ended.
 */
tarn_status input_next(input *in, const char **line_out, size_t *size_out, tarn_error *error);

/* Answers the number of the line that input_next() answered last; the header is line 1. */
uint64_t input_line(const input *in);

#endif
