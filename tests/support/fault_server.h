/*
 * fault_server.h - an HTTP server on 127.0.0.1 that misbehaves as a script says.
 *
 *     client ──► fault_server ──► the script: reset, 503, drip, ...   or pass:
 *                                     ├──► its own small S3 in memory (fake_s3.h), or its small
 *                                     │    HDFS (fake_hdfs.h) for paths below /webhdfs/v1
 *                                     └──► a real server behind it (upstream_port)
 *
 * A script has one rule on a line; the first one that fits and is not used up decides about a
 * request, and what no rule fits is passed. '#' begins a comment.
 *
 *     METHOD COUNT ACTION [ARGUMENT]       METHOD "*": any; COUNT "*": always
 *
 * METHOD may be an operation of HDFS too, "RENAME", or "DATA": what carries bytes to it.
 *
 *     status CODE        answers so, without a body
 *     other              200 and a document that answers nothing
 *     slow_down SECONDS  503 with Retry-After and S3's XML
 *     expired            403 ExpiredToken
 *     skewed             403 RequestTimeTooSkewed
 *     redirect           307 to the path below /elsewhere, with FAULT_SERVER_TOKEN in its query
 *     reset              the connection is reset before an answer
 *     lost               the request is carried out, then the connection is reset
 *     truncate           the answer breaks off in its body
 *     lie                the answer's range is another one
 *     flip               a bit of the answer's body is another one
 *     spoil              a bit of the request's body is another one when it is carried out
 *     long               the body is longer than what was asked for
 *     mute               the request is carried out, and answered 200 without a body
 *     duplicate          the answer is sent twice
 *     late               the answer is sent again when the connection is used again, before the
 *                        answer to that
 *     drip               one byte of the answer each 100 ms
 *     hang               no answer; the connection stays open
 *     huge_head          an answer whose head has no end
 *     garbage            bytes that are no HTTP
 *     bad_digest         400 BadDigest
 *     conflict           409 ConditionalRequestConflict
 *     stale              listings do not show what was changed by then (an old listing is repeated)
 */
#ifndef TARN_TESTS_FAULT_SERVER_H
#define TARN_TESTS_FAULT_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FAULT_SERVER_TOKEN "token-that-the-server-adds"

typedef struct fault_server fault_server;
typedef struct fake_hdfs fake_hdfs;

/*
 * Starts a server.
 *
 * script         Text; NULL or "": everything is passed.
 * upstream_port  0: its own small S3.
 */
fault_server *fault_server_start(const char *script, uint16_t upstream_port);

/* Reads a script from tests/fault/scenarios/NAME.txt; free() it. */
char *fault_server_scenario(const char *name);

/* Puts other rules in the place of all that there are; NULL: none. */
void fault_server_script(fault_server *server, const char *script);

/* Of each request that no rule fits, so many of 1,000 are refused or reset, by chance. */
void fault_server_chance(
    fault_server *server, uint32_t refused_permille, uint32_t reset_permille, uint64_t seed);

/* Delays each answer of its own S3. Units: milliseconds. */
void fault_server_delay(fault_server *server, uint32_t ms);

/* Its own small HDFS. */
fake_hdfs *fault_server_hdfs(const fault_server *server);

uint16_t fault_server_port(const fault_server *server);

/* Requests that came, and those that a rule or chance spoiled. */
uint64_t fault_server_requests(const fault_server *server);
uint64_t fault_server_faults(const fault_server *server);

/* Connections that were made. */
uint32_t fault_server_connections(fault_server *server);

/* Tells whether anything that came holds the text, heads included. */
bool fault_server_saw(fault_server *server, const char *text);

/* Ends all connections and frees. */
void fault_server_stop(fault_server *server);

#endif
