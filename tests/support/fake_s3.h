/* fake_s3.h - as much of S3 as Tarn asks for, in memory. Signatures are not looked at. */
#ifndef TARN_TESTS_FAKE_S3_H
#define TARN_TESTS_FAKE_S3_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "support/fake_request.h"

typedef struct fake_s3 fake_s3;

fake_s3 *fake_s3_new(void);
void fake_s3_free(fake_s3 *s3);

/* Carries a request out. Thread: shared. */
void fake_s3_serve(fake_s3 *s3, const fake_request *request, fake_answer *answer);

/* The value of a line of the head, without the spaces around it; false: there is none. */
bool fake_head_find(const char *head, const char *name, char *out, size_t capacity);

#endif
