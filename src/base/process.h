/* process.h - what the kernel says of this process's memory. */
#ifndef TARN_BASE_PROCESS_H
#define TARN_BASE_PROCESS_H

#include <stdint.h>

typedef struct tarn__process_memory {
    uint64_t resident_bytes;      /* VmRSS; 0 when it cannot be read. */
    uint64_t resident_peak_bytes; /* VmHWM; 0 likewise. */
} tarn__process_memory;

/* Reads /proc/self/status. Allocates nothing. Source: proc(5). */
tarn__process_memory tarn__process_measure(void);

#endif
