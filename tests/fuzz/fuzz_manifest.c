/*
 * fuzz_manifest.c - arbitrary bytes as a MANIFEST: refused, or read as a list of files to which one
 * more can be added. They are taken as they are, and with the checks of their records made right.
 * Memory stays within what the list can hold.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/manifest_private.h"
#include "codec/varint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BLOCK_BYTES = 32 << 10, HEAD_BYTES = 7, SIZE_OFFSET = 4, KIND_OFFSET = 6 };

#define MUST(condition)                                                     \
    do {                                                                    \
        if (!(condition)) {                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                        \
        }                                                                   \
    } while (0)

/* Makes the checks of all pieces right, as far as their sizes lead. */
static void seal(uint8_t *bytes, size_t size)
{
    for (size_t at = 0; at < size;) {
        const size_t left = BLOCK_BYTES - at % BLOCK_BYTES;
        if (left < HEAD_BYTES) {
            at += left;
            continue;
        }
        const size_t most = size - at < left ? size - at : left;
        uint8_t *head = bytes + at;
        const size_t piece =
            most < HEAD_BYTES ? most : (size_t)tarn__number_load(head + SIZE_OFFSET, 2);
        if (most < HEAD_BYTES || piece > most - HEAD_BYTES) {
            return;
        }
        const uint32_t check =
            tarn__manifest_check_of(head[KIND_OFFSET], tarn_bytes_at(head + HEAD_BYTES, piece));
        for (size_t i = 0; i < SIZE_OFFSET; i++) {
            head[i] = (uint8_t)(check >> (8 * i));
        }
        at += HEAD_BYTES + piece;
    }
}

/* Opens a list; a failure closes it. */
static tarn_status open_list(tarn_bytes bytes, tarn__account *account, tarn__manifest *out)
{
    tarn_error error;
    tarn__account_init(account, "fuzz", NULL);
    const tarn_status status = tarn__manifest_open(out, bytes, account, &error);
    MUST(
        atomic_load(&account->bytes_peak) <=
        TARN__MANIFEST_MEMORY_RATIO * bytes.size + TARN__MANIFEST_MEMORY_BASE_BYTES);
    if (status != TARN_OK) {
        MUST(status == TARN_CORRUPTION || status == TARN_NOT_SUPPORTED);
        MUST(error.status == status && error.message[0] != '\0');
        tarn__manifest_close(out);
        MUST(atomic_load(&account->bytes) == 0);
    }
    return status;
}

/* Files have numbers that rise, and levels and families that can be. */
static void check(const tarn__manifest *list)
{
    for (size_t i = 0; i < list->file_count; i++) {
        MUST(list->files[i].level < TARN__MANIFEST_LEVELS_MAX);
        MUST(i == 0 || list->files[i - 1].number < list->files[i].number);
    }
    for (size_t i = 1; i < list->family_count; i++) {
        MUST(list->families[i - 1].id < list->families[i].id);
    }
}

/* What stands last of a list, under one number more, is there when it is read again. */
static void add_one(const tarn__manifest *list, tarn_bytes bytes)
{
    tarn__account account;
    tarn__manifest again;
    tarn_buffer edit = TARN_BUFFER_INIT;
    tarn_buffer whole = TARN_BUFFER_INIT;
    const tarn__manifest_file *last = &list->files[list->file_count - 1];
    const uint64_t number = last->number + 1;
    MUST(tarn__manifest_edit_begin(&edit, number + 1, list->last_sequence) == TARN_OK);
    MUST(tarn__manifest_edit_add(&edit, last->level, number, last->rest, true) == TARN_OK);
    MUST(tarn__manifest_edit_end(&edit, last->family) == TARN_OK);
    MUST(tarn_buffer_append(&whole, bytes) == TARN_OK);
    MUST(tarn__manifest_frame(&whole, bytes.size, tarn_buffer_bytes(&edit)) == TARN_OK);
    MUST(open_list(tarn_buffer_bytes(&whole), &account, &again) == TARN_OK);
    MUST(again.file_count == list->file_count + 1);
    const tarn__manifest_file *added = &again.files[again.file_count - 1];
    MUST(added->number == number && added->level == last->level && added->family == last->family);
    MUST(tarn_bytes_is_equal(added->smallest, last->smallest));
    MUST(tarn_bytes_is_equal(added->largest, last->largest));
    tarn__manifest_close(&again);
    MUST(atomic_load(&account.bytes) == 0);
    tarn_buffer_clear(&edit);
    tarn_buffer_clear(&whole);
}

static void read_list(tarn_bytes bytes)
{
    tarn__account account;
    tarn__manifest list;
    if (open_list(bytes, &account, &list) != TARN_OK) {
        return;
    }
    check(&list);
    if (list.file_count > 0 && list.files[list.file_count - 1].number < UINT64_MAX) {
        add_one(&list, bytes);
    }
    tarn__manifest_close(&list);
    MUST(atomic_load(&account.bytes) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_list(tarn_bytes_at(data, size));
    uint8_t *sealed = malloc(size > 0 ? size : 1);
    MUST(sealed != NULL);
    if (size > 0) {
        memcpy(sealed, data, size);
    }
    seal(sealed, size);
    read_list(tarn_bytes_at(sealed, size));
    free(sealed);
    return 0;
}
