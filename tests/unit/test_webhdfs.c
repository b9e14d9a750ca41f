/*
 * Unit tests of storage/webhdfs*.c over a small HDFS of the tests' own: answers that are to another
 * request are not taken for those that decide, and what is given up cleans up behind itself.
 *
 * A client's threads take requests in turn, each with connections of its own. So that an answer
 * that comes late meets the request that it is to mislead, so many others are made between the two.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "storage/give_up.h"
#include "storage/shims.h"
#include "storage/webhdfs_private.h"
#include "support/fake_hdfs.h"
#include "support/fault_server.h"
#include "support/support.h"

enum { BETWEEN_MAX = 8, DELAY_MS = 300, NS_PER_MS = 1000000, PART_BYTES = 4 << 20 };

typedef struct fixture {
    tarn__account account;
    fault_server *server;
    tarn_storage *bare;
    tarn_storage *patient; /* Asks again; frees the bare one. */
    tarn_error error;
} fixture;

static void no_sleep(uint64_t ns, void *context)
{
    (void)ns;
    (void)context;
}

static void open_fixture(fixture *f, const char *script)
{
    *f = (fixture){.server = fault_server_start(script, 0)};
    tarn__account_init(&f->account, "test", NULL);
    char address[64];
    snprintf(address, sizeof address, "webhdfs://127.0.0.1:%u/a b+c", fault_server_port(f->server));
    const tarn__storage_options options = {.address = address, .account = &f->account};
    const tarn__retry_options retry = {.attempts = 5, .sleep = no_sleep, .seed = 1};
    tarn__uri uri;
    assert_ok(tarn__uri_parse(address, &uri, &f->error), &f->error);
    assert_ok(tarn__webhdfs_storage_open(&options, &uri, &f->bare, &f->error), &f->error);
    assert_ok(
        tarn__retry_storage_new(f->bare, &retry, &f->account, &f->patient, &f->error), &f->error);
}

static void close_fixture(fixture *f)
{
    tarn__storage_free(f->patient);
    fault_server_stop(f->server);
    assert_int_equal(atomic_load(&f->account.block_count), 0);
}

static tarn_status put(
    fixture *f, tarn_storage *storage, const char *name, uint32_t flags, tarn_bytes content)
{
    tarn_storage_upload *upload = NULL;
    assert_ok(tarn__storage_begin(storage, name, flags, &upload, &f->error), &f->error);
    const tarn_status status = tarn__storage_append(upload, content, &f->error);
    if (status != TARN_OK) {
        tarn__storage_abandon(upload);
        return status;
    }
    return tarn__storage_finish(upload, NULL, &f->error);
}

static tarn_status put_text(fixture *f, tarn_storage *storage, const char *name, const char *text)
{
    return put(f, storage, name, 0, tarn_bytes_of(text));
}

static long read_back(const fixture *f, const char *name, char *out, size_t capacity)
{
    char path[192];
    snprintf(path, sizeof path, "/a b+c/%s", name);
    return fake_hdfs_read(fault_server_hdfs(f->server), path, out, capacity);
}

/* "": there is none. */
static void expect(const fixture *f, const char *name, const char *text)
{
    char found[32] = "";
    assert_int_equal(
        read_back(f, name, found, sizeof found - 1), text[0] != '\0' ? (long)strlen(text) : -1);
    assert_string_equal(found, text);
}

static void ask_between(fixture *f, uint32_t count)
{
    tarn_storage_info info;
    for (uint32_t i = 0; i < count; i++) {
        (void)!tarn__storage_stat(f->bare, "there", &info, &f->error);
    }
}

/* The word of an earlier renaming is not taken for that of one which was refused. */
static void test_a_renaming_takes_no_others_answer(void **state)
{
    (void)state;
    for (uint32_t between = 0; between < BETWEEN_MAX; between++) {
        fixture f;
        open_fixture(&f, "RENAME 1 late\nRENAME * status 403\n");
        assert_ok(put_text(&f, f.bare, "first", "text"), &f.error);
        ask_between(&f, between);
        assert_int_equal(put_text(&f, f.bare, "second", "text"), TARN_DECLINED);
        expect(&f, "second", "");
        close_fixture(&f);
    }
}

/* Nor is that of bytes which were taken. */
static void test_bytes_take_no_others_answer(void **state)
{
    (void)state;
    for (uint32_t between = 0; between < BETWEEN_MAX; between++) {
        fixture f;
        open_fixture(&f, "DATA 1 late\nDATA * status 403\n");
        assert_ok(put_text(&f, f.bare, "first", "text"), &f.error);
        ask_between(&f, between);
        assert_int_equal(put_text(&f, f.bare, "second", "text"), TARN_DECLINED);
        close_fixture(&f);
    }
}

/* A redirect that came late names what is not asked for any more: the bytes do not go there. */
static void test_bytes_go_to_the_file_that_was_asked_for(void **state)
{
    (void)state;
    for (uint32_t between = 0; between < BETWEEN_MAX; between++) {
        fixture f;
        open_fixture(&f, "CREATE 1 late\n");
        assert_ok(put_text(&f, f.bare, "there", "first"), &f.error);
        ask_between(&f, between);
        assert_ok(put_text(&f, f.patient, "second", "another"), &f.error);
        expect(&f, "there", "first");
        expect(&f, "second", "another");
        assert_int_equal(fake_hdfs_count(fault_server_hdfs(f.server)), 2);
        close_fixture(&f);
    }
}

/* How much of a part has arrived is told by the file's own size, not by that of another one. */
static void test_a_part_is_counted_by_its_own_file(void **state)
{
    (void)state;
    static uint8_t content[2 * PART_BYTES];
    static char back[2 * PART_BYTES];
    for (size_t i = 0; i < sizeof content; i++) {
        content[i] = (uint8_t)(i * 2654435761u >> 13);
    }
    for (uint32_t between = 0; between < BETWEEN_MAX; between++) {
        fixture f;
        open_fixture(&f, NULL);
        const tarn_bytes some = tarn_bytes_at(content, PART_BYTES + 1000000);
        assert_ok(put(&f, f.bare, "there", 0, some), &f.error);
        tarn_storage_upload *upload = NULL;
        assert_ok(tarn__storage_begin(f.patient, "new", 0, &upload, &f.error), &f.error);
        assert_ok(
            tarn__storage_append(upload, tarn_bytes_at(content, sizeof content), &f.error),
            &f.error);
        fault_server_script(f.server, "DATA 1 reset\nGETFILESTATUS 1 late\n");
        ask_between(&f, 1 + between);
        assert_ok(tarn__storage_finish(upload, NULL, &f.error), &f.error);
        assert_int_equal(read_back(&f, "new", back, sizeof back), sizeof content);
        assert_memory_equal(back, content, sizeof content);
        close_fixture(&f);
    }
}

/* An answer that says neither is none: what is there tells, and the renaming is asked for again. */
static void test_a_renaming_without_a_word_is_looked_at(void **state)
{
    (void)state;
    static const struct {
        const char *script;
        tarn_status bare;
        tarn_status patient;
    } cases[] = {
        {"RENAME 1 mute", TARN_OK, TARN_OK},
        {"RENAME 1 status 200", TARN_REMOTE_ERROR, TARN_OK},
        {"RENAME 1 status 204", TARN_REMOTE_ERROR, TARN_OK},
        {"RENAME 1 other", TARN_REMOTE_ERROR, TARN_OK},
        {"RENAME * status 200", TARN_REMOTE_ERROR, TARN_REMOTE_ERROR},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int is_patient = 0; is_patient < 2; is_patient++) {
            fixture f;
            open_fixture(&f, cases[i].script);
            tarn_storage *storage = is_patient ? f.patient : f.bare;
            const tarn_status expected = is_patient ? cases[i].patient : cases[i].bare;
            const tarn_bytes text = tarn_bytes_of("text");
            assert_int_equal(
                put(&f, storage, "chk-1/_metadata", TARN_UPLOAD_IF_ABSENT, text), expected);
            expect(&f, "chk-1/_metadata", expected == TARN_OK ? "text" : "");
            const uint32_t files = expected == TARN_OK ? 1 : 0; /* No temporary one is left. */
            assert_int_equal(fake_hdfs_count(fault_server_hdfs(f.server)), files);
            close_fixture(&f);
        }
    }
}

/* The old content is never taken away for a doubt. */
static void test_a_doubt_takes_nothing_away(void **state)
{
    (void)state;
    fixture f;
    open_fixture(&f, NULL);
    assert_ok(put_text(&f, f.bare, "plain", "first"), &f.error);
    fault_server_script(f.server, "RENAME * status 200");
    assert_int_equal(put_text(&f, f.patient, "plain", "later"), TARN_REMOTE_ERROR);
    expect(&f, "plain", "first");
    close_fixture(&f);
}

/* Bytes that stand for a file, and the name that says what they are. */
static uint8_t *make_content(size_t size, char *name, size_t name_bytes)
{
    char digest[TARN__DIGEST_TEXT_BYTES];
    uint8_t *bytes = malloc(size);
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (uint8_t)(i * 7 + i / 251);
    }
    const tarn__digest it = tarn__digest_of(tarn_bytes_at(bytes, size));
    tarn__digest_encode(&it, digest);
    (void)snprintf(name, name_bytes, "shared/%s-%zu", digest, size);
    return bytes;
}

/* The size is right, the bytes are not: what is stored anew takes their place. */
static void test_damage_under_the_name_of_a_content_is_replaced(void **state)
{
    (void)state;
    static const size_t sizes[] = {5, PART_BYTES + 100};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        fixture f;
        char name[128];
        const size_t size = sizes[i];
        uint8_t *const bytes = make_content(size, name, sizeof name);
        uint8_t *const found = malloc(size);
        open_fixture(&f, NULL);
        bytes[size - 1] ^= 1;
        assert_ok(put(&f, f.bare, name, 0, tarn_bytes_at(bytes, size)), &f.error);
        bytes[size - 1] ^= 1;
        for (int round = 0; round < 2; round++) { /* The second one finds it whole. */
            assert_ok(put(&f, f.patient, name, 0, tarn_bytes_at(bytes, size)), &f.error);
            assert_int_equal(read_back(&f, name, (char *)found, size), (long)size);
            assert_memory_equal(found, bytes, size);
            assert_int_equal(fake_hdfs_count(fault_server_hdfs(f.server)), 1);
        }
        close_fixture(&f);
        free(found);
        free(bytes);
    }
}

/* What cannot be read is not taken away, nor named. */
static void test_what_has_the_name_of_a_content_stays_while_it_cannot_be_read(void **state)
{
    (void)state;
    fixture f;
    char name[128];
    uint8_t *const bytes = make_content(100, name, sizeof name);
    open_fixture(&f, NULL);
    assert_ok(put(&f, f.bare, name, 0, tarn_bytes_at(bytes, 100)), &f.error);
    fault_server_script(f.server, "OPEN * status 403");
    assert_int_equal(put(&f, f.patient, name, 0, tarn_bytes_at(bytes, 100)), TARN_DECLINED);
    assert_int_equal(read_back(&f, name, (char *)bytes, 100), 100);
    assert_int_equal(fake_hdfs_count(fault_server_hdfs(f.server)), 1);
    close_fixture(&f);
    free(bytes);
}

/* What is not there any more when it is to be read is in nobody's way. */
static void test_what_vanishes_while_it_is_compared_is_looked_for_again(void **state)
{
    (void)state;
    fixture f;
    char name[128];
    uint8_t *const bytes = make_content(100, name, sizeof name);
    open_fixture(&f, NULL);
    assert_ok(put(&f, f.bare, name, 0, tarn_bytes_at(bytes, 100)), &f.error);
    fault_server_script(f.server, "OPEN 1 status 404\nDELETE * status 403");
    assert_ok(put(&f, f.patient, name, 0, tarn_bytes_at(bytes, 100)), &f.error);
    assert_int_equal(read_back(&f, name, (char *)bytes, 100), 100);
    close_fixture(&f);
    free(bytes);
}

/* A name node says nothing of a renaming that was done, which costs no look. */
static void test_a_name_node_needs_no_word(void **state)
{
    (void)state;
    fixture f;
    open_fixture(&f, NULL);
    fake_hdfs_be_name_node(fault_server_hdfs(f.server));
    assert_ok(put_text(&f, f.bare, "d/plain", "first"), &f.error);
    assert_ok(put_text(&f, f.bare, "d/plain", "later"), &f.error);
    assert_int_equal(fault_server_requests(f.server), 8); /* Bytes twice two, MKDIRS, RENAME. */
    expect(&f, "d/plain", "later");
    assert_int_equal(
        put(&f, f.bare, "d/plain", TARN_UPLOAD_IF_ABSENT, tarn_bytes_of("x")), TARN_BUSY);
    expect(&f, "d/plain", "later");
    close_fixture(&f);
}

static void test_a_removal_without_a_word_is_asked_for_again(void **state)
{
    (void)state;
    static const char *const names[] = {"there"};
    fixture f;
    open_fixture(&f, NULL);
    assert_ok(put_text(&f, f.bare, "there", "text"), &f.error);
    fault_server_script(f.server, "DELETE 1 status 200\nDELETE 2 other");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(tarn__storage_remove(f.bare, names, 1, &f.error), TARN_REMOTE_ERROR);
        expect(&f, "there", "text");
    }
    assert_ok(tarn__storage_remove(f.patient, names, 1, &f.error), &f.error);
    expect(&f, "there", "");
    close_fixture(&f);
}

static void test_a_directory_without_a_word_is_asked_for_again(void **state)
{
    (void)state;
    fixture f;
    open_fixture(&f, "MKDIRS 1 status 200\nMKDIRS 2 other");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(put_text(&f, f.bare, "d/x", "text"), TARN_REMOTE_ERROR);
    }
    assert_ok(put_text(&f, f.patient, "d/x", "text"), &f.error);
    expect(&f, "d/x", "text");
    close_fixture(&f);
}

/* The temporary file of an upload that was given up is removed all the same, and that is waited
 * for: a request that were given up as others are would end before its answer. */
static void test_what_is_given_up_is_cleaned_up(void **state)
{
    (void)state;
    fixture f;
    atomic_bool is_given_up = false;
    tarn_storage_upload *upload = NULL;
    open_fixture(&f, "RENAME * status 503");
    assert_ok(tarn__storage_begin(f.bare, "x", 0, &upload, &f.error), &f.error);
    assert_ok(tarn__storage_append(upload, tarn_bytes_of("text"), &f.error), &f.error);
    const tarn_status status = upload->storage->ops->try_finish(upload, NULL, &f.error);
    assert_int_equal(status, TARN_REMOTE_ERROR);
    assert_int_equal(fake_hdfs_count(fault_server_hdfs(f.server)), 1);
    fault_server_delay(f.server, DELAY_MS);
    atomic_store(&is_given_up, true);
    (void)tarn__give_up_when(&is_given_up);
    const uint64_t begun = tarn__clock_monotonic_ns(tarn__clock_system());
    tarn__storage_abandon(upload);
    const uint64_t took = tarn__clock_monotonic_ns(tarn__clock_system()) - begun;
    (void)tarn__give_up_when(NULL);
    assert_int_equal(fake_hdfs_count(fault_server_hdfs(f.server)), 0);
    assert_true(took >= (uint64_t)DELAY_MS * NS_PER_MS);
    close_fixture(&f);
}

static void test_redirects_are_compared(void **state)
{
    (void)state;
    static const char path[] = "/webhdfs/v1/a b+c/\xc3\xa4";
    static const struct {
        const char *location;
        bool is_good;
    } cases[] = {
        {"http://n:1/webhdfs/v1/a%20b%2Bc/%C3%A4?op=OPEN&offset=7", true},
        {"http://n:1/webhdfs/v1/a%20b+c/\xc3\xa4?user.name=x&op=OPEN&length=9&offset=7", true},
        {"https://n/gate/way/webhdfs/v1/a%20b%2bc/%c3%a4?_=AAAAC", true},
        {"https://n/webhdfs/v1/a%20b%2bc/%c3%a4", true},
        {"http://n:1/webhdfs/v1/a%20b%2Bc/%C3%A4?op=CREATE&offset=7", false},
        {"http://n:1/webhdfs/v1/a%20b%2Bc/%C3%A4?op=OPEN&offset=70", false},
        {"http://n:1/webhdfs/v1/a%20b%2Bc/%C3%A4?op=OPENING&offset=7", false},
        {"http://n:1/webhdfs/v1/a%20b%2Bc/%C3%A5?op=OPEN&offset=7", false},
        {"http://n:1/webhdfs/v1/a%20b%2Bc/%C3%A4/x?op=OPEN", false},
        {"http://n:1/webhdfs/v1/a%20b%2Bc/%C3?op=OPEN", false},
        {"http://n:1/%zz/webhdfs/v1/a%20b%2Bc/%C3%A4?op=OPEN", false},
        {"http://n:1/x?y=/webhdfs/v1/a%20b%2Bc/%C3%A4", false},
        {"", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (tarn__webhdfs_is_redirect(cases[i].location, path, "OPEN&offset=7") !=
            cases[i].is_good) {
            fail_msg("%s", cases[i].location);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_renaming_takes_no_others_answer),
        cmocka_unit_test(test_bytes_take_no_others_answer),
        cmocka_unit_test(test_bytes_go_to_the_file_that_was_asked_for),
        cmocka_unit_test(test_a_part_is_counted_by_its_own_file),
        cmocka_unit_test(test_a_renaming_without_a_word_is_looked_at),
        cmocka_unit_test(test_a_doubt_takes_nothing_away),
        cmocka_unit_test(test_damage_under_the_name_of_a_content_is_replaced),
        cmocka_unit_test(test_what_has_the_name_of_a_content_stays_while_it_cannot_be_read),
        cmocka_unit_test(test_what_vanishes_while_it_is_compared_is_looked_for_again),
        cmocka_unit_test(test_a_name_node_needs_no_word),
        cmocka_unit_test(test_a_removal_without_a_word_is_asked_for_again),
        cmocka_unit_test(test_a_directory_without_a_word_is_asked_for_again),
        cmocka_unit_test(test_what_is_given_up_is_cleaned_up),
        cmocka_unit_test(test_redirects_are_compared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
