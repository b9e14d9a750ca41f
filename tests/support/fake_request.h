/* fake_request.h - what a server of the tests is asked, and what it answers. */
#ifndef TARN_TESTS_FAKE_REQUEST_H
#define TARN_TESTS_FAKE_REQUEST_H

#include <stddef.h>
#include <stdint.h>

typedef struct fake_request {
    char method[16];
    char target[4096]; /* Path and query, as they came. */
    const char *head;  /* All lines, NUL-terminated. */
    const uint8_t *body;
    size_t body_size;
} fake_request;

typedef struct fake_answer {
    int status;
    char head[1024]; /* More lines, each with its line end. */
    uint8_t *body;   /* Owned by the answer: free() it. May be NULL. */
    size_t body_size;
} fake_answer;

#endif
