/* process.h - what the kernel says of this process. */
#ifndef TARN_BASE_PROCESS_H
#define TARN_BASE_PROCESS_H

#include <stdint.h>

typedef struct tarn__process_memory {
    uint64_t resident_bytes;      /* VmRSS; 0 when it cannot be read. */
    uint64_t resident_peak_bytes; /* VmHWM; 0 likewise. */
} tarn__process_memory;

/* Reads /proc/self/status. Allocates nothing. Source: proc(5). */
tarn__process_memory tarn__process_measure(void);

/* Answers the processor cores that this process may run on; at least 1. */
uint32_t tarn__process_core_count(void);

#endif
