"""Runs examples/flights for the tests of this folder: command lines, a small input, skips.

A test program is called with the path of the program and of the data. It exits with 77 when the
machine cannot run it; ctest reports that as skipped.
"""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

SKIPPED = 77
RUN_SECONDS_MAX = 240


def skip(reason):
    print("SKIPPED: " + reason, flush=True)
    sys.exit(SKIPPED)


class Flights:
    """A program, its data, and a directory for everything that its runs write."""

    def __init__(self, program, data, record_count):
        if shutil.which("zstd") is None:
            skip("the command zstd, which unpacks the data, is not installed")
        self.program = program
        self.directory = tempfile.mkdtemp(prefix="flights-test-")
        self.input = self.path("input.csv")
        self.record_count = record_count
        unpack = subprocess.Popen(["zstd", "-dcq", data], stdout=subprocess.PIPE)
        with open(self.input, "wb") as out:
            for _ in range(record_count + 1):
                out.write(unpack.stdout.readline())
        unpack.stdout.close()
        unpack.wait()

    def path(self, *names):
        return os.path.join(self.directory, *names)

    def clear(self):
        shutil.rmtree(self.directory)

    def command(self, *options, work="work", source=None):
        return [self.program, "--input", source or self.input, "--work-dir", self.path(work)] + list(options)

    def run(self, *options, work="work", source=None):
        return subprocess.run(
            self.command(*options, work=work, source=source), capture_output=True, text=True, timeout=RUN_SECONDS_MAX)

    def start(self, *options, work="work"):
        return subprocess.Popen(
            self.command(*options, work=work), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def has_checkpoint(self, directory):
        job = os.path.join(directory, "flights")
        return os.path.isdir(job) and any(
            os.path.exists(os.path.join(job, name, "_metadata")) for name in os.listdir(job))


def read(path):
    with open(path, "rb") as file:
        return file.read()


class FlightsTest(unittest.TestCase):
    """The input is made once; each test begins with empty directories."""

    record_count = 20000
    flights = None

    @classmethod
    def setUpClass(cls):
        cls.flights = Flights(FlightsTest.program, FlightsTest.data, cls.record_count)

    @classmethod
    def tearDownClass(cls):
        cls.flights.clear()

    def assert_refused(self, run, *words, status=1):
        """The run failed with the status, in one sentence of the example's own that has all the words."""
        self.assertEqual(run.returncode, status, run.stderr)
        last = run.stderr.strip().split("\n")[-1]
        self.assertTrue(last.startswith("flights: "), run.stderr)
        for word in words:
            self.assertIn(word, last)


def main():
    if len(sys.argv) < 3:
        sys.exit("usage: %s PROGRAM DATA [TEST]..." % sys.argv[0])
    FlightsTest.program = os.path.abspath(sys.argv[1])
    FlightsTest.data = os.path.abspath(sys.argv[2])
    unittest.main(argv=[sys.argv[0]] + sys.argv[3:], verbosity=2)
