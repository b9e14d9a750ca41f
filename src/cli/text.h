/* text.h - numbers, sizes and times as people read them. */
#ifndef TARN_CLI_TEXT_H
#define TARN_CLI_TEXT_H

#include <inttypes.h>
#include <stdint.h>

/* Room for any text of this file. */
typedef struct cli_text {
    char data[64];
} cli_text;

/* Decimal digits. */
cli_text cli_text_integer(int64_t number);
cli_text cli_text_count(uint64_t count);

/* A size in the unit that gives it 1 to 4 digits: "512 B", "1.7 GiB". */
cli_text cli_text_size(int64_t bytes);

/* As cli_text_size(), of a size that has no sign. */
cli_text cli_text_bytes(uint64_t bytes);

/* A part of a whole: "25.0%", "-" when the whole is not positive. */
cli_text cli_text_share(int64_t part, int64_t whole);

/* A number such as "0.5". */
cli_text cli_text_real(double number);

/* Milliseconds since 1970 as "2026-01-31 12:30:00.250 UTC". */
cli_text cli_text_time(int64_t timestamp_ms);

/* A length of time: "250 ms", "12.3 s". */
cli_text cli_text_elapsed(uint64_t elapsed_ms);

/* "0-31". */
cli_text cli_text_range(uint32_t first, uint32_t last);

#endif
