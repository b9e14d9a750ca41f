/* memory_size.c - texts of memory sizes, and sizes as text. */
#include <inttypes.h>
#include <string.h>

#include "tarn/quantity.h"

#include "vectors.h"

bool vectors_memory_size(const json_t *vector_case, char *why, size_t why_bytes)
{
    const json_t *text = json_object_get(vector_case, "text");
    int64_t bytes = 0;
    tarn_error error = {.message = ""};
    const tarn_status status = tarn_memory_size_parse(
        tarn_bytes_at(json_string_value(text), json_string_length(text)), &bytes, &error);
    const bool is_accepted = vectors_is_true(vector_case, "ok");
    if ((status == TARN_OK) != is_accepted) {
        return vectors_differ(
            why, why_bytes, "%s: %s", status == TARN_OK ? "accepted" : "refused", error.message);
    }
    if (!is_accepted) {
        return true;
    }
    char plain[TARN_MEMORY_SIZE_TEXT_BYTES];
    char human[TARN_MEMORY_SIZE_TEXT_BYTES];
    tarn_memory_size_format(bytes, plain);
    tarn_memory_size_format_human(bytes, human);
    const char *wanted_plain = vectors_text(vector_case, "to_string");
    const char *wanted_human = vectors_text(vector_case, "human");
    if ((wanted_plain != NULL && strcmp(plain, wanted_plain) != 0) ||
        (wanted_human != NULL && strcmp(human, wanted_human) != 0)) {
        return vectors_differ(why, why_bytes, "%" PRId64 ": %s, %s", bytes, plain, human);
    }
    return vectors_check_integer(vector_case, "bytes", bytes, why, why_bytes);
}
