/*
 * outcome.h - the one place that turns RocksDB's error strings into a tarn_status.
 *
 * RocksDB's C API answers a failure as malloc'ed text: a prefix that names the kind ("IO error: "),
 * for some kinds a second one that names the case ("No space left on device: "), then details.
 * tarn__rocks_outcome() reads both, frees the text and keeps it in the message.
 *
 * Thread: pure.
 */
#ifndef TARN_ROCKS_OUTCOME_H
#define TARN_ROCKS_OUTCOME_H

#include "base/error.h"

/*
 * Ends a call of RocksDB: TARN_OK when *message is NULL, else its status, with the sentence
 * "cannot <action> <object>: <text>" in *error. Frees *message and sets it to NULL.
 */
TARN_NODISCARD tarn_status
tarn__rocks_outcome(const char *action, const char *object, char **message, tarn_error *error);

/* The status of a text of RocksDB; TARN_INTERNAL when its prefix is none that Tarn knows. */
tarn_status tarn__rocks_classify(const char *text);

/* Whether a call has done nothing and asks to be made once more. message may be NULL. */
bool tarn__rocks_is_try_again(const char *message);

#endif
