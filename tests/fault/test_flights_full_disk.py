"""A disk that is full: a failed checkpoint costs nothing that was committed, a full working directory ends the job.

Needs a small file system: it mounts a tmpfs, in a namespace of its own where it is not root.
"""
import os
import signal
import subprocess
import sys

import flights
from flights import read

DISK = "8m"


def enter_namespace():
    """Runs this program again where mounting is allowed, and where its mounts end with it."""
    if os.environ.get("FLIGHTS_TEST_NAMESPACE"):
        return
    unshare = ["unshare", "--mount"] if os.getuid() == 0 else ["unshare", "--mount", "--map-root-user"]
    try:
        if subprocess.run(unshare + ["true"], capture_output=True).returncode == 0:
            os.environ["FLIGHTS_TEST_NAMESPACE"] = "1"
            os.execvp(unshare[0], unshare + [sys.executable] + sys.argv)
    except FileNotFoundError:
        pass
    flights.skip("this machine does not permit namespaces for mounts")


class FullDisk(flights.FlightsTest):
    record_count = 60000

    def setUp(self):
        self.disk = self.flights.path("disk")
        os.makedirs(self.disk, exist_ok=True)
        mount = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=" + DISK, "tmpfs", self.disk], capture_output=True, text=True)
        if mount.returncode != 0:
            flights.skip("this machine does not permit to mount a tmpfs: " + mount.stderr.strip())

    def tearDown(self):
        subprocess.run(["umount", self.disk], check=True)

    def fill(self, free_bytes):
        """Leaves as many bytes free."""
        status = os.statvfs(self.disk)
        with open(os.path.join(self.disk, "filler"), "wb") as file:
            file.write(bytes(max(0, status.f_bavail * status.f_frsize - free_bytes)))

    def options(self, *more, tolerable):
        return ("--quiet", "--checkpoint-interval", "100", "--checkpoint-dir", self.disk,
                "-D", "execution.checkpointing.tolerable-failed-checkpoints=%d" % tolerable) + more

    def test_tolerated_failures_cost_nothing_but_the_checkpoint(self):
        straight = self.flights.path("straight.tsv")
        self.assertEqual(self.flights.run("--quiet", "--out", straight).returncode, 0)

        killed = self.flights.run(*self.options("--kill-at", "0.5", tolerable=1000))
        self.assertEqual(killed.returncode, -signal.SIGKILL, killed.stderr)
        self.assertTrue(self.flights.has_checkpoint(self.disk), "no checkpoint before the disk was full")

        self.fill(0)
        out = self.flights.path("full.tsv")
        for _ in range(2):  # The second time from the same checkpoint: it is still there, and whole.
            run = self.flights.run(*self.options("--restore", "latest", "--out", out, tolerable=100000))
            self.assertEqual(run.returncode, 0, run.stderr)
            self.assertIn("a checkpoint failed", run.stderr)
            self.assertEqual(read(out), read(straight))

    def test_failures_beyond_the_tolerable_end_the_job_and_name_the_cause(self):
        self.fill(64 << 10)
        run = self.flights.run(*self.options(tolerable=0))
        self.assert_refused(run, self.disk)
        self.assertIn("No space left", run.stderr)

    def test_full_working_directory_ends_the_job_and_names_the_cause(self):
        self.fill(1 << 20)
        run = self.flights.run("--quiet", "--repeat", "4", work="disk")
        self.assert_refused(run, self.disk)
        self.assertIn("No space left", run.stderr)


if __name__ == "__main__":
    enter_namespace()
    flights.main()
