/* change.h - how a row is to be changed in the store. */
#ifndef TARN_CACHE_CHANGE_H
#define TARN_CACHE_CHANGE_H

#include "tarn/bytes.h"

typedef enum tarn__change_kind {
    TARN__CHANGE_PUT,
    TARN__CHANGE_DELETE,
    TARN__CHANGE_MERGE,
} tarn__change_kind;

typedef struct tarn__change {
    void *family; /* The store's. */
    tarn__change_kind kind;
    tarn_bytes row;
    tarn_bytes suffix; /* Behind the row. */
    tarn_bytes value;
} tarn__change;

#endif
