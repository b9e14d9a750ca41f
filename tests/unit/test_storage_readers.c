/* Unit tests of the pure readers of storage/: addresses, XML, heads, credentials, digests. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/http_header.h"
#include "storage/s3_credentials.h"
#include "storage/s3_reply.h"
#include "storage/sha.h"
#include "storage/uri.h"
#include "storage/xml.h"
#include "support/support.h"

static void test_addresses_are_taken_apart(void **state)
{
    (void)state;
    tarn_error error;
    tarn__uri uri;
    assert_ok(tarn__uri_parse("S3A://bucket//a/b c//", &uri, &error), &error);
    assert_string_equal(uri.scheme, "s3a");
    assert_string_equal(uri.host, "bucket");
    assert_string_equal(uri.path, "a/b c");
    assert_ok(tarn__uri_parse("webhdfs://host:9870", &uri, &error), &error);
    assert_string_equal(uri.host, "host:9870");
    assert_string_equal(uri.path, "");
}

static void test_addresses_that_could_do_harm_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "s3://",
        "s3:///key",
        "s3://user:password@bucket/x",
        "s3://bucket/a/../b",
        "s3://bucket/..",
        "s3://bucket/a//b",
        "s3://bucket/x?y",
        "s3://bucket/x#y",
        "s3://buc ket/x",
        "s3://buc\nket/x",
        "://x",
        "averyveryverylongscheme://x/y"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        tarn_error error;
        tarn__uri uri;
        assert_int_equal(tarn__uri_parse(bad[i], &uri, &error), TARN_INVALID_ARGUMENT);
        assert_null(strstr(error.message, "password"));
    }
}

static void test_encoding_and_decoding_agree(void **state)
{
    (void)state;
    char all[256];
    for (int i = 1; i < 256; i++) {
        all[i - 1] = (char)i;
    }
    tarn_buffer out = TARN_BUFFER_INIT;
    assert_int_equal(tarn__uri_encode(&out, tarn_bytes_at(all, 255), true), TARN_OK);
    assert_int_equal(tarn__uri_decode((char *)out.data, out.size), 255);
    assert_memory_equal(out.data, all, 255);
    tarn_buffer_clear(&out);
    char bad[][8] = {"%", "%4", "%zz", "%00", "a%2"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(tarn__uri_decode(bad[i], strlen(bad[i])), -1);
    }
}

static void take(tarn__http_head *head, const char *line)
{
    tarn__http_head_take(head, tarn_bytes_of(line), 784111777 - 30);
}

static void test_heads_are_read(void **state)
{
    (void)state;
    tarn__http_head head = {.has_length = false};
    take(&head, "HTTP/1.1 206 Partial\r\n");
    take(&head, "CONTENT-length:  12 \r\n");
    take(&head, "content-range: bytes 5-16/100\r\n");
    take(&head, "ETag: \"abc\"\r\n");
    take(&head, "Retry-After: 7\r\n");
    take(&head, "Location: http://h/p\r\n");
    assert_true(head.has_length && head.length == 12);
    assert_true(head.has_range && head.range_begin == 5 && head.range_end == 16);
    assert_string_equal(head.etag, "\"abc\"");
    assert_int_equal(head.retry_after_s, 7);
    assert_string_equal(head.location, "http://h/p");
    take(&head, "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
    assert_int_equal(head.retry_after_s, 30);
    take(&head, "Retry-After: 99999999999999999999\r\n");
    assert_true(head.retry_after_s <= TARN__HTTP_RETRY_AFTER_S_MAX);
    take(&head, "HTTP/1.1 200 OK\r\n");
    assert_false(head.has_length || head.has_range);
    take(&head, "Content-Range: bytes 9-5/100");
    take(&head, "Content-Length: 1e9x");
    assert_false(head.has_range);
}

typedef struct listing {
    char text[256];
} listing;

static bool visit(
    const char *key, size_t size, bool is_prefix, uint64_t bytes, int64_t written_ms, void *context)
{
    assert_int_equal(written_ms, is_prefix ? 0 : 1769862600000);
    listing *l = context;
    char line[128];
    snprintf(line, sizeof line, "%.*s%s%d ", (int)size, key, is_prefix ? "|" : ":", (int)bytes);
    strncat(l->text, line, sizeof l->text - strlen(l->text) - 1);
    return true;
}

static void test_pages_of_listings_are_read(void **state)
{
    (void)state;
    listing l = {.text = ""};
    tarn__s3_page page;
    assert_true(tarn__s3_read_page(
        tarn_bytes_of("<?xml version=\"1.0\"?>\n<ListBucketResult xmlns=\"urn:x\">\n"
                      "<Prefix>p%2F</Prefix><Contents><Key>p%2Fa+b</Key><Size>12</Size>"
                      "<LastModified>2026-01-31T12:30:00.250Z</LastModified>"
                      "<Owner><ID>q</ID></Owner></Contents>\n"
                      "<CommonPrefixes><Prefix>p%2Fd%2F</Prefix></CommonPrefixes>"
                      "<IsTruncated>true</IsTruncated>"
                      "<NextContinuationToken>t&amp;k</NextContinuationToken></ListBucketResult>"),
        visit,
        &l,
        &page));
    assert_string_equal(l.text, "p/a b:12 p/d/|0 ");
    assert_true(page.has_more);
    assert_string_equal(page.continuation, "t&k");
    static const char *const bad[] = {
        "",
        "<Error><Code>x</Code></Error>",
        "<ListBucketResult>",
        "<ListBucketResult><Contents></Contents></ListBucketResult>",
        "<ListBucketResult><Contents><Key>%zz</Key></Contents></ListBucketResult>",
        "<ListBucketResult><Contents><Key>a</Key><Size>-1</Size></Contents></ListBucketResult>",
        "<!DOCTYPE x [<!ENTITY a \"b\">]><ListBucketResult></ListBucketResult>"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(tarn__s3_read_page(tarn_bytes_of(bad[i]), visit, &l, &page));
    }
}

static bool count_leaf(const char *parent, const char *name, char *text, size_t size, void *context)
{
    (void)parent;
    (void)name;
    (void)text;
    (void)size;
    ++*(uint32_t *)context;
    return true;
}

static void test_xml_beyond_its_limits_is_refused(void **state)
{
    (void)state;
    uint32_t count = 0;
    char deep[256] = "";
    for (int i = 0; i < TARN__XML_DEPTH_MAX + 1; i++) {
        strncat(deep, "<a>", sizeof deep - strlen(deep) - 1);
    }
    for (int i = 0; i < TARN__XML_DEPTH_MAX + 1; i++) {
        strncat(deep, "</a>", sizeof deep - strlen(deep) - 1);
    }
    assert_false(tarn__xml_read(tarn_bytes_of(deep), count_leaf, &count));
    char *text = calloc(1, TARN__XML_TEXT_BYTES + 64);
    memset(text, 'x', TARN__XML_TEXT_BYTES + 8);
    memcpy(text, "<a>", 3);
    memcpy(text + TARN__XML_TEXT_BYTES + 4, "</a>", 4);
    assert_false(tarn__xml_read(tarn_bytes_of(text), count_leaf, &count));
    free(text);
    assert_int_equal(count, 0);
}

static void test_problems_tell_their_code(void **state)
{
    (void)state;
    tarn__s3_problem problem;
    tarn__s3_read_problem(
        tarn_bytes_of("<Error><Code>SlowDown\n[31m</Code><Message>a\tb</Message>"), &problem);
    assert_string_equal(problem.code, "SlowDown");
    tarn__s3_read_problem(tarn_bytes_of("no XML"), &problem);
    assert_string_equal(problem.code, "");
    char id[TARN__S3_UPLOAD_ID_BYTES];
    assert_true(tarn__s3_read_upload_id(
        tarn_bytes_of("<InitiateMultipartUploadResult><UploadId>a/b+c</UploadId>"
                      "</InitiateMultipartUploadResult>"),
        id));
    assert_string_equal(id, "a/b+c");
    assert_false(tarn__s3_read_upload_id(tarn_bytes_of("<a><UploadId>b</UploadId></a>"), id));
}

static void test_profiles_of_a_credentials_file_are_kept_apart(void **state)
{
    (void)state;
    static const char text[] = "# one\n[default]\naws_access_key_id = A\r\n"
                               "aws_secret_access_key=S=1\n\n[other]\n"
                               "aws_access_key_id=B\naws_session_token = T\n; no secret\n"
                               "[third]\naws_secret_access_key=S3\naws_access_key_id=C\n"
                               "aws_session_token=T3";
    tarn__s3_credentials c;
    assert_true(tarn__s3_credentials_read(tarn_bytes_of(text), "default", &c));
    assert_string_equal(c.access_key, "A");
    assert_string_equal(c.secret_key, "S=1");
    assert_string_equal(c.session_token, "");
    assert_false(tarn__s3_credentials_read(tarn_bytes_of(text), "other", &c));
    assert_true(tarn__s3_credentials_read(tarn_bytes_of(text), "third", &c));
    assert_string_equal(c.session_token, "T3");
    assert_false(tarn__s3_credentials_read(tarn_bytes_of(text), "none", &c));
}

static void test_half_of_a_pair_of_keys_is_refused(void **state)
{
    (void)state;
    tarn_error error;
    tarn__account account;
    tarn__account_init(&account, "test", NULL);
    tarn_config *config = NULL;
    assert_ok(tarn_config_new(NULL, &config, &error), &error);
    assert_ok(tarn_config_set(config, "s3.access.key", "hidden-key", "test", &error), &error);
    tarn__s3_credentials c;
    assert_int_equal(
        tarn__s3_credentials_find(config, tarn__file_calls_system(), &account, &c, &error),
        TARN_INVALID_ARGUMENT);
    assert_null(strstr(error.message, "hidden-key"));
    tarn_config_free(config);
}

/* Source: FIPS 180-2, example "abc"; RFC 1321, test suite. */
static void test_digests_are_the_published_ones(void **state)
{
    (void)state;
    char sha[TARN__SHA256_TEXT_BYTES];
    char md5[TARN__MD5_TEXT_BYTES];
    assert_true(tarn__sha256(tarn_bytes_of("abc"), sha));
    assert_string_equal(sha, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_true(tarn__md5(tarn_bytes_of("abc"), md5));
    assert_string_equal(md5, "kAFQmDzST7DWlj99KOF/cg==");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses_are_taken_apart),
        cmocka_unit_test(test_addresses_that_could_do_harm_are_refused),
        cmocka_unit_test(test_encoding_and_decoding_agree),
        cmocka_unit_test(test_heads_are_read),
        cmocka_unit_test(test_pages_of_listings_are_read),
        cmocka_unit_test(test_xml_beyond_its_limits_is_refused),
        cmocka_unit_test(test_problems_tell_their_code),
        cmocka_unit_test(test_profiles_of_a_credentials_file_are_kept_apart),
        cmocka_unit_test(test_half_of_a_pair_of_keys_is_refused),
        cmocka_unit_test(test_digests_are_the_published_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
