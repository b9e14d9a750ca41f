/**
 * @file tarn/budget.h
 * @brief A process's memory in four pools, and who holds what of them.
 *
 *     tarn_owner *owner = NULL;
 *     if (tarn_owner_open(budget, TARN_POOL_NETWORK, "join/input", &owner, &error) == TARN_OK &&
 *         tarn_owner_reserve(owner, 32 << 10, TARN_NO_WAIT, &error) == TARN_OK) {
 *         ...
 *         tarn_owner_release(owner, 32 << 10);
 *     }
 *
 * Bytes are reserved before they are used: a reservation succeeds or is refused, nothing is
 * over-committed and repaired later. Each byte has an owner with a name; a budget that is closed
 * with anything still reserved names the owners.
 *
 * Ownership: owners borrow from their budget; close them before it.
 * Thread: shared.
 */
#ifndef TARN_BUDGET_H
#define TARN_BUDGET_H

#include "tarn/allocator.h"
#include "tarn/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The pools of a plan (tarn/plan.h). */
typedef enum tarn_pool {
    TARN_POOL_HEAP,     /**< Framework and task heap: the library's own structures. */
    TARN_POOL_MANAGED,  /**< RocksDB's block cache and memtables. */
    TARN_POOL_NETWORK,  /**< Exchange and channel-state buffers. */
    TARN_POOL_OFF_HEAP, /**< Upload, download and compression buffers. */
} tarn_pool;

enum { TARN_POOL_COUNT = 4 };

/** A limit that refuses nothing. */
#define TARN_UNLIMITED UINT64_MAX
/** A wait of no time: refuse at once. */
#define TARN_NO_WAIT 0u

typedef struct tarn_budget tarn_budget;
typedef struct tarn_owner tarn_owner;

/** How to open a budget. Zero in limit_bytes means zero here: the pool holds nothing. */
typedef struct tarn_budget_options {
    size_t struct_size;                    /**< sizeof(tarn_budget_options). */
    uint64_t limit_bytes[TARN_POOL_COUNT]; /**< Units: bytes, or TARN_UNLIMITED; by tarn_pool. */
    const tarn_allocator *allocator;       /**< Borrowed. NULL: malloc(). */
} tarn_budget_options;

/** Figures of one pool at one moment. */
typedef struct tarn_pool_stats {
    uint64_t limit_bytes;   /**< TARN_UNLIMITED: none. */
    uint64_t used_bytes;    /**< Reserved now. */
    uint64_t peak_bytes;    /**< Largest used_bytes so far. */
    uint64_t refused_count; /**< Reservations refused. */
    uint64_t waited_count;  /**< Reservations that had to wait, whether or not they got it. */
    uint64_t waited_ns;     /**< Time spent in those waits, all threads together. */
} tarn_pool_stats;

/** Figures of one owner at one moment; name is valid during the visit only. */
typedef struct tarn_owner_stats {
    const char *name;
    tarn_pool pool;
    uint64_t used_bytes;
    uint64_t peak_bytes;
    uint64_t block_count; /**< Allocations held now; 0 for plain reservations. */
} tarn_owner_stats;

/** Visits one owner. Must not call into the budget. */
typedef void tarn_owner_visit(const tarn_owner_stats *stats, void *context);

/** Answers the pool's name: "heap", "managed", "network" or "off-heap". */
TARN_API const char *tarn_pool_name(tarn_pool pool);

/**
 * Opens a budget.
 *
 * @param[in]  options  Copied. Required.
 * @param[out] out      The budget; release it with tarn_budget_close(). Untouched on failure.
 * @param[out] error    Details of a failure. May be NULL. Counts after a failure only.
 *
 * @retval TARN_OK                The budget is open.
 * @retval TARN_INVALID_ARGUMENT  An argument is missing, or struct_size is not a known one.
 * @retval TARN_NO_MEMORY         No memory for the budget itself.
 */
TARN_API TARN_NODISCARD tarn_status
tarn_budget_open(const tarn_budget_options *options, tarn_budget **out, tarn_error *error);

/**
 * Closes a budget that nothing is reserved of.
 *
 * @retval TARN_OK    It is gone. NULL does nothing.
 * @retval TARN_BUSY  Owners are still open; nothing was closed. The message names the largest and
 *                    what they hold; tarn_budget_visit() lists all.
 */
TARN_API TARN_NODISCARD tarn_status tarn_budget_close(tarn_budget *budget, tarn_error *error);

/** Answers the figures of one pool. */
TARN_API tarn_pool_stats tarn_budget_pool(const tarn_budget *budget, tarn_pool pool);

/** Visits every open owner, in the order in which they were opened. */
TARN_API void tarn_budget_visit(tarn_budget *budget, tarn_owner_visit *visit, void *context);

/**
 * Opens an owner in a pool.
 *
 * @param[in]  name  Shape: a short path such as "flights/aircraft-0/upload". Copied.
 * @retval TARN_OK, TARN_INVALID_ARGUMENT, TARN_OVER_BUDGET, TARN_NO_MEMORY
 */
TARN_API TARN_NODISCARD tarn_status tarn_owner_open(
    tarn_budget *budget, tarn_pool pool, const char *name, tarn_owner **out, tarn_error *error);

/**
 * Closes an owner that holds nothing.
 *
 * @retval TARN_OK    It is gone. NULL does nothing.
 * @retval TARN_BUSY  It still holds bytes, and stays open. The message says how many.
 */
TARN_API TARN_NODISCARD tarn_status tarn_owner_close(tarn_owner *owner, tarn_error *error);

/**
 * Reserves bytes, waiting for others to release them if need be.
 *
 * @param[in] wait_ms  Units: milliseconds; TARN_NO_WAIT refuses at once.
 *
 * @retval TARN_OK           The owner holds the bytes.
 * @retval TARN_OVER_BUDGET  They do not fit, nor did they within wait_ms. The message names the
 *                           pool, its limit, what is used and its largest owner.
 */
TARN_API TARN_NODISCARD tarn_status
tarn_owner_reserve(tarn_owner *owner, uint64_t bytes, uint32_t wait_ms, tarn_error *error);

/** Gives back bytes that the owner holds. */
TARN_API void tarn_owner_release(tarn_owner *owner, uint64_t bytes);

/** Answers an allocator whose every block is reserved by the owner. Valid until it is closed. */
TARN_API const tarn_allocator *tarn_owner_allocator(tarn_owner *owner);

#ifdef __cplusplus
}
#endif
#endif
