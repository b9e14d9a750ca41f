"""`tarn storage`: listing, copying and trying a place, here a directory."""
import os
import pty
import resource
import signal
import subprocess
import time
import unittest

from command import COMMAND, TIMEOUT_S, Case, main

NOBODY = 65534


class Storage(Case):
    def setUp(self):
        super().setUp()
        self.place = os.path.join(self.folder, "place")
        self.file = os.path.join(self.folder, "file")
        with open(self.file, "wb") as out:
            out.write(bytes(range(256)) * 50000)

    def test_what_is_put_is_listed_and_got_back(self):
        self.good("storage", "put", self.file, self.place + "/d/x")
        self.assertIn("d/", self.good("storage", "ls", self.place).out)
        entries = self.good_json("storage", "ls", self.place + "/d")["entries"]
        self.assertEqual(entries, [{"name": "x", "directory": False, "size": 12800000}])
        back = os.path.join(self.folder, "back")
        self.assertEqual(self.good_json("storage", "get", self.place + "/d/x", back)["bytes"], 12800000)
        with open(self.file, "rb") as one, open(back, "rb") as two:
            self.assertEqual(one.read(), two.read())
        self.good("storage", "rm", self.place + "/d/x")
        self.assertEqual(self.good_json("storage", "ls", self.place + "/d")["entries"], [])

    def test_a_copy_that_fails_leaves_what_was_there(self):
        self.good("storage", "put", self.file, self.place + "/x")
        for before in (None, b"as it was"):
            back = os.path.join(self.folder, "back")
            if before is not None:
                with open(back, "wb") as out:
                    out.write(before)

            def limit():  # A file may not grow further: half-way, writing fails.
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (5000000, 5000000))

            run = subprocess.run([COMMAND, "storage", "get", self.place + "/x", back], preexec_fn=limit,
                                 capture_output=True, timeout=TIMEOUT_S, check=False)
            self.assertEqual(run.returncode, 1)
            self.assertIn(b"too large", run.stderr)
            self.assertEqual(sorted(os.listdir(self.folder)),
                             ["file", "place"] if before is None else ["back", "file", "place"])
            if before is not None:
                with open(back, "rb") as file:
                    self.assertEqual(file.read(), before)
        self.good("storage", "get", self.place + "/x", "/dev/null")

    def test_a_file_that_is_replaced_leaves_its_mode(self):
        self.good("storage", "put", self.file, self.place + "/x")
        back = os.path.join(self.folder, "back")
        for mode in (0o600, 0o640, 0o755):
            with open(back, "wb") as out:
                out.write(b"as it was")
            os.chmod(back, mode)
            self.good("storage", "get", self.place + "/x", back)
            self.assertEqual(os.stat(back).st_mode & 0o7777, mode)
            self.assertEqual(os.stat(back).st_size, 12800000)

    @unittest.skipUnless(os.getuid() == 0, "only root may give files away")
    def test_a_file_that_is_replaced_leaves_its_owner_and_group(self):
        self.good("storage", "put", self.file, self.place + "/x")
        back = os.path.join(self.folder, "back")
        for owner, group in ((NOBODY, NOBODY), (0, NOBODY), (NOBODY, 0)):
            with open(back, "wb") as out:
                out.write(b"as it was")
            try:
                os.chown(back, owner, group)
            except OSError as refusal:
                self.skipTest(f"files cannot be given away here: {refusal}")
            os.chmod(back, 0o640)
            self.good("storage", "get", self.place + "/x", back)
            now = os.stat(back)
            self.assertEqual((now.st_uid, now.st_gid, now.st_mode & 0o7777), (owner, group, 0o640))

    def test_progress_of_long_transfers_is_shown_on_terminals(self):
        back = os.path.join(self.folder, "back")
        for words in (("put", self.file, self.place + "/x"), ("get", self.place + "/x", back)):
            ours, theirs = pty.openpty()
            run = subprocess.run([COMMAND, "storage", *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=theirs, timeout=TIMEOUT_S, check=False)
            os.close(theirs)
            shown = os.read(ours, 65536).decode()
            os.close(ours)
            self.assertEqual(run.returncode, 0)
            self.assertIn({"put": "sent ", "get": "read "}[words[0]], shown)
            self.assertTrue(shown.endswith("\r\033[K"), repr(shown))
            self.assertNotIn("\033", run.stdout.decode())

    def test_stdin_and_stdout_are_files_too(self):
        run = subprocess.run([COMMAND, "storage", "put", "-", self.place + "/x"], input=b"text",
                             capture_output=True, timeout=TIMEOUT_S, check=False)
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertEqual(self.good("storage", "get", self.place + "/x").out, "text")

    def test_an_object_is_not_replaced_unasked(self):
        self.good("storage", "put", "--if-absent", self.file, self.place + "/x")
        self.assertIn("exists already", self.refused("storage", "put", "--if-absent", self.file, self.place + "/x"))

    def test_a_good_place_passes_its_check_and_is_left_as_it_was(self):
        answer = self.good_json("storage", "check", "--write", self.place)
        works = [t["works"] for t in answer["trials"]]
        self.assertNotIn(False, works)
        self.assertGreaterEqual(works.count(True), 18)
        self.assertEqual(self.good_json("storage", "ls", self.place)["entries"], [])
        alone = self.good_json("storage", "check", self.place)["trials"]
        self.assertEqual([t["works"] for t in alone], [None, True, True])
        self.good("storage", "put", self.file, self.place + "/x")
        self.assertIn("tried: 3, failed: 0, skipped: 0", self.good("storage", "check", self.place).out)

    def test_a_place_that_cannot_be_written_fails_its_check(self):
        os.mkdir(self.place)  # Nothing can be made below a file, whoever asks.
        flat = os.path.join(self.place, "flat")
        with open(flat, "w", encoding="utf-8") as out:
            out.write("a file")
        self.assertIn("flat", self.refused("storage", "check", "--write", flat))

    def test_what_is_not_there_is_said(self):
        self.assertIn("place does not exist", self.refused("storage", "get", self.place + "/none"))
        self.refused("storage", "ls", self.place)
        self.assertFalse(os.path.exists(self.place))
        self.assertIn("there is no storage", self.refused("storage", "ls", "gs://bucket"))
        self.assertIn("does not name an object", self.refused("storage", "rm", "s3://bucket"))

    def test_secrets_of_the_command_line_are_not_shown(self):
        told = self.refused("storage", "ls", "s3://bucket/x", "-D", "s3.access-key=hidden-one", "-D",
                            "s3.endpoint=http://user:hidden-two@127.0.0.1:1")
        self.assertNotIn("hidden", told)

    def wait_for_core_to_be_forbidden(self, wanted, become=None):
        """What the command says of cores once it has begun: the soft limit, and whose its memory is."""
        def allow():
            hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
            resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
            if become is not None:
                os.setgid(become)
                os.setuid(become)

        run = subprocess.Popen([COMMAND, "storage", "put", "-", self.place + "/x"], stdin=subprocess.PIPE, preexec_fn=allow)
        try:
            told = None
            end = time.monotonic() + TIMEOUT_S
            while told != wanted and time.monotonic() < end:  # It has begun by then, and waits for its input.
                with open("/proc/%d/limits" % run.pid, encoding="ascii") as limits:
                    soft = next(line.split()[4] for line in limits if line.startswith("Max core file size"))
                told = (soft, os.stat("/proc/%d/mem" % run.pid).st_uid)
            self.assertEqual(told, wanted)
        finally:
            run.communicate(b"", timeout=TIMEOUT_S)
        self.assertEqual(run.returncode, 0)

    def test_no_core_is_left_that_could_hold_keys(self):
        # The kernel gives root what is of a process that may not be dumped, not even into a pipe.
        self.wait_for_core_to_be_forbidden(("0", 0))

    @unittest.skipUnless(os.getuid() == 0, "only root may become somebody else")
    def test_no_core_is_left_of_a_process_of_others_either(self):
        os.chmod(self.folder, 0o777)
        try:
            self.wait_for_core_to_be_forbidden(("0", 0), become=NOBODY)
        except PermissionError:
            self.skipTest("the command lies where others may not enter")

    def test_wrong_usage_is_said(self):
        self.misused("storage")
        self.misused("storage", "mv", "a", "b")
        self.misused("storage", "ls")
        self.misused("storage", "put", "a")


if __name__ == "__main__":
    main()
