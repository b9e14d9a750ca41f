"""What the tests of the `tarn` command share: running it, and reading its answers.

Each test is a python3 script, standard library only, run by ctest with
    TARN_COMMAND    the built command
    TARN_SOURCE     the root of the project
    TARN_EXAMPLES   the folder with the built examples; empty when they are not built
    TARN_OPERATOR_STATE  the program built from operator_state.c
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

SKIPPED = 77
COMMAND = os.environ["TARN_COMMAND"]
SOURCE = os.environ["TARN_SOURCE"]
EXAMPLES = os.environ.get("TARN_EXAMPLES", "")
TIMEOUT_S = 60


class Answer:
    """Exit status, stdout and stderr of one run."""

    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err

    @property
    def json(self):
        return json.loads(self.out)

    def __repr__(self):
        return "status %d\nstdout: %s\nstderr: %s" % (self.status, self.out, self.err)


def tarn(*arguments, **options):
    """Runs the command to its end."""
    run = subprocess.run(
        [COMMAND, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        timeout=TIMEOUT_S, check=False, **options)
    return Answer(run.returncode, run.stdout.decode(), run.stderr.decode())


class Case(unittest.TestCase):
    """Claims about answers. self.folder is an empty folder of the test's own."""

    maxDiff = None

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="tarn-cli-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def good(self, *arguments):
        """Exit status 0, an answer, and nothing to complain about."""
        answer = tarn(*arguments)
        self.assertEqual(answer.status, 0, answer)
        self.assertEqual(answer.err, "", answer)
        self.assertNotEqual(answer.out, "", answer)
        return answer

    def good_json(self, *arguments):
        """As good(), with --json: one line, "ok" true."""
        answer = self.good(*arguments, "--json")
        self.one_line(answer.out)
        self.assertIs(answer.json["ok"], True, answer)
        return answer.json

    def refused(self, *arguments):
        """Exit status 1 and one sentence on stderr, which is answered."""
        answer = tarn(*arguments)
        self.assertEqual(answer.status, 1, answer)
        self.assertEqual(answer.out, "", answer)
        self.one_line(answer.err)
        self.assertTrue(answer.err.startswith("tarn: "), answer)
        return answer.err

    def refused_json(self, *arguments):
        """Exit status 1 and one line of JSON with an error, which is answered."""
        answer = tarn(*arguments, "--json")
        self.assertEqual(answer.status, 1, answer)
        self.assertEqual(answer.err, "", answer)
        self.one_line(answer.out)
        self.assertEqual(sorted(answer.json), ["error", "ok"], answer)
        self.assertIs(answer.json["ok"], False, answer)
        return answer.json["error"]

    def misused(self, *arguments):
        """Exit status 2 and one sentence on stderr that leads to help; it is answered."""
        answer = tarn(*arguments)
        self.assertEqual(answer.status, 2, answer)
        self.assertEqual(answer.out, "", answer)
        self.one_line(answer.err)
        self.assertIn("; see 'tarn help", answer.err, answer)
        return answer.err

    def one_line(self, text):
        self.assertEqual(text.count("\n"), 1, text)
        self.assertTrue(text.endswith("\n"), text)

    def columns(self, text):
        """The lines of a table, each as its words."""
        return [line.split() for line in text.splitlines()]


def skip(why):
    print("SKIPPED: " + why)
    sys.exit(SKIPPED)


def main():
    unittest.main(verbosity=2)
