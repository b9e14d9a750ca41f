/*
 * Unit tests of cli/rows_write.c: why a line could not be written, whatever comes after it.
 */
#include "support/support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/rows_json.h"
#include "snapshot/checkpoint.h"

/* Of cli/text.c, which brings the whole command. */
void *cli_must(void *pointer);
void *cli_must(void *pointer)
{
    assert_non_null(pointer);
    return pointer;
}

/* A disk that is full at the first writing, and broken at those that follow. */
static ssize_t refuse(void *cookie, const char *bytes, size_t size)
{
    int *const count = cookie;
    (void)bytes;
    (void)size;
    errno = (*count)++ == 0 ? ENOSPC : EIO;
    return -1;
}

static void test_the_first_failure_is_told(void **state)
{
    (void)state;
    char buffer[256]; /* Written by the line. */
    int count = 0;
    int code = 0;
    tarn_error error;
    const tarn_checkpoint empty = {.metadata.head.job = "job"};
    FILE *out = fopencookie(&count, "w", (cookie_io_functions_t){.write = refuse});
    assert_non_null(out);
    assert_int_equal(setvbuf(out, buffer, _IOLBF, sizeof buffer), 0);
    assert_int_equal(cli_rows_write(&empty, out, &code, &error), TARN_OK);
    assert_int_equal(code, ENOSPC);
    assert_int_equal(count, 1); /* Nothing is tried behind it. */
    (void)fclose(out);
}

static void test_what_can_be_written_has_no_code(void **state)
{
    (void)state;
    char *text = NULL;
    size_t size = 0;
    int code = -1;
    tarn_error error;
    const tarn_checkpoint empty = {.metadata.head.job = "job"};
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    assert_int_equal(cli_rows_write(&empty, out, &code, &error), TARN_OK);
    assert_int_equal(code, 0);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(
        text,
        "{\"tarn_rows\":1,\"job\":\"job\",\"id\":0,\"end\":true}\n{\"end\":true,\"rows\":0}\n");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_first_failure_is_told),
        cmocka_unit_test(test_what_can_be_written_has_no_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
