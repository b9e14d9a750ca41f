/*
 * tls_front.h - a TLS server on 127.0.0.1 before a plain one, with a CA of its own.
 *
 *     client ──TLS──► tls_front ──► 127.0.0.1:upstream_port
 *
 * Keys and certificates are made anew for each; the CA's certificate is written to a file.
 */
#ifndef TARN_TESTS_TLS_FRONT_H
#define TARN_TESTS_TLS_FRONT_H

#include <stdint.h>

/* What is wrong with the certificate that it shows. */
typedef enum tls_flaw {
    TLS_FLAWLESS,
    TLS_EXPIRED,
    TLS_OTHER_HOST, /* It is for other.invalid. */
    TLS_OTHER_CA,   /* It is signed by another CA than the one in the file. */
    TLS_FORGED_CA,  /* Likewise, by one that calls itself the same. */
} tls_flaw;

typedef struct tls_front tls_front;

/* Starts; ca_file is where the CA's certificate goes. */
tls_front *tls_front_start(uint16_t upstream_port, tls_flaw flaw, const char *ca_file);

uint16_t tls_front_port(const tls_front *front);

/* Connections that got as far as an established TLS session. */
uint64_t tls_front_sessions(const tls_front *front);

void tls_front_stop(tls_front *front);

#endif
