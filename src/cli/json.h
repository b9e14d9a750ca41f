/* json.h - answers as one line of JSON. Out of memory ends the program, so nothing here fails. */
#ifndef TARN_CLI_JSON_H
#define TARN_CLI_JSON_H

#include <jansson.h>
#include <stdint.h>

#include "tarn/bytes.h"

json_t *cli_json_object(void);
json_t *cli_json_array(void);

/* A string; bytes that are no UTF-8 become U+FFFD. NULL becomes null. */
json_t *cli_json_text(const char *text);

json_t *cli_json_integer(int64_t number);

/* A count that never goes beyond 2^63 in practice; a larger one becomes 2^63 - 1. */
json_t *cli_json_count(uint64_t count);

/* A number; what JSON has no number for becomes "NaN", "Infinity" or "-Infinity". */
json_t *cli_json_real(double number);

/* Sets a member; takes the value over. */
void cli_json_set(json_t *object, const char *name, json_t *value);

/* Appends to an array; takes the value over. */
void cli_json_append(json_t *array, json_t *value);

/* Writes one line to stdout, and frees the value. */
void cli_json_print(json_t *value);

#endif
