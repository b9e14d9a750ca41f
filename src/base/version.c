/* version.c - the versions of Tarn and of the RocksDB below it. */
#include "tarn/version.h"

#define TEXT_OF(x) #x
#define TEXT(x)    TEXT_OF(x)

uint32_t tarn_version_number(void)
{
    return TARN_VERSION_NUMBER;
}

const char *tarn_version_string(void)
{
    return TEXT(TARN_VERSION_MAJOR) "." TEXT(TARN_VERSION_MINOR) "." TEXT(TARN_VERSION_PATCH);
}
