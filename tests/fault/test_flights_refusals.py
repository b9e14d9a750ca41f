"""What examples/flights is given wrongly is refused in one sentence that names it, and costs nothing that was committed.

Exit status 2 says that the command line is wrong, 1 that what it asks for cannot be done.
"""
import os
import re
import signal
import unittest

import flights
from flights import read


RUNS_MAX = 20


class Usage(flights.FlightsTest):
    record_count = 10

    def assert_usage(self, *options, word):
        self.assert_refused(self.flights.run(*options), word, status=2)

    def test_unknown_option_is_named(self):
        self.assert_usage("--bogus", word="--bogus")

    def test_option_without_its_value_is_named(self):
        self.assert_usage("--out", word="--out")

    def test_argument_that_is_no_option_is_named(self):
        self.assert_usage("extra", word="extra")

    def test_numbers_out_of_range_are_named(self):
        for option, value in (("--repeat", "0"), ("--repeat", "-1"), ("--repeat", "x"), ("--workers", "1000"),
                              ("--workers", "2x"), ("--sources", "0"), ("--sources", "17"), ("--savepoint-at", "2"),
                              ("--checkpoint-at", "0"), ("--kill-at", "0"), ("--kill-at", "1.5"), ("--kill-at", "nan"),
                              ("--checkpoint-interval", "-5"), ("--checkpoint-interval", "")):
            with self.subTest(option=option, value=value):
                self.assert_usage(option, value, word=option)

    def test_assignment_without_value_is_refused(self):
        self.assert_usage("-D", "key", word="KEY=VALUE")

    def test_restore_of_the_latest_needs_a_directory(self):
        self.assert_usage("--restore", "latest", word="--checkpoint-dir")

    def test_a_claim_needs_something_to_claim_and_a_place(self):
        self.assert_usage("--claim", word="--restore")
        self.assert_usage("--claim", "--restore", "nowhere", word="--checkpoint-dir")

    def test_checkpoints_at_a_place_of_the_stream_need_one_on_disk(self):
        self.assert_usage("--checkpoint-at", "0.5", word="--checkpoint-at")
        self.assert_usage("--savepoint-at", "0.5", word="--savepoint-at")
        self.assert_usage("--stop-at", "0.5", word="--stop-at")

    def test_help_is_no_failure(self):
        run = self.flights.run("--help")
        self.assertEqual(run.returncode, 0)
        self.assertIn("--checkpoint-dir", run.stdout)


class Input(flights.FlightsTest):
    def write(self, name, data):
        path = self.flights.path(name)
        with open(path, "wb") as file:
            file.write(data)
        return path

    def run_input(self, path):
        return self.flights.run("--quiet", source=path)

    def test_missing_input_is_named(self):
        path = self.flights.path("nowhere.csv")
        self.assert_refused(self.run_input(path), path)

    def test_directory_as_input_is_refused(self):
        self.assert_refused(self.run_input(self.flights.directory), self.flights.directory)

    def test_other_columns_are_refused(self):
        path = self.write("other.csv", b"a,b,c\n1,2,3\n")
        self.assert_refused(self.run_input(path), path, "seen_at")

    def test_empty_input_is_refused(self):
        path = self.write("empty.csv", b"")
        self.assert_refused(self.run_input(path), path)

    def test_header_alone_is_a_year_without_flights(self):
        path = self.write("header.csv", read(self.flights.input).split(b"\n")[0] + b"\n")
        self.assertEqual(self.run_input(path).returncode, 0)

    def test_bad_line_is_named_with_number_and_column(self):
        header, first = read(self.flights.input).split(b"\n")[:2]
        for field, column in ((0, "seen_at"), (1, "scheduled_at"), (4, "tailnum"), (5, "origin"), (7, "dep_delay_min")):
            with self.subTest(column=column):
                fields = first.split(b",")
                fields[field] = b"no such value"
                path = self.write("bad.csv", b"\n".join([header, first, b",".join(fields), b""]))
                self.assert_refused(self.run_input(path), path, "line 3", column, "no such value")

    def test_missing_column_is_refused(self):
        header, first = read(self.flights.input).split(b"\n")[:2]
        path = self.write("short.csv", b"\n".join([header, first.rsplit(b",", 1)[0], b""]))
        self.assert_refused(self.run_input(path), path, "line 2", "10 columns")

    def test_line_that_does_not_end_is_refused(self):
        path = self.write("cut.csv", read(self.flights.input)[:-5])
        self.assert_refused(self.run_input(path), path)

    def test_endless_line_is_refused(self):
        path = self.write("long.csv", read(self.flights.input).split(b"\n")[0] + b"\n" + b"x" * (1 << 20))
        self.assert_refused(self.run_input(path), path, "longer")

    def test_cut_archive_is_refused(self):
        path = self.write("cut.csv.zst", read(flights.FlightsTest.data)[:200000])
        self.assert_refused(self.run_input(path), path, "cut off")

    def test_damaged_archive_is_refused(self):
        data = bytearray(read(flights.FlightsTest.data))
        data[5000:5100] = bytes(100)
        path = self.write("damaged.csv.zst", bytes(data))
        self.assert_refused(self.run_input(path), path)


class Configuration(flights.FlightsTest):
    record_count = 10

    def test_missing_configuration_is_named(self):
        path = self.flights.path("nowhere.yaml")
        self.assert_refused(self.flights.run("--conf", path), path)

    def test_memory_that_is_no_size_is_named(self):
        self.assert_refused(self.flights.run("--memory", "lots"), "lots", "taskmanager.memory.process.size")

    def test_memory_that_is_too_small_for_its_parts_is_refused(self):
        self.assert_refused(self.flights.run("--memory", "16m"), "taskmanager.memory")

    def test_more_workers_than_key_groups_are_refused(self):
        run = self.flights.run("--workers", "3", "-D", "pipeline.max-parallelism=2")
        self.assert_refused(run, "--workers is 3", "pipeline.max-parallelism")

    def test_network_pool_that_cannot_hold_the_queues_is_refused(self):
        run = self.flights.run("--workers", "64")
        self.assert_refused(run, "network")

    def test_result_that_cannot_be_written_is_named_and_leaves_nothing(self):
        path = self.flights.path("nowhere", "result.tsv")
        self.assert_refused(self.flights.run("--quiet", "--out", path), path)

    def test_working_directory_below_a_file_is_named(self):
        run = self.flights.run("--quiet", work="input.csv/work")
        self.assert_refused(run, "input.csv/work")


class Checkpoints(flights.FlightsTest):
    def options(self, *more, directory="checkpoints"):
        return ("--quiet", "--checkpoint-dir", self.flights.path(directory), "--checkpoint-interval", "100") + more

    def test_checkpoint_directory_below_a_file_is_named(self):
        run = self.flights.run(*self.options(directory="input.csv/checkpoints"))
        self.assert_refused(run, "input.csv/checkpoints")

    @unittest.skipIf(os.getuid() == 0, "root may write anywhere")
    def test_checkpoint_directory_without_permission_is_named(self):
        os.mkdir(self.flights.path("locked"), 0o500)
        run = self.flights.run(*self.options(directory="locked"))
        self.assert_refused(run, "locked")

    def test_missing_checkpoint_is_named(self):
        self.assert_refused(self.flights.run(*self.options("--restore", "latest", directory="none")), "none")
        path = self.flights.path("nowhere", "chk-7")
        self.assert_refused(self.flights.run(*self.options("--restore", path, directory="none")), path)

    def make_checkpoint(self, directory):
        """The only checkpoint stands where the run was killed: none is due in a day, so that the kill asks for one."""
        options = ("--repeat", "4", "--kill-at", "0.9", "--checkpoint-interval", str(24 * 3600 * 1000))
        run = self.flights.run(*self.options(*options, directory=directory))
        self.assertEqual(run.returncode, -signal.SIGKILL, run.stderr)
        self.assertTrue(self.flights.has_checkpoint(self.flights.path(directory)))

    def test_restore_that_does_not_fit_is_refused_and_the_checkpoint_stays(self):
        self.make_checkpoint("kept")
        restore = self.options("--restore", "latest", directory="kept")
        self.assert_refused(self.flights.run(*restore, "--repeat", "1"), "--repeat 1")
        groups = self.flights.run(*restore, "--repeat", "4", "-D", "pipeline.max-parallelism=64")
        self.assert_refused(groups, "maximum parallelism 128", "64")
        for count in ("1", "3"):
            sources = self.flights.run(*restore, "--repeat", "4", "--sources", count)
            self.assert_refused(sources, "of 2 sources", "by " + count)
        run = self.flights.run(*restore, "--repeat", "4")
        self.assertEqual(run.returncode, 0, run.stderr)

    def assert_second_is_refused(self, first_options, second_options, second_work, word):
        """While one process runs, a second one on the same directory is refused; the first one goes on."""
        first = self.flights.start("--repeat", "1000", *first_options, work="shared")
        try:
            self.assertIn("records", first.stderr.readline())  # It runs, and has all its locks.
            second = self.flights.run("--quiet", *second_options, work=second_work)
            self.assert_refused(second, word)
            self.assertIn("records", first.stderr.readline())
        finally:
            first.kill()
            first.communicate()

    def test_second_process_on_a_working_directory_is_refused(self):
        self.assert_second_is_refused([], [], "shared", "shared")

    def test_second_process_on_a_checkpoint_directory_is_refused(self):
        options = ["--checkpoint-dir", self.flights.path("shared-checkpoints")]
        self.assert_second_is_refused(options, options, "other", "shared-checkpoints")


class Concurrent(flights.FlightsTest):
    """Checkpoints that begin while one is being stored: it goes on, and they are declined, not left to their timeout; but for a
    savepoint it makes room."""
    record_count = 20000

    def run_once(self, attempt):
        directory = self.flights.path("checkpoints-%d" % attempt)
        run = self.flights.run(
            "--quiet", "--repeat", "6", "--checkpoint-dir", directory, "--checkpoint-interval", "10",
            "-D", "execution.checkpointing.max-concurrent-checkpoints=3", "-D", "execution.checkpointing.min-pause=0ms",
            "-D", "execution.checkpointing.timeout=60s", "-D", "tarn.checkpoint.link-files=false")
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertNotIn("timeout passed", run.stderr)
        self.assertTrue(self.flights.has_checkpoint(directory), run.stderr)
        return "a task was not ready yet" in run.stderr

    def test_checkpoint_that_takes_longer_than_the_interval_completes(self):
        """How long a checkpoint takes is the machine's: it is tried until one took longer."""
        self.assertTrue(any(self.run_once(attempt) for attempt in range(RUNS_MAX)), "no checkpoint took that long")

    def save_once(self, attempt):
        """Rows are written slowly beside the stream, so that checkpoints take longer than their interval. With one source
        no barrier waits for another: what ends the checkpoint is that its snapshot is under way."""
        options = ("--repeat", "2", "--sources", "1", "--checkpoint-dir", self.flights.path("saved-%d" % attempt))
        savepoints = self.flights.path("savepoints-%d" % attempt)
        run = self.flights.run(
            *options, "--quiet", "--checkpoint-interval", "10", "--savepoint-at", "0.5", "--savepoint-dir", savepoints,
            "--out", self.flights.path("taken.tsv"), "-D", "tarn.working-set.drain-share=0.01",
            "-D", "execution.checkpointing.min-pause=0ms", "-D", "execution.checkpointing.tolerable-failed-checkpoints=1000")
        self.assertEqual(run.returncode, 0, run.stderr)
        taken = re.search(r"took the savepoint (.*)", run.stderr)
        if taken is None or "a barrier of a newer checkpoint reached a task first" not in run.stderr:
            return False
        restored = self.flights.run(*options, "--restore", taken.group(1), "--out", self.flights.path("restored.tsv"))
        self.assertEqual(restored.returncode, 0, restored.stderr)
        self.assertEqual(read(self.flights.path("restored.tsv")), read(self.flights.path("taken.tsv")))
        return True

    def test_checkpoint_under_way_makes_room_for_a_savepoint(self):
        """When a checkpoint is under way is the machine's: it is tried until one was."""
        self.assertTrue(any(self.save_once(attempt) for attempt in range(RUNS_MAX)), "no checkpoint was under way")


if __name__ == "__main__":
    flights.main()
