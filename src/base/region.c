/* region.c - see region.h. */
#include "base/region.h"

#include <assert.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static size_t round_up(size_t size, size_t unit)
{
    return (size + unit - 1) & ~(unit - 1);
}

/* Maps a region of so many bytes at a multiple of the extent. */
static bool map(tarn__region *region, size_t size)
{
    const size_t extent = TARN__REGION_EXTENT_BYTES;
    uint8_t *memory = mmap(
        NULL,
        size + extent,
        PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
        -1,
        0);
    if (memory == MAP_FAILED) {
        return false;
    }
    const size_t before = (extent - (uintptr_t)memory % extent) % extent;
    if (before > 0) {
        (void)munmap(memory, before);
    }
    (void)munmap(memory + before + size, extent - before);
    *region = (tarn__region){.base = memory + before, .size = size};
    return true;
}

bool tarn__region_open(tarn__region *region, size_t size, size_t least)
{
    const size_t extent = TARN__REGION_EXTENT_BYTES;
    const size_t smallest = round_up(least, extent);
    size_t wanted = round_up(size > least ? size : least, extent);
    *region = (tarn__region){.base = NULL};
    while (!map(region, wanted)) {
        if (wanted == smallest) {
            return false;
        }
        wanted = round_up(wanted / 4, extent);
        wanted = wanted > smallest ? wanted : smallest;
    }
    /* Where large pages come unasked, what was not charged would be resident. */
    tarn__region_advise(region, 0, wanted, /* is_large= */ false);
    return true;
}

void tarn__region_close(tarn__region *region)
{
    if (region->base != NULL) {
        (void)munmap(region->base, region->size);
        region->base = NULL;
    }
}

void tarn__region_advise(tarn__region *region, size_t offset, size_t size, bool is_large)
{
    const size_t extent = TARN__REGION_EXTENT_BYTES;
    const size_t begin = offset & ~(extent - 1);
    const size_t end = round_up(offset + size, extent);
    assert(end <= region->size);
    (void)madvise(region->base + begin, end - begin, is_large ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
}

void tarn__region_give(tarn__region *region, size_t offset, size_t size)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t end = offset + size;
    const size_t inner_begin = round_up(offset, page);
    const size_t inner_end = end & ~(page - 1);
    assert(end <= region->size);
    if (inner_begin >= inner_end) {
        memset(region->base + offset, 0, size);
        return;
    }
    memset(region->base + offset, 0, inner_begin - offset);
    memset(region->base + inner_end, 0, end - inner_end);
    (void)madvise(region->base + inner_begin, inner_end - inner_begin, MADV_DONTNEED);
}
