"""With execution.checkpointing.local-backup.enabled a restart of examples/flights on the same disk takes its files from the
copies there, by content, and the result is that of a run that nobody disturbed, whatever has become of the copies.

The checkpoint stands where the run was killed: none is due in a day, so that the kill asks for one.
"""
import os
import re
import shutil
import signal

import flights
from flights import read

DAY_MS = str(24 * 3600 * 1000)
ENABLED = ("-D", "execution.checkpointing.local-backup.enabled=true")
IN_OLD_WORDS = ("-D", "state.backend.local-recovery=true")
# Names of one file would be damaged together.
COPIED = ("-D", "tarn.checkpoint.link-files=false")
RESTORE = re.compile(r"restore +([0-9]+) files fetched \(([0-9.]+) MiB\), ([0-9]+) taken from local copies \(([0-9.]+) MiB\)")


class LocalCopies(flights.FlightsTest):
    record_count = 6000

    def setUp(self):
        for name in ("checkpoints", "copies", "work"):
            shutil.rmtree(self.flights.path(name), ignore_errors=True)

    def options(self, *more):
        return ("--repeat", "2", "--checkpoint-dir", self.flights.path("checkpoints"), "--checkpoint-interval", DAY_MS,
                "--out", self.flights.path("result.tsv")) + more

    def straight(self):
        run = self.flights.run("--repeat", "2", "--quiet", "--out", self.flights.path("straight.tsv"))
        self.assertEqual(run.returncode, 0, run.stderr)
        return read(self.flights.path("straight.tsv"))

    def kill(self, *more):
        run = self.flights.run(*self.options("--kill-at", "0.7", *more))
        self.assertEqual(run.returncode, -signal.SIGKILL, run.stderr)
        self.assertNotIn("has no effect", run.stderr)

    def copies(self, below="work"):
        return sorted(os.path.join(parent, name) for parent, _, names in os.walk(self.flights.path(below))
                      if os.path.basename(parent).startswith("copy-") for name in names)

    def restore(self, *more):
        """Files fetched, their MiB, files taken from copies, their MiB; and the report."""
        straight = self.straight() if not os.path.exists(self.flights.path("straight.tsv")) else read(
            self.flights.path("straight.tsv"))
        run = self.flights.run(*self.options("--restore", "latest", *more))
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertEqual(read(self.flights.path("result.tsv")), straight)
        figures = RESTORE.search(run.stdout)
        self.assertIsNotNone(figures, run.stdout)
        return [float(figure) for figure in figures.groups()] + [run.stdout]

    def test_nothing_is_fetched_that_is_there(self):
        """The few bytes that lie in the metadata itself are no files of the storage, which has none left."""
        self.kill(*ENABLED)
        copies = self.copies()
        self.assertTrue(copies)
        shutil.rmtree(self.flights.path("checkpoints", "flights", "shared"))
        _, fetched_mib, taken, taken_mib, report = self.restore(*ENABLED)
        self.assertEqual((fetched_mib, taken), (0, len(copies)), report)
        self.assertGreater(taken_mib, 0)
        self.assertEqual(self.copies(), copies)

    def test_without_the_option_everything_is_fetched(self):
        self.kill()
        self.assertEqual(self.copies(), [])
        fetched, _, taken, _, report = self.restore()
        self.assertGreater(fetched, 0)
        self.assertEqual(taken, 0, report)

    def test_old_words_and_another_directory(self):
        options = IN_OLD_WORDS + ("-D", "taskmanager.state.local.root-dirs=" + self.flights.path("copies"))
        self.kill(*options)
        copies = self.copies("copies")
        self.assertTrue(copies)
        self.assertEqual(self.copies("work"), [])
        self.assertEqual(self.restore(*options)[2], len(copies))

    def test_damaged_copy_is_dropped_for_the_file_in_the_storage(self):
        self.kill(*ENABLED, *COPIED)
        copies = self.copies()
        largest = max(copies, key=os.path.getsize)
        data = bytearray(read(largest))
        data[len(data) // 2] ^= 1
        with open(largest, "wb") as file:
            file.write(data)
        _, fetched_mib, taken, _, report = self.restore(*ENABLED, *COPIED)
        self.assertIn("1 damaged copies were dropped", report)
        self.assertEqual(taken, len(copies) - 1)
        self.assertGreater(fetched_mib, 0)

    def test_other_parallelism_takes_what_it_can(self):
        self.kill(*ENABLED)
        taken = self.restore(*ENABLED, "--parallelism", "3")[2]
        self.assertGreater(taken, 0)

    def test_several_directories_are_refused(self):
        several = ("-D", "execution.checkpointing.local-backup.dirs=/a,/b")
        self.assert_refused(self.flights.run(*ENABLED, *several), "execution.checkpointing.local-backup.dirs", "/a,/b")


if __name__ == "__main__":
    flights.main()
