"""What barriers do in examples/flights: channels wait for each other, or what is in flight is kept; either way a job that is
killed and restored, by more workers, has the result of one that was never killed, whichever source was quicker.

The workers are slower than the sources, as they read and write RocksDB for every record: channels are full.
"""
import os
import re
import shutil
import signal

import flights
from flights import read

UNALIGNED = ("--unaligned",)
# How long an alignment takes is the machine's: a timeout that all exceed, and one that none does.
LATE = ("--unaligned", "-D", "execution.checkpointing.aligned-checkpoint-timeout=1ms")
IN_TIME = ("--unaligned", "-D", "execution.checkpointing.aligned-checkpoint-timeout=10min")
RUNS_MAX = 10

NETWORK = re.compile(r"network peak ([0-9.]+) of ([0-9.]+)")
CHANNELS_MIB = 0.5  # Of two sources and two workers.


def network_pool(size):
    """Options for a network pool of that size."""
    return ("-D", "taskmanager.memory.network.min=" + size, "-D", "taskmanager.memory.network.max=" + size)



class Barriers(flights.FlightsTest):
    record_count = 10000

    def setUp(self):
        for name in ("checkpoints", "savepoints"):
            shutil.rmtree(self.flights.path(name), ignore_errors=True)

    def options(self, *more, out="result.tsv"):
        return ("--checkpoint-dir", self.flights.path("checkpoints"), "--out", self.flights.path(out),
                "-D", "tarn.working-set.size=0b") + more

    def run_well(self, *options):
        run = self.flights.run(*options)
        self.assertEqual(run.returncode, 0, run.stderr)
        return run

    def run_once(self, *mode):
        """Checkpoints; milliseconds that channels were blocked; how often barriers became unaligned; KiB kept."""
        run = self.run_well(*self.options("--checkpoint-interval", "50", *mode))
        complete = int(re.search(r"checkpoints +([0-9]+) complete", run.stdout).group(1))
        blocked = float(re.search(r"blocked for ([0-9.]+) ms", run.stdout).group(1))
        switched = int(re.search(r"([0-9]+) became unaligned", run.stdout).group(1))
        kept = re.search(r"([0-9.]+) KiB in flight kept", run.stdout)
        return complete, blocked, switched, float(kept.group(1)) if kept else 0

    def figures(self, *mode, wanted):
        """When a checkpoint comes is the machine's: of a run that has the figures that are wanted above 0."""
        for _ in range(RUNS_MAX):
            figures = dict(zip(("complete", "blocked", "switched", "kept"), self.run_once(*mode)))
            if all(figures[name] > 0 for name in wanted):
                return figures
        return self.fail("%s in %d runs" % (figures, RUNS_MAX))

    def straight(self):
        self.run_well("--quiet", "--sources", "1", "--out", self.flights.path("straight.tsv"))
        return read(self.flights.path("straight.tsv"))

    def assert_survives(self, *mode, parallelism=("3", "1")):
        straight = self.straight()
        shutil.rmtree(self.flights.path("checkpoints"))
        killed = self.flights.run(*self.options("--quiet", "--checkpoint-interval", "50", "--kill-at", "0.7", *mode))
        self.assertEqual(killed.returncode, -signal.SIGKILL, killed.stderr)
        for workers in parallelism:
            run = self.run_well(*self.options("--restore", "latest", "--parallelism", workers, *mode))
            self.assertIn("restored checkpoint", run.stderr)
            self.assertEqual(read(self.flights.path("result.tsv")), straight)

    def test_aligned_channels_wait_and_nothing_is_kept(self):
        figures = self.figures(wanted=("complete", "blocked"))
        self.assertEqual((figures["switched"], figures["kept"]), (0, 0))
        self.assert_survives()

    def test_unaligned_barriers_wait_for_nothing_and_what_they_overtake_is_kept(self):
        figures = self.figures(*UNALIGNED, wanted=("complete", "kept"))
        self.assertEqual((figures["blocked"], figures["switched"]), (0, 0))
        self.assert_survives(*UNALIGNED)

    def test_late_barriers_become_unaligned(self):
        self.figures(*LATE, wanted=("complete", "switched", "kept"))
        self.assert_survives(*LATE)

    def test_barriers_that_are_in_time_stay_aligned(self):
        figures = self.figures(*IN_TIME, wanted=("complete", "blocked"))
        self.assertEqual((figures["switched"], figures["kept"]), (0, 0))
        self.assert_survives(*IN_TIME)

    def run_until(self, *mode, wanted):
        """A run with checkpoints of which that could be said, and its result is what it has to be."""
        straight = self.straight()
        for _ in range(RUNS_MAX):
            shutil.rmtree(self.flights.path("checkpoints"), ignore_errors=True)
            run = self.run_well(*self.options("--checkpoint-interval", "20", *mode))
            self.assertEqual(read(self.flights.path("result.tsv")), straight)
            if wanted(run):
                return run
        return self.fail("never in %d runs: %s%s" % (RUNS_MAX, run.stdout, run.stderr))

    def test_what_is_kept_is_memory_of_the_network_pool(self):
        run = self.run_until(*UNALIGNED, wanted=lambda run: "in flight kept" in run.stdout)
        peak, limit = map(float, NETWORK.search(run.stdout).groups())
        self.assertGreater(peak, CHANNELS_MIB)
        self.assertLessEqual(peak, limit)

    def test_a_network_pool_without_room_for_what_is_in_flight_has_barriers_align(self):
        small = UNALIGNED + network_pool("600k")
        run = self.run_until(*small, wanted=lambda run: "aligned instead" in run.stdout)
        peak, limit = map(float, NETWORK.search(run.stdout).groups())
        self.assertLessEqual(peak, limit)
        self.assertRegex(run.stdout, "checkpoints +[1-9][0-9]* complete, 0 failed")
        self.assertNotIn("in flight kept", run.stdout)
        self.assert_survives(*small, parallelism=("2", "1"))

    def test_more_in_flight_than_may_be_kept_declines_the_checkpoint_and_nothing_is_lost(self):
        bounded = UNALIGNED + ("--in-flight-max", "1", "-D", "execution.checkpointing.tolerable-failed-checkpoints=1000")
        run = self.run_until(*bounded, wanted=lambda run: "--in-flight-max" in run.stderr)
        self.assertIn("a checkpoint failed, the job goes on: more is in flight than the 1 KiB", run.stderr)
        self.assertNotIn("aligned instead", run.stdout)

    def test_one_source_waits_for_none(self):
        figures = self.figures("--sources", "1", wanted=("complete",))
        self.assertEqual((figures["blocked"], figures["switched"], figures["kept"]), (0, 0, 0))

    def test_result_is_the_same_from_any_number_of_sources(self):
        straight = self.straight()
        for count in ("2", "5", "16"):
            self.run_well("--quiet", "--sources", count, "--out", self.flights.path("result.tsv"))
            self.assertEqual(read(self.flights.path("result.tsv")), straight)

    def test_restore_has_as_many_sources_as_the_checkpoint(self):
        straight = self.straight()
        stop = ("--quiet", "--stop-at", "0.5", "--savepoint-dir", self.flights.path("savepoints"), "--unaligned")
        self.run_well(*self.options("--sources", "3", *stop))
        savepoint = self.flights.path("savepoints", os.listdir(self.flights.path("savepoints"))[0])
        run = self.run_well(*self.options("--restore", savepoint))
        # All sources stood still where the job stopped: half of the records, to the record.
        self.assertIn("at record %d " % (self.record_count // 2), run.stderr)
        self.assertIn("3 sources", run.stdout)
        self.assertEqual(read(self.flights.path("result.tsv")), straight)


if __name__ == "__main__":
    flights.main()
