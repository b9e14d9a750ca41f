"""A latest checkpoint of examples/flights that is damaged is refused, with the name of what is; and passed over for an older
one if --allow-older is given. Then the result is that of a run that nobody disturbed, and the damaged one does not count.

The checkpoints stand where a run was killed and nowhere else: none is due in a day, so that each kill asks for one.
"""
import os
import shutil
import signal

import flights
from flights import read

DAY_MS = str(24 * 3600 * 1000)
PASSED_OVER_MAX = 64
KILLS = ("0.3", "0.6", "0.9")  # Checkpoints 1, 2 and 3.


def files_below(directory):
    return {os.path.join(parent, name) for parent, _, names in os.walk(directory) for name in names}


def is_object(path):
    """A file with state in it: neither metadata nor the lock."""
    return os.path.getsize(path) > 0 and os.path.basename(path) not in ("_metadata", "LOCK")


def flip(path):
    data = bytearray(read(path))
    data[len(data) // 2] ^= 1
    os.remove(path)  # The working directory may have the same file under another name.
    with open(path, "wb") as file:
        file.write(data)


class Fallback(flights.FlightsTest):
    record_count = 6000

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.checkpoints = cls.flights.path("checkpoints")
        cls.job = os.path.join(cls.checkpoints, "flights")
        cls.kept = cls.flights.path("kept")
        run = cls.flights.run(*cls.options("straight.tsv"), "--checkpoint-interval", "0")
        assert run.returncode == 0, run.stderr
        cls.straight = read(cls.flights.path("straight.tsv"))
        for index, fraction in enumerate(KILLS):
            before = files_below(cls.job)
            restore = ("--restore", "latest") if index > 0 else ()
            run = cls.flights.run(*cls.options("none.tsv"), "--kill-at", fraction, *restore)
            assert run.returncode == -signal.SIGKILL, run.stderr
        # What came with the newest is named by no other one.
        cls.newest_only = sorted(path for path in files_below(cls.job) - before if is_object(path))
        assert cls.newest_only, files_below(cls.job)
        shutil.copytree(cls.checkpoints, cls.kept)

    @classmethod
    def options(cls, out, retained=3):
        return ("--repeat", "3", "--checkpoint-dir", cls.checkpoints, "--checkpoint-interval", DAY_MS,
                "--out", cls.flights.path(out), "-D", "execution.checkpointing.num-retained=%d" % retained)

    def setUp(self):
        shutil.rmtree(self.checkpoints)
        shutil.copytree(self.kept, self.checkpoints)

    def has(self, number):
        return os.path.exists(os.path.join(self.job, "chk-%d" % number, "_metadata"))

    def numbers(self):
        return [number for number in range(1, 10) if self.has(number)]

    def restore(self, *more, retained=3):
        return self.flights.run(*self.options("result.tsv", retained), "--restore", "latest", *more)

    def assert_refused_with_names(self, *names):
        """And everything stays where it is."""
        before = files_below(self.job)
        self.assert_refused(self.restore(), "--allow-older", *names)
        self.assertTrue(before <= files_below(self.job), before - files_below(self.job))

    def assert_goes_on_from(self, number, *names):
        run = self.restore("--allow-older")
        self.assertEqual(run.returncode, 0, run.stderr)
        passed_over = [line for line in run.stderr.split("\n") if "is passed over" in line]
        self.assertEqual(len(passed_over), 3 - number, run.stderr)
        for name in names:
            self.assertIn(name, passed_over[0])
        self.assertNotIn("is newer and complete", run.stderr)  # Nobody is to go back to what was refused.
        self.assertIn("restored checkpoint %d at" % number, run.stderr)
        self.assertEqual(read(self.flights.path("result.tsv")), self.straight)

    def test_flipped_byte(self):
        path = self.newest_only[0]
        flip(path)
        self.assert_refused_with_names(os.path.basename(path), "damaged")
        self.assert_goes_on_from(2, os.path.basename(path), "damaged")

    def test_missing_object(self):
        path = self.newest_only[-1]
        os.remove(path)
        self.assert_refused_with_names(os.path.basename(path))
        self.assert_goes_on_from(2, os.path.basename(path))

    def test_damaged_metadata(self):
        flip(os.path.join(self.job, "chk-3", "_metadata"))
        self.assert_refused_with_names("chk-3", "_metadata")
        self.assert_goes_on_from(2, "chk-3", "_metadata")

    def test_several_are_passed_over(self):
        flip(self.newest_only[0])
        flip(os.path.join(self.job, "chk-2", "_metadata"))
        self.assert_goes_on_from(1, os.path.basename(self.newest_only[0]))

    def test_nothing_is_passed_over_when_the_latest_is_whole(self):
        self.assert_goes_on_from(3)

    def test_none_is_whole(self):
        for number in (1, 2, 3):
            flip(os.path.join(self.job, "chk-%d" % number, "_metadata"))
        self.assert_refused(self.restore("--allow-older"), self.job, "no checkpoint that is whole")

    def add_damaged(self, first, count):
        for number in range(first, first + count):
            shutil.copytree(os.path.join(self.job, "chk-3"), os.path.join(self.job, "chk-%d" % number))
            flip(os.path.join(self.job, "chk-%d" % number, "_metadata"))

    def test_as_many_are_passed_over_as_the_driver_can_be_told(self):
        self.add_damaged(4, PASSED_OVER_MAX)
        run = self.restore("--allow-older")
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertIn("restored checkpoint 3 at", run.stderr)
        self.assertEqual(read(self.flights.path("result.tsv")), self.straight)

    def test_one_more_ends_the_search_with_a_reason(self):
        self.add_damaged(4, PASSED_OVER_MAX + 1)
        before = files_below(self.job)
        self.assert_refused(self.restore("--allow-older"), "64 checkpoints are passed over", "more cannot be", "chk-4")
        self.assertTrue(before <= files_below(self.job))

    def test_driver_hears_of_what_was_passed_over(self):
        """Two are retained: the one that the job went on from, and the next one. The damaged one does not count."""
        flip(self.newest_only[0])
        run = self.restore("--allow-older", "--checkpoint-at", "0.95", retained=2)
        self.assertEqual(run.returncode, 0, run.stderr)  # It has ended: what was to be deleted is.
        self.assertEqual(self.numbers(), [2, 3, 4])
        self.assertEqual(read(self.flights.path("result.tsv")), self.straight)

    def test_all_that_exceed_the_retained_go_with_the_next_one(self):
        """There may be more of them than are retained: after a kill between a commit and its deletions, or as here."""
        run = self.restore("--checkpoint-at", "0.95", retained=1)
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertEqual(self.numbers(), [4])

    def test_one_that_is_left_alone_stays_when_the_job_goes_on_from_the_latest(self):
        """It is the latest as long as the job has none of its own, and is not the job's for that."""
        path = os.path.join(self.job, "chk-3")
        more = ("--checkpoint-interval", "0")
        run = self.flights.run(*self.options("none.tsv", 1), "--restore", path, *more)
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertTrue(self.has(3) and not self.has(4))
        pins = files_below(os.path.join(self.job, "claims"))
        self.assertEqual(len(pins), 1)
        run = self.restore(*more)
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertEqual(files_below(os.path.join(self.job, "claims")), pins)
        for fraction in ("0.95", "0.98"):  # Checkpoints 4 and 5, of which one is retained.
            run = self.restore("--kill-at", fraction, retained=1)
            self.assertEqual(run.returncode, -signal.SIGKILL, run.stderr)
        self.assertTrue(self.has(3) and self.has(5))

    def test_option_needs_a_latest_one(self):
        self.assert_refused(self.flights.run("--allow-older"), "--restore latest", status=2)
        path = os.path.join(self.job, "chk-2")
        self.assert_refused(self.flights.run("--allow-older", "--restore", path), "--restore latest", status=2)


if __name__ == "__main__":
    flights.main()
