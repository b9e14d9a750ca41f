"""kill -9 at random points of a real run, restore, and the result is that of a run that was never killed.
Each run has a number of workers of its own, each point one of sources.

A point is a share of the records (the process kills itself) or a time (it is killed from outside, in whatever it does:
flush, upload, commit, restore). A point may kill the restored run again, and again. Seeds are printed; TARN_SEED=<number>
replays one set, TARN_LONG=1 asks for 50 points instead of 5.
"""
import os
import random
import re
import shutil
import signal
import subprocess
import time

import flights
from flights import read

POINTS = 50 if os.environ.get("TARN_LONG") else int(os.environ.get("FLIGHTS_KILL_POINTS", 5))
KILLS_MAX = 3
WORKERS_MAX = 4
SOURCES_MAX = 3
CHECKPOINT_INTERVAL_MS = 100
# Shares of the stream's time that frozen rows get: by default a checkpoint takes half of such a short run.
DRAIN_SHARES = ("0.07", "1")


class Kill(flights.FlightsTest):
    record_count = 20000

    def options(self, out, draw=None):
        """Of a run with 2 workers and checkpoints that are soon done, or as it is drawn."""
        workers = draw.randint(1, WORKERS_MAX) if draw else 2
        share = draw.choice(DRAIN_SHARES) if draw else DRAIN_SHARES[-1]
        sources = self.sources if draw else 2
        return ["--repeat", "3", "--quiet", "--workers", str(workers), "--sources", str(sources),
                "--checkpoint-interval", str(CHECKPOINT_INTERVAL_MS), "--checkpoint-dir", self.flights.path("checkpoints"),
                "--out", out, "-D", "execution.checkpointing.tolerable-failed-checkpoints=0",
                "-D", "tarn.working-set.drain-share=" + share] + self.more

    def run_straight(self):
        out = self.flights.path("straight.tsv")
        begin = time.monotonic()
        run = self.flights.run(*self.options(out))
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertTrue(self.flights.has_checkpoint(self.flights.path("checkpoints")), "the run took no checkpoint")
        return read(out), time.monotonic() - begin

    def restore_options(self):
        if self.flights.has_checkpoint(self.flights.path("checkpoints")):
            self.restores += 1
            return ["--restore", "latest"]
        return []

    def kill_once(self, draw, seconds, out):
        """Runs until it is killed. Answers whether it was: a late kill finds a run that has ended."""
        options = self.options(out, draw) + self.restore_options()
        if draw.random() < 0.5:
            fraction = "%.4f" % draw.uniform(0.02, 1)
            run = self.flights.run(*options, "--kill-at", fraction)
            print("    killed itself at %s: status %d" % (fraction, run.returncode), flush=True)
            self.assertIn(run.returncode, (0, -signal.SIGKILL), run.stderr)
            return run.returncode != 0
        delay = draw.uniform(0, seconds)
        process = self.flights.start(*options)
        try:
            process.wait(timeout=delay)
        except subprocess.TimeoutExpired:
            process.kill()
        errors = process.communicate()[1]
        print("    killed after %.3f s: status %d" % (delay, process.returncode), flush=True)
        self.assertIn(process.returncode, (0, -signal.SIGKILL), errors)
        return process.returncode != 0

    def run_point(self, seed, straight, seconds):
        draw = random.Random(seed)
        out = self.flights.path("killed.tsv")
        shutil.rmtree(self.flights.path("checkpoints"), ignore_errors=True)
        if os.path.exists(out):
            os.remove(out)
        kill_count = draw.randint(1, KILLS_MAX)
        self.sources = draw.randint(1, SOURCES_MAX)
        print("  point %d: %d kills, %d sources" % (seed, kill_count, self.sources), flush=True)
        killed = 0
        for _ in range(kill_count):
            killed += self.kill_once(draw, seconds, out)
        run = self.flights.run(*self.options(out, draw), *self.restore_options())
        self.assertEqual(run.returncode, 0, "seed %d: %s" % (seed, run.stderr))
        self.assertTrue(read(out) == straight, "seed %d: the result differs" % seed)
        return killed

    def test_result_after_kills_and_restores_is_that_of_a_straight_run(self):
        self.more = []
        self.run_points(POINTS)

    def test_records_in_flight_are_neither_lost_nor_doubled(self):
        """Barriers overtake the queues, which are full: the source is faster than the workers."""
        self.more = ["--unaligned"]
        run = self.flights.run(*[o for o in self.options(self.flights.path("shown.tsv")) if o != "--quiet"])
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertIn("in flight kept", run.stdout)
        shutil.rmtree(self.flights.path("checkpoints"))
        self.run_points((POINTS + 1) // 2)

    def test_barriers_that_overtake_only_when_they_are_late(self):
        self.more = ["--unaligned", "-D", "execution.checkpointing.aligned-checkpoint-timeout=2ms"]
        self.run_points((POINTS + 2) // 3)

    def test_a_full_queue_that_a_barrier_passed_is_restored(self):
        """One worker, slower than the sources as it reads and writes RocksDB: its channels are full when the barrier comes."""
        def options(out):
            return ["--repeat", "1", "--workers", "1", "--unaligned", "--checkpoint-interval", "200", "--out", out,
                    "--checkpoint-dir", self.flights.path("checkpoints"), "-D", "tarn.working-set.size=0b"]
        shutil.rmtree(self.flights.path("checkpoints"), ignore_errors=True)
        shown = self.flights.run(*options(self.flights.path("shown.tsv")))
        self.assertEqual(shown.returncode, 0, shown.stderr)
        kept = re.search(r"up to ([0-9.]+) of the ([0-9]+) KiB of a worker", shown.stdout)
        self.assertIsNotNone(kept, shown.stdout)
        # Of four batches of each channel the worker reads one of one, and one has the barrier itself, behind fewer records.
        self.assertGreaterEqual(float(kept.group(1)), 0.45 * float(kept.group(2)), shown.stdout)
        shutil.rmtree(self.flights.path("checkpoints"))
        killed = self.flights.run(*options(self.flights.path("killed.tsv")), "--kill-at", "0.8")
        self.assertEqual(killed.returncode, -signal.SIGKILL, killed.stderr)
        run = self.flights.run(*options(self.flights.path("killed.tsv")), "--restore", "latest", "--parallelism", "3")
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertEqual(read(self.flights.path("killed.tsv")), read(self.flights.path("shown.tsv")))

    def run_points(self, points):
        self.restores = 0
        straight, seconds = self.run_straight()
        seed = int(os.environ.get("TARN_SEED") or random.SystemRandom().randrange(1 << 32))
        print("\n  TARN_SEED=%d, %d points; a straight run takes %.2f s" % (seed, points, seconds), flush=True)
        killed = sum(self.run_point(seed + point, straight, seconds) for point in range(points))
        print("  %d kills, %d restores" % (killed, self.restores), flush=True)
        # Luck may make a point harmless, hardly five of them: that would test nothing.
        if points >= 5:
            self.assertGreaterEqual(killed, 1)
            self.assertGreaterEqual(self.restores, 1)


if __name__ == "__main__":
    flights.main()
