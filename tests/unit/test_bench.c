/*
 * Unit tests of what tarn-bench measures with: streams of keys (tests/bench/keys.c) and the
 * histogram of latencies (tests/bench/latency.c). Seeds are fixed, so the draws are always the
 * same.
 */
#include "support/support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/keys.h"
#include "bench/latency.h"
#include "bench/nexmark.h"

enum { DRAWS = 400000, SEED = 7 };

static void draw(bench_distribution distribution, uint64_t count, uint64_t *counts)
{
    bench_keys keys;
    memset(counts, 0, count * sizeof counts[0]);
    assert_true(bench_keys_open(&keys, distribution, count, SEED, NULL));
    for (uint32_t i = 0; i < DRAWS; i++) {
        const uint64_t rank = bench_keys_draw_rank(&keys);
        assert_true(rank < count);
        counts[rank]++;
    }
    bench_keys_close(&keys);
}

/* Pearson's statistic over the ranks; with d degrees of freedom its mean is d, its deviation
 * sqrt(2 d). */
static double chi_square(const uint64_t *counts, const double *expected, uint64_t count)
{
    double sum = 0;
    for (uint64_t i = 0; i < count; i++) {
        const double miss = (double)counts[i] - expected[i];
        sum += miss * miss / expected[i];
    }
    return sum;
}

static void assert_fits(double statistic, uint64_t count)
{
    const double degrees = (double)count - 1;
    assert_true(statistic < degrees + 5 * sqrt(2 * degrees));
    assert_true(statistic > degrees - 5 * sqrt(2 * degrees));
}

static void test_zipf_ranks_come_as_often_as_the_law_says(void **state)
{
    enum { RANKS = 1000 };
    static uint64_t counts[RANKS];
    static double expected[RANKS];
    double sum = 0;
    (void)state;
    for (uint32_t i = 0; i < RANKS; i++) {
        expected[i] = pow(i + 1, -0.99);
        sum += expected[i];
    }
    for (uint32_t i = 0; i < RANKS; i++) {
        expected[i] *= DRAWS / sum;
    }
    draw(BENCH_ZIPF, RANKS, counts);
    assert_fits(chi_square(counts, expected, RANKS), RANKS);
}

/* The first key of ten million has 1 / sum(k^-0.99) of the events; the sum is 18.07 or so. */
static void test_zipf_of_many_keys_is_headed_by_the_right_share(void **state)
{
    (void)state;
    const bench_zipf zipf = bench_zipf_of(10000000, 0.99);
    uint64_t random = SEED;
    uint64_t first = 0;
    double sum = 0;
    for (uint32_t k = 10000000; k > 0; k--) {
        sum += pow(k, -0.99);
    }
    for (uint32_t i = 0; i < DRAWS; i++) {
        first += bench_zipf_draw(&zipf, &random) == 1;
    }
    const double expected = DRAWS / sum;
    assert_true(fabs((double)first - expected) < 5 * sqrt(expected));
}

static void test_uniform_ranks_come_equally_often(void **state)
{
    enum { RANKS = 500 };
    static uint64_t counts[RANKS];
    static double expected[RANKS];
    (void)state;
    for (uint32_t i = 0; i < RANKS; i++) {
        expected[i] = (double)DRAWS / RANKS;
    }
    draw(BENCH_UNIFORM, RANKS, counts);
    assert_fits(chi_square(counts, expected, RANKS), RANKS);
}

static void test_hotspot_gives_a_fifth_of_the_keys_four_fifths_of_the_events(void **state)
{
    enum { RANKS = 500 };
    static uint64_t counts[RANKS];
    static double expected[RANKS];
    (void)state;
    for (uint32_t i = 0; i < RANKS; i++) {
        expected[i] = i < RANKS / 5 ? 0.8 * DRAWS / (RANKS / 5) : 0.2 * DRAWS / (RANKS - RANKS / 5);
    }
    draw(BENCH_HOTSPOT, RANKS, counts);
    assert_fits(chi_square(counts, expected, RANKS), RANKS);
}

static void test_latest_follows_a_head_that_moves(void **state)
{
    enum { RANKS = 1000000, WINDOW = 1000 };
    bench_keys keys;
    uint64_t near = 0;
    (void)state;
    assert_true(bench_keys_open(&keys, BENCH_LATEST, RANKS, SEED, NULL));
    for (uint32_t i = 1; i <= DRAWS; i++) {
        const uint64_t head = i / 20;
        near += (head + RANKS - bench_keys_draw_rank(&keys)) % RANKS < WINDOW;
    }
    bench_keys_close(&keys);
    /* Zipf 0.99 over a million ranks gives the first thousand half of all draws. */
    assert_true(near > DRAWS * 45 / 100 && near < DRAWS * 58 / 100);
}

static void test_keys_of_different_ranks_differ(void **state)
{
    (void)state;
    for (uint64_t rank = 0; rank < 100000; rank++) {
        /* The inverse of the finalizer gives the rank back: it is a bijection. */
        uint64_t number = bench_mix(rank);
        number = (number ^ (number >> 31) ^ (number >> 62)) * UINT64_C(0x319642b2d24d8ec3);
        number = (number ^ (number >> 27) ^ (number >> 54)) * UINT64_C(0x96de1b173f119089);
        number = number ^ (number >> 30) ^ (number >> 60);
        assert_true(number == rank);
    }
}

static void test_keys_of_a_file_are_little_endian_and_end(void **state)
{
    static const uint8_t BYTES[16] = {
        1, 2, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    char path[] = "/tmp/test_bench_XXXXXX";
    bench_keys keys;
    uint64_t out[2];
    (void)state;
    const int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    FILE *file = fdopen(descriptor, "wb");
    assert_int_equal(fwrite(BYTES, sizeof BYTES, 1, file), 1);
    assert_int_equal(fclose(file), 0);
    assert_true(bench_keys_open(&keys, BENCH_ZIPF, 10, SEED, path));
    assert_true(bench_keys_fill(&keys, out, 2));
    assert_true(out[0] == 0x201 && out[1] == UINT64_MAX);
    assert_false(bench_keys_fill(&keys, out, 1));
    bench_keys_close(&keys);
    assert_int_equal(remove(path), 0);
    assert_false(bench_keys_open(&keys, BENCH_ZIPF, 10, SEED, path));
}

static void test_unknown_distributions_are_not_found(void **state)
{
    bench_distribution distribution = BENCH_LATEST;
    (void)state;
    assert_false(bench_distribution_find("zip", &distribution));
    assert_int_equal(distribution, BENCH_LATEST);
    assert_true(bench_distribution_find("hotspot", &distribution));
    assert_int_equal(distribution, BENCH_HOTSPOT);
}

static void test_percentiles_are_at_most_two_percent_too_high(void **state)
{
    static bench_latency latency;
    (void)state;
    for (uint64_t ns = 1; ns <= 1000000; ns++) {
        bench_latency_record(&latency, ns);
    }
    static const double SHARES[] = {0.001, 0.5, 0.99, 0.999};
    for (size_t i = 0; i < sizeof SHARES / sizeof SHARES[0]; i++) {
        const double exact = SHARES[i] * 1e6;
        const double answer = (double)bench_latency_at(&latency, SHARES[i]);
        assert_true(answer >= exact && answer <= exact * 1.016 + 1);
    }
    assert_int_equal(bench_latency_at(&latency, 1.0), 1000000);
}

static void test_latencies_of_all_sizes_have_a_place(void **state)
{
    static bench_latency latency;
    (void)state;
    assert_int_equal(bench_latency_at(&latency, 0.5), 0);
    bench_latency_record(&latency, 0);
    bench_latency_record(&latency, UINT64_MAX);
    assert_int_equal(bench_latency_at(&latency, 0.5), 0);
    assert_true(bench_latency_at(&latency, 1.0) == UINT64_MAX);
}

static void test_nexmark_has_one_person_and_three_auctions_for_46_bids(void **state)
{
    bench_nexmark nexmark = {.random = SEED, .rate = 1000};
    uint64_t counts[3] = {0};
    uint64_t auctions[3] = {0}; /* The newest identifier of each kind. */
    (void)state;
    for (uint32_t i = 0; i < 50000; i++) {
        const bench_event event = bench_nexmark_next(&nexmark);
        counts[event.kind]++;
        assert_int_equal(event.number, i);
        assert_int_equal(event.time_ms, i);
        if (event.kind == BENCH_AUCTION) {
            assert_true(
                auctions[BENCH_AUCTION] == 0 || event.auction == auctions[BENCH_AUCTION] + 1);
            assert_true(event.expires_ms > event.time_ms && event.category - 10 < 5);
            auctions[BENCH_AUCTION] = event.auction;
        }
    }
    assert_int_equal(counts[BENCH_PERSON], 1000);
    assert_int_equal(counts[BENCH_AUCTION], 3000);
    assert_int_equal(counts[BENCH_BID], 46000);
}

static void test_half_of_nexmarks_bids_and_three_quarters_of_its_bidders_are_hot(void **state)
{
    bench_nexmark nexmark = {.random = SEED, .rate = 1000};
    uint64_t bids = 0;
    uint64_t hot_auctions = 0;
    uint64_t hot_bidders = 0;
    uint64_t dear = 0;
    (void)state;
    for (uint32_t i = 0; i < DRAWS; i++) {
        const bench_event event = bench_nexmark_next(&nexmark);
        if (event.kind == BENCH_BID && i > DRAWS / 4) {
            bids++;
            hot_auctions += event.auction % 100 == 0;
            hot_bidders += event.person % 100 == 1;
            dear += event.price > 100000; /* The middle of 10^2 .. 10^8 on a logarithmic scale. */
            assert_true(event.price >= 100 && event.price <= 100000000);
        }
    }
    /* One in a hundred of those drawn at random is a hot one by chance. */
    assert_true(hot_auctions > bids * 495 / 1000 && hot_auctions < bids * 515 / 1000);
    assert_true(hot_bidders > bids * 745 / 1000 && hot_bidders < bids * 760 / 1000);
    assert_true(dear > bids * 49 / 100 && dear < bids * 51 / 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_zipf_ranks_come_as_often_as_the_law_says),
        cmocka_unit_test(test_zipf_of_many_keys_is_headed_by_the_right_share),
        cmocka_unit_test(test_uniform_ranks_come_equally_often),
        cmocka_unit_test(test_hotspot_gives_a_fifth_of_the_keys_four_fifths_of_the_events),
        cmocka_unit_test(test_latest_follows_a_head_that_moves),
        cmocka_unit_test(test_keys_of_different_ranks_differ),
        cmocka_unit_test(test_keys_of_a_file_are_little_endian_and_end),
        cmocka_unit_test(test_unknown_distributions_are_not_found),
        cmocka_unit_test(test_nexmark_has_one_person_and_three_auctions_for_46_bids),
        cmocka_unit_test(test_half_of_nexmarks_bids_and_three_quarters_of_its_bidders_are_hot),
        cmocka_unit_test(test_percentiles_are_at_most_two_percent_too_high),
        cmocka_unit_test(test_latencies_of_all_sizes_have_a_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
