/*
 * kinds_fixture.h - a backend on a clock of the test's, and states of all kinds from it.
 */
#ifndef TARN_TESTS_KINDS_FIXTURE_H
#define TARN_TESTS_KINDS_FIXTURE_H

#include "support/state_fixture.h"

#include "tarn/keyed.h"

#include "state/backend.h"

typedef struct kinds_fixture {
    tarn_config *config;
    tarn_env *env;
    tarn_backend *backend;
    tarn_state_options options; /* Of the next state; kinds_options() resets it. */
    tarn_ttl ttl;
    int64_t now_ms;
    char directory[FIXTURE_PATH_BYTES];
    tarn_error error;
} kinds_fixture;

/* For cmocka. */
int kinds_setup(void **state);
int kinds_teardown(void **state);

/* Options of a state without a TTL; those of one with. */
const tarn_state_options *kinds_options(kinds_fixture *f, const char *name);
const tarn_state_options *kinds_ttl_options(
    kinds_fixture *f,
    const char *name,
    int64_t ttl_ms,
    tarn_ttl_update update,
    tarn_ttl_visibility visibility);

void kinds_set_key(kinds_fixture *f, const char *key);
void kinds_set_namespace(kinds_fixture *f, tarn_keyed *keyed, const char *name_space);

/* Answers how many keys a state has in a namespace; NULL: in all. */
uint32_t kinds_count_keys(kinds_fixture *f, tarn_keyed *keyed, const char *name_space);

/* Fails unless a status was answered and a part is in the message. */
void kinds_expect_failure(
    const kinds_fixture *f, tarn_status got, tarn_status status, const char *part);

/* Takes checkpoint 1 of a new job at an address; a backend restored from it takes the place. */
void kinds_take_checkpoint(kinds_fixture *f, const char *address);
void kinds_restore(kinds_fixture *f, const char *address);

/* A reducing state's function: the texts one behind the other; "!" fails. */
tarn_status kinds_append_text(
    tarn_bytes earlier, tarn_bytes later, tarn_buffer *out, void *context);

/* An aggregating state's: the accumulator is as the text, the result has brackets around it. */
tarn_status kinds_add_text(
    const tarn_bytes *accumulator, tarn_bytes value, tarn_buffer *out, void *context);
tarn_status kinds_bracket(tarn_bytes accumulator, tarn_buffer *out, void *context);

#endif
