/* version.c - the version of the RocksDB that the library was built against. */
#include "tarn/version.h"

const char *tarn_version_rocksdb(void)
{
    return TARN_ROCKSDB_VERSION;
}
