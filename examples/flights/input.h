/*
 * input.h - the lines of a CSV file, plain or compressed with zstd.
 *
 * Memory is bounded: a line longer than the buffer is an error. What zstd needs is measured and
 * reserved from the heap pool, beside the buffers.
 *
 * Thread: confined.
 */
#ifndef FLIGHTS_INPUT_H
#define FLIGHTS_INPUT_H

#include <stddef.h>
#include <stdint.h>

#include <tarn/budget.h>

typedef struct input input;

/*
 * Opens a file and reads its header, which must be flight_header.
 *
 * path  Borrowed.
 * Errors: TARN_MISSING, TARN_IO_ERROR, TARN_INVALID_ARGUMENT (the header), TARN_OVER_BUDGET.
 */
tarn_status input_open(const char *path, tarn_budget *budget, input **out, tarn_error *error);

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

/* Counts the lines after the header. */
tarn_status input_count(const char *path, tarn_budget *budget, uint64_t *out, tarn_error *error);

#endif
