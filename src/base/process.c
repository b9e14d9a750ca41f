/* process.c - see process.h. */
#include "base/process.h"

#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STATUS_BYTES = 8192 }; /* The file has about 1,500 bytes; the fields stand in its middle. */

static uint64_t kibibytes_after(const char *text, const char *field)
{
    const char *found = strstr(text, field);
    return found == NULL ? 0 : strtoull(found + strlen(field), NULL, 10) * 1024;
}

tarn__process_memory tarn__process_measure(void)
{
    tarn__process_memory memory = {0};
    const int file = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return memory;
    }
    char text[STATUS_BYTES];
    const ssize_t size = read(file, text, sizeof text - 1);
    close(file);
    if (size > 0) {
        text[size] = '\0';
        memory.resident_bytes = kibibytes_after(text, "VmRSS:");
        memory.resident_peak_bytes = kibibytes_after(text, "VmHWM:");
    }
    return memory;
}

uint32_t tarn__process_core_count(void)
{
    cpu_set_t cores;
    if (sched_getaffinity(0, sizeof cores, &cores) != 0) {
        return 1;
    }
    const int count = CPU_COUNT(&cores);
    return count > 0 ? (uint32_t)count : 1;
}
