/* duration.c - texts of durations, and durations as text. */
#include <string.h>

#include "tarn/quantity.h"

#include "vectors.h"

bool vectors_duration(const json_t *vector_case, char *why, size_t why_bytes)
{
    const json_t *text = json_object_get(vector_case, "text");
    tarn_duration duration = {0, 0};
    tarn_error error = {.message = ""};
    const tarn_status status = tarn_duration_parse(
        tarn_bytes_at(json_string_value(text), json_string_length(text)), &duration, &error);
    const bool is_accepted = vectors_is_true(vector_case, "ok");
    if ((status == TARN_OK) != is_accepted) {
        return vectors_differ(
            why, why_bytes, "%s: %s", status == TARN_OK ? "accepted" : "refused", error.message);
    }
    if (!is_accepted) {
        return true;
    }
    char formatted[TARN_DURATION_TEXT_BYTES];
    tarn_duration_format(duration, formatted);
    /* Null where Flink cannot write a duration of 2^63 nanoseconds and more; Tarn can. */
    const char *wanted = vectors_text(vector_case, "formatted");
    if (wanted != NULL && strcmp(formatted, wanted) != 0) {
        return vectors_differ(why, why_bytes, "formatted: %s, not %s", formatted, wanted);
    }
    return vectors_check_integer(vector_case, "seconds", duration.seconds, why, why_bytes) &&
           vectors_check_integer(vector_case, "nano_part", duration.nanos, why, why_bytes);
}
