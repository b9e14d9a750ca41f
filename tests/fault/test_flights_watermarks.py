"""Watermarks of examples/flights: a worker has the smallest of its sources', so that which source is quicker makes nothing late.

No flight of the input is further behind one before it than DISORDER: with that as the bound nothing is late at any worker,
however many sources there are, whatever they are in time, killed and restored or not. With half of it something is.
"""
import os
import re
import shutil
import signal

import flights
from flights import read

# 22 hours; of all records in order, so of each source's own as well.
DISORDER_MINUTES = "1320"
ALIGNED = ()
UNALIGNED = ("--unaligned",)


class Watermarks(flights.FlightsTest):
    record_count = 6000

    def options(self, *more):
        return ("--checkpoint-dir", self.flights.path("checkpoints"), "--checkpoint-interval", "20",
                "--watermark-delay", DISORDER_MINUTES, "-D", "tarn.working-set.size=0b") + more

    def result(self, *options):
        """How many messages were late, and the result."""
        run = self.flights.run("--out", self.flights.path("result.tsv"), *options)
        self.assertEqual(run.returncode, 0, run.stderr)
        return int(re.search(r"\(([0-9]+) messages\) behind", run.stdout).group(1)), read(self.flights.path("result.tsv"))

    def test_what_is_behind_the_bound_is_late(self):
        for sources in ("1", "4"):
            late, _ = self.result("--sources", sources, "--watermark-delay", "60")
            self.assertGreater(late, 0)

    def test_nothing_is_late_from_any_number_of_sources_aligned_unaligned_killed_and_restored(self):
        late, expected = self.result("--sources", "1", "--watermark-delay", DISORDER_MINUTES)
        self.assertEqual(late, 0)
        for sources in ("1", "2", "4"):
            for mode in (ALIGNED, UNALIGNED):
                with self.subTest(sources=sources, mode=mode):
                    self.assert_all_in_time(sources, mode, expected)

    def assert_all_in_time(self, sources, mode, expected):
        shutil.rmtree(self.flights.path("checkpoints"), ignore_errors=True)
        self.assertEqual(self.result(*self.options("--sources", sources, *mode)), (0, expected))
        shutil.rmtree(self.flights.path("checkpoints"))
        killed = self.flights.run(*self.options("--quiet", "--sources", sources, "--kill-at", "0.6", *mode))
        self.assertEqual(killed.returncode, -signal.SIGKILL, killed.stderr)
        self.assertEqual(self.result(*self.options("--restore", "latest", "--workers", "3", *mode)), (0, expected))

    def test_late_messages_are_counted_on_after_a_restore(self):
        """One source and one worker, stopped where it stands: as many messages are late as without a stop."""
        bound = ("--sources", "1", "--workers", "1", "--watermark-delay", "60")
        late, expected = self.result(*bound)
        savepoints = self.flights.path("savepoints")
        stop = self.flights.run(
            "--quiet", "--checkpoint-dir", self.flights.path("stopped"), "--stop-at", "0.5", "--savepoint-dir", savepoints,
            *bound)
        self.assertEqual(stop.returncode, 0, stop.stderr)
        again, result = self.result("--restore", os.path.join(savepoints, os.listdir(savepoints)[0]), *bound)
        self.assertEqual(result, expected)
        # Watermarks stand between batches, and where the job stopped a batch was cut: that is all that differs.
        self.assertAlmostEqual(again, late, delta=late * 0.25)


if __name__ == "__main__":
    flights.main()
