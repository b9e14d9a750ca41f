/*
 * fake_hdfs.h - as much of WebHDFS as an upload, a reading and a removal ask for, in memory.
 *
 *     HttpFS      points to itself for bytes, cannot rename over a file, answers with a boolean
 *     name node   points to "localhost" for bytes, replaces, has no word for a renaming
 *
 * Directories are there when something was put into them or MKDIRS made them. Nobody's rights are
 * looked at.
 */
#ifndef TARN_TESTS_FAKE_HDFS_H
#define TARN_TESTS_FAKE_HDFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "support/fake_request.h"

typedef struct fake_hdfs fake_hdfs;

fake_hdfs *fake_hdfs_new(void);
void fake_hdfs_free(fake_hdfs *hdfs);

/* It is HttpFS until then. Thread: before the first request. */
void fake_hdfs_be_name_node(fake_hdfs *hdfs);

/* Whether a request is one to it. */
bool fake_hdfs_is_asked(const fake_request *request);

/* Whether a request has the operation, or carries the bytes of one ("DATA"). */
bool fake_hdfs_has_operation(const fake_request *request, const char *operation);

/* Carries a request out. port: what it points to. Thread: shared. */
void fake_hdfs_serve(
    fake_hdfs *hdfs, const fake_request *request, uint16_t port, fake_answer *answer);

/* The size of what is there, -1 when nothing is, and the beginning of it. Thread: shared. */
long fake_hdfs_read(fake_hdfs *hdfs, const char *path, void *out, size_t capacity);

/* Files that are there; directories do not count. Thread: shared. */
uint32_t fake_hdfs_count(fake_hdfs *hdfs);

#endif
