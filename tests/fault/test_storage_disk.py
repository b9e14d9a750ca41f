"""A file system that is full, then read-only, under `file` storage: what is there stays, and what fails says why.

Usage: test_storage_disk.py TARN. Mounts a tmpfs, and ext4 on a loop device where that may be had, in a namespace of its own where it is not root.
"""
import json
import os
import subprocess
import sys
import tempfile
import unittest

SKIPPED = 77
TIMEOUT_S = 60


def skip(reason):
    print("SKIPPED: " + reason)
    sys.exit(SKIPPED)


def enter_namespace():
    """Runs this program again where mounting is allowed, and where its mounts end with it."""
    if os.environ.get("STORAGE_TEST_NAMESPACE"):
        return
    unshare = ["unshare", "--mount"] if os.getuid() == 0 else ["unshare", "--mount", "--map-root-user"]
    try:
        if subprocess.run(unshare + ["true"], capture_output=True).returncode == 0:
            os.environ["STORAGE_TEST_NAMESPACE"] = "1"
            os.execvp(unshare[0], unshare + [sys.executable] + sys.argv)
    except FileNotFoundError:
        pass
    skip("this machine does not permit namespaces for mounts")


class Disk(unittest.TestCase):
    """A file system in memory."""
    tarn = None

    def mount(self):
        mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", self.disk], capture_output=True, text=True)
        if mount.returncode != 0:
            skip("this machine does not permit to mount a tmpfs: " + mount.stderr.strip())

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.disk = os.path.join(self.folder.name, "disk")
        os.mkdir(self.disk)
        self.mount()
        self.place = os.path.join(self.disk, "checkpoints")
        self.small = self.make_file("small", 1000)
        self.large = self.make_file("large", 32 << 20)

    def tearDown(self):
        subprocess.run(["umount", self.disk], check=True)
        self.folder.cleanup()

    def make_file(self, name, size):
        path = os.path.join(self.folder.name, name)
        with open(path, "wb") as file:
            file.write(os.urandom(size))
        return path

    def run_tarn(self, *arguments):
        run = subprocess.run([self.tarn, "storage", *arguments, "--json"], stdin=subprocess.DEVNULL, capture_output=True,
                             text=True, timeout=TIMEOUT_S, check=False)
        return json.loads(run.stdout)

    def expect_whole(self, name, source):
        back = os.path.join(self.folder.name, "back")
        self.assertTrue(self.run_tarn("get", os.path.join(self.place, name), back)["ok"])
        with open(source, "rb") as one, open(back, "rb") as two:
            self.assertEqual(one.read(), two.read())

    def files_below(self, folder):
        return sorted(name for _, _, names in os.walk(folder) for name in names if name != ".tarn-lock")

    def test_a_full_disk_refuses_and_keeps_what_is_there(self):
        self.assertTrue(self.run_tarn("put", self.small, self.place + "/x")["ok"])
        for name in ("x", "y"):
            answer = self.run_tarn("put", self.large, os.path.join(self.place, name))
            self.assertFalse(answer["ok"])
            self.assertIn("No space left on device", answer["error"])
        self.expect_whole("x", self.small)
        self.assertEqual(self.files_below(self.place), ["x"])  # Nor is half of anything left, which would fill the disk.
        self.assertTrue(self.run_tarn("put", self.small, self.place + "/z")["ok"])
        self.expect_whole("z", self.small)

    def test_a_read_only_disk_is_read_and_not_written(self):
        self.assertTrue(self.run_tarn("put", self.small, self.place + "/x")["ok"])
        subprocess.run(["mount", "-o", "remount,ro", self.disk], check=True)
        for answer in (self.run_tarn("put", self.small, self.place + "/x"), self.run_tarn("rm", self.place + "/x"),
                       self.run_tarn("put", self.small, self.place + "/deep/y")):
            self.assertFalse(answer["ok"])
            self.assertIn("Read-only file system", answer["error"])
        self.assertEqual([entry["name"] for entry in self.run_tarn("ls", self.place)["entries"]], ["x"])
        self.expect_whole("x", self.small)


class Loop(Disk):
    """A file system with a journal, on a loop device."""

    def mount(self):
        image = os.path.join(self.folder.name, "image")
        with open(image, "wb") as file:
            file.truncate(24 << 20)
        for command in (["mkfs.ext4", "-q", "-m", "0", image], ["mount", "-o", "loop", image, self.disk]):
            try:
                run = subprocess.run(command, capture_output=True, text=True)
                reason = run.stderr.strip() if run.returncode != 0 else None
            except FileNotFoundError as missing:
                reason = str(missing)
            if reason is not None:
                self.skipTest("this machine does not permit a loop device: " + reason)


if __name__ == "__main__":
    enter_namespace()
    Disk.tarn = sys.argv.pop(1)
    unittest.main()
