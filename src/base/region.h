/*
 * region.h - address space that memory is taken from without moving what lies in it.
 *
 *     base                                                      base + size
 *     | used, used, given back, used ...        | never touched  |
 *
 * A region costs nothing until it is touched: memory comes page by page at the first access. What
 * is given back is zero when it is touched again. Large pages (of 2 MiB, where the kernel has
 * "madvise" or "always" for transparent ones) save most of the misses of the TLB that random access
 * to tens of megabytes costs; a part in large pages is resident by whole extents, and is to be
 * charged so.
 *
 * A region charges no account: who uses it does, before touching.
 *
 * Thread: confined.
 */
#ifndef TARN_BASE_REGION_H
#define TARN_BASE_REGION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TARN__REGION_EXTENT_BYTES = 2 << 20 };

typedef struct tarn__region {
    uint8_t *base; /* At a multiple of the extent. NULL: closed. */
    size_t size;   /* Units: bytes. */
} tarn__region;

/* Reserves address space of size bytes, or of less, but of least bytes. False: there is none. */
bool tarn__region_open(tarn__region *region, size_t size, size_t least);

/* NULL, and one that was not opened, do nothing. */
void tarn__region_close(tarn__region *region);

/* Asks for large pages in a part, or for small ones. Advice: where there are none, nothing happens.
 */
void tarn__region_advise(tarn__region *region, size_t offset, size_t size, bool is_large);

/* Zeroes a part, and gives the memory back of whole pages of the machine that it covers. */
void tarn__region_give(tarn__region *region, size_t offset, size_t size);

#endif
