/* sha.c - see sha.h. */
#include "storage/sha.h"

#include <openssl/evp.h>
#include <string.h>

enum { SHA256_BYTES = 32, MD5_BYTES = 16 };

bool tarn__sha256(tarn_bytes bytes, char out[TARN__SHA256_TEXT_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    const void *data = bytes.size > 0 ? bytes.data : "";
    if (EVP_Digest(data, bytes.size, digest, &size, EVP_sha256(), NULL) != 1 ||
        size != SHA256_BYTES) {
        return false;
    }
    for (unsigned int i = 0; i < SHA256_BYTES; i++) {
        out[2 * i] = digits[digest[i] >> 4];
        out[2 * i + 1] = digits[digest[i] & 15];
    }
    out[TARN__SHA256_TEXT_BYTES - 1] = '\0';
    return true;
}

bool tarn__md5(tarn_bytes bytes, char out[TARN__MD5_TEXT_BYTES])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    const void *data = bytes.size > 0 ? bytes.data : "";
    if (EVP_Digest(data, bytes.size, digest, &size, EVP_md5(), NULL) != 1 || size != MD5_BYTES) {
        return false;
    }
    unsigned char text[TARN__MD5_TEXT_BYTES + 1];
    if (EVP_EncodeBlock(text, digest, MD5_BYTES) != TARN__MD5_TEXT_BYTES - 1) {
        return false;
    }
    memcpy(out, text, TARN__MD5_TEXT_BYTES);
    return true;
}
