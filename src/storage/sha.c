/* sha.c - see sha.h. */
#include "storage/sha.h"

#include <openssl/evp.h>
#include <string.h>

enum { SHA256_BYTES = 32, MD5_BYTES = 16 };

static void write_digits(const unsigned char digest[SHA256_BYTES], char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (unsigned int i = 0; i < SHA256_BYTES; i++) {
        out[2 * i] = digits[digest[i] >> 4];
        out[2 * i + 1] = digits[digest[i] & 15];
    }
    out[TARN__SHA256_TEXT_BYTES - 1] = '\0';
}

tarn__sha256_stream *tarn__sha256_begin(void)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    if (context != NULL && EVP_DigestInit_ex(context, EVP_sha256(), NULL) != 1) {
        EVP_MD_CTX_free(context);
        context = NULL;
    }
    return (tarn__sha256_stream *)context;
}

bool tarn__sha256_update(tarn__sha256_stream *stream, tarn_bytes bytes)
{
    return EVP_DigestUpdate((EVP_MD_CTX *)stream, bytes.data, bytes.size) == 1;
}

bool tarn__sha256_end(tarn__sha256_stream *stream, char out[TARN__SHA256_TEXT_BYTES])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    const bool is_good = out != NULL &&
                         EVP_DigestFinal_ex((EVP_MD_CTX *)stream, digest, &size) == 1 &&
                         size == SHA256_BYTES;
    EVP_MD_CTX_free((EVP_MD_CTX *)stream);
    if (is_good) {
        write_digits(digest, out);
    }
    return is_good;
}

bool tarn__sha256(tarn_bytes bytes, char out[TARN__SHA256_TEXT_BYTES])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    const void *data = bytes.size > 0 ? bytes.data : "";
    if (EVP_Digest(data, bytes.size, digest, &size, EVP_sha256(), NULL) != 1 ||
        size != SHA256_BYTES) {
        return false;
    }
    write_digits(digest, out);
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
